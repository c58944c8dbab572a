#include "images/import/projection.hpp"

#include <algorithm>
#include <cctype>

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

}  // namespace hearth::images
