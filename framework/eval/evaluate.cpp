#include "eval/evaluate.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <set>

#include "eval/class_auc.hpp"
#include "eval/classifiers.hpp"
#include "eval/head.hpp"
#include "eval/metrics.hpp"
#include "eval/segmentation.hpp"

namespace hearth::eval {
namespace {

std::vector<double> to_vector(const at::Tensor& probabilities) {
    const auto plain = probabilities.to(at::kDouble).contiguous();
    const auto* data = plain.const_data_ptr<double>();
    return {data, data + plain.numel()};
}

Score score(const std::string& model, const std::string& classifier, const at::Tensor& probabilities,
            double threshold, double l2, std::size_t classes, const FeatureSet& test) {
    Score out;
    out.model = model;
    out.classifier = classifier;
    out.threshold = threshold;
    out.l2 = l2;
    out.probabilities = to_vector(probabilities);
    out.auc = bootstrap(test.patients, auc_statistic(out.probabilities, classes, test.labels),
                        {.resamples = 2000, .seed = 0});
    const auto predicted = classes == 2 ? apply_threshold(column(out.probabilities, 2, 1), threshold)
                                        : argmax_rows(out.probabilities, classes);
    out.accuracy = accuracy(predicted, test.labels);
    out.f1 = classes == 2 ? f1(predicted, test.labels) : macro_f1(predicted, test.labels, classes);
    return out;
}

}  // namespace

std::vector<double> column(const std::vector<double>& table, std::size_t columns, std::size_t c) {
    std::vector<double> out;
    for (std::size_t i = c; i < table.size(); i += columns) out.push_back(table[i]);
    return out;
}

Statistic auc_statistic(const std::vector<double>& probabilities, std::size_t classes,
                        const std::vector<int>& labels) {
    if (classes == 2 && labels.size() != probabilities.size())
        return ResampledAuc(column(probabilities, 2, 1), labels);
    return mean_auc_statistic(probabilities, classes, labels);
}

plan::Plan untrained_plan(const recipe::Recipe& recipe, const host::Registry& registry, c10::Device device) {
    at::manual_seed(static_cast<std::uint64_t>(recipe.train.seed));
    auto plan = plan::Plan::build(recipe, registry);
    plan.to(device);
    plan.train(false);
    return plan;
}

const Score* find_score(const Evaluation& evaluation, const std::string& classifier, const std::string& model) {
    for (const auto& s : evaluation.scores)
        if (s.classifier == classifier && s.model == model) return &s;
    return nullptr;
}

Evaluation evaluate(const recipe::Recipe& recipe, const host::Registry& registry, const plan::Plan& trained,
                    const recipe::LabelledSpec& spec, c10::Device device) {
    if (!spec.mask.empty()) {
        Evaluation out;
        out.segmentation = evaluate_segmentation(recipe, trained, spec, device);
        return out;
    }
    if (!spec.head.empty()) return evaluate_head(recipe, trained, spec, device);
    const auto [train, test] = open_splits(recipe, spec);
    if (train.labels.several)
        throw RecipeError(
            fmt::format("{}: found {} label columns, which a probe on frozen features does not read; set "
                        "head = \"student.logits\" of a recipe that trains a head on them",
                        spec.origin.text(), train.labels.classes.size()));
    const auto context = evaluation_context(device);
    const auto network = trained_network(trained);

    const auto untrained = untrained_plan(recipe, registry, device);

    Evaluation out;
    out.classes = train.labels.classes;
    const auto classes = out.classes.size();
    std::int64_t width = 0;
    const auto run = [&](const std::string& model, const Extractor& extractor) {
        const auto fit = extract(train, recipe.data, spec.limit, extractor);
        const auto held = extract(test, recipe.data, spec.limit, extractor);
        width = fit.x.size(1);
        const auto linear = linear_probe(fit, held, classes, static_cast<std::uint64_t>(recipe.train.seed));
        out.scores.push_back(
            score(model, "linear", linear.probabilities, linear.threshold, linear.l2, classes, held));
        out.scores.push_back(score(model, "knn", knn(fit, held, classes, spec.k), 0.5, 0, classes, held));
        out.train_images = fit.x.size(0);
        out.test_images = held.x.size(0);
        out.test_patients =
            static_cast<std::int64_t>(std::set<int>(held.patients.begin(), held.patients.end()).size());
        out.labels = held.labels;
        out.patients = held.patients;
    };
    run("trained", backbone_features(trained, network, spec.features, context));
    run("untrained", backbone_features(untrained, network, spec.features, context));
    run("pixels", pixel_projection(width, static_cast<std::uint64_t>(recipe.train.seed)));

    for (const std::string classifier : {"linear", "knn"}) {
        const auto of = [&](const std::string& model) -> const Score& {
            return *find_score(out, classifier, model);
        };
        const auto paired = paired_bootstrap(
            out.patients, auc_statistic(of("trained").probabilities, classes, out.labels),
            auc_statistic(of("untrained").probabilities, classes, out.labels), {.resamples = 2000, .seed = 0});
        out.differences.push_back({classifier, "trained", "untrained", paired});
    }
    out.protocol = fmt::format(
        "frozen {} features of '{}', {}; linear: L2 and F1 threshold chosen on a fifth of the training "
        "patients; k-NN: k = {}, "
        "threshold 0.5; intervals: 95 %, bootstrap over {} test patients",
        spec.features, network,
        classes == 2 ? "binary" : fmt::format("{} classes, macro one-vs-rest AUC", classes), spec.k,
        out.test_patients);
    return out;
}

std::vector<std::pair<std::string, double>> quick_probe(const recipe::Recipe& recipe,
                                                        const recipe::LabelledSpec& spec,
                                                        const std::pair<LabelledSet, LabelledSet>& splits,
                                                        const plan::Plan& plan, const Context& context) {
    const auto extractor = backbone_features(plan, trained_network(plan), spec.features, context);
    const auto train = extract(splits.first, recipe.data, spec.limit, extractor);
    const auto test = extract(splits.second, recipe.data, spec.limit, extractor);
    const auto classes = splits.first.labels.classes.size();
    const auto votes = to_vector(knn(train, test, classes, spec.k));
    const double value =
        classes == 2 ? auc(column(votes, 2, 1), test.labels) : macro_auc(votes, classes, test.labels);
    return {{"knn_auc", value}, {"knn_accuracy", accuracy(argmax_rows(votes, classes), test.labels)}};
}

}  // namespace hearth::eval
