// A key of a section is written once: its name, the member it fills, what it may be, and its line of
// documentation. The default is the member's initialiser. The schema, the reader and the table of
// docs/recipes.md (markdown_table) come from the list:
//
//   const Keys<TrainSpec> keys = {key("epochs", &TrainSpec::epochs).range(1, 1e6).doc("passes over the data")};
//   fill(spec, keys, bind_options(table, to_schema(keys), "train", origin, problems));
#pragma once

#include <functional>
#include <hearth/option.hpp>
#include <hearth/text.hpp>
#include <hearth/words.hpp>
#include <string>
#include <type_traits>
#include <vector>

namespace hearth::recipe {

/// The end of a range that has none: exactly representable, and more than anybody counts to.
constexpr double any_count = 9e15;

/// One key of the section that becomes a `Spec`. The words of the chain are those of OptionSpec.
template <class Spec>
struct Key {
    using Get = std::function<OptionValue(const Spec&)>;
    using Put = std::function<void(Spec&, const OptionValue&)>;
    OptionSpec option;
    Get get;  ///< what stands in the recipe for what the members hold
    Put put;  ///< its inverse; none for a special key

    Key(std::string name, Get get_, Put put_) : get(std::move(get_)), put(std::move(put_)) {
        option.name = std::move(name);
        option.fallback = get(Spec());
    }
    Key& range(double low, double high) { return option.range(low, high), *this; }
    Key& choices(std::vector<std::string> words) { return option.choices(std::move(words)), *this; }
    Key& or_word(std::string word, std::int64_t value) { return option.or_word(std::move(word), value), *this; }
    Key& required() { return option.required(), *this; }
    Key& doc(std::string line) { return option.doc(std::move(line)), *this; }
};

template <class Spec>
using Keys = std::vector<Key<Spec>>;

/// A flag, an integer, a number, a text or a list of them. A number whose member is a Schedule may be a
/// schedule.
template <class Spec, class T>
Key<Spec> key(std::string name, T Spec::*member) {
    constexpr bool plain_number = std::is_same_v<T, double>;
    using Held = std::conditional_t<plain_number, Schedule, T>;  // options hold every number as a schedule
    Key<Spec> out(
        std::move(name), [member](const Spec& spec) -> OptionValue { return Held(spec.*member); },
        [member](Spec& spec, const OptionValue& value) {
            if constexpr (plain_number)
                spec.*member = std::get<Held>(value)(Progress{});
            else
                spec.*member = std::get<Held>(value);
        });
    out.option.may_schedule = std::is_same_v<T, Schedule>;
    return out;
}

/// Two numbers in a list: `betas = [0.9, 0.999]`.
template <class Spec>
Key<Spec> pair_key(std::string name, double Spec::*first, double Spec::*second) {
    Key<Spec> out(
        std::move(name),
        [=](const Spec& spec) -> OptionValue {
            return std::vector<double>{spec.*first, spec.*second};
        },
        [=](Spec& spec, const OptionValue& value) {
            const auto& numbers = std::get<std::vector<double>>(value);
            spec.*first = numbers.at(0);
            spec.*second = numbers.at(1);
        });
    out.option.size(2);
    return out;
}

/// Words in one text: `probe = "linear, knn"`.
template <class Spec>
Key<Spec> words_key(std::string name, std::vector<std::string> Spec::*member) {
    return {
        std::move(name), [=](const Spec& spec) -> OptionValue { return join(spec.*member); },
        [=](Spec& spec, const OptionValue& value) { spec.*member = words_of(std::get<std::string>(value)); }};
}

/// A key whose value has mistakes of its own to report: the reader of the section takes it from the options.
template <class Spec>
Key<Spec> special_key(std::string name, const OptionValue& fallback) {
    return {std::move(name), [=](const Spec&) { return fallback; }, nullptr};
}

/// The key of a part, as one of the whole: DetectSpec has a LabelledSpec.
template <class Whole, class Part>
Key<Whole> within(Part Whole::*part, const Key<Part>& key) {
    Key<Whole> out(
        key.option.name, [=](const Whole& whole) { return key.get(whole.*part); },
        [=](Whole& whole, const OptionValue& value) { key.put(whole.*part, value); });
    const auto fallback = out.option.fallback;
    out.option = key.option;
    out.option.fallback = fallback;
    return out;
}

/// Adds the option to the schema; its type is that of its default.
void declare(Schema& schema, OptionSpec option);

template <class Spec>
Schema to_schema(const Keys<Spec>& keys) {
    Schema schema;
    for (const auto& key : keys) declare(schema, key.option);
    return schema;
}

/// Fills the members from complete options (bind_options).
template <class Spec>
void fill(Spec& spec, const Keys<Spec>& keys, const Options& options) {
    for (const auto& key : keys)
        if (key.put) key.put(spec, options.all().at(key.option.name));
}

}  // namespace hearth::recipe
