// Gradients are averaged over the processes of a run while the backward pass still works on others.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dist/process_group.hpp"

namespace c10d {
class Work;
}
namespace torch::autograd {
struct Node;
}

namespace hearth::dist {

/// Averages gradients in buckets of 25 MiB, each as soon as it is complete, as PyTorch's DDP does:
///
///     average.prepare();
///     loss.backward();
///     average.finish();
///
/// A bucket also counts who has a gradient of what. So there is no need to know beforehand which parameters the
/// loss reaches: c10d's reducer walks the graph of every step for that, or has to be promised that it is all.
/// Parameters that no process has a gradient for keep none.
///
/// A gradient is then a view of its bucket, which the next step fills anew: clone what has to last.
class GradientAverage {
  public:
    /// `group` outlives it. Throws CommunicationLost where the processes have other parameters.
    GradientAverage(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                    const ProcessGroup& group);
    ~GradientAverage();
    GradientAverage(const GradientAverage&) = delete;
    GradientAverage& operator=(const GradientAverage&) = delete;

    /// The backward pass that follows is averaged, what was accumulated before it included. Without this call
    /// gradients stay with the process.
    void prepare();
    /// After that backward pass: from here on the gradients are the averages. They are on a GPU, which may not
    /// have them yet; the host does not wait.
    void finish();

  private:
    struct Parameter {
        std::string name;
        at::Tensor tensor, view;  ///< `view`: of its bucket, where its gradient goes
        std::shared_ptr<torch::autograd::Node> accumulator;
        std::uintptr_t hook = 0;
        std::size_t bucket = 0, place = 0;  ///< `place`: among those of its bucket
        bool filled = false, used = false;
    };
    struct Bucket {
        std::vector<std::size_t> members;
        at::Tensor flat, counts;  ///< `counts` [members]: the end of `flat`, how many processes have a gradient
        std::size_t missing = 0;
        c10::intrusive_ptr<c10d::Work> work;
    };

    /// Makes the buckets; the parameters that are `late` get some of their own, after all others.
    void arrange(const std::vector<bool>& late);
    void fill(Parameter& parameter);
    void send_what_is_complete();

    const ProcessGroup& group_;
    std::vector<Parameter> parameters_;
    std::vector<Bucket> buckets_;
    std::size_t sent_ = 0;  ///< buckets under way, in an order that is the same everywhere
    bool averages_ = false, arranged_ = false;
};

}  // namespace hearth::dist
