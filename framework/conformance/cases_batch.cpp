// Batches: a sample does not depend on those beside it, and processes share the work of one.
#include <ATen/ATen.h>

#include <algorithm>

#include "conformance/cases.hpp"
#include "conformance/compare.hpp"
#include "conformance/thread_comm.hpp"

namespace hearth::conformance {
namespace {

using at::Tensor;

constexpr Tolerance in_double = {1e-5, 1e-8}, in_float = {1e-3, 1e-5};

/// Rows of all tensors that have a batch axis.
Tensors chosen(const Ports& ports, const Tensors& tensors, const Tensor& rows) {
    Tensors out;
    for (const auto& port : ports) {
        if (!tensors.has(port.name)) continue;
        const auto axis = batch_axis(port.shape);
        out.set(port.name, axis < 0 ? tensors[port.name] : tensors[port.name].index_select(axis, rows));
    }
    return out;
}

Ports writes_of(const Rig& rig) {
    auto ports = rig.writes();
    if (rig.kind() != Kind::loss) return ports;
    for (const char* name : {"per_sample", "per_pixel"})
        if (std::ranges::find(ports, name, &Port::name) == ports.end())
            ports.emplace_back(name, Shape{"B"}, "");
    ports.emplace_back("total", Shape{}, "");
    return ports;
}

/// Counts what a component asks of other processes.
class CountingComm : public Comm {
  public:
    void all_reduce_sum(Tensor&) const override { ++calls; }
    Tensor all_gather(const Tensor& tensor, bool with_grad) const override {
        ++calls;
        return Comm::all_gather(tensor, with_grad);
    }
    mutable int calls = 0;
};

/// One update without its backward pass: what the component writes.
Tensors update(Rig& rig, Component& component, const Tensors& in, const Comm& comm) {
    const Call call{.training = true, .learns = true, .comm = &comm};
    const auto context = rig.context(call);
    component.before_step(context);
    auto out = detached(rig.run(component, in, call));
    component.after_step(context);
    return out;
}

/// What several processes wrote as if it were one's: rows side by side, the mean of totals.
Tensors together(const Rig& rig, const std::vector<Tensors>& parts) {
    Tensors out;
    for (const auto& port : writes_of(rig)) {
        if (!parts[0].has(port.name)) continue;
        std::vector<Tensor> list;
        for (const auto& part : parts) list.push_back(part[port.name]);
        const auto axis = batch_axis(port.shape);
        if (axis >= 0)
            out.set(port.name, at::cat(list, axis));
        else
            out.set(port.name, at::stack(list).mean(0));
    }
    return out;
}

Tensors only(const Tensors& tensors, const Tensors& names) {
    Tensors out;
    for (const auto& [name, tensor] : tensors)
        if (names.has(name)) out.set(name, tensor);
    return out;
}

Tensors buffers(const Component& component) {
    Tensors out;
    for (const auto& item : component.named_buffers()) out.set("buffer " + item.key(), item.value());
    return out;
}

}  // namespace

void check_split(Rig& rig) {
    const auto component = rig.create();
    to_double(*component);
    const auto in = to_double(rig.inputs());
    const auto whole = detached(rig.run(*component, in, evaluating));
    for (const auto half : {0, 1}) {
        const auto rows = at::arange(half * usual_batch / 2, (half + 1) * usual_batch / 2, at::kLong);
        const auto part = rig.run(*component, chosen(rig.reads(), in, rows), evaluating);
        for (const auto& port : rig.writes()) {
            if (!part.has(port.name) || batch_axis(port.shape) < 0) continue;
            const auto expected = whole[port.name].index_select(batch_axis(port.shape), rows);
            const auto problem = apart(port.name, part[port.name], expected, in_double);
            require(problem.empty(), "half of a batch in evaluation: {} as in the whole", problem);
        }
    }
}

void check_order(Rig& rig) {
    const auto component = rig.create();
    to_double(*component);
    const auto in = to_double(rig.inputs());
    const auto order = at::tensor({2, 0, 3, 1}, at::kLong);
    const bool training = rig.kind() == Kind::loss;  // some losses say nothing in evaluation
    const auto ports = writes_of(rig);
    const auto expected = chosen(ports, detached(rig.run(*component, in, {.training = training})), order);
    const auto found = rig.run(*component, chosen(rig.reads(), in, order), {.training = training});
    const auto problem = apart(only(detached(found), expected), expected, in_double);
    require(problem.empty(), "with the samples in another order: {}", problem);
}

void check_processes(Rig& rig) {
    const CountingComm counting;
    const auto whole = rig.create();
    const auto in = rig.inputs();
    const auto expected = update(rig, *whole, in, counting);
    if (counting.calls == 0) throw Skip("it asks nothing of other processes");

    constexpr int ranks = 2;
    std::vector<std::shared_ptr<Component>> components;
    for (int rank = 0; rank < ranks; ++rank) components.push_back(rig.create());
    std::vector<Tensors> parts(ranks);
    run_ranks(ranks, [&](const Comm& comm) {
        const auto rows =
            at::arange(comm.rank() * usual_batch / ranks, (comm.rank() + 1) * usual_batch / ranks, at::kLong);
        const auto place = static_cast<std::size_t>(comm.rank());
        parts[place] = update(rig, *components[place], chosen(rig.reads(), in, rows), comm);
    });
    const auto found = together(rig, parts);
    auto problem = apart(found, only(expected, found), in_float);
    require(problem.empty(), "two processes with half of the batch each: {} as of one", problem);
    for (const auto& component : components) {
        problem = apart(buffers(*component), buffers(*whole), in_float);
        require(problem.empty(), "two processes with half of the batch each, after a step: {} as of one",
                problem);
    }
}

}  // namespace hearth::conformance
