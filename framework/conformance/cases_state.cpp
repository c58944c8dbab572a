// State: all of it is in parameters and buffers, and evaluation leaves it alone.
#include <ATen/ATen.h>

#include "conformance/cases.hpp"
#include "conformance/compare.hpp"

namespace hearth::conformance {
namespace {

/// One update as a run makes it.
void train_once(Rig& rig, Component& component, std::int64_t step) {
    const Call call{.training = true, .learns = true, .step = step};
    const auto context = rig.context(call);
    const auto hook = [&](const char* name, auto&& body) { host::guarded(place(rig, name), body); };
    hook("before_step", [&] { component.before_step(context); });
    auto in = rig.inputs(usual_batch, static_cast<std::uint64_t>(step));
    if (rig.kind() == Kind::augment) {
        for (std::int64_t i = 0; i < usual_batch; ++i) rig.draw(component, in, i);
    } else {
        at::Tensor sum;
        for (const auto& [name, tensor] : rig.run(component, in, call))
            if (tensor.defined() && tensor.requires_grad())
                sum = sum.defined() ? sum + tensor.sum() : tensor.sum();
        if (sum.defined()) sum.backward();
    }
    hook("after_backward", [&] { component.after_backward(context); });
    hook("after_step", [&] { component.after_step(context); });
}

Tensors saved(const Component& component) {
    Tensors out;
    for (const auto& [name, tensor] : state_of(component)) out.set(name, tensor.detach().clone());
    return out;
}

/// As a checkpoint is loaded: by name, a buffer that is empty takes its size from it.
void load(Component& component, const Tensors& state) {
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : state_of(component)) {
        require(state.has(name),
                "{}: found no such parameter or buffer in the trained one, expected the same names", name);
        if (tensor.sizes() != state[name].sizes()) tensor.resize_(state[name].sizes());
        tensor.copy_(state[name]);
    }
}

}  // namespace

void check_hooks(Rig& rig) {
    auto component = rig.create();
    for (std::int64_t step = 1; step < 6; ++step) {  // over the end of an epoch
        if (step == 4) rig.begin_epoch(*component, {.step = step});
        train_once(rig, *component, step);
    }
    host::guarded(place(rig, "on_epoch_begin of a resumed run"),
                  [&] { component->on_epoch_begin(rig.context({.step = 5})); });
    if (const auto* augment = dynamic_cast<const Augment*>(component.get()))
        for (const auto& [name, count] : host::guarded(place(rig, "counts"), [&] { return augment->counts(); }))
            require(!name.empty() && count >= 0, "counts(): found {} '{}', expected a name and a number from 0",
                    count, name);
    component.reset();
}

void check_state(Rig& rig) {
    const auto trained = rig.create();
    for (std::int64_t step = 1; step < 4; ++step) train_once(rig, *trained, step);
    const auto state = saved(*trained);
    const auto loaded = rig.create_only(1);
    require(state_of(*loaded).size() == state.size(),
            "found {} parameters and buffers after training and {} in a new component, expected the same ones",
            state.size(), state_of(*loaded).size());
    load(*loaded, state);
    const auto in = rig.inputs(usual_batch, 50);
    const auto expected = detached(rig.run(*trained, in, evaluating));
    const auto problem = apart(rig.run(*loaded, in, evaluating), expected);
    require(problem.empty(),
            "after parameters and buffers were saved and loaded: {}; what it depends on is not all registered: "
            "register_module(), register_parameter() or register_buffer() it",
            problem);
}

void check_repeat(Rig& rig) {
    const auto component = rig.create();
    const auto in = rig.inputs();
    const auto state = saved(*component);
    const auto first = detached(rig.run(*component, in, evaluating));
    rig.run(*component, rig.inputs(usual_batch, 1), evaluating);
    auto problem = apart(rig.run(*component, in, evaluating), first);
    require(problem.empty(), "the second of two calls in evaluation: {}", problem);
    problem = apart(saved(*component), state);
    require(problem.empty(), "evaluation changes a parameter or buffer: {}; change state where context.learns",
            problem);
}

}  // namespace hearth::conformance
