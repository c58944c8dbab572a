// An option schema says what a component can be told, with types, defaults, ranges and one line of
// documentation each. The host parses and checks a recipe against the schema; the component receives Options
// that are complete and valid.
#pragma once

#include <cstdint>
#include <hearth/schedule.hpp>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace hearth {

enum class OptionType { boolean, integer, number, text, integers, numbers, texts };
std::string to_string(OptionType type);

/// A value of an option; a `number` is held as a Schedule (a plain number is a constant one).
using OptionValue = std::variant<bool, std::int64_t, Schedule, std::string, std::vector<std::int64_t>,
                                 std::vector<double>, std::vector<std::string>>;
std::string to_string(const OptionValue& value);

/// One option, built by a chain:
///   schema.number("temperature", 0.1).range(1e-4, 10).schedulable().doc("softmax temperature")
struct OptionSpec {
    std::string name;
    OptionType type = OptionType::number;
    OptionValue fallback;
    std::optional<double> low, high;    ///< inclusive, for numbers and each entry of lists
    std::vector<std::string> allowed;   ///< for texts
    std::optional<std::size_t> length;  ///< exact length of a list
    /// A text that may stand for an integer, and the value it is read as, which may lie outside `low` and `high`.
    std::optional<std::pair<std::string, std::int64_t>> special;
    bool may_schedule = false;
    bool needed = false;      ///< no default: the recipe must give it
    bool names_file = false;  ///< see path()
    std::string help;

    OptionSpec& range(double lowest, double highest) {
        low = lowest, high = highest;
        return *this;
    }
    OptionSpec& choices(std::vector<std::string> words) {
        allowed = std::move(words);
        return *this;
    }
    OptionSpec& size(std::size_t entries) {
        length = entries;
        return *this;
    }
    OptionSpec& or_word(std::string text, std::int64_t value) {
        special.emplace(std::move(text), value);
        return *this;
    }
    OptionSpec& schedulable() {
        may_schedule = true;
        return *this;
    }
    OptionSpec& required() {
        needed = true;
        return *this;
    }
    /// The text, or each of the texts, names a file or folder: relative to the recipe's file where it stands in
    /// one, to the working folder where it comes from the command line. The component receives an absolute
    /// path, or the empty text, and the run records what a file held.
    OptionSpec& path() {
        names_file = true;
        return *this;
    }
    OptionSpec& doc(std::string line) {
        help = std::move(line);
        return *this;
    }
    /// "" when the value fits, else what is wrong: "found 0.3, expected between 1 and 64".
    std::string check(const OptionValue& value) const;
};

/// The options of one component, in the order they are documented.
class Schema {
  public:
    OptionSpec& boolean(const std::string& name, bool fallback);
    OptionSpec& integer(const std::string& name, std::int64_t fallback);
    OptionSpec& number(const std::string& name, double fallback);
    OptionSpec& text(const std::string& name, const std::string& fallback);
    OptionSpec& integers(const std::string& name, std::vector<std::int64_t> fallback);
    OptionSpec& numbers(const std::string& name, std::vector<double> fallback);
    OptionSpec& texts(const std::string& name, std::vector<std::string> fallback);

    const std::vector<OptionSpec>& options() const { return options_; }
    const OptionSpec* find(const std::string& name) const;
    std::vector<std::string> names() const;

  private:
    OptionSpec& add(const std::string& name, OptionType type, OptionValue fallback);
    std::vector<OptionSpec> options_;
};

/// Complete, validated options. Asking for a name or type that the schema does not have is a fault of the
/// plugin: Error(internal).
class Options {
  public:
    Options() = default;
    /// Every option at its default.
    explicit Options(const Schema& schema);
    void set(const std::string& name, OptionValue value) { values_.insert_or_assign(name, std::move(value)); }

    bool boolean(const std::string& name) const { return get<bool>(name); }
    std::int64_t integer(const std::string& name) const { return get<std::int64_t>(name); }
    /// The value at the first step; for options that may be scheduled use schedule().
    double number(const std::string& name) const { return get<Schedule>(name)(Progress{}); }
    const Schedule& schedule(const std::string& name) const { return get<Schedule>(name); }
    const std::string& text(const std::string& name) const { return get<std::string>(name); }
    const std::vector<std::int64_t>& integers(const std::string& name) const {
        return get<std::vector<std::int64_t>>(name);
    }
    const std::vector<double>& numbers(const std::string& name) const { return get<std::vector<double>>(name); }
    const std::vector<std::string>& texts(const std::string& name) const {
        return get<std::vector<std::string>>(name);
    }
    const std::map<std::string, OptionValue>& all() const { return values_; }

  private:
    template <class T>
    const T& get(const std::string& name) const {
        const auto found = values_.find(name);
        const T* value = found == values_.end() ? nullptr : std::get_if<T>(&found->second);
        if (value == nullptr) missing(name);
        return *value;
    }
    [[noreturn]] static void missing(const std::string& name);
    std::map<std::string, OptionValue> values_;
};

}  // namespace hearth
