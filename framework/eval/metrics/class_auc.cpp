#include "eval/metrics/class_auc.hpp"

#include <algorithm>

namespace hearth::eval {

bool AgainstRest::has_both() const {
    const auto ones = std::ranges::count(positive, 1);
    return ones > 0 && ones < std::ssize(positive);
}

AgainstRest against_rest(const std::vector<double>& probabilities, std::size_t classes,
                         const std::vector<int>& labels, std::size_t c) {
    const bool several = labels.size() == probabilities.size();
    AgainstRest out;
    for (std::size_t row = 0; row * classes < probabilities.size(); ++row) {
        const int label = several ? labels[row * classes + c] : labels[row] == static_cast<int>(c);
        out.position.push_back(label < 0 ? AgainstRest::unknown : out.scores.size());
        if (label < 0) continue;
        out.scores.push_back(probabilities[row * classes + c]);
        out.positive.push_back(label);
    }
    return out;
}

Statistic class_auc_statistic(const AgainstRest& rest) {
    return [auc = ResampledAuc(rest.scores, rest.positive), position = rest.position,
            known = std::vector<std::size_t>()](std::span<const std::size_t> rows) mutable {
        known.clear();
        for (const auto row : rows)
            if (position[row] != AgainstRest::unknown) known.push_back(position[row]);
        return auc(known);
    };
}

Statistic mean_auc_statistic(const std::vector<double>& probabilities, std::size_t classes,
                             const std::vector<int>& labels) {
    const bool several = labels.size() == probabilities.size();
    std::vector<Statistic> each;
    for (std::size_t c = 0; c < classes; ++c)
        if (const auto rest = against_rest(probabilities, classes, labels, c); rest.has_both() || !several)
            each.push_back(class_auc_statistic(rest));
    return [each = std::move(each)](std::span<const std::size_t> rows) {
        double sum = 0;
        for (const auto& statistic : each) sum += statistic(rows);
        return sum / static_cast<double>(each.size());
    };
}

}  // namespace hearth::eval
