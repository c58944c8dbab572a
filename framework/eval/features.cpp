#include "eval/features.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <functional>
#include <sstream>

#include "data/loader.hpp"

namespace hearth::eval {
namespace {

std::vector<std::string> words(const std::string& list) {
    std::vector<std::string> out;
    std::istringstream stream(list);
    for (std::string word; std::getline(stream, word, ',');) {
        word.erase(0, word.find_first_not_of(' '));
        word.erase(word.find_last_not_of(' ') + 1);
        if (!word.empty()) out.push_back(word);
    }
    return out;
}

bool among(const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

Labels read_labels(const data::Dataset& dataset, const recipe::LabelledSpec& spec,
                   std::vector<std::string> classes) {
    const auto n = dataset.size();
    Labels labels;
    std::vector<std::string> cells;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto cell = dataset.cell(i, spec.label);
        if (!cell)
            throw RecipeError(fmt::format(
                "{}: found no column '{}' in the labelled data, expected the labels there; set label = "
                "\"<column>\"",
                spec.origin.text(), spec.label));
        cells.push_back(*cell);
    }
    const auto positive = words(spec.positive), negative = words(spec.negative);
    if (!positive.empty()) {
        labels.classes = {negative.empty() ? "not " + spec.positive : spec.negative, spec.positive};
        for (const auto& cell : cells)
            labels.of.push_back(cell.empty()                                ? -1
                                : among(positive, cell)                     ? 1
                                : negative.empty() || among(negative, cell) ? 0
                                                                            : -1);
    } else {
        if (classes.empty()) {
            classes = cells;
            std::sort(classes.begin(), classes.end());
            classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
            std::erase(classes, "");
        }
        labels.classes = classes;
        for (const auto& cell : cells) {
            const auto found = std::find(classes.begin(), classes.end(), cell);
            labels.of.push_back(found == classes.end() ? -1 : static_cast<int>(found - classes.begin()));
        }
    }
    for (int c = 0; c < static_cast<int>(labels.classes.size()); ++c)
        if (std::find(labels.of.begin(), labels.of.end(), c) == labels.of.end())
            throw RecipeError(fmt::format(
                "{}: found no image of class '{}' in {} images (column '{}'); check `positive` and the "
                "filters",
                spec.origin.text(), labels.classes[static_cast<std::size_t>(c)], n, spec.label));
    if (labels.classes.size() < 2)
        throw RecipeError(fmt::format("{}: column '{}' has {} class(es), expected at least 2",
                                      spec.origin.text(), spec.label, labels.classes.size()));
    std::map<std::string, int> ids;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto patient = dataset.cell(i, spec.patient);
        const auto key = patient && !patient->empty() ? *patient : "image " + std::to_string(i);
        labels.patients.push_back(ids.emplace(key, static_cast<int>(ids.size())).first->second);
    }
    return labels;
}

std::pair<LabelledSet, LabelledSet> open_splits(const recipe::Recipe& recipe,
                                                const recipe::LabelledSpec& spec) {
    const auto open = [&](const std::string& where) {
        return data::open_dataset({.source = spec.source,
                                   .where = where,
                                   .size = static_cast<int>(recipe.data.size),
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

Extractor backbone_features(const plan::Plan& plan, const std::string& network, const std::string& which,
                            const Context& context) {
    return [&plan, network, which, context](const at::Tensor& images) {
        const auto out = plan.features(network, images.to(context.device), context);
        std::vector<at::Tensor> parts;
        if (which.find("cls") != std::string::npos && out.has("cls")) parts.push_back(out["cls"]);
        if (which.find("mean") != std::string::npos && out.has("tokens"))
            parts.push_back(out["tokens"].mean(1));
        if (parts.empty())
            throw RecipeError(fmt::format(
                "features = \"{}\": the backbone of '{}' writes neither cls nor tokens", which, network));
        return at::cat(parts, 1);
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
