// A watch looks at each call of a component: `hearth check` compares copies, a trace prints.
#pragma once

#include <hearth/component.hpp>

namespace hearth::plan {

struct Node;

class CallWatch {
  public:
    virtual ~CallWatch() = default;
    /// Before a call of a node, with its inputs by port. What it returns is given to after() of that call.
    /// Workers of the loader call it too, several at once, as they call augments.
    virtual Tensors before(const Node& node, const Tensors& in) {
        (void)node, (void)in;
        return {};
    }
    /// After it, with the outputs by port; of a loss with its `total` and terms too. `context` is null for a
    /// sample in a worker.
    virtual void after(const Node& node, const Context* context, const Tensors& in, const Tensors& kept,
                       const Tensors& out) = 0;
    /// An augment of the loader, whose views have come with the batch.
    virtual void delivered(const Node& node, const Context& context, const Tensors& out) {
        (void)node, (void)context, (void)out;
    }
};

}  // namespace hearth::plan
