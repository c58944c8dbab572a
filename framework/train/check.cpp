#include "train/check.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <hearth/mixed_precision.hpp>
#include <hearth/words.hpp>

#include "train/trainer.hpp"

namespace hearth::train {

std::unique_ptr<data::Loader> generated_batches(const recipe::Recipe& recipe, const plan::Plan& plan,
                                                std::int64_t images) {
    const auto copies = recipe.data.masks_per_image;
    images = (images + copies - 1) / copies * copies;
    const auto phantoms = data::open_dataset({.source = "phantom",
                                              .where = "",
                                              .size = static_cast<int>(recipe.data.size),
                                              .fit = "stretch",
                                              .max_pixels = 0,
                                              .phantom_count = images / copies,
                                              .phantom_seed = 0,
                                              .phantom_lesions = 0});
    data::Labels labels;
    const auto columns = words_of(recipe.data.label);
    labels.several = columns.size() > 1;
    labels.classes = columns;
    for (std::int64_t i = 0; i < images / copies && !columns.empty(); ++i)
        labels.of.insert(labels.of.end(), columns.size(), static_cast<int>(i % 2));
    auto options = loader_options(recipe, plan, labels);
    options.batch = images;
    options.workers = 1;
    return std::make_unique<data::Loader>(
        phantoms, options, [&plan](Tensors& views, const RandomKey& key) { plan.augment(views, key); },
        plan.delivered());
}

CheckResult check(const recipe::Recipe& recipe, const host::Registry& registry, std::int64_t images) {
    const auto device = pick_device(recipe.train.device);
    at::manual_seed(static_cast<std::uint64_t>(recipe.train.seed));
    auto plan = plan::Plan::build(recipe, registry);
    plan.to(device);
    plan.train(true);
    Optimizer optimizer(recipe.optimizer, plan.trained_parameters(), images);

    const auto loader = generated_batches(recipe, plan, images);
    loader->begin(0);
    Tensors batch;
    loader->next(batch);

    CheckResult result;
    result.images = images;
    Context context;
    context.device = device;
    context.progress.total_steps = std::max<std::int64_t>(1, recipe.train.epochs);
    const auto start = std::chrono::steady_clock::now();
    Tensors moved;
    for (const auto& [name, tensor] : batch) moved.set(name, tensor.to(device));
    plan::StepOutput out;
    {
        const MixedPrecision mixed(device.type(), use_bf16(recipe.train.precision, device));
        out = plan.step(moved, context);
    }
    for (const auto& node : plan.nodes())
        for (const auto& wire : node.writes)
            if (out.tensors.has(wire.name) && out.tensors[wire.name].is_floating_point() &&
                !at::isfinite(out.tensors[wire.name]).all().item<bool>())
                result.problems.push_back(
                    fmt::format("{}: '{}', written by {}, is not finite", node.where, wire.name, node.id));
    Monitor(recipe.monitor).require(term_names(out));
    result.terms.emplace_back("loss", out.total.item<double>());
    for (const auto& [name, value] : out.terms) result.terms.emplace_back(name, value.item<double>());
    if (!std::isfinite(result.terms.front().second)) result.problems.emplace_back("the loss is not finite");
    out.total.backward();
    result.without_gradient = optimizer.without_gradient();
    for (const auto& [name, tensor] : plan.state())
        if (!tensor.requires_grad() && tensor.grad().defined()) result.follower_gradient.push_back(name);
    optimizer.clip();
    optimizer.step(context.progress);
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (const auto& [name, tensor] : plan.trained_parameters()) result.trained += tensor.numel();
    for (const auto& [name, tensor] : plan.state()) result.total += tensor.numel();
    result.memory_mib = peak_memory_mib();
    return result;
}

}  // namespace hearth::train
