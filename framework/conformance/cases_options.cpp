// Options: what the schema says of them, and what a component does with those that it allows.
#include <ATen/ATen.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "conformance/cases.hpp"
#include "conformance/compare.hpp"
#include "recipe/recipe.hpp"

namespace hearth::conformance {
namespace {

constexpr int draws = 6;

/// Whether a recipe that says `key = value` is told that the value does not fit.
bool refuses(const host::ComponentType& type, const OptionSpec& option, const recipe::Value& value) {
    recipe::Table raw;
    raw.set(option.name, value);
    recipe::Diagnostics problems;
    recipe::bind_options(raw, type.schema(), type.id(), {}, problems);
    return std::ranges::any_of(problems.messages(), [&](const std::string& text) {
        return text.find("." + option.name) != std::string::npos && text.find("missing") == std::string::npos;
    });
}

/// A value that the option does not allow; none where it allows all of its type.
std::optional<recipe::Value> forbidden(const OptionSpec& option) {
    const bool is_list = std::holds_alternative<std::vector<std::int64_t>>(option.fallback) ||
                         std::holds_alternative<std::vector<double>>(option.fallback);
    if (!option.allowed.empty()) return recipe::Value{std::string("no such choice"), {}};
    if (!option.low) return std::nullopt;
    const auto beyond = *option.low - 1;
    const bool whole = option.type == OptionType::integer || option.type == OptionType::integers;
    const auto number = [&]() -> recipe::Value {
        if (whole) return {static_cast<std::int64_t>(beyond), {}};
        return {beyond, {}};
    };
    if (is_list) return recipe::Value{recipe::Array(option.length.value_or(1), number()), {}};
    return number();
}

std::int64_t near_integer(const OptionSpec& option, std::int64_t usual, Random& random) {
    if (!option.low) return usual;
    const auto low = static_cast<std::int64_t>(*option.low), high = static_cast<std::int64_t>(*option.high);
    const auto pick = random.integer(0, 2);
    if (pick == 0) return low;
    return pick == 1 ? usual : random.integer(low, std::min(high, low + 8));
}

double near_number(const OptionSpec& option, double usual, Random& random) {
    if (!option.low) return usual;
    const auto pick = random.integer(0, 3);
    if (pick == 0) return *option.low;
    if (pick == 1) return usual;
    const auto high = std::min(*option.high, std::max(2 * std::abs(usual), *option.low + 1));
    return pick == 2 ? high : random.uniform(*option.low, high);
}

/// A value that the option allows, near its default: sizes stay small.
OptionValue allowed(const OptionSpec& option, Random& random) {
    const auto list = [&]<class T>(std::vector<T> values, auto one) -> OptionValue {
        for (auto& value : values) value = one(option, value, random);
        std::ranges::sort(values);  // of two that are a range, the lower first
        return values;
    };
    if (option.type == OptionType::boolean) return random.chance(0.5);
    if (option.type == OptionType::integer)
        return near_integer(option, std::get<std::int64_t>(option.fallback), random);
    if (option.type == OptionType::number)
        return Schedule(near_number(option, std::get<Schedule>(option.fallback)(Progress{}), random));
    if (option.type == OptionType::integers)
        return list(std::get<std::vector<std::int64_t>>(option.fallback), near_integer);
    if (option.type == OptionType::numbers)
        return list(std::get<std::vector<double>>(option.fallback), near_number);
    if (option.type == OptionType::text && !option.allowed.empty())
        return option.allowed[static_cast<std::size_t>(
            random.integer(0, static_cast<std::int64_t>(option.allowed.size()) - 1))];
    return option.fallback;
}

/// About half of the options that the settings leave open have another value.
Options drawn(const Rig& rig, Random& random) {
    auto options = rig.options();
    for (const auto& option : rig.type().schema().options()) {
        const bool open = rig.settings().options.find(option.name) == nullptr;
        if (open && random.chance(0.5)) options.set(option.name, allowed(option, random));
    }
    return options;
}

std::string in_words(const Rig& rig, const Options& options) {
    std::vector<std::string> words;
    for (const auto& [name, value] : options.all())
        if (to_string(value) != to_string(rig.options().all().at(name)))
            words.push_back(name + "=" + to_string(value));
    return words.empty() ? "defaults" : join(words, " ");
}

/// What is wrong with the outputs of a component with these options; RecipeError where they are refused.
std::string try_options(Rig& rig) {
    const auto component = rig.create();
    const auto in = rig.inputs();
    if (rig.kind() == Kind::augment)
        return misfit(rig, sample_of(rig.reads(), in, 0), rig.draw(*component, in, 0));
    return misfit(rig, in, rig.run(*component, in));
}

}  // namespace

// Ranges and defaults were looked at when the library was loaded (host/declarations.hpp).
void check_schema(Rig& rig) {
    for (const auto& option : rig.type().schema().options()) {
        require(!option.help.empty(), "option {} has no documentation, expected a line by .doc()", option.name);
        const auto wrong = forbidden(option);
        require(!wrong || refuses(rig.type(), option, *wrong), "option {} takes {}, expected it to be refused",
                option.name, wrong ? wrong->to_toml() : "");
    }
    for (const auto* ports : {"reads", "writes"}) {
        const auto list = std::string(ports) == "reads" ? rig.type().reads(rig.options())
                                                        : rig.type().writes(rig.options(), {});
        for (const auto& port : list)
            require(!port.help.empty(), "port {} of {} has no documentation, expected a line", port.name,
                    ports);
    }
}

void check_create(Rig& rig) {
    Settings plain = rig.settings();
    recipe::Table needed;
    for (const auto& option : rig.type().schema().options())
        if (const auto* given = plain.options.find(option.name); option.needed && given != nullptr)
            needed.set(option.name, *given);
    plain.options = needed;
    plain.symbols.clear();  // they were said for other options
    plain.inputs.clear();
    try {
        Rig defaults(rig.type(), plain, rig.seed());
        defaults.create_only();
    } catch (const RecipeError&) {
        rig.create_only();  // the defaults need other sizes, which only the settings know
    }
}

void check_options(Rig& rig) {
    Random random({.seed = rig.seed(), .epoch = 0, .sample = 0, .stream = 2});
    if (rig.type().schema().options().empty()) throw Skip("it has no options");
    for (int i = 0; i < draws; ++i) {
        auto other = rig.with(drawn(rig, random));
        const auto words = in_words(rig, other.options());
        try {
            const auto problem = try_options(other);
            require(problem.empty(), "with {}: {}", words, problem);
        } catch (const Error& error) {
            const bool refused = error.code() == ExitCode::recipe || error.code() == ExitCode::data;
            if (refused) continue;  // in words, as it should
            throw Failure(fmt::format("with {}: {}", words, error.what()));
        }
    }
}

}  // namespace hearth::conformance
