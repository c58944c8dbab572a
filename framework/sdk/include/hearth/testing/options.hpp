// Options of a schema from words such as "factor=0.5", as a command line has them.
#pragma once

#include <algorithm>
#include <charconv>
#include <hearth/error.hpp>
#include <hearth/option.hpp>
#include <hearth/text.hpp>
#include <hearth/words.hpp>
#include <string>
#include <vector>

namespace hearth::testing {

/// A number written in decimal. Throws RecipeError in the name of the option.
template <class T>
T number_of(const std::string& word, const std::string& option) {
    T value{};
    const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (failed != std::errc() || end != word.data() + word.size())
        throw RecipeError(option + ": found '" + word + "', expected a number");
    return value;
}

/// "[1, 2]" -> 1, 2: what stands between the brackets; without brackets one entry.
inline std::vector<std::string> entries_of(const std::string& text) {
    const bool list = text.size() > 1 && text.front() == '[' && text.back() == ']';
    auto words = words_of(list ? text.substr(1, text.size() - 2) : text);
    for (auto& word : words)
        if (word.size() > 1 && word.front() == '"' && word.back() == '"')
            word = word.substr(1, word.size() - 2);
    return words;
}

/// The value that `text` is for an option. Throws RecipeError where it is none of its type.
inline OptionValue value_of(const OptionSpec& option, const std::string& text) {
    const auto numbers = [&]<class T>(T) {
        std::vector<T> out;
        for (const auto& word : entries_of(text)) out.push_back(number_of<T>(word, option.name));
        return out;
    };
    switch (option.type) {
        case OptionType::boolean:
            if (text != "true" && text != "false")
                throw RecipeError(option.name + ": found '" + text + "', expected true or false");
            return text == "true";
        case OptionType::integer:
            if (option.special && text == option.special->first) return option.special->second;
            return number_of<std::int64_t>(text, option.name);
        case OptionType::number:
            return Schedule(number_of<double>(text, option.name));
        case OptionType::text:
            return text;
        case OptionType::integers:
            return numbers(std::int64_t{});
        case OptionType::numbers:
            return numbers(double{});
        case OptionType::texts:
            return entries_of(text);
    }
    throw RecipeError(option.name + ": found an option of an unknown type");
}

/// The schema's options with those changed that `words` name, each "option=value": a number, true or false, a
/// text as it is, a list "[1, 2]". Throws RecipeError for what a recipe would be refused for. Schedules are set
/// by Options::set().
inline Options options_of(const Schema& schema, const std::vector<std::string>& words = {}) {
    Options out(schema);
    std::vector<std::string> given;
    for (const auto& word : words) {
        const auto equals = word.find('=');
        const auto name = word.substr(0, equals);
        const auto* option = schema.find(name);
        if (equals == std::string::npos || option == nullptr)
            throw RecipeError("found '" + word + "', expected option=value with one of " +
                              join(schema.names()) + did_you_mean(name, schema.names()));
        auto value = value_of(*option, word.substr(equals + 1));
        const bool special = option->special && word.substr(equals + 1) == option->special->first;
        if (const auto problem = special ? "" : option->check(value); !problem.empty())
            throw RecipeError(name + ": " + problem);
        out.set(name, std::move(value));
        given.push_back(name);
    }
    for (const auto& option : schema.options())
        if (option.needed && std::find(given.begin(), given.end(), option.name) == given.end())
            throw RecipeError(option.name + ": missing, expected " + to_string(option.type) + " (" +
                              option.help + ")");
    return out;
}

}  // namespace hearth::testing
