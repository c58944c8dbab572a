// A data set of a test: flat images, and cells by column.
#pragma once

#include <hearth/error.hpp>
#include <map>
#include <set>

#include "data/dataset.hpp"

namespace hearth::test {

/// Image i has the value i / 100 everywhere.
class MemoryDataset : public data::Dataset {
  public:
    using Columns = std::map<std::string, std::vector<std::string>>;
    explicit MemoryDataset(Columns columns, std::set<std::int64_t> broken = {})
        : columns_(std::move(columns)), broken_(std::move(broken)) {}
    std::int64_t size() const override { return static_cast<std::int64_t>(columns_.begin()->second.size()); }
    cv::Mat load(std::int64_t index) const override {
        if (broken_.count(index) != 0) throw DataError("broken");
        return cv::Mat(8, 8, CV_32F, cv::Scalar(static_cast<double>(index) / 100));
    }
    std::string name(std::int64_t index) const override { return "image " + std::to_string(index); }
    std::optional<std::string> cell(std::int64_t index, const std::string& column) const override {
        const auto found = columns_.find(column);
        if (found == columns_.end()) return std::nullopt;
        return found->second.at(static_cast<std::size_t>(index));
    }
    std::vector<std::string> columns() const override {
        std::vector<std::string> names;
        for (const auto& [name, cells] : columns_) names.push_back(name);
        return names;
    }

  private:
    Columns columns_;
    std::set<std::int64_t> broken_;
};

}  // namespace hearth::test
