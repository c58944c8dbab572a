// Shows what an evaluation measured as charts: in the report, and as files of a run's folder plots/.
#pragma once

#include <variant>

#include "eval/probe/evaluate.hpp"
#include "report/page.hpp"

namespace hearth::summary {

struct ResultChart {
    std::string name;  ///< of its file, without ending
    std::variant<report::BarChart, report::RocChart, report::PrChart> chart;

    std::string svg() const;
};

/// What stands below a value that is written large: "95 % interval 0.894 to 0.928", or why there is none.
std::string interval_note(const eval::Interval& interval, bool sign = false);

/// Bars of all scores; of each class or label where there are more than two classes or several labels; ROC and
/// precision-recall curves where there are two classes; of a segmentation, bars of its Dice. Classes, labels
/// and curves are those of the trained head where the run has one, else of the linear probe.
std::vector<ResultChart> result_charts(const eval::Evaluation& evaluation);

}  // namespace hearth::summary
