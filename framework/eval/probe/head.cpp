#include "eval/probe/head.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <hearth/mixed_precision.hpp>
#include <hearth/text.hpp>
#include <iterator>

#include "base/counted.hpp"
#include "eval/metrics/metrics.hpp"
#include "eval/probe/batches.hpp"
#include "eval/probe/multilabel.hpp"
#include "eval/probe/notes.hpp"

namespace hearth::eval {
namespace {

/// The image in the place of every view that the logits are made from, groups of one image included.
Tensors views_of(const plan::Plan& plan, const std::set<std::string>& names, const at::Tensor& images) {
    check_views(plan, names);
    Tensors views;
    for (const auto& name : names) views.set(name, plan.shape(name).size() == 5 ? images.unsqueeze(0) : images);
    return views;
}

void score_one_label(Score& score, const Predictions& validation, const Evaluation& result) {
    const auto classes = result.classes.size();
    if (classes == 2) {
        score.threshold = best_f1_threshold(column(validation.probabilities, 2, 1), validation.labels).value;
        const auto predicted = apply_threshold(column(score.probabilities, 2, 1), score.threshold);
        score.accuracy = accuracy(predicted, result.labels);
        score.f1 = f1(predicted, result.labels);
    } else {
        const auto predicted = argmax_rows(score.probabilities, classes);
        score.accuracy = accuracy(predicted, result.labels);
        score.f1 = macro_f1(predicted, result.labels, classes);
    }
    score.auc = bootstrap(result.patients, auc_statistic(score.probabilities, classes, result.labels),
                          {.resamples = 2000, .seed = 0});
}

std::string protocol_of(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                        const Evaluation& result) {
    std::string text = fmt::format("'{}' of the trained network", spec.head);
    if (recipe.data.folds > 0) text += fmt::format(", fold {} of {}", recipe.data.fold, recipe.data.folds);
    if (recipe.data.fraction < 1)
        text += fmt::format(", trained on {:g} % of the patients", 100 * recipe.data.fraction);
    if (result.several || result.classes.size() == 2)
        text += fmt::format("; threshold of best F1 on the {} rows",
                            spec.validation_where.empty() ? "training" : "validation");
    if (result.several)
        text += fmt::format("; {} labels, each by itself, unknown ones left out, then averaged",
                            result.classes.size());
    return text + "; intervals: 95 %, bootstrap over " + base::counted(result.test_patients, "test patient");
}

}  // namespace

void check_views(const plan::Plan& plan, const std::set<std::string>& names) {
    for (const auto& name : names)
        if (const auto rank = plan.shape(name).size(); rank != 4 && rank != 5)
            throw RecipeError(
                fmt::format("eval.head: '{}' is needed for it, which is no image; evaluate a pass that "
                            "reads images alone",
                            name));
}

OddImages for_each_answer(const plan::Plan& plan, const std::string& logits, const LabelledSet& set,
                          const recipe::DataSpec& data, const Context& context, bool bf16,
                          const std::function<void(std::int64_t, const at::Tensor&)>& body) {
    const at::NoGradGuard no_grad;
    const auto needs = plan.needs({logits});
    const auto answers = [&](const at::Tensor& images) {
        const auto views = views_of(plan, needs, images.to(context.device, /*non_blocking=*/true));
        const MixedPrecision mixed(context.device.type(), bf16);
        return plan.outputs(views, {logits}, context)[logits].to(at::kCPU);
    };
    return for_each_batch(
        set, data, evaluation_batch(data, context.device), 0,
        [&](const at::Tensor& images, const std::vector<std::int64_t>& rows) {
            auto out = answers(images);
            // A group of one image has an axis more.
            if (out.size(0) != images.size(0) && out.size(0) == 1) out = out[0];
            for (std::size_t i = 0; i < rows.size(); ++i) body(rows[i], out[static_cast<std::int64_t>(i)]);
        },
        context.device);
}

Predictions predict(const plan::Plan& plan, const std::string& logits, const LabelledSet& set,
                    const recipe::DataSpec& data, const Context& context, bool bf16) {
    const auto width = set.labels.classes.size();
    Predictions out;
    out.odd = for_each_answer(
        plan, logits, set, data, context, bf16, [&](std::int64_t row, const at::Tensor& answer) {
            if (answer.dim() != 1 || answer.size(0) != static_cast<std::int64_t>(width))
                throw RecipeError(fmt::format(
                    "eval.head: '{}' has shape [B, {}], expected [B, {}]: one column for each of {}", logits,
                    fmt::join(answer.sizes().vec(), ", "), width, join(set.labels.classes)));
            const auto exact = answer.to(at::kDouble);
            const auto probability = (set.labels.several ? exact.sigmoid() : exact.softmax(0)).contiguous();
            const auto* numbers = probability.const_data_ptr<double>();
            out.probabilities.insert(out.probabilities.end(), numbers, numbers + width);
            const auto known = set.labels.row(row);
            out.labels.insert(out.labels.end(), known.begin(), known.end());
            out.patients.push_back(set.labels.patients[static_cast<std::size_t>(row)]);
        });
    if (out.patients.empty()) throw NothingReadable(*set.images);
    return out;
}

Evaluation evaluate_head(const recipe::Recipe& recipe, const plan::Plan& trained,
                         const recipe::LabelledSpec& spec, c10::Device device) {
    const auto splits = open_splits(recipe, spec);
    const auto context = evaluation_context(device);
    const bool bf16 = evaluates_in_bf16(recipe, device);
    const at::NoGradGuard no_grad;
    const auto test = predict(trained, spec.head, splits.second, recipe.data, context, bf16);
    const auto trained_on = train::open_training_data(recipe.data);
    const auto validation = predict(trained, spec.head, open_validation(recipe, spec, splits.first, trained_on),
                                    recipe.data, context, bf16);

    Evaluation out;
    out.classes = splits.first.labels.classes;
    out.several = splits.first.labels.several;
    out.labels = test.labels;
    out.patients = test.patients;
    out.train_images = count_labelled({trained_on.images, trained_on.labels}, 0);
    out.test_images = static_cast<std::int64_t>(test.patients.size());
    out.test_patients =
        static_cast<std::int64_t>(std::set<int>(test.patients.begin(), test.patients.end()).size());
    Score score;
    score.model = "trained";
    score.classifier = "head";
    score.probabilities = test.probabilities;
    if (out.several) {
        score.thresholds = label_thresholds(validation.probabilities, out.classes.size(), validation.labels);
        score_several(score, out);
    } else {
        score_one_label(score, validation, out);
    }
    out.scores = {std::move(score)};
    out.protocol = protocol_of(recipe, spec, out);
    out.notes = notes_on_rows(recipe, spec, splits.second);
    for (const auto& [odd, images] :
         {std::pair{&test.odd, "test"},
          {&validation.odd, spec.validation_where.empty() ? "training" : "validation"}})
        std::ranges::move(notes_on_odd(*odd, images), std::back_inserter(out.notes));
    return out;
}

}  // namespace hearth::eval
