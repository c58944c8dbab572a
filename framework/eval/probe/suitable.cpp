#include "eval/probe/suitable.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <hearth/text.hpp>

#include "eval/probe/batches.hpp"
#include "eval/probe/head.hpp"
#include "eval/probe/regions.hpp"
#include "eval/probe/tokens.hpp"
#include "recipe/word_list.hpp"

namespace hearth::eval {
namespace {

/// What a backbone makes of one black image.
Tensors made_of_black(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec, const plan::Plan& plan,
                      const std::string& network) {
    const auto size = spec.size > 0 ? spec.size : recipe.data.size;
    try {
        return plan.features(network, at::zeros({1, recipe.data.channels, size, size}),
                             evaluation_context(c10::kCPU));
    } catch (const Error& error) {
        throw Error(error.code(), fmt::format("{}: no features of '{}' can be read from images of {} x {}: {}",
                                              spec.place("size").text(), network, size, size, error.what()));
    }
}

void check_features(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec, const plan::Plan& plan,
                    bool vectors, bool tokens) {
    const auto network = backbone_network(plan, spec);
    const auto made = made_of_black(recipe, spec, plan, network);
    if (tokens && !made.has("tokens"))
        throw RecipeError(fmt::format(
            "{}: probe = \"attentive\" reads patch tokens, and the backbone of '{}' writes none; use "
            "linear or knn, or a backbone with the output tokens",
            spec.place("probe").text(), network));
    if (!vectors) return;
    try {
        join_features(made, features_of(plan, network, spec.features), network);
    } catch (const RecipeError& error) {
        throw RecipeError(fmt::format("{}: {}", spec.place("features").text(), error.what()));
    }
}

void check_width(const recipe::LabelledSpec& spec, const plan::Plan& plan, std::size_t classes,
                 const std::string& names) {
    const auto shape = plan.shape(spec.head);
    if (!spec.mask.empty() || shape.empty()) return;
    const auto wanted = Dim(static_cast<std::int64_t>(classes));
    if (shape.size() == 2 && (!shape[1].known() || shape[1] == wanted)) return;
    std::vector<std::string> found;
    for (const auto& dim : shape) found.push_back(dim.text());
    throw RecipeError(fmt::format("{}: head: '{}' has shape [{}], expected [B, {}]: one column for each of {}",
                                  spec.place("head").text(), spec.head, join(found), classes, names));
}

/// A segmentation is log-odds [B, 1, H, W].
void check_segments(const recipe::LabelledSpec& spec, const plan::Plan& plan) {
    auto shape = plan.shape(spec.head);
    if (shape.size() == 5) shape.erase(shape.begin());  // a group of one image has an axis more
    if (shape.empty() || (shape.size() == 4 && (!shape[1].known() || shape[1] == Dim(1)))) return;
    throw RecipeError(fmt::format("{}: head: '{}' has shape '{}', expected 'B 1 H W', the log-odds of a mask",
                                  spec.place("head").text(), spec.head, to_string(shape)));
}

void check_head(const recipe::LabelledSpec& spec, const plan::Plan& plan) {
    try {
        check_views(plan, plan.needs({spec.head}));
    } catch (const RecipeError& error) {
        throw RecipeError(fmt::format("{}: head: {}", spec.place("head").text(), error.what()));
    }
    if (!spec.mask.empty()) check_segments(spec, plan);
    const auto columns = recipe::word_list(spec.label);
    if (columns.size() > 1) check_width(spec, plan, columns.size(), join(columns));
}

void check_masks(const recipe::LabelledSpec& spec, const LabelledSet& set) {
    std::vector<data::Quarantined> unusable;
    for (std::int64_t image = 0; image < set.images->size(); ++image)
        if (usable_mask(*set.images, image, spec.mask, unusable)) return;
    throw DataError(fmt::format("{}: found no known mask in column '{}' of {}{}, expected at least one",
                                spec.place("mask").text(), spec.mask, spec.source,
                                unusable.empty() ? "" : " (" + unusable.front().reason + ")"));
}

void check_tokens(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                  const std::pair<LabelledSet, LabelledSet>& splits, const plan::Plan& plan) {
    const auto tokens = made_of_black(recipe, spec, plan, backbone_network(plan, spec))["tokens"];
    auto images = count_labelled(splits.first, spec.limit);
    if (spec.folds == 0) images += count_labelled(splits.second, spec.limit);  // else they are the same
    check_token_memory(spec, images, tokens.size(1), tokens.size(2), token_memory());
}

}  // namespace

void check_known(const recipe::LabelledSpec& spec, const Labels& train) {
    if (!train.several) return;
    const auto width = train.classes.size();
    for (std::size_t c = 0; c < width; ++c) {
        std::size_t positive = 0, negative = 0;
        for (std::size_t at = c; at < train.of.size(); at += width) {
            positive += train.of[at] == 1;
            negative += train.of[at] == 0;
        }
        if (positive == 0 || negative == 0)
            throw RecipeError(fmt::format(
                "{}: label '{}' has {} known positive and {} known negative training rows, expected at "
                "least one of each for a probe; leave the label out, or look at fraction, train_where, "
                "uncertain and blank",
                spec.place("label").text(), train.classes[c], positive, negative));
    }
}

void check_readable(const recipe::Recipe& recipe, const plan::Plan& plan) {
    const at::NoGradGuard no_grad;
    for (const auto* section : {&recipe.probe, &recipe.eval}) {
        if (!*section) continue;
        const auto& spec = **section;
        const bool at_the_end = section == &recipe.eval || !recipe.eval;
        const bool while_training = section == &recipe.probe && spec.every > 0;
        const bool frozen = at_the_end && spec.head.empty();
        if (at_the_end && !spec.head.empty()) check_head(spec, plan);
        const bool vectors = while_training || (frozen && (spec.has_probe("linear") || spec.has_probe("knn")));
        const bool tokens = frozen && spec.has_probe("attentive");
        if (vectors || tokens) check_features(recipe, spec, plan, vectors, tokens);
    }
}

void check_data(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                const std::pair<LabelledSet, LabelledSet>& splits, const plan::Plan& plan) {
    const at::NoGradGuard no_grad;
    const auto& labels = splits.first.labels;
    if (!spec.head.empty()) {
        check_width(spec, plan, labels.classes.size(), join(labels.classes));
        if (!spec.mask.empty()) check_masks(spec, splits.second);
        if (spec.validation_where.empty()) return;
        const auto validation = open_validation(recipe, spec, splits.first, {});
        if (!spec.mask.empty()) check_masks(spec, validation);
        return;
    }
    check_known(spec, labels);
    if (!spec.region.empty()) {
        const auto place = spec.place("region").text();
        check_regions(splits.first, spec.region, place, /*every_class=*/true);
        if (spec.folds == 0) check_regions(splits.second, spec.region, place, /*every_class=*/false);
    }
    if (spec.has_probe("attentive")) check_tokens(recipe, spec, splits, plan);
}

}  // namespace hearth::eval
