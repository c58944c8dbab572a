#include "eval/pictures/position_map.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace hearth::eval {
namespace {

/// "L K", both known, with L a square: a grid of patches.
bool is_table(const Shape& shape) {
    if (shape.size() != 2 || !shape[0].known() || !shape[1].known()) return false;
    const auto side = std::llround(std::sqrt(static_cast<double>(shape[0].value())));
    return side > 1 && side * side == shape[0].value();
}

bool images_suffice(const plan::Plan& plan, const std::set<std::string>& views, const at::Tensor& images) {
    const Shape film = {"B", images.size(1), images.size(2), images.size(3)};
    return std::all_of(views.begin(), views.end(), [&](const auto& view) { return plan.shape(view) == film; });
}

}  // namespace

std::vector<PositionMap> position_maps(const plan::Plan& plan, const at::Tensor& images,
                                       const Context& context) {
    const at::NoGradGuard no_grad;
    std::vector<PositionMap> out;
    for (const auto& node : plan.nodes()) {
        if (node.kind != Kind::head || !node.runs) continue;
        for (const auto& wire : node.writes) {
            if (!is_table(wire.shape)) continue;
            const auto needed = plan.needs({wire.name});
            if (!images_suffice(plan, needed, images)) continue;
            Tensors views;
            for (const auto& view : needed) views.set(view, images.to(context.device));
            const auto rows = plan.outputs(views, {wire.name}, context)[wire.name].to(at::kCPU, at::kFloat);
            const auto unit = rows / rows.norm(2, 1, true).clamp_min(1e-12);
            out.push_back({wire.name, at::mm(unit, unit.t())});
        }
    }
    return out;
}

}  // namespace hearth::eval
