// The tables of docs/recipes.md.
#include <fmt/format.h>

#include <charconv>
#include <hearth/text.hpp>

#include "recipe/key.hpp"
#include "recipe/recipe.hpp"

namespace hearth::recipe {
namespace {

/// 8192 and 0.01, but 10^6.
std::string bound_text(double bound) {
    char digits[32];
    const auto end = std::to_chars(std::begin(digits), std::end(digits), bound, std::chars_format::scientific);
    const std::string_view text(digits, end.ptr);
    int power = 0;
    if (text.starts_with("1e")) std::from_chars(text.data() + (text[2] == '+' ? 3 : 2), end.ptr, power);
    return power > 3 || power < -3 ? fmt::format("10^{}", power) : fmt::format("{}", bound);
}

std::string range_text(const OptionSpec& option) {
    std::vector<std::string> parts;
    if (!option.allowed.empty()) parts.push_back(join(option.allowed));
    if (option.low && option.high)
        parts.push_back(fmt::format("{}{}", option.length ? fmt::format("{} entries of ", *option.length) : "",
                                    *option.high == any_count ? "from " + bound_text(*option.low)
                                                              : fmt::format("{} to {}", bound_text(*option.low),
                                                                            bound_text(*option.high))));
    if (option.special) parts.push_back(fmt::format("or \"{}\"", option.special->first));
    if (option.may_schedule) parts.emplace_back("schedule");
    return join(parts);
}

}  // namespace

std::string markdown_table(const Schema& schema) {
    std::string out = "| key | type | default | range | |\n| --- | --- | --- | --- | --- |\n";
    for (const auto& option : schema.options())
        out += fmt::format("| `{}` | {} | {} | {} | {} |\n", option.name, to_string(option.type),
                           option.needed ? "required" : "`" + to_string(option.fallback) + "`",
                           range_text(option), option.help);
    return out;
}

}  // namespace hearth::recipe
