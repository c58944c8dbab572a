#include "eval/probe/evaluate.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "base/counted.hpp"
#include "eval/metrics/class_auc.hpp"
#include "eval/metrics/metrics.hpp"
#include "eval/probe/attentive.hpp"
#include "eval/probe/batches.hpp"
#include "eval/probe/folds.hpp"
#include "eval/probe/head.hpp"
#include "eval/probe/multilabel.hpp"
#include "eval/probe/notes.hpp"
#include "eval/probe/regions.hpp"
#include "eval/probe/segmentation.hpp"
#include "eval/probe/suitable.hpp"
#include "eval/probe/tokens.hpp"

namespace hearth::eval {
namespace {

Score score(const std::string& model, const std::string& classifier, const Answers& answers, const Task& task,
            const Evaluation& result) {
    Score out;
    out.model = model;
    out.classifier = classifier;
    out.probabilities = numbers_of(answers.probabilities);
    out.learning_rate = answers.learning_rate;
    out.weight_decay = answers.weight_decay;
    if (task.several) {
        out.class_l2 = answers.l2;
        out.thresholds = answers.thresholds;
        if (out.thresholds.empty()) out.thresholds.assign(task.classes, 0.5);
        score_several(out, result);
        return out;
    }
    if (!answers.thresholds.empty()) out.threshold = answers.thresholds.front();
    if (!answers.l2.empty()) out.l2 = answers.l2.front();
    out.auc =
        bootstrap(result.patients, auc_statistic(out.probabilities, task.classes, result.labels), resampling);
    const auto predicted = task.binary() ? apply_threshold(column(out.probabilities, 2, 1), out.threshold)
                                         : argmax_rows(out.probabilities, task.classes);
    out.accuracy = accuracy(predicted, result.labels);
    out.f1 = task.binary() ? f1(predicted, result.labels) : macro_f1(predicted, result.labels, task.classes);
    return out;
}

/// The rows of a set as one model has them.
using Reader = std::function<FeatureSet(const LabelledSet& set)>;

/// What is read of every image for the probes on vectors: of the whole of it, or of its region. The processes of
/// `comm` share the work.
Reader vectors_of(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec, const plan::Plan& plan,
                  const Context& context, const Comm& comm = Comm::local()) {
    const auto network = backbone_network(plan, spec);
    const auto device = context.device;
    const bool bf16 = evaluates_in_bf16(recipe, device);
    if (spec.region.empty())
        return [&, device, features = backbone_features(plan, network, spec.features, context, bf16)](
                   const LabelledSet& set) {
            return extract(set, recipe.data, spec.limit, features, device, comm);
        };
    return [&, device, tokens = region_tokens(plan, network, context, bf16)](const LabelledSet& set) {
        return extract_regions(set, recipe.data, spec.limit, spec.region, tokens, device, comm);
    };
}

Reader pixels_of(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec, std::int64_t dimensions,
                 std::uint64_t seed) {
    if (spec.region.empty())
        return [&, pixels = pixel_projection(dimensions, seed)](const LabelledSet& set) {
            return extract(set, recipe.data, spec.limit, pixels);
        };
    return [&, pixels = region_pixels(dimensions, seed)](const LabelledSet& set) {
        return extract_regions(set, recipe.data, spec.limit, spec.region, pixels);
    };
}

Reader tokens_of(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec, Extractor tokens,
                 c10::Device device = c10::kCPU) {
    return [&recipe, &spec, tokens = std::move(tokens), device](const LabelledSet& set) {
        return extract_tokens(set, recipe.data, spec.limit, tokens, device);
    };
}

/// knn_answers() on a device.
Answers neighbours_there(FeatureSet train, FeatureSet test, const Task& task, std::int64_t k,
                         c10::Device device) {
    for (auto* set : {&train, &test}) set->x = set->x.to(device);
    return knn_answers(train, test, task, k);
}

/// What of an evaluation on frozen features does not depend on the model.
class FrozenEvaluation {
  public:
    FrozenEvaluation(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec, c10::Device device,
                     const Say& say)
        : recipe_(recipe), spec_(spec), device_(device), say_(say) {
        splits_ = open_evaluated(recipe, spec);
        const auto& labels = splits_.first.labels;
        check_known(spec, labels);
        task_ = {labels.classes.size(), labels.several};
        result_.classes = labels.classes;
        result_.several = labels.several;
        result_.folds = spec.folds;
    }

