#include "recipe/option_words.hpp"

#include <fmt/format.h>

#include <hearth/error.hpp>

#include "recipe/steps.hpp"

namespace hearth::recipe {

Table table_of_words(const std::vector<std::string>& words, Diagnostics& problems) {
    Table out;
    for (const auto& word : words) {
        const Origin origin{"argument '" + word + "'", 0, 0};
        const auto equals = word.find('=');
        const auto key = word.substr(0, equals);
        if (equals == std::string::npos || equals == 0) {
            problems.add(origin, "expected key=value, such as depth=2");
        } else if (out.find(key) != nullptr) {
            problems.add(origin, fmt::format("found '{}' twice, expected it once", key));
        } else {
            try {
                out.set(key, parse_argument(word.substr(equals + 1), origin));
            } catch (const RecipeError& error) {
                problems.add(origin, error.what());
            }
        }
    }
    return out;
}

}  // namespace hearth::recipe
