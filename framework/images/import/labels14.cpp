#include "images/import/labels14.hpp"

#include <hearth/error.hpp>

#include "images/cell.hpp"

namespace hearth::images {

const std::vector<std::string>& ChexpertLabels::names() {
    static const std::vector<std::string> all = {"No Finding",       "Enlarged Cardiomediastinum",
                                                 "Cardiomegaly",     "Lung Opacity",
                                                 "Lung Lesion",      "Edema",
                                                 "Consolidation",    "Pneumonia",
                                                 "Atelectasis",      "Pneumothorax",
                                                 "Pleural Effusion", "Pleural Other",
                                                 "Fracture",         "Support Devices"};
    return all;
}

ChexpertLabels::ChexpertLabels(const Table& table, Uncertain uncertain) : table_(table), uncertain_(uncertain) {
    for (const std::string& name : names()) columns_.push_back(table.column(name));
}

std::vector<std::string> ChexpertLabels::of(const base::CsvRecord& row) const {
    std::vector<std::string> labels;
    for (const std::size_t column : columns_) {
        const std::string cell = key(row.fields[column]);
        if (cell.empty()) {
            labels.emplace_back();
        } else if (cell == "1") {
            labels.emplace_back("1");
        } else if (cell == "0") {
            labels.emplace_back("0");
        } else if (cell == "-1") {
            labels.emplace_back(uncertain_ == Uncertain::zeros  ? "0"
                                : uncertain_ == Uncertain::ones ? "1"
                                : uncertain_ == Uncertain::keep ? "-1"
                                                                : "");
        } else {
            throw DataError(table_.place(row) + ": column '" + table_.columns()[column] + "': found '" +
                            row.fields[column] + "'; expected 1, 0, -1 or nothing");
        }
    }
    return labels;
}

}  // namespace hearth::images
