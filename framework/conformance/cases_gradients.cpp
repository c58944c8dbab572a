// Gradients against central differences, in double: along random directions, which one wrong entry spoils.
#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <cmath>
#include <functional>
#include <hearth/text.hpp>
#include <limits>

#include "conformance/cases.hpp"
#include "conformance/compare.hpp"

namespace hearth::conformance {
namespace {

using at::Tensor;
using Function = std::function<Tensor(const Tensor&)>;

constexpr int directions = 2;

Tensor random_like(const Tensor& tensor) {
    return at::randn(tensor.sizes(), tensor.options().requires_grad(false));
}

/// One number of all outputs in double: weights that stay the same, times outputs. Undefined for none: in float
/// differences drown.
Tensor weighed(const Rig& rig, const Tensors& out) {
    at::manual_seed(rig.seed() + 23);
    Tensor sum;
    for (const auto& [name, tensor] : out) {
        if (rig.kind() == Kind::loss && name != "total") continue;
        if (!tensor.defined() || tensor.scalar_type() != at::kDouble) continue;
        const auto part = (tensor * random_like(tensor)).sum();
        sum = sum.defined() ? sum + part : part;
    }
    return sum;
}

/// The slope at 0 of a function of one number, by central differences: of several steps what comes closest to
/// `found`. A kink of a ReLU that a wide step spans is outside a narrow one; a wrong gradient is far from all.
double slope(const std::function<double(double)>& f, double found, double widest = 1e-5) {
    double best = std::numeric_limits<double>::quiet_NaN();
    for (const double step : {widest, widest / 10, widest / 100}) {
        const auto difference = (f(step) - f(-step)) / (2 * step);
        if (std::isnan(best) || std::abs(difference - found) < std::abs(best - found)) best = difference;
    }
    return best;
}

void require_close(const std::string& what, double found, double expected, double noise) {
    const auto most = std::max(std::abs(found), std::abs(expected));
    require(std::isfinite(found) && std::abs(found - expected) <= 1e-3 * most + noise,
            "{}: found {:.8g} along a random direction, expected {:.8g} as finite differences have it", what,
            found, expected);
}

/// d f(x + t v)/dt by autograd and by differences; `at` is a leaf.
void compare_along(const std::string& what, const Tensor& gradient, const Tensor& x, const Function& f,
                   double widest = 1e-5) {
    at::manual_seed(41);
    for (int i = 0; i < directions; ++i) {
        auto v = random_like(x);
        v /= v.norm().clamp_min(1e-300);
        const auto at_step = [&](double t) {
            return f((x.detach() + t * v).requires_grad_(true)).item<double>();
        };
        const auto value = std::abs(at_step(0));
        const auto found = (gradient * v).sum().item<double>();
        require_close("gradient of " + what, found, slope(at_step, found, widest), 1e-8 * (1 + value));
    }
}

/// Reads that gradients are asked of. A mask that is moved by a little is none.
std::vector<const Port*> differentiable(const Rig& rig, const Tensors& in) {
    std::vector<const Port*> ports;
    for (const auto& port : rig.reads()) {
        const auto values = rig.values(port);
        const bool smooth = values != Values::binary && values != Values::spots;
        if (smooth && in[port.name].is_floating_point() && !port.is_detached) ports.push_back(&port);
    }
    return ports;
}

/// What `component` makes of `in` with one of them replaced, as one number.
Function of_input(Rig& rig, Component& component, const Tensors& in, const std::string& name) {
    return [&rig, &component, in, name](const Tensor& x) {
        auto given = in;
        given.set(name, x);
        return weighed(rig, rig.run(component, given));
    };
}

bool check_inputs(Rig& rig, Component& component, const Tensors& in) {
    bool any = false;
    for (const auto* port : differentiable(rig, in)) {
        const auto f = of_input(rig, component, in, port->name);
        const auto x = in[port->name].detach().requires_grad_(true);
        const auto y = f(x);
        if (!y.defined() || !y.requires_grad()) continue;
        const auto gradient =
            torch::autograd::grad({y}, {x}, {}, std::nullopt, false, /*allow_unused=*/true)[0];
        if (!gradient.defined()) continue;  // cut off on purpose
        any = true;
        compare_along(port->name, gradient, x, f);
    }
    return any;
}

/// All parameters at once, moved along one direction.
bool check_parameters(Rig& rig, Component& component, const Tensors& in) {
    std::vector<Tensor> parameters;
    for (auto& parameter : component.parameters())
        if (parameter.requires_grad()) parameters.push_back(parameter);
    const auto value = [&] { return weighed(rig, rig.run(component, in)); };
    const auto y = value();
    if (parameters.empty() || !y.defined() || !y.requires_grad()) return false;
    const auto gradients =
        torch::autograd::grad({y}, parameters, {}, std::nullopt, false, /*allow_unused=*/true);
    at::manual_seed(43);
    std::vector<Tensor> ways;
    double along = 0, length = 0;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        ways.push_back(gradients[i].defined() ? random_like(parameters[i]) : at::zeros_like(parameters[i]));
        if (gradients[i].defined()) along += (gradients[i] * ways[i]).sum().item<double>();
        length += ways[i].square().sum().item<double>();
    }
    length = std::sqrt(std::max(length, 1e-300));
    const auto moved = [&](double t) {
        const at::NoGradGuard no_grad;
        for (std::size_t i = 0; i < ways.size(); ++i) parameters[i].add_(ways[i], t / length);
        const auto found = value().item<double>();
        for (std::size_t i = 0; i < ways.size(); ++i) parameters[i].sub_(ways[i], t / length);
        return found;
    };
    require_close("gradient of the parameters", along / length, slope(moved, along / length),
                  1e-8 * (1 + std::abs(y.item<double>())));
    return true;
}

}  // namespace

void check_gradients(Rig& rig) {
    const auto component = rig.create();
    to_double(*component);
    const auto in = to_double(rig.inputs());
    const bool inputs = check_inputs(rig, *component, in);
    const bool parameters = check_parameters(rig, *component, in);
    if (!inputs && !parameters) throw Skip("no output in double has a gradient");
}

void check_second_derivative(Rig& rig) {
    const auto component = rig.create();
    if (!component->differentiates_twice()) throw Skip("differentiates_twice() is false");
    to_double(*component);
    const auto in = to_double(rig.inputs());
    bool any = false;
    for (const auto* port : differentiable(rig, in)) {
        const auto f = of_input(rig, *component, in, port->name);
        at::manual_seed(rig.seed() + 29);
        const auto u = random_like(in[port->name]);
        // <gradient of f, u>: its gradient is the second derivative of f along u.
        const Function along = [&](const Tensor& x) {
            const auto y = f(x);
            if (!y.defined() || !y.requires_grad()) return Tensor();
            const auto gradient = torch::autograd::grad({y}, {x}, {}, true, /*create_graph=*/true, true)[0];
            return gradient.defined() ? (gradient * u).sum() : Tensor();
        };
        const auto x = in[port->name].detach().requires_grad_(true);
        const auto first = along(x);
        if (!first.defined()) continue;
        any = true;
        auto second = at::zeros_like(x.detach());
        if (first.requires_grad())
            if (const auto found = torch::autograd::grad({first}, {x}, {}, std::nullopt, false, true)[0];
                found.defined())
                second = found;
        compare_along("the gradient of " + port->name, second, x, along, 1e-6);  // jumps at kinks
    }
    if (!any) throw Skip("no output in double has a gradient by an input");
}

}  // namespace hearth::conformance
