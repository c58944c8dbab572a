// Reads the 14 observations of the CheXpert labeller (Irvin et al. 2019, https://arxiv.org/abs/1901.07031)
// from the tables of CheXpert and of MIMIC-CXR-JPG: 1 positive, 0 negative, -1 uncertain, blank not
// mentioned.
#pragma once

#include <string>
#include <vector>

#include "images/import/import.hpp"
#include "images/import/table.hpp"

namespace hearth::images {

class ChexpertLabels {
  public:
    /// Finds the columns. Throws DataError when one is missing.
    ChexpertLabels(const Table& table, Uncertain uncertain);

    static const std::vector<std::string>& names();
    /// "1", "0" or "" (and "-1" where uncertain labels are kept). Throws DataError for any other value.
    std::vector<std::string> of(const base::CsvRecord& row) const;

  private:
    const Table& table_;
    Uncertain uncertain_;
    std::vector<std::size_t> columns_;
};

}  // namespace hearth::images
