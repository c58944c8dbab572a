// Writes clusters against labels as a table of the report, as JSON and as CSV; see picture_charts.hpp.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/csv.hpp"
#include "summary/picture_charts.hpp"

namespace hearth::summary {
namespace {

constexpr std::size_t most_rows = 20, most_columns = 6;

using Counts = std::vector<std::int64_t>;

std::int64_t sum(const Counts& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

/// JSON has null for what is no number.
double value_of(const nlohmann::json& json) {
    return json.is_number() ? json.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string three_digits(double value) {
    return std::isnan(value) ? "undefined" : fmt::format("{:.3f}", value);
}

/// A line of the table: the first labels, the others together, all images and the share of the most frequent.
std::vector<std::string> table_row(const std::string& name, const Counts& counts, std::int64_t right) {
    std::vector<std::string> row = {name};
    const auto shown = std::min(counts.size(), most_columns);
    for (std::size_t c = 0; c < shown; ++c) row.push_back(std::to_string(counts[c]));
    if (counts.size() > shown)
        row.push_back(
            std::to_string(sum(Counts(counts.begin() + static_cast<std::ptrdiff_t>(shown), counts.end()))));
    row.push_back(std::to_string(sum(counts)));
    row.push_back(fmt::format("{:.2f}", static_cast<double>(right) / static_cast<double>(sum(counts))));
    return row;
}

}  // namespace

nlohmann::json to_json(const eval::CrossTable& table) {
    auto clusters = nlohmann::json::array();
    for (std::size_t k = 0; k < table.counts.size(); ++k)
        clusters.push_back({{"name", table.cluster_names[k]}, {"counts", table.counts[k]}});
    return {{"buffer", table.clusters},
            {"by", table.labels},
            {"images", table.images},
            {"left_out", table.left_out},
            {"most_frequent", table.most_frequent},
            {"purity", table.found.purity},
            {"nmi", table.found.nmi},
            {"by_chance", {{"purity", table.chance.purity}, {"nmi", table.chance.nmi}}},
            {"labels", table.label_names},
            {"clusters", clusters}};
}

std::string to_csv(const eval::CrossTable& table) {
    std::string out = "cluster";
    for (const auto& label : table.label_names) out += "," + base::csv_field(label);
    out += "\n";
    for (std::size_t k = 0; k < table.counts.size(); ++k) {
        out += base::csv_field(table.cluster_names[k]);
        for (const auto count : table.counts[k]) out += "," + std::to_string(count);
        out += "\n";
    }
    return out;
}

std::string agreement_text(const nlohmann::json& json) {
    const auto& chance = json["by_chance"];
    const auto left_out = json["left_out"].get<std::int64_t>();
    return fmt::format(
        "purity {}, normalised mutual information {}; with shuffled labels {} and {}, with one cluster for all "
        "{} and 0. {} training images in {} clusters{}.",
        three_digits(value_of(json["purity"])), three_digits(value_of(json["nmi"])),
        three_digits(value_of(chance["purity"])), three_digits(value_of(chance["nmi"])),
        three_digits(value_of(json["most_frequent"])), json["images"].get<std::int64_t>(),
        json["clusters"].size(),
        left_out == 0 ? "" : fmt::format("; {} without a cluster or a label are left out", left_out));
}

report::Table cluster_table(const nlohmann::json& json) {
    const auto labels = json["labels"].get<std::vector<std::string>>();
    report::Table table;
    table.title =
        fmt::format("{} against {}", json["buffer"].get<std::string>(), json["by"].get<std::string>());
    table.headers = {"cluster"};
    const auto shown = std::min(labels.size(), most_columns);
    table.headers.insert(table.headers.end(), labels.begin(),
                         labels.begin() + static_cast<std::ptrdiff_t>(shown));
    if (labels.size() > shown) table.headers.push_back(fmt::format("{} others", labels.size() - shown));
    table.headers.insert(table.headers.end(), {"images", "purity"});
    table.align.assign(table.headers.size(), report::Align::right);
    table.align[0] = report::Align::left;

    Counts rest(labels.size(), 0);
    std::int64_t rest_right = 0;
    std::size_t folded = 0;
    for (const auto& cluster : json["clusters"]) {
        const auto counts = cluster["counts"].get<Counts>();
        const auto most = std::ranges::max_element(counts);
        if (table.rows.size() == most_rows) {
            std::ranges::transform(rest, counts, rest.begin(), std::plus());
            rest_right += *most;
            ++folded;
            continue;
        }
        const auto column = static_cast<std::size_t>(most - counts.begin());
        if (column < shown) table.emphasis.emplace_back(table.rows.size(), column + 1);
        table.rows.push_back(table_row(cluster["name"].get<std::string>(), counts, *most));
    }
    if (folded > 0) table.rows.push_back(table_row(fmt::format("{} smaller ones", folded), rest, rest_right));
    table.caption = "Agreement: " + agreement_text(json);
    return table;
}

}  // namespace hearth::summary
