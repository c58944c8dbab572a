#include "eval/anomaly/anomaly.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/text.hpp>
#include <iterator>
#include <opencv2/imgproc.hpp>
#include <optional>
#include <set>

#include "base/counted.hpp"
#include "eval/anomaly/images.hpp"
#include "eval/anomaly/map.hpp"
#include "eval/anomaly/pixel_baselines.hpp"
#include "eval/anomaly/score.hpp"
#include "eval/metrics/localisation.hpp"
#include "eval/metrics/metrics.hpp"
#include "eval/probe/batches.hpp"
#include "images/cell.hpp"
#include "recipe/dropped.hpp"

namespace hearth::eval {
namespace {

using at::Tensor;
using Scorers = std::vector<std::unique_ptr<AnomalyScorer>>;
using Scores = std::vector<std::vector<double>>;  // by score, then by image

/// Smoothed maps [N, S, S] of each scorer, its values of images, the films themselves, and which images of the
/// set they belong to.
struct Maps {
    std::vector<Tensor> of;  ///< undefined where a scorer makes none
    Scores values;           ///< empty where an image's value is made of its map
    Tensor films;            ///< [N, s, s], small
    std::vector<std::int64_t> indices;
    OddImages odd = {};
};

/// What scores the parts of the images, and who is told.
struct Scoring {
    const recipe::Recipe& recipe;
    Scorers& scorers;
    Context context;
    const PartProgress& progress;
};

/// values [B], float
void append(std::vector<double>& to, const Tensor& values) {
    const auto exact = values.to(at::kDouble).contiguous();
    to.insert(to.end(), exact.const_data_ptr<double>(), exact.const_data_ptr<double>() + exact.numel());
}

Maps make_maps(const LabelledSet& set, const std::string& part, const Scoring& scoring) {
    const auto& data = scoring.recipe.data;
    const auto& spec = *scoring.recipe.detect;
    const auto limit = spec.labelled.limit;
    const auto all = limit > 0 ? std::min(limit, set.images->size()) : set.images->size();
    const auto tell = [&](std::int64_t done, std::int64_t total) {
        if (scoring.progress) scoring.progress(part, done, total);
    };
    Maps out;
    std::vector<Tensor> films;
    std::vector<std::vector<Tensor>> maps(scoring.scorers.size());
    out.values.resize(scoring.scorers.size());
    const auto device = scoring.context.device;
    tell(0, all);
    out.odd = for_each_batch(
        set, data, spec.batch, limit,
        [&](const Tensor& images, const std::vector<std::int64_t>& indices) {
            const auto moved = images.to(device, /*non_blocking=*/true);
            for (std::size_t s = 0; s < maps.size(); ++s) {
                const auto made = scoring.scorers[s]->score(moved, scoring.context);
                if (made.map.defined()) maps[s].push_back(made.map);
                if (made.images.defined()) append(out.values[s], made.images);
            }
            films.push_back(small_films(images));
            out.indices.insert(out.indices.end(), indices.begin(), indices.end());
            tell(std::ssize(out.indices), all);
        },
        device);
    const auto found = std::ssize(out.indices);
    if (found == 0) throw DataError("detect: found no readable image in a part of the data");
    if (found < all) tell(found, found);  // the rest has no label or cannot be read
    out.films = at::cat(films);
    const double sigma = spec.smooth * static_cast<double>(data.size);
    for (auto& batches : maps) {
        out.of.emplace_back();
        if (batches.empty()) continue;
        out.of.back() = at::cat(batches);
        batches.clear();
        smooth_maps(out.of.back(), sigma);
    }
    return out;
}

/// Turns raw maps and values into maps and scores that can be added; all it knows comes from normal images.
class Standard {
  public:
    Standard(const recipe::DetectSpec& spec, const Maps& normal) : spec_(spec) {
        for (std::size_t s = 0; s < normal.of.size(); ++s) {
            maps_.emplace_back();
            if (normal.of[s].defined()) maps_.back().emplace(normal.of[s], spec.normalise == "position");
            scores_.emplace_back(raw(normal, s));
        }
        // A single score that is taken off is turned round by its sum.
        if (spec.scores.size() > 1 || spec.scores.front().weight < 0) sum_.emplace(raw_sum(scores(normal)));
    }

