#include "eval/features.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <functional>

#include "data/loader.hpp"

namespace hearth::eval {

Labels read_labels(const data::Dataset& dataset, const recipe::LabelledSpec& spec,
                   std::vector<std::string> classes) {
    return data::read_labels(dataset,
                             {.label = spec.label,
                              .positive = spec.positive,
                              .negative = spec.negative,
                              .patient = spec.patient,
                              .where = spec.origin.text()},
                             std::move(classes));
}

std::pair<LabelledSet, LabelledSet> open_splits(const recipe::Recipe& recipe,
                                                const recipe::LabelledSpec& spec) {
    const auto open = [&](const std::string& where) {
        return data::open_dataset({.source = spec.source,
                                   .where = where,
                                   .size = static_cast<int>(spec.size > 0 ? spec.size : recipe.data.size),
                                   .fit = recipe.data.fit,
                                   .max_pixels = recipe.data.max_pixels,
                                   .phantom_count = spec.phantom_count,
                                   .phantom_seed = spec.phantom_seed,
                                   .phantom_lesions = 0.5});
    };
    LabelledSet train{open(spec.train_where), {}}, test{open(spec.test_where), {}};
    train.labels = read_labels(*train.images, spec, {});
    test.labels = read_labels(*test.images, spec, train.labels.classes);
    return {std::move(train), std::move(test)};
}

FeatureSet extract(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                   const Extractor& extractor) {
    torch::NoGradGuard no_grad;
    data::Loader loader(set.images,
                        {.batch = 64,
                         .workers = data.workers,
                         .channels = data.channels,
                         .shuffle = limit > 0,  // a fixed random part
                         .drop_last = false,
                         .cache = false,
                         .max_bad = data.max_bad},
                        nullptr, {"image", "index"});
    loader.begin(0);
    FeatureSet out;
    std::vector<at::Tensor> rows;
    std::vector<bool> seen(static_cast<std::size_t>(set.images->size()), false);
    Tensors batch;
    while (loader.next(batch) && (limit <= 0 || static_cast<std::int64_t>(out.labels.size()) < limit)) {
        const auto features = extractor(batch["image"]).to(at::kCPU, at::kFloat);
        const auto* index = batch["index"].const_data_ptr<std::int64_t>();
        for (std::int64_t i = 0; i < features.size(0); ++i) {
            const auto at = static_cast<std::size_t>(index[i]);
            if (set.labels.of[at] < 0 || seen[at])
                continue;  // an unreadable image is replaced by one that is met again
            if (limit > 0 && static_cast<std::int64_t>(out.labels.size()) >= limit) break;
            seen[at] = true;
            rows.push_back(features[i]);
            out.labels.push_back(set.labels.of[at]);
            out.patients.push_back(set.labels.patients[at]);
        }
    }
    out.x = at::stack(rows);
    return out;
}

at::Tensor join_features(const Tensors& made, const std::string& which, const std::string& network) {
    std::vector<at::Tensor> parts;
    if (which.find("cls") != std::string::npos && made.has("cls")) parts.push_back(made["cls"]);
    if (which.find("mean") != std::string::npos && made.has("tokens")) parts.push_back(made["tokens"].mean(1));
    if (parts.empty())
        throw RecipeError(fmt::format("features = \"{}\": the backbone of '{}' writes neither cls nor tokens",
                                      which, network));
    return at::cat(parts, 1);
}

Extractor backbone_features(const plan::Plan& plan, const std::string& network, const std::string& which,
                            const Context& context) {
    return [&plan, network, which, context](const at::Tensor& images) {
        return join_features(plan.features(network, images.to(context.device), context), which, network);
    };
}

Extractor pixel_projection(std::int64_t dimensions, std::uint64_t seed) {
    auto matrix = std::make_shared<at::Tensor>();
    return [=](const at::Tensor& images) {
        const auto flat = images.flatten(1);
        if (!matrix->defined()) {
            auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
            *matrix =
                at::randn({flat.size(1), dimensions}, generator) / std::sqrt(static_cast<double>(flat.size(1)));
        }
        return at::mm(flat, *matrix);
    };
}

std::string trained_network(const plan::Plan& plan) {
    for (const auto& network : plan.networks())
        if (network.trained() && network.backbone) return network.name;
    throw RecipeError("the recipe trains no network with a backbone, so there are no features to evaluate");
}

}  // namespace hearth::eval
