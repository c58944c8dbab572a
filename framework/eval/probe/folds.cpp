#include "eval/probe/folds.hpp"

#include <ATen/ATen.h>

#include <algorithm>
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

using Numbers = std::vector<double>;

/// The value that stands at this share of sorted values, between two of them in proportion.
double at_share(const Numbers& sorted, double share) {
    const double place = std::clamp(share * static_cast<double>(sorted.size()) - 0.5, 0.0,
                                    static_cast<double>(sorted.size() - 1));
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

/// The share of sorted values below this one, and half of those that equal it.
double share_of(const Numbers& sorted, double value) {
    const auto equal = std::ranges::equal_range(sorted, value);
    const auto below = static_cast<double>(equal.begin() - sorted.begin());
    return (below + static_cast<double>(equal.size()) / 2) / static_cast<double>(sorted.size());
}

/// One fold: its rows, and what was answered for them.
struct Fold {
    std::vector<std::int64_t> rows;
    Answers answers;
    Numbers column(std::int64_t c) const { return numbers_of(answers.probabilities.select(1, c)); }
};

Numbers sorted(Numbers values) {
    std::ranges::sort(values);
    return values;
}

/// Writes a column of all folds' answers, each fold with the distribution of all of them, and gives each fold's
/// threshold the same way.
void pool_column(std::vector<Fold>& folds, std::int64_t c, std::size_t threshold, at::Tensor& pooled) {
    Numbers all;
    for (const auto& fold : folds) {
        const auto values = fold.column(c);
        all.insert(all.end(), values.begin(), values.end());
    }
    std::ranges::sort(all);
    auto column = pooled.accessor<double, 2>();
    for (auto& fold : folds) {
        const auto values = fold.column(c), order = sorted(values);
        for (std::size_t i = 0; i < values.size(); ++i)
            column[fold.rows[i]][c] = at_share(all, share_of(order, values[i]));
        auto& thresholds = fold.answers.thresholds;
        if (threshold < thresholds.size())
            thresholds[threshold] = at_share(all, share_of(order, thresholds[threshold]));
    }
}

/// Mean over folds of a setting that each of them chose; of its logarithm where `geometric`.
double mean_of(const std::vector<Fold>& folds, bool geometric,
               const std::function<double(const Answers&)>& setting) {
    double sum = 0;
    for (const auto& fold : folds) sum += geometric ? std::log(setting(fold.answers)) : setting(fold.answers);
    const double mean = sum / static_cast<double>(folds.size());
    return geometric ? std::exp(mean) : mean;
}

}  // namespace

Answers cross_validated(const FeatureSet& set, const Task& task, int folds, std::uint64_t seed,
                        const Classify& classify) {
    data::Labels labels;
    labels.classes.resize(task.classes);
    labels.several = task.several;
    labels.of = set.labels;
    const auto fold_of = data::assign_folds(labels.strata(), set.patients, folds, seed);
    std::vector<Fold> all(static_cast<std::size_t>(folds));
    for (int f = 0; f < folds; ++f) {
        std::vector<std::int64_t> fitted;
        auto& fold = all[static_cast<std::size_t>(f)];
        for (std::size_t row = 0; row < fold_of.size(); ++row)
            (fold_of[row] == f ? fold.rows : fitted).push_back(static_cast<std::int64_t>(row));
        fold.answers = classify(rows_of(set, task, fitted), rows_of(set, task, fold.rows));
    }
    Answers out;
    const auto& first = all.front().answers;
    const auto width = first.probabilities.size(1);
    out.probabilities = at::empty({set.x.size(0), width}, at::kDouble);
    for (std::int64_t c = task.binary() ? 1 : 0; c < width; ++c)
        pool_column(all, c, task.binary() ? 0 : static_cast<std::size_t>(c), out.probabilities);
    if (task.binary()) out.probabilities.select(1, 0).copy_(1 - out.probabilities.select(1, 1));
    for (std::size_t i = 0; i < first.thresholds.size(); ++i)
        out.thresholds.push_back(mean_of(all, false, [i](const Answers& a) { return a.thresholds[i]; }));
    for (std::size_t i = 0; i < first.l2.size(); ++i)
        out.l2.push_back(mean_of(all, true, [i](const Answers& a) { return a.l2[i]; }));
    if (first.learning_rate > 0) {
        out.learning_rate = mean_of(all, true, [](const Answers& a) { return a.learning_rate; });
        out.weight_decay = mean_of(all, true, [](const Answers& a) { return a.weight_decay; });
    }
    out.neighbours = first.neighbours;
    for (const auto& fold : all) out.neighbours = std::min(out.neighbours, fold.answers.neighbours);
    return out;
}

}  // namespace hearth::eval
