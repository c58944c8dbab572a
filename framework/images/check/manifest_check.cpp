#include "images/check/manifest_check.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "images/cell.hpp"

namespace hearth::images {

std::string to_string(Weight weight) {
    return weight == Weight::error ? "error" : weight == Weight::warning ? "warning" : "note";
}

bool ManifestCheck::wrong(bool strict) const {
    return !bad.empty() || std::any_of(findings.begin(), findings.end(), [strict](const Finding& finding) {
        return finding.weight == Weight::error || (strict && finding.weight == Weight::warning);
    });
}

ManifestCheck check_manifest(const Manifest& manifest, const CheckOptions& options) {
    ManifestCheck check;
    check.images = manifest.rows.size();
    if (!manifest.skipped.empty())
        check.findings.push_back({Weight::note, "skipped-files", manifest.skipped, 0});
    check_files(manifest, options, check);
    check_columns(manifest, check);
    check_splits(manifest, check);
    std::stable_sort(check.findings.begin(), check.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.weight < b.weight; });
    return check;
}

std::vector<std::size_t> value_columns(const Manifest& manifest) {
    constexpr std::array<std::string_view, 6> others = {"path", "patient", "study", "split", "mask", "boxes"};
    const std::string patient = column_like("patient", manifest.columns);
    std::vector<std::size_t> columns;
    for (std::size_t i = 0; i < manifest.columns.size(); ++i) {
        const bool other = std::find(others.begin(), others.end(), manifest.columns[i]) != others.end();
        if (!other && manifest.columns[i] != patient) columns.push_back(i);
    }
    return columns;
}

std::vector<std::pair<std::string, std::size_t>> count_values(const Manifest& manifest, std::size_t column) {
    std::map<std::string, std::size_t> counts;
    for (const Row& row : manifest.rows) {
        if (!row.cells[column].empty()) ++counts[key(row.cells[column])];
    }
    std::vector<std::pair<std::string, std::size_t>> sorted(counts.begin(), counts.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    return sorted;
}

bool is_number(const std::string& text) {
    return as_number(text).has_value();
}

}  // namespace hearth::images
