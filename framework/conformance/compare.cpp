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

/// "float" is what mixed precision makes of it too, and double where a case asked for it.
bool has_type(const Port& port, const Tensor& tensor) {
    if (port.dtype == "int64") return tensor.scalar_type() == at::kLong;
    if (port.dtype == "bool") return tensor.scalar_type() == at::kBool;
    return tensor.is_floating_point();
}

/// What a loss may write besides its ports.
Ports with_outputs_of_loss(Ports ports) {
    const auto add = [&](const char* name, Shape shape, bool optional) {
        if (std::ranges::find(ports, name, &Port::name) != ports.end()) return;
        ports.emplace_back(name, std::move(shape), "");
        ports.back().optional = optional;
    };
    add("total", Shape{}, false);
    add("per_sample", Shape{"B"}, true);
    add("per_pixel", Shape{"B", 1, "h", "w"}, true);
    return ports;
}

std::string undeclared(const Ports& writes, const Tensors& found) {
    for (const auto& [name, tensor] : found) {
        if (std::ranges::find(writes, name, &Port::name) != writes.end()) continue;
        if (!name.starts_with("term."))
            return fmt::format("found an output '{}' that is not declared; declare it in writes()", name);
        if (!tensor.defined() || tensor.numel() != 1)
            return fmt::format("found no single number as the term '{}', expected one", name.substr(5));
    }
    return "";
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
    return fmt::format("{}: found {:.6g} at {}, expected {:.6g} ({} of {} values differ)", name,
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

std::string misfit(const Port& port, const Tensor& found, std::int64_t batch, c10::Device device) {
    if (!found.defined()) return fmt::format("{}: found an undefined tensor, expected one", port.name);
    Shape shape = port.shape;
    if (batch < 0) std::erase(shape, Dim("B"));
    const auto expected =
        fmt::format("{}: found sizes {}, expected '{}'", port.name, found.sizes(), to_string(shape));
    if (found.dim() != static_cast<std::int64_t>(shape.size())) return expected;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const auto size = shape[i].known() ? shape[i].value() : shape[i] == Dim("B") ? batch : -1;
        if (size >= 0 && found.size(static_cast<std::int64_t>(i)) != size)
            return batch < 0 ? expected : fmt::format("{} with B = {}", expected, batch);
    }
    if (!has_type(port, found))
        return fmt::format("{}: found {}, expected {}", port.name, type_name(found), port.dtype);
    if (found.device().type() != device.type())
        return fmt::format("{}: found it on {}, expected it on {}", port.name, found.device().str(),
                           device.str());
    return "";
}

std::string misfit(const Rig& rig, const Tensors& found, std::int64_t batch, c10::Device device) {
    const auto writes = rig.kind() == Kind::loss ? with_outputs_of_loss(rig.writes()) : rig.writes();
    if (auto problem = undeclared(writes, found); !problem.empty()) return problem;
    for (const auto& port : writes) {
        if (!found.has(port.name)) {
            if (!port.optional)
                return fmt::format("{}: found no such output, expected it as declared", port.name);
            continue;
        }
        if (auto problem = misfit(port, found[port.name], batch, device); !problem.empty()) return problem;
    }
    return "";
}

Tensors copied(const Tensors& tensors) {
    Tensors out;
    for (const auto& [name, tensor] : tensors) out.set(name, tensor.detach().clone());
    return out;
}

Tensors detached(const Tensors& tensors) {
    Tensors out;
    for (const auto& [name, tensor] : tensors) out.set(name, tensor.detach());
    return out;
}

}  // namespace hearth::conformance
