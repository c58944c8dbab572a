#include "train/terms.hpp"

#include <algorithm>
#include <map>

namespace hearth::train {
namespace {

std::string without_loss(const std::string& term) {
    const auto dot = term.find('.');
    return dot == std::string::npos ? term : term.substr(dot + 1);
}

}  // namespace

std::vector<std::string> short_names(const std::vector<std::string>& terms) {
    std::map<std::string, int> count;
    for (const auto& term : terms) ++count[without_loss(term)];
    std::vector<std::string> out;
    for (const auto& term : terms) {
        const auto name = without_loss(term);
        out.push_back(count[name] == 1 ? name : term);
    }
    return out;
}

std::optional<std::size_t> find_term(const std::vector<std::string>& terms, const std::string& name) {
    for (const auto& names : {terms, short_names(terms)})
        if (const auto found = std::ranges::find(names, name); found != names.end())
            return static_cast<std::size_t>(found - names.begin());
    return std::nullopt;
}

}  // namespace hearth::train
