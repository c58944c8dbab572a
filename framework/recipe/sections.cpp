// The fixed sections, from tables to typed values.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "recipe/section_keys.hpp"
#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

/// A section as it is typed, and the options it was typed from.
template <class Spec>
struct Section {
    Spec spec;
    Options options;
};

/// The section checked against its keys. A section that is not there has its defaults.
template <class Spec>
Section<Spec> read(const Table& tree, const std::string& name, const Keys<Spec>& keys, const Recipe& recipe,
                   Diagnostics& problems, const std::vector<std::string>& opens = table_sections) {
    static const Table nothing;
    const auto schema = to_schema(keys);
    Section<Spec> out{{}, Options(schema)};
    const Value* value = tree.find(name);
    out.spec.origin = value != nullptr ? value->origin : Origin{recipe.file.string(), 0, 0};
    if (value != nullptr && !value->is_table()) {
        problems.add(out.spec.origin,
                     fmt::format("{0}: found {1}, expected a table: write [{0}]", name, found(*value)));
        return out;
    }
    const auto table = without_needs(value != nullptr ? value->table() : nothing, name, schema, opens);
    out.options = bind_options(table, schema, name, out.spec.origin, problems);
    fill(out.spec, keys, out.options);
    if constexpr (requires { out.spec.written; })
        if (value != nullptr) out.spec.written = written_in(*value);
    return out;
}

/// Where `key` of section `name` was written.
Origin place(const Table& tree, const std::string& name, const std::string& key) {
    const Value* section = tree.find(name);
    const Value* value = section != nullptr && section->is_table() ? section->table().find(key) : nullptr;
    return value != nullptr ? value->origin : Origin{};
}

/// "teacher_kl < 0.01"; nothing where the text is not like that.
std::optional<TermRule> term_rule(const std::string& text, const Origin& origin) {
    auto spaced = text;
    if (const auto sign = text.find_first_of("<>"); sign != std::string::npos)
        spaced = text.substr(0, sign) + ' ' + text[sign] + ' ' + text.substr(sign + 1);
    std::istringstream words(spaced);
    TermRule rule;
    std::string sign;
    if (!(words >> rule.term >> sign >> rule.bound) || !(words >> std::ws).eof()) return {};
    if (sign != "<" && sign != ">") return {};
    rule.below = sign == "<";
    rule.origin = origin;
    return rule;
}

std::vector<TermRule> term_rules(const std::vector<std::string>& texts, const Origin& origin,
                                 Diagnostics& problems) {
    std::vector<TermRule> out;
    for (const auto& text : texts) {
        if (auto rule = term_rule(text, origin))
            out.push_back(*rule);
        else
            problems.add(origin,
                         fmt::format("monitor.collapse_if: found \"{}\", expected a loss term and a bound, "
                                     "such as \"teacher_kl < 0.01\"",
                                     text));
    }
    return out;
}

void check_parts(const DataSpec& data, const Origin& fold, Diagnostics& problems) {
    if (data.folds == 1)
        problems.add(data.origin, "data.folds: found 1, expected 0 (none) or at least 2");
    else if (data.fold > 0 && data.fold >= data.folds)
        problems.add(fold, fmt::format("data.fold: found {}, expected less than data.folds = {}", data.fold,
                                       data.folds));
    if ((data.folds > 0 || data.fraction < 1) && data.label.empty())
        problems.add(
            data.origin,
            "data.folds and data.fraction divide the patients of each class: set data.label, the column of "
            "the class");
}

}  // namespace

bool is_device(const std::string& text) {
    if (text == "auto" || text == "cpu" || text == "cuda") return true;
    const auto number = text.starts_with("cuda:") ? text.substr(5) : "";
    return !number.empty() && number.size() < 4 &&
           std::all_of(number.begin(), number.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

Table without_needs(const Table& section, const std::string& name, const Schema& schema,
                    const std::vector<std::string>& opens) {
    auto out = section;
    if (std::ranges::find(opens, name) != opens.end()) return out;
    for (const auto& option : schema.options())
        if (option.needed && out.find(option.name) == nullptr) out.set(option.name, Value{std::string(), {}});
    return out;
}

std::map<std::string, std::string> texts_of(const Written& written) {
    std::map<std::string, std::string> out;
    for (const auto& [key, origin] : written) out[key] = origin.text();
    return out;
}

Written written_in(const Value& section) {
    Written out;
    if (section.is_table())
        for (const auto& key : section.table().keys()) out[key] = section.table().find(key)->origin;
    return out;
}

void read_sections(const Table& tree, const std::vector<std::string>& opens, Recipe& recipe,
                   Diagnostics& problems) {
    recipe.data = read(tree, "data", data_keys(), recipe, problems, opens).spec;
    if (recipe.data.channels == 2)
        problems.add(place(tree, "data", "channels"), "data.channels: found 2, expected 1 or 3");
    check_parts(recipe.data, place(tree, "data", "fold"), problems);
    recipe.train = read(tree, "train", train_keys(), recipe, problems).spec;
    if (!has_stages(tree) && recipe.train.batch % recipe.data.samples_per_image != 0)
        problems.add(
            place(tree, "data", "samples_per_image"),
            fmt::format("data.samples_per_image: found {} with train.batch = {}, expected a divisor of it: a "
                        "batch holds all samples of an image",
                        recipe.data.samples_per_image, recipe.train.batch));
    if (!is_device(recipe.train.device))
        problems.add(
            place(tree, "train", "device"),
            fmt::format("train.device: found \"{}\", expected auto, cpu, cuda or cuda:N", recipe.train.device));
    recipe.optimizer =
        read_optimizer(tree.find("optimizer"), "optimizer", Origin{recipe.file.string(), 0, 0}, problems);
    read_phase_optimizers(tree, recipe, problems);
    const auto monitor = read(tree, "monitor", monitor_keys(), recipe, problems);
    recipe.monitor = monitor.spec;
    recipe.monitor.collapse_if =
        term_rules(monitor.options.texts("collapse_if"), place(tree, "monitor", "collapse_if"), problems);
    recipe.validate.reset();
    if (tree.find("validate") != nullptr) {
        recipe.validate = read(tree, "validate", validate_keys(), recipe, problems, {"validate"}).spec;
        check_validate(*recipe.validate, problems);
    }
    for (const auto& [name, labelled] : {std::pair{"probe", &recipe.probe}, {"eval", &recipe.eval}}) {
        if (tree.find(name) == nullptr) continue;
        *labelled = read(tree, name, labelled_keys(), recipe, problems).spec;
        check_labelled(name, **labelled, recipe, problems);
        if ((*labelled)->source.empty()) (*labelled)->source = recipe.data.source;
    }
}

}  // namespace hearth::recipe
