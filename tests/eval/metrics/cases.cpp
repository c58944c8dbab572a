// Reads cases as JSON lines on standard input, writes their metrics as JSON lines: the C++ side of
// tools/check_metrics.py.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "eval/metrics/agreement.hpp"
#include "eval/metrics/delong.hpp"
#include "eval/metrics/metrics.hpp"

namespace eval = hearth::eval;

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        const auto given = nlohmann::json::parse(line);
        const auto scores = given.at("scores").get<std::vector<double>>();
        const auto labels = given.at("labels").get<std::vector<int>>();
        const auto classes = given.at("classes").get<std::size_t>();
        nlohmann::json result;
        if (classes == 2) {  // one score per row
            const auto threshold = eval::best_f1_threshold(scores, labels);
            const auto predicted = eval::apply_threshold(scores, given.at("threshold").get<double>());
            result["auc"] = eval::auc(scores, labels);
            result["average_precision"] = eval::average_precision(scores, labels);
            result["accuracy"] = eval::accuracy(predicted, labels);
            result["f1"] = eval::f1(predicted, labels);
            result["confusion"] = eval::confusion_matrix(predicted, labels, 2).counts;
            result["best_f1"] = threshold.f1;
            const auto test = eval::delong(given.at("others").get<std::vector<double>>(), scores, labels);
            result["delong"] = {test.first_variance, test.second_variance, test.covariance, test.p_value};
            for (const auto& point : eval::roc_points(scores, labels)) {
                result["roc"].push_back({point.false_positive_rate, point.true_positive_rate});
            }
            for (const auto& point : eval::pr_points(scores, labels)) {
                result["pr"].push_back({point.recall, point.precision});
            }
        } else {
            const auto predicted = eval::argmax_rows(scores, classes);
            result["auc"] = eval::macro_auc(scores, classes, labels);
            result["accuracy"] = eval::accuracy(predicted, labels);
            result["f1"] = eval::macro_f1(predicted, labels, classes);
            result["confusion"] = eval::confusion_matrix(predicted, labels, classes).counts;
            const auto agreement = eval::agreement(predicted, labels);
            result["purity"] = agreement.purity;
            result["nmi"] = agreement.nmi;
        }
        std::cout << result.dump() << '\n';
    }
}
