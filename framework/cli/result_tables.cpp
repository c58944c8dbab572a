// An evaluation as tables.
#include <fmt/format.h>

#include <cmath>

#include "cli/run.hpp"

namespace hearth::cli {
namespace {

using report::Align;

std::string with_interval(const eval::Interval& i) {
    if (std::isnan(i.value)) return "undefined";
    return fmt::format("{:.3f}  [{:.3f}, {:.3f}]", i.value, i.low, i.high);
}

report::Table score_table(const eval::Evaluation& evaluation) {
    const bool head = eval::find_score(evaluation, "head", "trained") != nullptr;
    report::Table table;
    table.title = head ? "Trained head" : "Frozen features";
    table.headers = {"classifier", "features", "AUC  [95 % interval]", "accuracy", "F1"};
    table.align = {Align::left, Align::left, Align::right, Align::right, Align::right};
    for (const std::string classifier : {"linear", "knn", "head"})
        for (const auto& s : evaluation.scores)
            if (s.classifier == classifier)
                table.rows.push_back({classifier_text(classifier), s.model, with_interval(s.auc),
                                      fmt::format("{:.3f}", s.accuracy), fmt::format("{:.3f}", s.f1)});
    table.caption = fmt::format("{} training and {} test images of {} patients. {}.", evaluation.train_images,
                                evaluation.test_images, evaluation.test_patients, evaluation.protocol);
    return table;
}

report::Table difference_table(const eval::Evaluation& evaluation) {
    report::Table table;
    table.title = "What training added";
    table.headers = {"classifier", "difference", "AUC  [95 % interval]", "p"};
    table.align = {Align::left, Align::left, Align::right, Align::right};
    for (const auto& d : evaluation.differences)
        table.rows.push_back({classifier_text(d.classifier), d.model + " - " + d.baseline, with_interval(d.auc),
                              fmt::format("{:.4f}", d.auc.p_value)});
    table.caption = "Paired bootstrap over the same test patients; p is two-sided.";
    return table;
}

report::Table label_table(const eval::Evaluation& evaluation) {
    report::Table table;
    table.title = "Each label";
    table.headers = {"label", "known", "positive", "AUC  [95 % interval]", "threshold"};
    table.align = {Align::left, Align::right, Align::right, Align::right, Align::right};
    const auto width = evaluation.classes.size();
    for (std::size_t c = 0; c < width; ++c) {
        std::size_t known = 0, positive = 0;
        for (std::size_t at = c; at < evaluation.labels.size(); at += width) {
            known += evaluation.labels[at] >= 0;
            positive += evaluation.labels[at] == 1;
        }
        for (const auto& s : evaluation.scores)
            if (c < s.class_auc.size())
                table.rows.push_back({evaluation.classes[c], std::to_string(known), std::to_string(positive),
                                      with_interval(s.class_auc[c]), fmt::format("{:.3f}", s.thresholds[c])});
    }
    table.caption = "Undefined where the test rows have no known positive or no known negative.";
    return table;
}

report::Table segmentation_table(const eval::Segmentation& segmentation) {
    report::Table table;
    table.title = "Segmentation";
    table.headers = {"images", "number", "Dice  [95 % interval]"};
    table.align = {Align::left, Align::right, Align::right};
    table.rows = {{"all", std::to_string(segmentation.values.size()), with_interval(segmentation.dice)},
                  {"with something inside", std::to_string(segmentation.positive),
                   with_interval(segmentation.dice_positive)}};
    table.caption = segmentation.protocol + "; intervals: bootstrap over patients.";
    return table;
}

}  // namespace

std::string classifier_text(const std::string& classifier) {
    return classifier == "knn" ? "k-NN" : classifier == "linear" ? "linear probe" : classifier;
}

std::vector<report::Table> result_tables(const eval::Evaluation& evaluation) {
    if (evaluation.segmentation) return {segmentation_table(*evaluation.segmentation)};
    std::vector<report::Table> out = {score_table(evaluation)};
    if (!evaluation.differences.empty()) out.push_back(difference_table(evaluation));
    if (evaluation.several) out.push_back(label_table(evaluation));
    return out;
}

}  // namespace hearth::cli
