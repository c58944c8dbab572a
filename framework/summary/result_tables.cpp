#include "summary/result_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/counted.hpp"

namespace hearth::summary {
namespace {

using report::Align;

std::string with_interval(const eval::Interval& interval) {
    return eval::interval_text(interval);
}

std::string number(double value) {
    return std::isnan(value) ? "undefined" : fmt::format("{:.3f}", value);
}

/// "Predicted: Pneumonia. ", or nothing where the record is of an earlier version.
std::string predicted(const eval::Evaluation& evaluation) {
    return evaluation.predicted.empty() ? "" : fmt::format("Predicted: {}. ", evaluation.predicted);
}

/// "Predicted: Pneumonia. 84 training and 24 test images of 24 patients. "
std::string counted(const eval::Evaluation& evaluation) {
    const auto images =
        evaluation.folds > 0
            ? fmt::format("{} of {} in {} folds, each tested in its turn",
                          base::counted(evaluation.test_images, "image"),
                          base::counted(evaluation.test_patients, "patient"), evaluation.folds)
            : fmt::format("{}, {} of {}", base::counted(evaluation.train_images, "training image"),
                          base::counted(evaluation.test_images, "test image"),
                          base::counted(evaluation.test_patients, "patient"));
    return predicted(evaluation) + images + ". ";
}

report::Table score_table(const eval::Evaluation& evaluation) {
    const bool head = eval::find_score(evaluation, "head", "trained") != nullptr;
    report::Table table;
    table.title = head ? "Trained head" : "Frozen features";
    table.headers = {"classifier", "features", "AUC  [95 % interval]", "accuracy", "F1"};
    table.align = {Align::left, Align::left, Align::right, Align::right, Align::right};
    for (const auto& classifier : classifiers_of({evaluation}))
        for (const auto& s : evaluation.scores)
            if (s.classifier == classifier)
                table.rows.push_back({classifier_text(classifier), s.model, with_interval(s.auc),
                                      number(s.accuracy), number(s.f1)});
    table.caption = counted(evaluation) + evaluation.protocol + "." + notes_text(evaluation.notes);
    return table;
}

report::Table difference_table(const eval::Evaluation& evaluation) {
    report::Table table;
    table.title = "Against the untrained network and pixels";
    table.headers = {"classifier", "difference", "AUC  [95 % interval]", "p"};
    table.align = {Align::left, Align::left, Align::right, Align::right};
    for (const auto& d : evaluation.differences)
        table.rows.push_back({classifier_text(d.classifier), d.model + " - " + d.baseline, with_interval(d.auc),
                              std::isnan(d.auc.p_value) ? "-" : fmt::format("{:.4f}", d.auc.p_value)});
    table.caption = "Paired bootstrap over the same test patients; p is two-sided.";
    return table;
}

report::Table label_table(const eval::Evaluation& evaluation) {
    const auto classifiers = classifiers_of({evaluation});
    std::vector<std::string> floors;  // beside the trained network
    for (const auto& s : evaluation.scores)
        if (s.model != "trained" && std::ranges::find(floors, s.model) == floors.end())
            floors.push_back(s.model);
    report::Table table;
    table.title = "Each label";
    table.headers = {"label", "known", "positive"};
    if (classifiers.size() > 1) table.headers.emplace_back("classifier");
    table.headers.emplace_back("AUC  [95 % interval]");
    table.headers.insert(table.headers.end(), floors.begin(), floors.end());
    table.headers.emplace_back("threshold");
    table.align.assign(table.headers.size(), Align::right);
    table.align[0] = Align::left;
    if (classifiers.size() > 1) table.align[3] = Align::left;
    const auto width = evaluation.classes.size();
    for (std::size_t c = 0; c < width; ++c) {
        std::size_t known = 0, positive = 0;
        for (std::size_t at = c; at < evaluation.labels.size(); at += width) {
            known += evaluation.labels[at] >= 0;
            positive += evaluation.labels[at] == 1;
        }
        for (const auto& classifier : classifiers) {
            const auto* trained = eval::find_score(evaluation, classifier, "trained");
            if (trained == nullptr || c >= trained->class_auc.size()) continue;
            std::vector<std::string> row = {evaluation.classes[c], std::to_string(known),
                                            std::to_string(positive)};
            if (classifiers.size() > 1) row.push_back(classifier_text(classifier));
            row.push_back(with_interval(trained->class_auc[c]));
            for (const auto& floor : floors) {
                const auto* score = eval::find_score(evaluation, classifier, floor);
                row.push_back(score == nullptr ? "-" : number(score->class_auc[c].value));
            }
            row.push_back(number(trained->thresholds[c]));
            table.rows.push_back(std::move(row));
        }
    }
    table.caption = "Undefined where the test rows have no known positive or no known negative.";
    if (!floors.empty()) table.caption += " Intervals and thresholds are those of the trained network.";
    return table;
}

report::Table segmentation_table(const eval::Evaluation& evaluation) {
    const auto& segmentation = *evaluation.segmentation;
    report::Table table;
    table.title = "Segmentation";
    table.headers = {"images", "number", "Dice  [95 % interval]"};
    table.align = {Align::left, Align::right, Align::right};
    table.rows = {{"all", std::to_string(segmentation.values.size()), with_interval(segmentation.dice)},
                  {"with something inside", std::to_string(segmentation.positive),
                   with_interval(segmentation.dice_positive)}};
    table.caption = predicted(evaluation) + segmentation.protocol + "; intervals: bootstrap over patients." +
                    notes_text(evaluation.notes);
    return table;
}

}  // namespace

std::string classifier_text(const std::string& classifier) {
    if (classifier == "knn") return "k-NN";
    return classifier == "linear" || classifier == "attentive" ? classifier + " probe" : classifier;
}

std::vector<std::string> classifiers_of(const std::vector<eval::Evaluation>& evaluations) {
    std::vector<std::string> out;
    for (const auto& evaluation : evaluations)
        for (const auto& score : evaluation.scores)
            if (std::ranges::find(out, score.classifier) == out.end()) out.push_back(score.classifier);
    for (const auto* first : {"linear", "head"})
        if (const auto found = std::ranges::find(out, first); found != out.end())
            std::rotate(out.begin(), found, found + 1);
    return out;
}

std::string notes_text(const std::vector<std::string>& notes) {
    std::string out;
    for (const auto& note : notes) out += " NOTE: " + note + ".";
    return out;
}

std::string not_above_text(const std::string& model, const std::string& baseline,
                           const eval::PairedInterval& difference) {
    return fmt::format("{} not shown to be above {}: {}", model, baseline,
                       eval::interval_text(difference, true, " "));
}

std::vector<std::string> not_above(const eval::Evaluation& evaluation) {
    std::vector<std::string> out;
    for (const auto& d : evaluation.differences)
        if (!d.auc.above())
            out.push_back(classifier_text(d.classifier) + ": " + not_above_text(d.model, d.baseline, d.auc));
    return out;
}

std::vector<report::Table> result_tables(const eval::Evaluation& evaluation) {
    if (evaluation.segmentation) return {segmentation_table(evaluation)};
    std::vector<report::Table> out = {score_table(evaluation)};
    if (!evaluation.differences.empty()) out.push_back(difference_table(evaluation));
    if (evaluation.several) out.push_back(label_table(evaluation));
    return out;
}

}  // namespace hearth::summary
