// The keys of sections: what one line of a list says, and the tables of docs/recipes.md that are made of them.
#include <algorithm>
#include <fstream>
#include <sstream>

#include "recipe/section_keys.hpp"
#include "recipe/steps.hpp"
#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;

namespace {

struct Inner {
    std::string source = "here";
};

struct Example {
    bool flag = true;
    std::int64_t count = 3;
    double share = 0.5;
    Schedule rate = 0.1;
    std::string fit = "pad";
    std::vector<std::string> patterns = {"a"}, kinds = {"linear", "knn"};
    double low = 1, high = 2;
    Inner inner;
};

Keys<Example> example_keys() {
    using E = Example;
    return {key("flag", &E::flag).doc("on or off"),
            key("count", &E::count).range(1, 1e6).or_word("auto", 0).doc("so many"),
            key("share", &E::share).range(1e-6, 1),
            key("rate", &E::rate).range(0, any_count),
            key("fit", &E::fit).choices({"stretch", "pad"}),
            key("patterns", &E::patterns),
            words_key("kinds", &E::kinds),
            pair_key("ends", &E::low, &E::high).range(0, 8192),
            special_key<E>("rules", std::vector<std::string>()),
            within(&E::inner, key("source", &Inner::source).required())};
}

struct ReadExample {
    Example value;
    std::string problems;
};

ReadExample read_example(const std::string& toml) {
    ReadExample out;
    Diagnostics problems;
    const auto table = parse_text(toml, "a.toml");
    fill(out.value, example_keys(), bind_options(table, to_schema(example_keys()), "example", {}, problems));
    for (const auto& message : problems.messages()) out.problems += message + "\n";
    return out;
}

/// Another value of the same kind.
struct Another {
    OptionValue operator()(bool value) const { return !value; }
    OptionValue operator()(std::int64_t value) const { return value + 1; }
    OptionValue operator()(const Schedule& value) const { return Schedule(value.from + 1); }
    OptionValue operator()(const std::string& value) const { return value + "x"; }
    template <class T>
    OptionValue operator()(std::vector<T> list) const {
        std::reverse(list.begin(), list.end());
        if (list.empty()) list.emplace_back();
        return list;
    }
};

/// Each key changes what it is itself made of, and no other.
template <class Spec>
void check_members(const Keys<Spec>& keys) {
    for (const auto& changed : keys) {
        if (!changed.put) continue;
        Spec spec;
        const auto value = std::visit(Another(), changed.option.fallback);
        changed.put(spec, value);
        for (const auto& key : keys) {
            INFO(changed.option.name << " changes " << key.option.name);
            const bool same = key.option.name == changed.option.name;
            CHECK(to_string(key.get(spec)) == to_string(same ? value : key.option.fallback));
        }
    }
}

template <class Spec>
void check_defaults(const Keys<Spec>& keys) {
    for (const auto& key : keys) {
        INFO(key.option.name);
        CHECK(key.option.check(key.option.fallback).empty());
        CHECK_FALSE(key.option.help.empty());
    }
}

std::vector<std::string> lines_of(std::istream& stream) {
    std::vector<std::string> out;
    for (std::string line; std::getline(stream, line);) out.push_back(line);
    return out;
}

/// The first table of docs/recipes.md behind a line that starts with `heading`, row by row.
void check_table(const std::string& heading, const std::string& table) {
    INFO("docs/recipes.md, " << heading);
    std::istringstream made(table);
    std::ifstream file(HEARTH_TEST_SOURCE_DIR "/docs/recipes.md");
    const auto page = lines_of(file);
    auto line = std::ranges::find_if(page, [&](const auto& text) { return text.starts_with(heading); });
    line = std::find_if(line, page.end(), [](const auto& text) { return text.starts_with("|"); });
    for (const auto& row : lines_of(made)) CHECK((line == page.end() ? "" : *line++) == row);
    CHECK((line == page.end() || line->empty()));
}

void check_table(const std::string& heading, const Schema& schema) {
    check_table(heading, markdown_table(schema));
}

}  // namespace

