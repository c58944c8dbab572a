#include "eval/probe/views.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/loader.hpp"
#include "train/training_data.hpp"

namespace hearth::eval {
namespace {

constexpr std::int64_t shown_of_a_group = 4;

/// A group of images, [G, B, C, H, W].
bool is_group(const Shape& shape, const recipe::DataSpec& data) {
    return shape.size() == 5 && is_image(Shape(shape.begin() + 1, shape.end()), data);
}

}  // namespace

bool is_image(const Shape& shape, const recipe::DataSpec& data) {
    const auto large = [](const Dim& dim) { return dim.known() && dim.value() >= 16; };
    return shape.size() == 4 && shape[1].known() &&
           (shape[1].value() == data.channels || shape[1].value() == 1) && large(shape[2]) && large(shape[3]);
}

Views make_views(const recipe::Recipe& recipe, const plan::Plan& plan, std::int64_t count, std::int64_t epoch) {
    auto delivered = plan.delivered();
    delivered.insert("image");
    std::vector<std::pair<std::string, bool>> names;  // and whether it is a group
    for (const auto& node : plan.nodes()) {
        if (node.kind != Kind::augment || !node.runs) continue;
        for (const auto& wire : node.writes) {
            const bool group = is_group(wire.shape, recipe.data);
            if (!group && !is_image(wire.shape, recipe.data)) continue;
            names.emplace_back(wire.name, group);
            if (!node.on_device) delivered.insert(wire.name);
        }
    }
    const auto data = train::open_training_data(recipe.data);
    auto options = train::loader_options(recipe, plan, data.labels);
    options.batch = std::min(count, data.images->size());
    options.cache = false;
    data::Loader loader(
        data.images, options, [&](Tensors& views, const RandomKey& key) { plan.prepare(views, key); },
        delivered);
    loader.begin(epoch);
    Views out;
    loader.next(out.batch);
    out.batch = plan.render(out.batch);
    for (const auto& [name, group] : names) {
        const auto& tensor = out.batch[name];
        if (!group) out.images.emplace_back(name, tensor);
        for (std::int64_t i = 0; group && i < std::min(shown_of_a_group, tensor.size(0)); ++i)
            out.images.emplace_back(fmt::format("{} {}", name, i + 1), tensor[i]);
    }
    return out;
}

}  // namespace hearth::eval
