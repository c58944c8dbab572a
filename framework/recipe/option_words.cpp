#include "recipe/option_words.hpp"

#include <fmt/format.h>

#include <hearth/error.hpp>

#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

Origin argument(const std::string& word) {
    return {"argument '" + word + "'", 0, 0};
}

}  // namespace

std::pair<std::string, Value> option_of_word(const std::string& word, const std::string& expected) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
        throw RecipeError(fmt::format("found '{}', expected {}", word, expected));
    return {word.substr(0, equals), parse_argument(word.substr(equals + 1), argument(word))};
}

Table table_of_words(const std::vector<std::string>& words, Diagnostics& problems) {
    Table out;
    for (const auto& word : words) try {
            auto [key, value] = option_of_word(word, "key=value, such as depth=2");
            if (out.find(key) != nullptr)
                problems.add(argument(word), fmt::format("found '{}' twice, expected it once", key));
            else
                out.set(key, std::move(value));
        } catch (const RecipeError& error) {
            problems.add(argument(word), error.what());
        }
    return out;
}

}  // namespace hearth::recipe