    /// The probes on one model's vectors and tokens. The floor is asked for after a model whose shapes it
    /// takes.
    void run(const std::string& model, const Reader& vectors, const Reader& tokens) {
        if (reads_vectors()) {
            const auto rows = read(vectors);
            width_ = rows.train.x.size(1);
            if (spec_.has_probe("linear"))
                add(model, "linear", rows, [&](const FeatureSet& train, const FeatureSet& test) {
                    return linear_answers(train, test, task_, seed());
                });
            if (spec_.has_probe("knn"))
                add(model, "knn", rows, [&](const FeatureSet& train, const FeatureSet& test) {
                    return neighbours_there(train, test, task_, spec_.k, device_);
                });
        }
        if (!spec_.has_probe("attentive")) return;
        if (say_) say_(fmt::format("patch tokens, {}", model));
        const auto rows = read(tokens);
        tokens_ = rows.train.x.size(1);
        token_width_ = rows.train.x.size(2);
        add(model, "attentive", rows, [&](const FeatureSet& train, const FeatureSet& test) {
            return attentive_answers(train, test, task_, {.seed = seed()}, say_);
        });
    }

    void run_floor() {
        run("pixels", pixels_of(recipe_, spec_, width_, seed()),
            tokens_of(recipe_, spec_, pixel_tokens(tokens_, token_width_, seed())));
    }

    Evaluation finish(const std::string& network) {
        for (const auto& classifier : spec_.probes) {
            const auto resampled = [&](const std::string& model) {
                const auto& probabilities = find_score(result_, classifier, model)->probabilities;
                return resample(result_.patients, auc_statistic(probabilities, task_.classes, result_.labels),
                                resampling);
            };
            const auto trained = resampled("trained");
            for (const std::string baseline : {"untrained", "pixels"})
                result_.differences.push_back(
                    {classifier, "trained", baseline, paired_difference(trained, resampled(baseline))});
        }
        result_.protocol = protocol_of(network);
        result_.notes = notes_on_rows(recipe_, spec_, splits_.second);
        for (const auto& [odd, images] : {std::pair{&test_odd_, "test"}, {&train_odd_, "training"}})
            std::ranges::move(notes_on_odd(*odd, images), std::back_inserter(result_.notes));
        return std::move(result_);
    }

  private:
    std::uint64_t seed() const { return static_cast<std::uint64_t>(recipe_.train.seed); }
    bool reads_vectors() const { return spec_.has_probe("linear") || spec_.has_probe("knn"); }

    /// Training and test rows of one model; with folds both are all of them.
    struct Rows {
        FeatureSet train, test;
    };

    Rows read(const Reader& reader) {
        Rows rows{.train = reader(splits_.first), .test = {}};
        rows.test = spec_.folds > 0 ? rows.train : reader(splits_.second);
        train_odd_ = spec_.folds > 0 ? OddImages() : rows.train.odd;
        test_odd_ = rows.test.odd;
        result_.train_images = rows.train.x.size(0);
        result_.test_images = rows.test.x.size(0);
        result_.labels = rows.test.labels;
        result_.patients = rows.test.patients;
        result_.test_patients =
            static_cast<std::int64_t>(std::set<int>(result_.patients.begin(), result_.patients.end()).size());
        return rows;
    }

    void add(const std::string& model, const std::string& classifier, const Rows& rows,
             const Classify& classify) {
        const auto answers =
            spec_.folds > 0 ? cross_validated(rows.train, task_, static_cast<int>(spec_.folds),
                                              static_cast<std::uint64_t>(recipe_.data.split_seed), classify)
                            : classify(rows.train, rows.test);
        if (classifier == "knn") neighbours_ = answers.neighbours;
        result_.scores.push_back(score(model, classifier, answers, task_, result_));
    }

    std::string reads() const {
        if (!reads_vectors()) return "patch tokens";
        return spec_.region.empty() ? spec_.features + " features"
                                    : fmt::format("mean token of what '{}' marks", spec_.region);
    }

    /// The k that was used: there may be fewer training rows than asked for.
    std::string neighbours_text() const {
        if (neighbours_ >= spec_.k) return fmt::format("k = {}", spec_.k);
        if (task_.several || spec_.folds > 0)
            return fmt::format("k = {} or all training rows where there are fewer, at least {}", spec_.k,
                               neighbours_);
        return fmt::format("k = {}, all training rows ({} asked for)", neighbours_, spec_.k);
    }

