// Outputs: as declared, finite, and without harm to the inputs.
#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <algorithm>
#include <functional>
#include <hearth/mixed_precision.hpp>
#include <hearth/text.hpp>

#include "conformance/cases.hpp"
#include "conformance/compare.hpp"
#include "conformance/elsewhere.hpp"
#include "plan/untouched.hpp"

namespace hearth::conformance {
namespace {

using at::Tensor;

/// Calls `body` with all reads connected, and with those alone that have to be.
void with_and_without_optional(Rig& rig, const std::function<void(Rig&)>& body) {
    body(rig);
    auto needed = rig.with(Connected::needed);
    const auto all = rig.reads().size();
    const auto component = needed.create();
    if (needed.reads().size() == all) return;
    try {
        body(needed);
    } catch (const Failure& failure) {
        throw Failure(std::string("with its optional reads unconnected: ") + failure.what());
    }
}

void check_declared(Rig& rig) {
    const auto component = rig.create();
    const auto in = rig.inputs();
    if (rig.kind() == Kind::augment) {
        for (std::int64_t i = 0; i < usual_batch; ++i) {
            const auto problem = misfit(rig, sample_of(rig.reads(), in, i), rig.draw(*component, in, i));
            require(problem.empty(), "{}", problem);
        }
        return;
    }
    for (const bool training : {true, false}) {
        const auto out = rig.run(*component, in, {.training = training});
        const auto problem = misfit(rig, in, out);
        require(problem.empty(), "{}{}", problem, training ? "" : " (in evaluation)");
    }
}

/// The sum of all that a gradient goes through; undefined where none does.
Tensor differentiable_sum(const Rig& rig, const Tensors& out) {
    Tensor sum;
    for (const auto& [name, tensor] : out) {
        if (rig.kind() == Kind::loss && name != "total") continue;
        if (!tensor.defined() || !tensor.requires_grad()) continue;
        const auto part = tensor.to(at::kFloat).sum();
        sum = sum.defined() ? sum + part : part;
    }
    return sum;
}

/// Inputs of which gradients are recorded, as those that come from a trained network.
Tensors asking(const Rig& rig, const Tensors& in) {
    Tensors out;
    for (const auto& port : rig.reads()) {
        const auto& tensor = in[port.name];
        const bool asks = tensor.is_floating_point() && !port.is_detached;
        out.set(port.name, asks ? tensor.detach().requires_grad_(true) : tensor);
    }
    return out;
}

/// What has to be finite: where no sample has a label, a term of a loss may be no number, and the log leaves it
/// out.
Tensors with_a_value(const Rig& rig, const Tensors& in, const Tensors& out) {
    const bool unknown = std::ranges::any_of(rig.reads(), [&](const Port& port) {
        return rig.values(port) == Values::labels && in[port.name].lt(0).all().item<bool>();
    });
    Tensors kept;
    for (const auto& [name, tensor] : out)
        if (!unknown || !name.starts_with("term.") || !tensor.isnan().all().item<bool>())
            kept.set(name, tensor);
    return kept;
}

/// Outputs and gradients of one training step are finite.
void require_finite(Rig& rig, Component& component, const Tensors& in, const std::string& when) {
    const auto given = asking(rig, in);
    const auto out = rig.run(component, given);
    auto problem = not_finite(with_a_value(rig, in, out));
    require(problem.empty(), "{}{}", problem, when);
    const auto sum = differentiable_sum(rig, out);
    if (!sum.defined()) return;
    sum.backward();
    Tensors gradients;
    for (const auto& [name, tensor] : given)
        if (tensor.grad().defined()) gradients.set("gradient of " + name, tensor.grad());
    for (const auto& item : component.named_parameters())
        if (item.value().grad().defined()) gradients.set("gradient of " + item.key(), item.value().grad());
    problem = not_finite(gradients);
    require(problem.empty(), "{}{}", problem, when);
}

/// The contents that a mask or label may have besides the usual: none of it, all of it, unknown.
std::vector<std::pair<const char*, double>> extremes(const Rig& rig, const Port& port) {
    switch (rig.values(port)) {
        case Values::spots:
        case Values::binary:
            return {{"all 0", 0}, {"all 1", 1}};
        case Values::labels:
            if (port.help.find("-1") == std::string::npos) return {{"all 0", 0}};
            return {{"all 0", 0}, {"all unknown", -1}};
        default:
            return {};
    }
}

}  // namespace

void check_outputs(Rig& rig) {
    with_and_without_optional(rig, check_declared);
}

void check_wanted(Rig& rig) {
    const auto component = rig.create();
    const auto in = rig.inputs();
    const auto all = detached(rig.run(*component, in, evaluating));
    for (const auto& port : rig.writes()) {
        const std::set<std::string> wanted = {port.name};
        const auto out = rig.run(*component, in, {.training = false, .wanted = &wanted});
        if (!all.has(port.name)) {
            require(port.optional, "{}: found no such output, expected it as declared", port.name);
            continue;
        }
        require(out.has(port.name), "{}: found no such output where it alone is read, expected it", port.name);
        const auto problem = apart(port.name, out[port.name], all[port.name], {1e-4, 1e-5});
        require(problem.empty(), "{} where it alone is read", problem);
    }
}

void check_inputs_kept(Rig& rig) {
    const auto component = rig.create();
    const auto in = rig.inputs();
    const auto before = plan::copied(in);
    const plan::Untouched untouched(in);
    if (rig.kind() == Kind::augment)
        for (std::int64_t i = 0; i < usual_batch; ++i) rig.draw(*component, in, i);
    else
        for (const bool training : {true, false})
            rig.run(*component, in, {.training = training, .learns = true});
    const auto problem = apart(in, before);
    require(problem.empty(), "an input was changed: {}", problem);
    const auto* changed = untouched.changed();
    require(changed == nullptr, "{}", changed == nullptr ? "" : plan::changed_text(*changed));
}

void check_batch_of_one(Rig& rig) {
    const auto component = rig.create();
    const auto in = rig.inputs(1);
    // Batch statistics of one vector are refused by LibTorch itself: networks are asked in evaluation.
    const bool training = rig.kind() == Kind::loss;
    const auto out = rig.run(*component, in, {.training = training});
    auto problem = misfit(rig, in, out);
    if (problem.empty()) problem = not_finite(with_a_value(rig, in, out));
    require(problem.empty(), "{}", problem);
}

void check_masks(Rig& rig) {
    const auto component = rig.create();
    bool any = false;
    for (const auto& port : rig.reads())
        for (const auto& [words, value] : extremes(rig, port)) {
            any = true;
            auto in = rig.inputs();
            in.set(port.name, at::full_like(in[port.name], value));
            require_finite(rig, *component, in, fmt::format(" with {} {}", port.name, words));
        }
    if (!any) throw Skip("it reads no mask and no label");
}

void check_mixed_precision(Rig& rig) {
    const auto component = rig.create();
    const auto in = rig.inputs();
    const MixedPrecision autocast(at::kCPU, true);
    const auto problem = misfit(rig, in, rig.run(*component, in), {.mixed = at::kBFloat16});
    require(problem.empty(), "{}", problem);
    require_finite(rig, *component, in, "");
}

void check_without_data(Rig& rig) {
    const auto component = rig.create();
    auto in = rig.inputs();
    complete_elsewhere();
    for (auto& [name, tensor] : state_of(*component)) move_elsewhere(tensor);
    Tensors there;
    for (const auto& [name, tensor] : in) there.set(name, tensor.to(elsewhere));
    const MixedDevices mixed;
    const auto out = rig.run(*component, asking(rig, there), {.device = elsewhere});
    const auto problem = misfit(rig, there, out, {.device = elsewhere});
    require(problem.empty(), "{}", problem);
    if (const auto sum = differentiable_sum(rig, out); sum.defined()) sum.backward();
    const auto& found = MixedDevices::found();
    require(found.empty(), "{}: found tensors of two devices; make them where the inputs are",
            join({found.begin(), found.end()}));
}

}  // namespace hearth::conformance
