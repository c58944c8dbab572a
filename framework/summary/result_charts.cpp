#include "summary/result_charts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/metrics/class_auc.hpp"
#include "summary/result_tables.hpp"

namespace hearth::summary {
namespace {

report::Bar bar(std::string label, const eval::Interval& interval, bool stressed) {
    return {std::move(label), interval.value, interval.low, interval.high, stressed};
}

report::BarChart auc_bars(std::string title) {
    return {.title = std::move(title), .value_label = "AUC", .bars = {}, .baseline = 0.5, .description = ""};
}

ResultChart all_scores(const eval::Evaluation& evaluation) {
    auto chart = auc_bars("AUC with 95 % interval");
    for (const auto& s : evaluation.scores)
        chart.bars.push_back(bar(classifier_text(s.classifier) + ", " + s.model, s.auc, s.model == "trained"));
    return {"auc", std::move(chart)};
}

/// The scores of one classifier but the projection of the pixels.
std::vector<const eval::Score*> models_of(const eval::Evaluation& evaluation, const std::string& classifier) {
    std::vector<const eval::Score*> out;
    for (const auto& s : evaluation.scores)
        if (s.classifier == classifier && s.model != "pixels") out.push_back(&s);
    return out;
}

eval::Interval class_interval(const eval::Evaluation& evaluation, const eval::Score& score, std::size_t c) {
    if (evaluation.several) return score.class_auc[c];
    const auto rest = eval::against_rest(score.probabilities, evaluation.classes.size(), evaluation.labels, c);
    return eval::bootstrap(evaluation.patients, eval::ResampledAuc(rest.scores, rest.positive),
                           {.resamples = 2000, .seed = 0});
}

ResultChart by_class(const eval::Evaluation& evaluation, const std::string& classifier) {
    const auto models = models_of(evaluation, classifier);
    auto chart =
        auc_bars((evaluation.several ? "AUC of each label, " : "AUC of each class against the rest, ") +
                 classifier_text(classifier));
    for (std::size_t c = 0; c < evaluation.classes.size(); ++c)
        for (const auto* s : models)
            chart.bars.push_back(bar(evaluation.classes[c] + (models.size() > 1 ? ", " + s->model : ""),
                                     class_interval(evaluation, *s, c), s->model == "trained"));
    return {"auc-by-class", std::move(chart)};
}

std::vector<ResultChart> two_classes(const eval::Evaluation& evaluation, const std::string& classifier) {
    const auto shown = classifier_text(classifier);
    report::RocChart roc{.title = "ROC, " + shown, .curves = {}, .description = ""};
    report::PrChart pr{
        .title = "Precision and recall, " + shown, .curves = {}, .prevalence = 0, .description = ""};
    pr.prevalence = static_cast<double>(std::ranges::count(evaluation.labels, 1)) /
                    static_cast<double>(evaluation.labels.size());
    for (const auto& s : evaluation.scores) {
        if (s.classifier != classifier) continue;
        const auto positive = eval::column(s.probabilities, 2, 1);
        roc.curves.push_back({s.model, eval::roc_points(positive, evaluation.labels), s.auc.value});
        pr.curves.push_back({s.model, eval::pr_points(positive, evaluation.labels),
                             eval::average_precision(positive, evaluation.labels)});
    }
    return {{"roc", std::move(roc)}, {"pr", std::move(pr)}};
}

ResultChart dice_bars(const eval::Segmentation& segmentation) {
    report::BarChart chart{.title = "Dice with 95 % interval",
                           .value_label = "Dice",
                           .bars = {},
                           .baseline = 0,
                           .description = ""};
    chart.bars = {bar("all images", segmentation.dice, true),
                  bar("with something inside", segmentation.dice_positive, false)};
    return {"dice", std::move(chart)};
}

}  // namespace

std::string ResultChart::svg() const {
    if (const auto* bars = std::get_if<report::BarChart>(&chart)) return report::bar_chart(*bars);
    if (const auto* roc = std::get_if<report::RocChart>(&chart)) return report::roc_chart(*roc);
    return report::pr_chart(std::get<report::PrChart>(chart));
}

std::vector<ResultChart> result_charts(const eval::Evaluation& evaluation) {
    if (evaluation.segmentation) return {dice_bars(*evaluation.segmentation)};
    if (evaluation.scores.empty()) return {};
    const auto shown = classifiers_of({evaluation}).front();
    std::vector<ResultChart> out = {all_scores(evaluation)};
    if (evaluation.several || evaluation.classes.size() > 2)
        out.push_back(by_class(evaluation, shown));
    else
        std::ranges::move(two_classes(evaluation, shown), std::back_inserter(out));
    return out;
}

std::string interval_note(const eval::Interval& interval, bool sign) {
    const auto reason = eval::no_interval(interval);
    if (std::isnan(interval.low)) return "no interval" + (reason.empty() ? "" : ": " + reason);
    return sign ? fmt::format("95 % interval {:+.3f} to {:+.3f}", interval.low, interval.high)
                : fmt::format("95 % interval {:.3f} to {:.3f}", interval.low, interval.high);
}

}  // namespace hearth::summary