    std::string protocol_of(const std::string& network) const {
        auto text =
            fmt::format("frozen {} of '{}', {}", reads(), network,
                        task_.several    ? fmt::format("{} labels, each by itself, unknown ones left out, then "
                                                          "averaged",
                                                       task_.classes)
                        : task_.binary() ? "binary"
                                         : fmt::format("{} classes, macro one-vs-rest AUC", task_.classes));
        for (const auto& probe : spec_.probes) {
            if (probe == "linear")
                text +=
                    fmt::format("; linear: L2 and F1 threshold{} chosen on a fifth of the training patients",
                                task_.several ? " of each label" : "");
            if (probe == "knn") text += fmt::format("; k-NN: {}, threshold 0.5", neighbours_text());
            if (probe == "attentive")
                text += fmt::format(
                    "; attentive: {} heads over {} patch tokens, learning rate, weight decay and F1 "
                    "threshold chosen on a fifth of the training patients",
                    attention_heads(token_width_), tokens_);
        }
        if (spec_.folds > 0)
            text += fmt::format(
                "; {} folds by patient: each image's answer is that of the fit without its fold, and what a "
                "fit chooses is averaged",
                spec_.folds);
        return text + "; intervals: 95 %, bootstrap over " +
               base::counted(result_.test_patients, "test patient");
    }

    const recipe::Recipe& recipe_;
    const recipe::LabelledSpec& spec_;
    const c10::Device device_;
    const Say& say_;
    std::pair<LabelledSet, LabelledSet> splits_;
    Task task_;
    Evaluation result_;
    OddImages train_odd_, test_odd_;
    std::int64_t width_ = 0, tokens_ = 0, token_width_ = 0, neighbours_ = 0;
};

/// What is asked of an image: "Pneumonia", "label = bacteria, virus against normal".
std::string predicted_text(const recipe::LabelledSpec& spec) {
    if (!spec.mask.empty()) return spec.mask;
    auto text = spec.label;
    if (!spec.positive.empty()) text += " = " + spec.positive;
    if (!spec.negative.empty()) text += " against " + spec.negative;
    return text;
}

Evaluation evaluate_readable(const recipe::Recipe& recipe, const host::Registry& registry,
                             const plan::Plan& trained, const recipe::LabelledSpec& spec, c10::Device device,
                             const Say& say) {
    if (!spec.mask.empty()) return evaluate_segmentation(recipe, trained, spec, device);
    if (!spec.head.empty()) return evaluate_head(recipe, trained, spec, device);
    const auto context = evaluation_context(device);
    const auto network = backbone_network(trained, spec);
    auto asked = spec;
    asked.features = features_of(trained, network, spec.features);
    FrozenEvaluation frozen(recipe, asked, device, say);
    const bool bf16 = evaluates_in_bf16(recipe, device);
    const auto untrained = plan::Plan::initial(recipe, registry, device);
    for (const auto& [model, plan] : {std::pair{"trained", &trained}, {"untrained", &untrained}})
        frozen.run(model, vectors_of(recipe, asked, *plan, context),
                   tokens_of(recipe, asked, backbone_tokens(*plan, network, context, bf16), device));
    frozen.run_floor();
    return frozen.finish(network);
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

const Score* find_score(const Evaluation& evaluation, const std::string& classifier, const std::string& model) {
    for (const auto& s : evaluation.scores)
        if (s.classifier == classifier && s.model == model) return &s;
    return nullptr;
}

Evaluation evaluate(const recipe::Recipe& recipe, const host::Registry& registry, const plan::Plan& trained,
                    const recipe::LabelledSpec& spec, c10::Device device, const Say& say) {
    Evaluation out;
    try {
        out = evaluate_readable(recipe, registry, trained, spec, device, say);
    } catch (const NothingReadable& error) {
        out.protocol = "not evaluated";
        out.notes = {error.what()};
    }
    out.predicted = predicted_text(spec);
    return out;
}

std::vector<std::pair<std::string, double>> quick_probe(const recipe::Recipe& recipe,
                                                        const recipe::LabelledSpec& spec,
                                                        const std::pair<LabelledSet, LabelledSet>& splits,
                                                        const plan::Plan& plan, const Context& context) {
    auto alone = context;  // a process may have an image less than another
    alone.comm = &Comm::local();
    const auto read = vectors_of(recipe, spec, plan, alone, *context.comm);
    FeatureSet train, test;
    try {
        train = read(splits.first);
        test = read(splits.second);
    } catch (const NothingReadable&) {
        return {{"knn_auc", std::nan("")}, {"knn_accuracy", std::nan("")}};
    }
    if (context.comm->rank() != 0) return {};
    const auto& labels = splits.first.labels;
    const Task task{labels.classes.size(), labels.several};
    const auto votes = neighbours_there(std::move(train), test, task, spec.k, context.device).probabilities;
    const double right =
        task.several ? label_accuracy(numbers_of(votes), std::vector<double>(task.classes, 0.5), test.labels)
                     : accuracy(argmax_rows(numbers_of(votes), task.classes), test.labels);
    return {{"knn_auc", selection_auc(votes, task, test.labels)}, {"knn_accuracy", right}};
}

}  // namespace hearth::eval
