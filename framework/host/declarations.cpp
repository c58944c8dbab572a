#include "host/declarations.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/text.hpp>
#include <set>

#include "base/utf8.hpp"

namespace hearth::host {
namespace {

/// What a component's table means besides options (docs/recipes.md): a recipe could never set such an option.
std::vector<std::string> reserved_words(Kind kind) {
    std::vector<std::string> words = {"use", "name", "reads", "writes"};
    if (kind == Kind::loss) words.insert(words.end(), {"weight", "phase"});
    return words;
}

bool is_list(OptionType type) {
    return type == OptionType::integers || type == OptionType::numbers || type == OptionType::texts;
}

bool is_of_texts(OptionType type) {
    return type == OptionType::text || type == OptionType::texts;
}

/// What is said of an option that options of its type do not have.
std::string check_limits(const OptionSpec& option) {
    const auto on = [&](const char* call, const char* expected) {
        return fmt::format("found .{} on a {}, expected it on {}", call, to_string(option.type), expected);
    };
    const bool numeric = !is_of_texts(option.type) && option.type != OptionType::boolean;
    if (option.low && !numeric) return on("range()", "numbers");
    if (option.low && !(*option.low <= *option.high))
        return fmt::format("found the range {} to {}, expected the lower number first", *option.low,
                           *option.high);
    if (!option.allowed.empty() && !is_of_texts(option.type)) return on("choices()", "texts");
    if (option.length && !is_list(option.type)) return on("size()", "lists");
    if (option.may_schedule && option.type != OptionType::number) return on("schedulable()", "a number");
    if (option.special && option.type != OptionType::integer) return on("or_word()", "an integer");
    if (option.names_file && !is_of_texts(option.type)) return on("path()", "texts");
    return "";
}

bool is_finite(const OptionValue& value) {
    if (const auto* number = std::get_if<Schedule>(&value)) return std::isfinite(number->min());
    const auto* list = std::get_if<std::vector<double>>(&value);
    return list == nullptr || std::ranges::all_of(*list, [](double entry) { return std::isfinite(entry); });
}

std::string check_default(const OptionSpec& option) {
    if (option.needed) return "";
    const auto* integer = std::get_if<std::int64_t>(&option.fallback);
    if (integer != nullptr && option.special && option.special->second == *integer) return "";
    if (!is_finite(option.fallback)) return "its default: found no finite number";
    const auto problem = option.check(option.fallback);
    return problem.empty() ? "" : "its default: " + problem;
}

/// The first of `texts` that no terminal should be given.
std::string check_texts(const std::vector<std::string>& texts) {
    for (const auto& text : texts)
        if (auto problem = check_text(text); !problem.empty()) return problem;
    return "";
}

/// All texts that the value of an option holds.
std::vector<std::string> texts_of(const OptionSpec& option) {
    auto texts = option.allowed;
    texts.push_back(option.help);
    if (option.special) texts.push_back(option.special->first);
    if (const auto* text = std::get_if<std::string>(&option.fallback)) texts.push_back(*text);
    if (const auto* list = std::get_if<std::vector<std::string>>(&option.fallback))
        texts.insert(texts.end(), list->begin(), list->end());
    return texts;
}

std::string check_option(const OptionSpec& option, Kind kind) {
    const auto reserved = reserved_words(kind);
    if (std::ranges::find(reserved, option.name) != reserved.end())
        return fmt::format("found a word that every {} has in a recipe ({}), expected another name",
                           to_string(kind), join(reserved));
    auto problem = check_texts(texts_of(option));
    if (problem.empty()) problem = check_limits(option);
    if (problem.empty()) problem = check_default(option);
    return problem;
}

std::string check_port(const Port& port, bool is_read) {
    auto problem = check_texts({port.help, to_string(port.shape)});
    if (!problem.empty()) return problem;
    if (std::ranges::find(port_dtypes, port.dtype) == port_dtypes.end())
        return fmt::format("found the type '{}', expected one of {}", base::printable(port.dtype),
                           join({port_dtypes.begin(), port_dtypes.end()}));
    if (is_read) return "";
    const char* const call = port.with_gradient  ? "gradient()"
                             : port.is_detached  ? "detached()"
                             : port.only_for_fit ? "for_fit()"
                                                 : nullptr;
    return call == nullptr ? "" : fmt::format("found .{} on a write, expected it on a read", call);
}

std::string check_ports(const Ports& ports, bool is_read) {
    std::set<std::string> seen;
    for (const auto& port : ports) {
        auto problem = check_name(port.name);
        if (!problem.empty()) return "port: " + problem;
        if (!seen.insert(port.name).second)
            return fmt::format("port '{}': found it declared twice, expected it once", port.name);
        problem = check_port(port, is_read);
        if (!problem.empty()) return fmt::format("port '{}': {}", port.name, problem);
    }
    return "";
}

}  // namespace

std::string check_name(std::string_view name) {
    const auto is_allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    };
    if (!name.empty() && std::ranges::all_of(name, is_allowed)) return "";
    return fmt::format("found the name '{}', expected lower-case letters, digits, '_', '-' and '.'",
                       base::printable(name));
}

std::string check_text(std::string_view text) {
    if (base::is_printable(text)) return "";
    return fmt::format("found \"{}\", expected a text in UTF-8 without control characters",
                       base::printable(text));
}

std::string check_schema(const Schema& schema, Kind kind) {
    for (const auto& option : schema.options()) {
        if (auto problem = check_name(option.name); !problem.empty()) return "option: " + problem;
        if (auto problem = check_option(option, kind); !problem.empty())
            return fmt::format("option '{}': {}", option.name, problem);
    }
    return "";
}

std::string check_reads(const Ports& ports) {
    return check_ports(ports, /*is_read=*/true);
}

std::string check_writes(const Ports& ports, Kind kind) {
    if (auto problem = check_ports(ports, /*is_read=*/false); !problem.empty() || kind != Kind::loss)
        return problem;
    for (const auto& port : ports)
        if (port.name != "per_sample" && port.name != "per_pixel")
            return fmt::format("port '{}': found a loss that writes it, expected per_sample or per_pixel",
                               port.name);
    return "";
}

}  // namespace hearth::host
