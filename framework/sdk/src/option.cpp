#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <hearth/option.hpp>
#include <hearth/text.hpp>

namespace hearth {
namespace {

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

std::string to_string(OptionType type) {
    switch (type) {
        case OptionType::boolean:
            return "boolean";
        case OptionType::integer:
            return "integer";
        case OptionType::number:
            return "number";
        case OptionType::text:
            return "text";
        case OptionType::integers:
            return "list of integers";
        case OptionType::numbers:
            return "list of numbers";
        case OptionType::texts:
            return "list of texts";
    }
    return "unknown";
}

std::string to_string(const OptionValue& value) {
    return std::visit(Overloaded{
                          [](bool v) { return std::string(v ? "true" : "false"); },
                          [](std::int64_t v) { return std::to_string(v); },
                          [](const Schedule& v) { return v.describe(); },
                          [](const std::string& v) { return '"' + v + '"'; },
                          [](const auto& list) { return fmt::format("{}", list); },
                      },
                      value);
}

std::string OptionSpec::check(const OptionValue& value) const {
    const auto in_range = [&](double lowest, double highest) -> std::string {
        if (low && high && (lowest < *low || highest > *high))
            return fmt::format("found {}, expected between {} and {}", to_string(value), *low, *high);
        return "";
    };
    const auto in_choices = [&](const std::string& word) -> std::string {
        if (allowed.empty() || std::find(allowed.begin(), allowed.end(), word) != allowed.end()) return "";
        return fmt::format("found \"{}\", expected one of {}{}", word, join(allowed),
                           did_you_mean(word, allowed));
    };
    const auto has_length = [&](std::size_t entries) -> std::string {
        if (length && entries != *length) return fmt::format("found {} entries, expected {}", entries, *length);
        return "";
    };
    return std::visit(
        Overloaded{
            [](bool) { return std::string(); },
            [&](std::int64_t v) { return in_range(static_cast<double>(v), static_cast<double>(v)); },
            [&](const Schedule& v) { return in_range(v.min(), v.max()); },
            [&](const std::string& v) { return in_choices(v); },
            [&](const std::vector<std::string>& list) {
                auto problem = has_length(list.size());
                for (const auto& word : list)
                    if (problem.empty()) problem = in_choices(word);
                return problem;
            },
            [&](const auto& list) {
                auto problem = has_length(list.size());
                if (problem.empty() && !list.empty()) {
                    const auto [least, most] = std::minmax_element(list.begin(), list.end());
                    problem = in_range(static_cast<double>(*least), static_cast<double>(*most));
                }
                return problem;
            },
        },
        value);
}

OptionSpec& Schema::add(const std::string& name, OptionType type, OptionValue fallback) {
    if (find(name) != nullptr) throw Error(ExitCode::internal, "option '" + name + "' is declared twice");
    OptionSpec spec;
    spec.name = name;
    spec.type = type;
    spec.fallback = std::move(fallback);
    options_.push_back(std::move(spec));
    return options_.back();
}

OptionSpec& Schema::boolean(const std::string& name, bool fallback) {
    return add(name, OptionType::boolean, fallback);
}
OptionSpec& Schema::integer(const std::string& name, std::int64_t fallback) {
    return add(name, OptionType::integer, fallback);
}
OptionSpec& Schema::number(const std::string& name, double fallback) {
    return add(name, OptionType::number, Schedule(fallback));
}
OptionSpec& Schema::text(const std::string& name, const std::string& fallback) {
    return add(name, OptionType::text, fallback);
}
OptionSpec& Schema::integers(const std::string& name, std::vector<std::int64_t> fallback) {
    return add(name, OptionType::integers, std::move(fallback));
}
OptionSpec& Schema::numbers(const std::string& name, std::vector<double> fallback) {
    return add(name, OptionType::numbers, std::move(fallback));
}
OptionSpec& Schema::texts(const std::string& name, std::vector<std::string> fallback) {
    return add(name, OptionType::texts, std::move(fallback));
}

const OptionSpec* Schema::find(const std::string& name) const {
    const auto found =
        std::find_if(options_.begin(), options_.end(), [&](const auto& o) { return o.name == name; });
    return found == options_.end() ? nullptr : &*found;
}

std::vector<std::string> Schema::names() const {
    std::vector<std::string> out;
    for (const auto& option : options_) out.push_back(option.name);
    return out;
}

Options::Options(const Schema& schema) {
    for (const auto& option : schema.options()) set(option.name, option.fallback);
}

void Options::missing(const std::string& name) {
    throw Error(ExitCode::internal, "the component asked for option '" + name +
                                        "' with a name or type that its schema() does not declare");
}

}  // namespace hearth
