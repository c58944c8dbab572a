#include "conformance/compare.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace hearth::conformance {
namespace {

using at::Tensor;

std::string place_of(const Tensor& tensor, std::int64_t flat) {
    std::vector<std::int64_t> at(static_cast<std::size_t>(tensor.dim()));
    for (auto axis = tensor.dim() - 1; axis >= 0; --axis) {
        at[static_cast<std::size_t>(axis)] = flat % tensor.size(axis);
        flat /= tensor.size(axis);
    }
    return fmt::format("{}", at);
}

std::string type_name(const Tensor& tensor) {
    return c10::toString(tensor.scalar_type());
}

/// Of a loss with what it may write undeclared, for nobody to read.
Ports with_outputs_of_loss(Ports ports) {
    const auto add = [&](const char* name, Shape shape) {
        if (std::ranges::find(ports, name, &Port::name) != ports.end()) return;
        ports.emplace_back(name, std::move(shape), "");
        ports.back().optional = true;
    };
    add("per_sample", Shape{"B"});
    add("per_pixel", Shape{"B", 1, "rows of per_pixel", "columns of per_pixel"});
    return ports;
}

/// The inverse of what Rig::run() makes of a loss's output.
LossOutput as_loss(const Tensors& out) {
    const auto get = [&](const char* name) { return out.has(name) ? out[name] : Tensor(); };
    LossOutput loss;
    loss.total = get("total"), loss.per_sample = get("per_sample"), loss.per_pixel = get("per_pixel");
    for (const auto& [name, tensor] : out)
        if (name.starts_with("term.")) loss.terms.emplace_back(name.substr(5), tensor);
    return loss;
}

}  // namespace

std::string apart(const std::string& name, const Tensor& found, const Tensor& expected, Tolerance tolerance) {
    if (found.sizes() != expected.sizes())
        return fmt::format("{}: found sizes {}, expected {}", name, found.sizes(), expected.sizes());
    if (found.scalar_type() != expected.scalar_type())
        return fmt::format("{}: found {}, expected {}", name, type_name(found), type_name(expected));
    const auto a = found.detach().to(at::kDouble).contiguous().view(-1),
               b = expected.detach().to(at::kDouble).contiguous().view(-1);
    const auto same = a.eq(b).logical_or(a.isnan().logical_and(b.isnan()));
    const auto beyond = (a - b).abs().gt(tolerance.absolute + tolerance.relative * b.abs());
    const auto wrong = same.logical_not().logical_and(beyond.logical_or((a - b).isfinite().logical_not()));
    if (!wrong.any().item<bool>()) return "";
    const auto at = ((a - b).abs().nan_to_num(1e300) * wrong).argmax().item<std::int64_t>();
    return fmt::format("{}: found {:.9g} at {}, expected {:.9g} ({} of {} values differ)", name,
                       a[at].item<double>(), place_of(found, at), b[at].item<double>(),
                       wrong.sum().item<std::int64_t>(), a.numel());
}

std::string apart(const Tensors& found, const Tensors& expected, Tolerance tolerance) {
    for (const auto& [name, tensor] : expected)
        if (!found.has(name)) return fmt::format("{}: found no such output, expected one as before", name);
    for (const auto& [name, tensor] : found) {
        if (!expected.has(name)) return fmt::format("{}: found an output that was not there before", name);
        if (auto difference = apart(name, tensor, expected[name], tolerance); !difference.empty())
            return difference;
    }
    return "";
}

std::string not_finite(const Tensors& tensors) {
    for (const auto& [name, tensor] : tensors) {
        if (!tensor.defined() || !tensor.is_floating_point()) continue;
        const auto bad = tensor.detach().isfinite().logical_not().sum().item<std::int64_t>();
        if (bad > 0)
            return fmt::format("{}: found {} of {} values that are not finite", name, bad, tensor.numel());
    }
    return "";
}

std::string misfit(const Rig& rig, const Tensors& in, const Tensors& found, const plan::CallSetting& setting) {
    using plan::Boundary;
    if (rig.kind() == Kind::loss)
        return Boundary(rig.reads(), with_outputs_of_loss(rig.writes()), rig.symbols())
            .problem(in, as_loss(found), setting);
    const auto of = rig.kind() == Kind::augment ? Boundary::Of::sample : Boundary::Of::batch;
    return Boundary(rig.reads(), rig.writes(), rig.symbols(), of).problem(in, found, setting);
}

Tensors detached(const Tensors& tensors) {
    Tensors out;
    for (const auto& [name, tensor] : tensors) out.set(name, tensor.detach());
    return out;
}

}  // namespace hearth::conformance