    /// Undefined where the score has none.
    Tensor map(const Maps& maps, std::size_t s) const {
        return maps_[s] ? maps_[s]->standardise(maps.of[s]) : Tensor();
    }
    /// Of the scores that have maps; undefined where none has.
    Tensor sum_of_maps(const Maps& maps) const {
        Tensor sum;
        for (std::size_t s = 0; s < maps_.size(); ++s) {
            if (!maps_[s]) continue;
            const auto weighted = map(maps, s) * spec_.scores[s].weight;
            sum = sum.defined() ? sum + weighted : weighted;
        }
        return sum;
    }
    /// Of each score, then of the sum where there is one.
    Scores scores(const Maps& maps) const {
        Scores out;
        for (std::size_t s = 0; s < maps_.size(); ++s) out.push_back(scores_[s].standardise(raw(maps, s)));
        if (sum_) out.push_back(sum_->standardise(raw_sum(out)));
        return out;
    }

  private:
    std::vector<double> raw(const Maps& maps, std::size_t s) const {
        return maps.values[s].empty() ? pool_maps(map(maps, s), spec_.top) : maps.values[s];
    }
    std::vector<double> raw_sum(const Scores& scores) const {
        std::vector<double> sum(scores.front().size(), 0);
        for (std::size_t s = 0; s < maps_.size(); ++s)
            for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += spec_.scores[s].weight * scores[s][i];
        return sum;
    }

    const recipe::DetectSpec& spec_;
    std::vector<std::optional<MapStatistics>> maps_;  ///< nothing where a score has no map
    std::vector<ScoreStatistics> scores_;
    std::optional<ScoreStatistics> sum_;
};

std::vector<int> labels_of(const LabelledSet& set, const Maps& maps) {
    std::vector<int> out;
    for (const auto index : maps.indices) out.push_back(set.labels.of[static_cast<std::size_t>(index)]);
    return out;
}

/// Masks of the test images, and the number of the region that each pixel belongs to, counted over all images.
struct Masks {
    std::vector<cv::Mat> of;   ///< empty where it is not known
    std::vector<int> regions;  ///< pixels of the known masks, image by image
    std::int64_t abnormal = 0;
    std::vector<data::Quarantined> unusable;

    Masks(const LabelledSet& set, const Maps& maps, const recipe::Recipe& recipe) {
        int count = 0;
        for (const auto index : maps.indices) {
            auto mask =
                load_mask(set, index, recipe.detect->labelled, recipe.detect->mask, recipe.data, unusable);
            if (!mask.empty()) {
                cv::Mat numbers;
                const int found = cv::connectedComponents(mask, numbers, 8, CV_32S) - 1;
                for (const int number : cv::Mat_<int>(numbers))
                    regions.push_back(number > 0 ? count + number : 0);
                count += found;
                if (found > 0) ++abnormal;
            }
            of.push_back(std::move(mask));
        }
    }

