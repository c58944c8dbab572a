#include "runs/sweep_jobs.hpp"

#include <fmt/format.h>

#include <hearth/error.hpp>

#include "base/csv.hpp"

namespace hearth::runs {
namespace fs = std::filesystem;

Published read_published(const fs::path& file) {
    Published out;
    if (!fs::exists(file)) return out;
    const auto records = base::parse_csv(base::read_text(file), file.string());
    if (records.empty() || records[0].fields.empty() || records[0].fields[0] != "recipe")
        throw DataError(
            fmt::format("{}: found no column 'recipe' at the start of the header, expected for example "
                        "recipe,linear AUC",
                        file.string()));
    out.columns.assign(records[0].fields.begin() + 1, records[0].fields.end());
    for (std::size_t i = 1; i < records.size(); ++i) {
        const auto& fields = records[i].fields;
        if (fields.size() != records[0].fields.size())
            throw DataError(fmt::format("{}:{}: found {} fields, expected {} as in the header", file.string(),
                                        records[i].line, fields.size(), records[0].fields.size()));
        if (!out.rows.emplace(fields[0], std::vector<std::string>(fields.begin() + 1, fields.end())).second)
            throw DataError(fmt::format("{}:{}: found '{}' twice", file.string(), records[i].line, fields[0]));
    }
    return out;
}

std::vector<std::string> split_values(const std::string& assignment) {
    const auto equals = assignment.find('=');
    const auto key = assignment.substr(0, equals + 1);
    std::vector<std::string> out = {key};
    int depth = 0;
    char quote = 0;
    for (const char c : assignment.substr(equals + 1)) {
        if (quote != 0) {
            if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '[' || c == '{' || c == '(') {
            ++depth;
        } else if (c == ']' || c == '}' || c == ')') {
            --depth;
        } else if (c == ',' && depth == 0) {
            out.push_back(key);
            continue;
        }
        out.back() += c;
    }
    if (out.size() > 1)
        for (const auto& value : out)
            if (value == key)
                throw RecipeError(
                    fmt::format("{}: found an empty value between commas, expected for example {}1,2 "
                                "(a value that has commas itself goes in quotes)",
                                assignment, key));
    return out;
}

}  // namespace hearth::runs
