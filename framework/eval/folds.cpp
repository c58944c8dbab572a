#include "eval/folds.hpp"

#include <ATen/ATen.h>

#include <cmath>

#include "data/subset.hpp"

namespace hearth::eval {
namespace {

FeatureSet rows_of(const FeatureSet& set, const Task& task, const std::vector<std::int64_t>& rows) {
    FeatureSet out;
    out.x = set.x.index_select(0, at::tensor(rows, at::kLong));
    out.labels = labels_of(set, task, rows);
    for (const auto row : rows) out.patients.push_back(set.patients[static_cast<std::size_t>(row)]);
    return out;
}

/// Adds `value` to sums of one number each.
void add(std::vector<double>& sums, const std::vector<double>& values, double (*of)(double)) {
    sums.resize(values.size(), 0);
    for (std::size_t i = 0; i < values.size(); ++i) sums[i] += of(values[i]);
}

double itself(double value) {
    return value;
}

/// Settings of the folds so far, as sums: of thresholds themselves, of the others' logarithms.
struct Chosen {
    std::vector<double> thresholds, l2, rates;

    void add_fold(const Answers& answers) {
        add(thresholds, answers.thresholds, itself);
        add(l2, answers.l2, std::log);
        if (answers.learning_rate > 0) add(rates, {answers.learning_rate, answers.weight_decay}, std::log);
    }

    void average_into(Answers& out, int folds) const {
        for (const double sum : thresholds) out.thresholds.push_back(sum / folds);
        for (const double sum : l2) out.l2.push_back(std::exp(sum / folds));
        if (rates.empty()) return;
        out.learning_rate = std::exp(rates[0] / folds);
        out.weight_decay = std::exp(rates[1] / folds);
    }
};

}  // namespace

Answers cross_validated(const FeatureSet& set, const Task& task, int folds, std::uint64_t seed,
                        const Classify& classify) {
    data::Labels labels;
    labels.classes.resize(task.classes);
    labels.several = task.several;
    labels.of = set.labels;
    const auto fold_of = data::assign_folds(labels.strata(), set.patients, folds, seed);
    Answers out;
    Chosen chosen;
    for (int fold = 0; fold < folds; ++fold) {
        std::vector<std::int64_t> fitted, held;
        for (std::size_t row = 0; row < fold_of.size(); ++row)
            (fold_of[row] == fold ? held : fitted).push_back(static_cast<std::int64_t>(row));
        const auto answers = classify(rows_of(set, task, fitted), rows_of(set, task, held));
        if (!out.probabilities.defined())
            out.probabilities =
                at::empty({set.x.size(0), answers.probabilities.size(1)}, answers.probabilities.options());
        out.probabilities.index_copy_(0, at::tensor(held, at::kLong), answers.probabilities);
        chosen.add_fold(answers);
    }
    chosen.average_into(out, folds);
    return out;
}

}  // namespace hearth::eval
