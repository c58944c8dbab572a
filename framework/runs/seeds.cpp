#include "runs/seeds.hpp"

#include <cmath>
#include <numeric>

namespace hearth::runs {
namespace {

bool same_rows(const eval::Evaluation& a, const eval::Evaluation& b) {
    return !a.patients.empty() && a.patients == b.patients && a.labels == b.labels && a.classes == b.classes;
}

/// The mean of the AUCs of several runs as a statistic of the rows they share.
struct MeanAuc {
    std::vector<eval::Statistic> statistics;
    const eval::Evaluation* first = nullptr;
    bool comparable = true;
    double sum = 0;

    double operator()(std::span<const std::size_t> rows) const {
        double total = 0;
        for (const auto& statistic : statistics) total += statistic(rows);
        return total / static_cast<double>(statistics.size());
    }
};

MeanAuc collect(const std::vector<eval::Evaluation>& runs, const std::string& classifier,
                const std::string& model) {
    MeanAuc out;
    for (const auto& run : runs) {
        const auto* score = eval::find_score(run, classifier, model);
        if (score == nullptr) continue;
        if (out.first == nullptr) out.first = &run;
        out.comparable = out.comparable && same_rows(run, *out.first);
        out.sum += score->auc.value;
        out.statistics.push_back(eval::auc_statistic(score->probabilities, run.classes.size(), run.labels));
    }
    return out;
}

}  // namespace

std::optional<eval::Interval> mean_auc(const std::vector<eval::Evaluation>& runs, const std::string& classifier,
                                       const std::string& model) {
    const auto mean = collect(runs, classifier, model);
    if (mean.first == nullptr) return std::nullopt;
    if (!mean.comparable)
        return eval::Interval{mean.sum / static_cast<double>(mean.statistics.size()), std::nan(""),
                              std::nan(""), 0, 0};
    return eval::bootstrap(mean.first->patients, mean, eval::resampling);
}

std::optional<eval::PairedInterval> mean_auc_difference(const std::vector<eval::Evaluation>& a,
                                                        const std::vector<eval::Evaluation>& b,
                                                        const std::string& classifier,
                                                        const std::string& model) {
    const auto first = collect(a, classifier, model), second = collect(b, classifier, model);
    if (first.first == nullptr || second.first == nullptr || !first.comparable || !second.comparable ||
        !same_rows(*first.first, *second.first))
        return std::nullopt;
    return eval::paired_bootstrap(first.first->patients, first, second, eval::resampling);
}

std::vector<double> score_values(const std::vector<eval::Evaluation>& runs, const std::string& classifier,
                                 const std::string& model, double (*field)(const eval::Score&)) {
    std::vector<double> out;
    for (const auto& run : runs)
        if (const auto* score = eval::find_score(run, classifier, model)) out.push_back(field(*score));
    return out;
}

}  // namespace hearth::runs
