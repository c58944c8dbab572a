#include "eval/probe/segmentation.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <set>

#include "data/subset.hpp"
#include "eval/probe/batches.hpp"
#include "eval/probe/head.hpp"
#include "eval/probe/notes.hpp"

namespace hearth::eval {
namespace {

std::vector<double> thresholds() {
    std::vector<double> out;
    for (int percent = 10; percent <= 90; percent += 5) out.push_back(percent / 100.0);
    return out;
}

/// Of each image with a known mask: its patient, whether anything is inside, and its Dice at each threshold.
struct Measured {
    std::vector<int> patients;
    std::vector<bool> positive;
    std::vector<std::vector<double>> dice;
    OddImages odd = {};
};

/// The probabilities [H, W] of the logits [1, H, W] of an image.
cv::Mat probability_of(const at::Tensor& logits, const std::string& head) {
    if (logits.dim() != 3 || logits.size(0) != 1)
        throw RecipeError(fmt::format("eval.head: '{}' has shape [B, {}], expected [B, 1, H, W] with eval.mask",
                                      head, fmt::join(logits.sizes().vec(), ", ")));
    const auto values = logits.to(at::kFloat).sigmoid().contiguous();
    return cv::Mat(static_cast<int>(values.size(1)), static_cast<int>(values.size(2)), CV_32F,
                   values.data_ptr())
        .clone();
}

Measured measure(const plan::Plan& plan, const recipe::LabelledSpec& spec, const LabelledSet& set,
                 const recipe::Recipe& recipe, const Context& context, const std::vector<double>& at) {
    Measured out;
    // Images without a label may have a mask.
    std::vector<data::Quarantined> unusable;
    out.odd = for_each_answer(plan, spec.head, {set.images, {}}, recipe.data, context,
                              evaluates_in_bf16(recipe, context.device),
                              [&](std::int64_t row, const at::Tensor& logits) {
                                  const auto map = probability_of(logits, spec.head);
                                  const auto truth = usable_mask(*set.images, row, spec.mask, unusable);
                                  if (!truth) return;
                                  out.patients.push_back(set.labels.patients[static_cast<std::size_t>(row)]);
                                  out.positive.push_back(cv::countNonZero(*truth) > 0);
                                  out.dice.emplace_back();
                                  for (const double threshold : at)
                                      out.dice.back().push_back(dice(map >= threshold, *truth));
                              });
    out.odd.without_mask = std::move(unusable);
    if (out.dice.empty())
        throw DataError(fmt::format("{}: found no known mask in column '{}' of {}, expected at least one",
                                    spec.origin.text(), spec.mask, spec.source));
    return out;
}

double mean_at(const Measured& measured, std::size_t threshold) {
    double sum = 0;
    for (const auto& image : measured.dice) sum += image[threshold];
    return sum / static_cast<double>(measured.dice.size());
}

/// The mean over the rows that count.
Statistic mean_over(std::vector<double> values, std::vector<bool> counts) {
    return [values = std::move(values), counts = std::move(counts)](std::span<const std::size_t> rows) {
        double sum = 0, n = 0;
        for (const auto row : rows) {
            sum += counts[row] ? values[row] : 0;
            n += counts[row];
        }
        return sum / n;
    };
}

}  // namespace

double dice(const cv::Mat& a, const cv::Mat& b) {
    const auto sum = cv::countNonZero(a) + cv::countNonZero(b);
    return sum == 0 ? 1.0 : 2.0 * cv::countNonZero(a & b) / sum;
}

Evaluation evaluate_segmentation(const recipe::Recipe& recipe, const plan::Plan& trained,
                                 const recipe::LabelledSpec& spec, c10::Device device) {
    const auto splits = open_splits(recipe, spec);
    const auto context = evaluation_context(device);
    const at::NoGradGuard no_grad;
    const auto trained_on = train::open_training_data(recipe.data);
    const auto candidates = thresholds();
    const auto chosen_on = measure(trained, spec, open_validation(recipe, spec, splits.first, trained_on),
                                   recipe, context, candidates);
    std::size_t best = 0;
    for (std::size_t i = 1; i < candidates.size(); ++i)
        if (mean_at(chosen_on, i) > mean_at(chosen_on, best)) best = i;

    const auto test = measure(trained, spec, splits.second, recipe, context, {candidates[best]});
    Segmentation out;
    out.threshold = candidates[best];
    for (const auto& image : test.dice) out.values.push_back(image[0]);
    out.patients = test.patients;
    out.positive = std::count(test.positive.begin(), test.positive.end(), true);
    out.dice =
        bootstrap(test.patients, mean_over(out.values, std::vector<bool>(out.values.size(), true)), resampling);
    out.dice_positive = bootstrap(test.patients, mean_over(out.values, test.positive), resampling);
    out.protocol = fmt::format(
        "mean Dice over {} test images, of which {} have something inside; an empty mask that is left empty "
        "counts 1; "
        "threshold of the highest Dice on the {} rows; {} images to train on{}",
        out.values.size(), out.positive, spec.validation_where.empty() ? "training" : "validation",
        trained_on.images->size(),
        recipe.data.folds > 0 ? fmt::format(", fold {} of {}", recipe.data.fold, recipe.data.folds) : "");
    Evaluation evaluation;
    evaluation.notes = notes_on_rows(recipe, spec, splits.second);
    for (const auto& [odd, images] :
         {std::pair{&test.odd, "test"},
          {&chosen_on.odd, spec.validation_where.empty() ? "training" : "validation"}})
        std::ranges::move(notes_on_odd(*odd, images), std::back_inserter(evaluation.notes));
    evaluation.segmentation = std::move(out);
    return evaluation;
}

std::vector<SegmentedFilm> segmented_films(const plan::Plan& trained, const recipe::LabelledSpec& spec,
                                           const LabelledSet& set, const recipe::DataSpec& data,
                                           const Context& context, std::int64_t count, bool bf16) {
    const at::NoGradGuard no_grad;
    std::vector<std::int64_t> rows;
    std::vector<cv::Mat> masks;
    std::vector<data::Quarantined> unusable;  // the evaluation speaks of them
    for (std::int64_t i = 0; i < set.images->size() && std::ssize(rows) < count; ++i) {
        const auto mask = usable_mask(*set.images, i, spec.mask, unusable);
        if (!mask || cv::countNonZero(*mask) == 0) continue;
        rows.push_back(i);
        masks.push_back(*mask);
    }
    std::vector<SegmentedFilm> out;
    for_each_answer(
        trained, spec.head, {data::part_of(set.images, rows), {}}, data, context, bf16,
        [&](std::int64_t row, const at::Tensor& logits) {
            const auto image = rows[static_cast<std::size_t>(row)];
            out.push_back({set.images->name(image), set.images->load(image), probability_of(logits, spec.head),
                           masks[static_cast<std::size_t>(row)]});
        });
    return out;
}

}  // namespace hearth::eval
