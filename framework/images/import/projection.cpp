#include "images/import/projection.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

#include "images/cell.hpp"

namespace hearth::images {
namespace {

std::string upper(std::string word) {
    std::transform(word.begin(), word.end(), word.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return word;
}

}  // namespace

std::string view_of(const std::string& projection) {
    const std::string word = upper(projection);
    if (word.empty()) return {};
    if (word == "AP" || word == "PA") return "frontal";
    const bool lateral = word == "LL" || word == "RL" || word.ends_with("LATERAL");
    return lateral ? "lateral" : "other";
}

std::string sex_of(const std::string& word) {
    const std::string sex = upper(word);
    if (sex == "FEMALE") return "F";
    if (sex == "MALE") return "M";
    return sex == "UNKNOWN" ? "" : sex;
}

void forget_impossible_ages(Imported& set) {
    constexpr double oldest = 120;
    std::size_t count = 0;
    std::string example;
    for (Film& film : set.films) {
        const auto age = as_number(film.age);
        if (!age || (*age >= 0 && *age <= oldest)) continue;
        ++count;
        example = std::exchange(film.age, "");
    }
    if (count > 0)
        set.notes.push_back(std::to_string(count) +
                            " films have an age that is none from 0 to 120 years, such as " + example +
                            ": it counts as not known.");
}

}  // namespace hearth::images