TEST_CASE("docs/recipes.md has the tables that the keys make") {
    check_table("## `[data]`", data_schema());
    check_table("## `[train]`", train_schema());
    check_table("## `[optimizer]`", optimizer_schema());
    check_table("Each rule has keys of its own", optimizer_rules_table());
    check_table("## `[monitor]`", monitor_schema());
    check_table("## `[probe]` and `[eval]`", labelled_schema());
    check_table("## `[detect]`", detect_schema());
    check_table("## `[validate]`", validate_schema());
    check_table("## Phases", phase_schema());
    check_table("`use = \"error\"`", score_schema("error"));
    check_table("`use = \"distance\"`", score_schema("distance"));
}

TEST_CASE("a line of the table has type, default and range of a key") {
    CHECK(markdown_table(to_schema(example_keys())) == R"(| key | type | default | range | |
| --- | --- | --- | --- | --- |
| `flag` | boolean | `true` |  | on or off |
| `count` | integer | `3` | 1 to 10^6, or "auto" | so many |
| `share` | number | `0.5` | 10^-6 to 1 |  |
| `rate` | number | `0.1` | from 0, schedule |  |
| `fit` | text | `"pad"` | stretch, pad |  |
| `patterns` | list of texts | `["a"]` |  |  |
| `kinds` | text | `"linear, knn"` |  |  |
| `ends` | list of numbers | `[1, 2]` | 2 entries of 0 to 8192 |  |
| `rules` | list of texts | `[]` |  |  |
| `source` | text | required |  |  |
)");
}

TEST_CASE("a key that is not written has the initialiser of its member") {
    const auto read = read_example("source = \"there\"\n");
    CHECK(read.problems.empty());
    const auto& value = read.value;
    CHECK(
        (value.flag && value.count == 3 && value.share == 0.5 && value.rate.from == 0.1 && value.fit == "pad"));
    CHECK(value.patterns == std::vector<std::string>{"a"});
    CHECK(value.kinds == std::vector<std::string>{"linear", "knn"});
    CHECK((value.low == 1 && value.high == 2));
    CHECK(value.inner.source == "there");
}

TEST_CASE("a key that is written fills its member") {
    const auto read = read_example(R"(flag = false
count = "auto"
share = 1
rate = { shape = "linear", from = 1, to = 2 }
fit = "stretch"
patterns = ["b", "c"]
kinds = "attentive , knn"
ends = [3, 4.5]
source = "there"
)");
    CHECK(read.problems.empty());
    const auto& value = read.value;
    CHECK((!value.flag && value.count == 0 && value.share == 1 && value.fit == "stretch"));
    CHECK((value.rate.from == 1 && value.rate.to == 2));
    CHECK(value.patterns == std::vector<std::string>{"b", "c"});
    CHECK(value.kinds == std::vector<std::string>{"attentive", "knn"});
    CHECK((value.low == 3 && value.high == 4.5));
}

TEST_CASE("range, words and length of a key are kept, and only a Schedule may be one") {
    const auto read = read_example(R"(count = 0
share = { shape = "constant", from = 1 }
rate = -1
fit = "padd"
ends = [1]
)");
    CHECK_THAT(
        read.problems,
        Contains("example.count: found 0, expected between 1 and 1000000\n") &&
            Contains("example.share: found a table, expected a number: this option cannot be") &&
            Contains("example.rate: found -1, expected between 0 and 9000000000000000\n") &&
            Contains("example.fit: found \"padd\", expected one of stretch, pad (did you mean 'pad'?)") &&
            Contains("example.ends: found 1 entries, expected 2") && Contains("example.source: missing"));
    CHECK(read.value.count == 3);
}

TEST_CASE("every key of a section has members of its own") {
    check_members(data_keys());
    check_members(train_keys());
    check_members(optimizer_keys());
    check_members(monitor_keys());
    check_members(labelled_keys());
    check_members(detect_keys());
    check_members(validate_keys());
    check_members(phase_keys());
}

TEST_CASE("every key of a section has a line of documentation and a default within its range") {
    check_defaults(data_keys());
    check_defaults(train_keys());
    check_defaults(optimizer_keys());
    check_defaults(monitor_keys());
    check_defaults(labelled_keys());
    check_defaults(detect_keys());
    check_defaults(validate_keys());
    check_defaults(phase_keys());
}
