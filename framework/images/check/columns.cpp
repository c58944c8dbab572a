// Checks paths and values.
#include <algorithm>
#include <cctype>
#include <hearth/text.hpp>
#include <map>

#include "images/cell.hpp"
#include "images/check/manifest_check.hpp"

namespace hearth::images {
namespace {

constexpr std::size_t most_classes = 50;  // a column with more values holds text or numbers, not classes

using Counts = std::vector<std::pair<std::string, std::size_t>>;

void add_example(Finding& finding, const std::string& example) {
    ++finding.count;
    if (finding.examples.size() < most_examples) finding.examples.push_back(example);
}

void keep(Finding finding, ManifestCheck& check) {
    if (finding.count > 0) check.findings.push_back(std::move(finding));
}

std::string quoted(const std::string& value, std::size_t count) {
    return "'" + value + "' (" + std::to_string(count) + ")";
}

/// Letters and digits in lower case: what is left of "Pleural_Effusion " and "pleural effusion".
std::string letters_of(const std::string& value) {
    std::string out;
    for (const unsigned char c : value) {
        if (std::isalnum(c) != 0 || c >= 0x80) out += static_cast<char>(std::tolower(c));
    }
    return out;
}

void check_paths(const Manifest& manifest, ManifestCheck& check) {
    std::map<std::string, const Row*> first;
    Finding finding{Weight::warning, "duplicate-path", "Images are named by more than one row.", 0};
    for (const Row& row : manifest.rows) {
        const auto [at, is_new] = first.emplace(row.path, &row);
        if (!is_new)
            add_example(finding, row.path + " (lines " + std::to_string(at->second->line) + " and " +
                                     std::to_string(row.line) + ")");
    }
    keep(std::move(finding), check);
}

std::size_t total_of(const Counts& counts) {
    std::size_t total = 0;
    for (const auto& [value, count] : counts) total += count;
    return total;
}

/// Values that are no numbers in a column of numbers; other than 0, 1 and -1 in a column of those.
void check_kind(const std::string& column, const Counts& counts, ManifestCheck& check) {
    const auto stray = [&](const auto& belongs, const std::string& what) {
        Finding finding{Weight::error, "odd-value",
                        "Column '" + column + "' holds " + what + ", but also other values.", 0};
        std::size_t odd = 0;
        for (const auto& [value, count] : counts) {
            if (belongs(value)) continue;
            odd += count;
            add_example(finding, quoted(value, count));
        }
        constexpr std::size_t share = 20;  // one in twenty may be odd; more are no slip
        if (odd == 0 || odd * share > total_of(counts)) return false;
        finding.count = odd;
        check.findings.push_back(std::move(finding));
        return true;
    };
    const bool found = stray([](const std::string& v) { return v == "0" || v == "1" || v == "-1"; }, "0 and 1");
    if (!found) stray(is_number, "numbers");
}

/// Ages in years that nobody has; what is no number says its unit ("003M").
void check_ages(const std::string& column, const Counts& counts, ManifestCheck& check) {
    if (column != "age" && column != "Age") return;
    Finding finding{Weight::warning, "odd-age",
                    "Column '" + column + "' holds ages that are none from 0 to 120.", 0};
    for (const auto& [value, count] : counts) {
        const auto age = as_number(value);
        if (!age || (*age >= 0 && *age <= 120)) continue;
        add_example(finding, quoted(value, count));
        finding.count += count - 1;
    }
    keep(std::move(finding), check);
}

/// Whether one may be a slip of the pen for the other: not short, and other than by its digits ("grade 1",
/// "grade 2").
bool may_be_a_slip(const std::string& a, const std::string& b) {
    constexpr std::size_t short_word = 5;
    const auto letters = [](std::string word) {
        std::erase_if(word, [](unsigned char c) { return std::isdigit(c) != 0; });
        return word;
    };
    return a.size() >= short_word && b.size() >= short_word && letters(a) != letters(b);
}

/// Classes that are spelt in two ways, and rare ones that look like a slip of the pen for a frequent one.
void check_spelling(const std::string& column, const Counts& counts, ManifestCheck& check) {
    constexpr std::size_t much_rarer = 20;
    Finding same{Weight::error, "odd-label", "Column '" + column + "' spells a label in several ways.", 0};
    Finding close{Weight::warning, "similar-labels",
                  "Column '" + column + "' has rare labels close to frequent ones.", 0};
    std::map<std::string, std::pair<std::string, std::size_t>> spellings;  // by folded name
    std::vector<std::string> seen;
    for (const auto& [value, count] : counts) {
        if (is_number(value)) continue;
        const auto [at, is_new] = spellings.emplace(letters_of(value), std::pair(value, count));
        if (!is_new) {
            add_example(same, quoted(value, count) + " and " + quoted(at->second.first, at->second.second));
            continue;
        }
        const std::string other = nearest(value, seen);
        const std::size_t often = other.empty() ? 0 : spellings.at(letters_of(other)).second;
        if (often >= much_rarer * count && may_be_a_slip(value, other))
            add_example(close, quoted(value, count) + " and " + quoted(other, often));
        seen.push_back(value);
    }
    keep(std::move(same), check);
    keep(std::move(close), check);
}

}  // namespace

void check_columns(const Manifest& manifest, ManifestCheck& check) {
    check_paths(manifest, check);
    Finding unknown{Weight::note, "unknown-values", "Some cells are empty: not known.", 0};
    for (const std::size_t column : value_columns(manifest)) {
        const std::string& name = manifest.columns[column];
        const Counts counts = count_values(manifest, column);
        const std::size_t empty = manifest.rows.size() - total_of(counts);
        if (empty > 0)
            add_example(unknown,
                        name + ": " + std::to_string(empty) + " of " + std::to_string(manifest.rows.size()));
        check_kind(name, counts, check);
        check_ages(name, counts, check);
        if (counts.size() <= most_classes) check_spelling(name, counts, check);
    }
    keep(std::move(unknown), check);
}

}  // namespace hearth::images