    /// The values of a map [N, S, S] at the pixels of `regions`.
    std::vector<double> pixels(const Tensor& maps) const {
        std::vector<double> out;
        const auto plain = maps.contiguous();
        const auto area = plain.size(1) * plain.size(2);
        for (std::size_t i = 0; i < of.size(); ++i) {
            if (of[i].empty()) continue;
            const auto* values = plain[static_cast<std::int64_t>(i)].const_data_ptr<float>();
            out.insert(out.end(), values, values + area);
        }
        return out;
    }
};

/// NaN where no mask is known, or where `maps` is undefined.
void localise(AnomalyResult& result, const Masks& masks, const Tensor& maps) {
    result.pixel_auroc = result.aupro = std::nan("");
    if (masks.abnormal == 0 || !maps.defined()) return;
    std::vector<int> positive;
    for (const int region : masks.regions) positive.push_back(region > 0 ? 1 : 0);
    const auto pixels = masks.pixels(maps);
    result.pixel_auroc = auc(pixels, positive);
    result.aupro = aupro(pixels, masks.regions);
}

void separate(AnomalyResult& result, const std::vector<int>& labels, const std::vector<int>& patients) {
    result.auc = bootstrap(patients, ResampledAuc(result.scores, labels), {.resamples = 2000, .seed = 0});
    result.average_precision = average_precision(result.scores, labels);
    const auto predicted = apply_threshold(result.scores, result.threshold);
    result.accuracy = accuracy(predicted, labels);
    result.f1 = f1(predicted, labels);
    const auto counts = confusion_matrix(predicted, labels, 2);
    const auto share = [](std::size_t part, std::size_t rest) {
        return static_cast<double>(part) / static_cast<double>(part + rest);
    };
    result.sensitivity = share(counts.at(1, 1), counts.at(1, 0));
    result.specificity = share(counts.at(0, 0), counts.at(0, 1));
}

std::vector<KindResult> results_by_kind(const Detection& detection) {
    std::vector<KindResult> out;
    std::set<std::string> kinds;
    for (std::size_t i = 0; i < detection.labels.size(); ++i)
        if (detection.labels[i] == 1) kinds.insert(detection.kinds[i]);
    for (const auto& kind : kinds) {
        std::vector<double> scores;
        std::vector<int> labels, patients;
        for (std::size_t i = 0; i < detection.labels.size(); ++i) {
            if (detection.labels[i] == 1 && detection.kinds[i] != kind) continue;
            scores.push_back(detection.sum().scores[i]);
            labels.push_back(detection.labels[i]);
            patients.push_back(detection.patients[i]);
        }
        out.push_back({kind, std::count(labels.begin(), labels.end(), 1),
                       bootstrap(patients, ResampledAuc(scores, labels), {.resamples = 2000, .seed = 0})});
    }
    return out;
}

/// Normal and abnormal images in turn, as far as there are, in the order of the test set.
std::vector<std::size_t> shown(const std::vector<int>& labels, std::int64_t count) {
    std::vector<std::size_t> by_class[2], out;
    for (std::size_t i = 0; i < labels.size(); ++i) by_class[labels[i]].push_back(i);
    for (std::size_t i = 0; i < labels.size() && std::ssize(out) < count; ++i)
        for (const auto label : {1, 0})
            if (i < by_class[label].size() && std::ssize(out) < count) out.push_back(by_class[label][i]);
    return out;
}

std::vector<HeatMap> heat_maps(const Detection& detection, const LabelledSet& test, const Maps& maps,
                               const Tensor& sum, const Masks& masks, std::int64_t count) {
    std::vector<HeatMap> out;
    if (!sum.defined()) return out;
    for (const auto i : shown(detection.labels, count)) {
        HeatMap heat;
        heat.name = detection.names[i];
        heat.kind = detection.kinds.empty() ? "" : detection.kinds[i];
        heat.abnormal = detection.labels[i] == 1;
        heat.score = detection.sum().scores[i];
        heat.film = test.images->load(maps.indices[i]);
        const auto map = sum[static_cast<std::int64_t>(i)].contiguous();
        heat.map.create(static_cast<int>(map.size(0)), static_cast<int>(map.size(1)), CV_32F);
        std::copy_n(map.const_data_ptr<float>(), map.numel(), heat.map.ptr<float>());
        heat.mask = masks.of[i];
        out.push_back(std::move(heat));
    }
    return out;
}

void describe_rows(Detection& out, const LabelledSet& test, const Maps& maps, const recipe::DetectSpec& spec) {
    out.classes = test.labels.classes;
    out.labels = labels_of(test, maps);
    for (const auto index : maps.indices) {
        out.patients.push_back(test.labels.patients[static_cast<std::size_t>(index)]);
        out.names.push_back(test.images->name(index));
        if (spec.kind.empty()) continue;
        const auto kind = test.images->cell(index, spec.kind);
        if (!kind)
            throw RecipeError(fmt::format("{}: detect.kind: {}", spec.labelled.place("kind").text(),
                                          data::no_column(*test.images, spec.kind)));
        out.kinds.push_back(images::key(*kind));
    }
    out.test_images = std::ssize(out.labels);
    out.test_patients = std::ssize(std::set<int>(out.patients.begin(), out.patients.end()));
}

AnomalyResult named(std::string name, double weight, std::vector<double> scores) {
    AnomalyResult out;
    out.name = std::move(name);
    out.weight = weight;
    out.scores = std::move(scores);
    return out;
}

/// `rule` makes a threshold of the scores of the images that it is chosen on.
template <typename Rule>
void choose_thresholds(std::vector<AnomalyResult>& results, const Scores& scores, const Rule& rule) {
    for (std::size_t s = 0; s < results.size(); ++s) results[s].threshold = rule(scores[s]);
}

std::vector<std::string> notes_of(const AnomalyImages& images, const Maps& normal, const Maps& test,
                                  const std::vector<int>& labels) {
    auto out = images.test.notes;
    for (const int c : {0, 1})
        if (std::ranges::find(labels, c) == labels.end())
            out.push_back(
                fmt::format("no test image is {}, so there is no AUC", c == 0 ? "normal" : "abnormal"));
    for (const auto& [odd, part] : {std::pair{&normal.odd, "normal"}, {&test.odd, "test"}})
        std::ranges::move(notes_on_odd(*odd, part), std::back_inserter(out));
    return out;
}

/// The names of the scores for which `is` holds.
template <typename Is>
std::vector<std::string> names_where(const recipe::DetectSpec& spec, const Scorers& scorers, const Is& is) {
    std::vector<std::string> out;
    for (std::size_t s = 0; s < scorers.size(); ++s)
        if (is(*scorers[s])) out.push_back(spec.scores[s].name);
    return out;
}

/// What has no map, and what the pixels of the sum are then made of; "" where all have one.
std::string note_on_maps(const recipe::DetectSpec& spec, const Scorers& scorers) {
    const auto with = names_where(spec, scorers, [](const auto& s) { return s.has_map(); });
    const auto without = names_where(spec, scorers, [](const auto& s) { return !s.has_map(); });
    if (without.empty()) return "";
    return fmt::format("{} {} a value an image and no map: {}", join(without),
                       without.size() > 1 ? "have" : "has",
                       with.empty() ? "there are no scores of pixels and no heat maps"
                                    : "scores of pixels and heat maps are those of " + join(with));
}

/// How values of images are made.
std::string standard_text(const recipe::DetectSpec& spec, const Scorers& scorers, std::int64_t normal) {
    const auto rated = names_where(spec, scorers, [](const auto& s) { return s.rates_images(); });
    auto out = fmt::format("score: {}, each standardised on {} normal images", spec.score, normal);
    if (rated.size() == scorers.size()) return out;
    out += fmt::format(" ({}), the mean of the highest {:.3g} % of pixels",
                       spec.normalise == "position" ? "at each position" : "over all pixels", 100 * spec.top);
    if (!rated.empty()) out += fmt::format(" except {}, a value an image", join(rated));
    return out;
}

void compare_with_baselines(Detection& out) {
    for (const auto& b : out.baselines)
        out.differences.push_back(
            {b.name, paired_bootstrap(out.patients, ResampledAuc(out.sum().scores, out.labels),
                                      ResampledAuc(b.scores, out.labels), {.resamples = 2000, .seed = 0})});
}

Scorers scorers_of(const recipe::Recipe& recipe, const plan::Plan& plan, c10::Device device) {
    const bool bf16 = evaluates_in_bf16(recipe, device);
    Scorers out;
    for (const auto& score : recipe.detect->scores) out.push_back(make_scorer(score, recipe.data, plan, bf16));
    return out;
}

void learn(Scorers& scorers, const LabelledSet& normal, const recipe::Recipe& recipe, const Context& context) {
    const auto& spec = *recipe.detect;
    for (auto& scorer : scorers)
        if (scorer->learns())
            for_each_batch(
                normal, recipe.data, spec.batch, spec.labelled.limit,
                [&](const Tensor& images, const auto&) {
                    scorer->learn(images.to(context.device, /*non_blocking=*/true), context);
                },
                context.device);
}

}  // namespace

double quick_detection(const recipe::Recipe& recipe, const LabelledSet& normal, const LabelledSet& rows,
                       const plan::Plan& plan, const Context& context) {
    const at::NoGradGuard no_grad;
    auto scorers = scorers_of(recipe, plan, context.device);
    learn(scorers, normal, recipe, context);
    const PartProgress untold;
    const Scoring scoring{recipe, scorers, context, untold};
    const Standard standard(*recipe.detect, make_maps(normal, "normal images", scoring));
    const auto made = make_maps(rows, "validation images", scoring);
    return auc(standard.scores(made).back(), labels_of(rows, made));
}

Detection detect(const recipe::Recipe& recipe, const plan::Plan& plan, c10::Device device,
                 const PartProgress& progress) {
    if (!recipe.detect)
        throw RecipeError(
            fmt::format("recipe '{}' has no [detect]{}; add one (docs/detect.md), or extend a recipe of "
                        "recipes/detect",
                        recipe.name, recipe::dropped_text(recipe.tree, "detect")));
    const at::NoGradGuard no_grad;
    const auto& spec = *recipe.detect;
    auto scorers = scorers_of(recipe, plan, device);
    const auto images = open_anomaly_images(recipe);
    auto context = evaluation_context(device);
    context.learns = false;
    const Scoring scoring{recipe, scorers, context, progress};
    const auto compared = [&](const std::string& part) {
        return [&progress, part](std::int64_t done, std::int64_t total) {
            if (progress) progress(part + ", compared", done, total);
        };
    };

    learn(scorers, images.normal, recipe, context);
    const auto normal = make_maps(images.normal, "normal images", scoring);
    const Standard standard(spec, normal);
    const PixelBaselines pixels(spec, normal.films, compared("normal images"));
    const auto test = make_maps(images.test, "test images", scoring);

    Detection out;
    describe_rows(out, images.test, test, spec);
    out.normal_images = std::ssize(normal.indices);
    out.notes = notes_of(images, normal, test, out.labels);
    if (auto note = note_on_maps(spec, scorers); !note.empty()) out.notes.push_back(std::move(note));
    const Masks masks(images.test, test, recipe);
    std::ranges::move(notes_on_odd({.without_mask = masks.unusable}, "test"), std::back_inserter(out.notes));
    out.images_with_mask = masks.abnormal;

    auto scores = standard.scores(test);
    for (std::size_t s = 0; s < scores.size(); ++s)
        out.results.push_back(s < spec.scores.size()
                                  ? named(spec.scores[s].name, spec.scores[s].weight, std::move(scores[s]))
                                  : named("sum", 1, std::move(scores[s])));
    auto pixel_scores = pixels.scores(test.films, compared("test images"));
    for (std::size_t b = 0; b < pixel_scores.size(); ++b)
        out.baselines.push_back(named(PixelBaselines::names.at(b), 0, std::move(pixel_scores[b])));

    if (images.validation) {
        const auto validation = make_maps(*images.validation, "validation images", scoring);
        const auto labels = labels_of(*images.validation, validation);
        const auto best = [&](const std::vector<double>& values) {
            return best_f1_threshold(values, labels).value;
        };
        choose_thresholds(out.results, standard.scores(validation), best);
        choose_thresholds(out.baselines, pixels.scores(validation.films, compared("validation images")), best);
        out.validation_images = std::ssize(labels);
        out.threshold_rule = fmt::format("best F1 on {} labelled validation images", labels.size());
    } else {
        const auto high = [&](const std::vector<double>& values) { return quantile(values, spec.quantile); };
        choose_thresholds(out.results, standard.scores(normal), high);
        choose_thresholds(out.baselines, pixels.normal_scores(), high);
        out.threshold_rule = fmt::format("quantile {} of the scores of {} normal training images",
                                         spec.quantile, out.normal_images);
    }
    for (std::size_t s = 0; s < out.results.size(); ++s) {
        separate(out.results[s], out.labels, out.patients);
        localise(out.results[s], masks,
                 s < spec.scores.size() ? standard.map(test, s) : standard.sum_of_maps(test));
    }
    for (std::size_t b = 0; b < out.baselines.size(); ++b) {
        separate(out.baselines[b], out.labels, out.patients);
        localise(out.baselines[b], masks,
                 b == PixelBaselines::with_map ? pixels.map(test.films, recipe.data.size) : Tensor());
    }
    compare_with_baselines(out);
    if (!spec.kind.empty()) out.by_kind = results_by_kind(out);
    out.heat_maps = heat_maps(out, images.test, test, standard.sum_of_maps(test), masks, spec.heatmaps);
    out.protocol = fmt::format("{}; threshold: {}; intervals: 95 %, bootstrap over {}",
                               standard_text(spec, scorers, out.normal_images), out.threshold_rule,
                               base::counted(out.test_patients, "test patient"));
    out.baseline_protocol = pixels.protocol();
    return out;
}

}  // namespace hearth::eval
