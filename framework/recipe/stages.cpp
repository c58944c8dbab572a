// [[stage]]: several trainings, one after the other, each the recipe with differences. A recipe is right where
// each of its stages is.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "recipe/components.hpp"

namespace hearth::recipe {
namespace {

/// One entry of [[stage]], read.
struct Stage {
    StageSpec spec;
    std::vector<std::string> phases;  ///< of the recipe, in its order
    Table drop, differences;
};

/// A stage as a recipe, and what is wrong with that.
struct Part {
    Recipe recipe;
    Diagnostics problems;
    bool whole = true;
};

std::vector<std::string> names_in(const Table& tree, const std::string& section) {
    const Value* value = tree.find(section);
    if (value == nullptr) return {};
    if (value->is_array()) return identities(section, value->array());
    return value->is_table() ? value->table().keys() : std::vector<std::string>();
}

/// Reads one stage of `tree`, which has it.
class Reader {
  public:
    Reader(const Table& tree, std::string path, const Table& stage, Diagnostics& problems)
        : tree_(tree), path_(std::move(path)), stage_(stage), problems_(problems) {}

    Stage read(const Origin& origin) {
        Stage out;
        out.spec.origin = origin;
        out.spec.name = read_text(stage_, "name", path_, "", problems_);
        const Value* name = stage_.find("name");
        if (name == nullptr)
            problems_.add(origin, path_ + ".name: missing, expected what the stage is called");
        else if (name->is_text())
            check_name(out.spec.name, path_ + ".name", name->origin, problems_);
        out.phases = phases();
        if (const Value* fresh = stage_.find("fresh"))
            out.spec.fresh = read_texts(*fresh, path_ + ".fresh", problems_);
        for (const auto& key : stage_.keys()) {
            const Value& value = *stage_.find(key);
            if (contains(stage_sections, key))
                difference(key, value, out.differences);
            else if (key == "drop")
                drop(value, out.drop);
            else if (key != "name" && key != "phases" && key != "fresh")
                problems_.add(value.origin,
                              fmt::format("{}.{}: a stage cannot differ in this, expected one of name, phases, "
                                          "fresh, drop, {}{}",
                                          path_, key, join(stage_sections), did_you_mean(key, words())));
        }
        return out;
    }

  private:
    static std::vector<std::string> words() {
        auto out = stage_sections;
        for (const auto* const word : {"name", "phases", "fresh", "drop"}) out.emplace_back(word);
        return out;
    }

    std::vector<std::string> phases() const {
        const auto all = phase_names(tree_);
        const Value* value = stage_.find("phases");
        if (value == nullptr) return all;
        const auto path = path_ + ".phases";
        const auto listed = read_texts(*value, path, problems_);
        const auto none = all.empty() ? "nothing: the recipe has no [[phase]]" : "one or more of " + join(all);
        if (value->is_array() && value->array().empty())
            problems_.add(value->origin, fmt::format("{}: found an empty list, expected {}", path, none));
        for (const auto& name : listed)
            if (!contains(all, name))
                problems_.add(value->origin, fmt::format("{}: there is no phase '{}', expected {}{}", path,
                                                         name, none, did_you_mean(name, all)));
        std::vector<std::string> out;
        std::ranges::copy_if(all, std::back_inserter(out), [&](auto& name) { return contains(listed, name); });
        return out;
    }

    void drop(const Value& value, Table& out) const {
        if (!value.is_table()) {
            problems_.add(value.origin,
                          fmt::format("{}.drop: found {}, expected a table: drop.loss = [\"name\"]", path_,
                                      found(value)));
            return;
        }
        for (const auto& kind : value.table().keys()) {
            const Value& names = *value.table().find(kind);
            if (kind == "phase" || kind == "stage")
                problems_.add(names.origin, fmt::format("{}.drop.{}: a stage drops no {}: it has what `phases` "
                                                        "lists",
                                                        path_, kind, kind));
            else if (contains(optional_sections, kind))
                problems_.add(
                    names.origin,
                    fmt::format("{}.drop.{}: a stage drops no [{}], which is the recipe's: write drop.{} "
                                "= true outside of the stages",
                                path_, kind, kind, kind));
            else
                out.set(kind, names);
        }
    }

    void difference(const std::string& section, const Value& value, Table& out) const {
        const bool list = is_list_of_entries(section);
        if (list ? !value.is_array() : !value.is_table()) {
            problems_.add(value.origin,
                          fmt::format("{}.{}: found {}, expected {}", path_, section, found(value),
                                      list ? "a list of tables: write [[stage." + section + "]]"
                                           : "a table: write [stage." + section + "]"));
            return;
        }
        if (section == "networks")
            networks(value, out);
        else if (list)
            entries(section, value, out);
        else
            out.set(section, value);
    }

    void networks(const Value& value, Table& out) const {
        Value kept{Table{}, value.origin};
        for (const auto& name : value.table().keys()) {
            const Value& network = *value.table().find(name);
            const auto has = [&](const char* key) { return network.table().find(key) != nullptr; };
            const bool new_one = network.is_table() && (has("backbone") || has("heads") || has("follows"));
            if (new_one || known("networks", name, network.origin, "a network", "backbone or heads"))
                kept.table().set(name, network);
        }
        out.set("networks", std::move(kept));
    }

    void entries(const std::string& list, const Value& value, Table& out) const {
        Value kept{Array{}, value.origin};
        for (std::size_t i = 0; i < value.array().size(); ++i) {
            const Value& entry = value.array()[i];
            const char* const needs = list == "pass" ? "network" : "use";
            if (!entry.is_table())
                problems_.add(entry.origin, fmt::format("{}.{}.{}: found {}, expected a table", path_, list, i,
                                                        found(entry)));
            else if (entry.table().find(needs) != nullptr ||
                     known(list, identity(list, entry), entry.origin,
                           list == "augment" ? "an augment" : "a " + list, needs))
                kept.array().push_back(entry);
        }
        out.set(list, std::move(kept));
    }

    /// Whether the recipe has it; else a new one would have what it `needs`.
    bool known(const std::string& section, const std::string& name, const Origin& where,
               const std::string& kind, const std::string& needs) const {
        const auto names = names_in(tree_, section);
        if (contains(names, name) && !name.empty()) return true;
        problems_.add(where,
                      fmt::format("{}.{}.{}: {} that the recipe does not have, which has {}{}; a new one "
                                  "needs {}",
                                  path_, section, name, kind, names.empty() ? "none" : join(names),
                                  did_you_mean(name, names), needs));
        return false;
    }

    const Table& tree_;
    const std::string path_;
    const Table& stage_;
    Diagnostics& problems_;
};

std::vector<Stage> read_stages(const Table& tree, Diagnostics& problems) {
    std::vector<Stage> out;
    const Value* list = tree.find("stage");
    if (list == nullptr) return out;
    if (list->is_array() && list->array().empty()) {
        problems.add(
            list->origin,
            "stage: found no stage that is left, expected one at least: leave one of them out of drop.stage, "
            "or add a [[stage]] of your own");
        return out;
    }
    if (!list->is_array()) {
        problems.add(list->origin, fmt::format("stage: found {}, expected a list of tables: write [[stage]]",
                                               list->is_table() ? "one table" : found(*list)));
        return out;
    }
    for (std::size_t i = 0; i < list->array().size(); ++i) {
        const Value& entry = list->array()[i];
        const auto id = identity("stage", entry);
        const auto path = "stage." + (id.empty() ? std::to_string(i) : id);
        if (!entry.is_table()) {
            problems.add(entry.origin, fmt::format("{}: found {}, expected a table", path, found(entry)));
            continue;
        }
        auto stage = Reader(tree, path, entry.table(), problems).read(entry.origin);
        const auto twin = std::ranges::find_if(
            out, [&](const auto& other) { return !id.empty() && other.spec.name == stage.spec.name; });
        if (twin != out.end())
            problems.add(entry.origin,
                         fmt::format("{}: a second stage of this name, the first is at {}: give one "
                                     "of them another `name`",
                                     path, twin->spec.origin.text()));
        out.push_back(std::move(stage));
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i].spec.number = i;
        out[i].spec.count = out.size();
    }
    return out;
}

/// Leaves the phases that are `listed`, and of the losses theirs and those that name no phase there is.
void keep_phases(Table& tree, const std::vector<std::string>& listed) {
    const auto all = phase_names(tree);
    const auto is_others = [&](const Value& value, const char* key) {
        const Value* name = value.is_table() ? value.table().find(key) : nullptr;
        return name != nullptr && name->is_text() && contains(all, name->text()) &&
               !contains(listed, name->text());
    };
    for (const auto& [list, key] : {std::pair("loss", "phase"), {"phase", "name"}})
        if (Value* value = tree.find(list); value != nullptr && value->is_array())
            std::erase_if(value->array(),
                          [&, word = key](const Value& entry) { return is_others(entry, word); });
}

/// [eval], [detect] and what watches them are of the last stage, and [validate] of those that have what it
/// watches.
void keep_sections(Table& tree, bool last) {
    if (!last) {
        tree.erase("eval");
        tree.erase("detect");
    }
    const Value* validate = tree.find("validate");
    const Value* watch =
        validate != nullptr && validate->is_table() ? validate->table().find("watch") : nullptr;
    if (validate == nullptr || (watch != nullptr && !watch->is_text())) return;
    const auto watched = watch == nullptr ? ValidateSpec().watch : watch->text();
    if (!can_watch(watched, names_in(tree, "loss"), tree.find("detect") != nullptr,
                   tree.find("probe") != nullptr))
        tree.erase("validate");
}

Part part_of(const Recipe& whole, const Stage& stage, const std::vector<std::string>& opens) {
    Part out;
    Recipe& recipe = out.recipe;
    recipe.file = whole.file;
    recipe.name = whole.name;
    recipe.description = whole.description;
    recipe.plugin_paths = whole.plugin_paths;
    recipe.stage = stage.spec;
    if (stage.spec.number == 0) recipe.notes = whole.notes;
    recipe.tree = whole.tree;
    recipe.tree.erase("stage");
    std::vector<std::string> dropped;
    apply_drops(recipe.tree, Value{stage.drop, stage.spec.origin}, dropped, out.problems);
    merge_into(recipe.tree, stage.differences);
    check_loss_phases(recipe.tree, out.problems);
    keep_phases(recipe.tree, stage.phases);
    keep_sections(recipe.tree, stage.spec.number + 1 == stage.spec.count);
    const auto address = [&](const std::string& path) {
        const bool own = sets(stage.differences, split_path(path));
        return own ? "stage." + stage.spec.name + "." + path : path;
    };
    out.whole = read_parts(recipe, opens, address, out.problems);
    return out;
}

/// Whether two mistakes are about one key at one place: what is said of it may depend on the stage's epochs.
bool is_same(const Mistake& a, const Mistake& b) {
    const auto key = [](const Mistake& mistake) { return mistake.what.substr(0, mistake.what.find(": ")); };
    return a.where.text() == b.where.text() && key(a) == key(b);
}

/// What stages have against them, each once; of which stage, where it is not of all.
void report(const std::vector<Part>& parts, Diagnostics& problems) {
    struct Said {
        Mistake mistake;
        std::vector<std::string> stages;
    };
    std::vector<Said> all;
    for (const auto& part : parts)
        for (const auto& mistake : part.problems.mistakes()) {
            if (std::ranges::any_of(problems.mistakes(), [&](const auto& o) { return is_same(o, mistake); }))
                continue;
            const auto text = mistake.text();
            auto said =
                std::ranges::find_if(all, [&](const auto& other) { return other.mistake.text() == text; });
            if (said == all.end()) said = all.insert(all.end(), {mistake, {}});
            if (!contains(said->stages, part.recipe.stage->name))
                said->stages.push_back(part.recipe.stage->name);
        }
    for (const auto& [mistake, stages] : all)
        problems.add(mistake.where, stages.size() == parts.size() && stages.size() > 1
                                        ? mistake.what
                                        : fmt::format("stage {}: {}", join(stages), mistake.what));
}

/// Phases and losses that no stage has.
void check_used(const Recipe& whole, const std::vector<Stage>& stages, Diagnostics& problems) {
    for (const auto& phase : whole.phases) {
        if (phase.name.empty() ||
            std::ranges::any_of(stages, [&](const auto& stage) { return contains(stage.phases, phase.name); }))
            continue;
        const std::string nowhere = "is in no stage, expected in the `phases` of one: add it, or drop it";
        bool lost = false;
        for (const auto& loss : whole.losses)
            if (loss.phase == phase.name) {
                lost = true;
                problems.add(loss.origin, fmt::format("loss.{}: its phase '{}' ({}) {} with the loss",
                                                      loss.name, phase.name, phase.origin.text(), nowhere));
            }
        if (!lost) problems.add(phase.origin, fmt::format("phase.{}: {}", phase.name, nowhere));
    }
}

void check_watched(const Recipe& whole, const std::vector<Part>& parts, Diagnostics& problems) {
    if (!whole.validate || parts.empty() ||
        std::ranges::any_of(parts, [](const auto& part) { return !!part.recipe.validate; }))
        return;
    std::vector<std::string> losses;
    for (const auto& part : parts)
        for (const auto& loss : part.recipe.losses)
            if (!contains(losses, loss.name)) losses.push_back(loss.name);
    check_watch(whole, losses, problems);
}

std::vector<std::string> trained_in_any(const std::vector<Recipe>& stages) {
    std::vector<std::string> out;
    for (const auto& stage : stages) {
        for (const auto& phase : stage.phases) out.insert(out.end(), phase.trains.begin(), phase.trains.end());
        if (!stage.phases.empty()) continue;
        for (const auto& network : stage.networks)
            if (network.follows.empty() && !network.frozen) out.push_back(network.name);
        for (const auto& head : stage.heads) out.push_back(head.name);
    }
    return out;
}

}  // namespace

bool has_stages(const Table& tree) {
    return tree.find("stage") != nullptr;
}

bool sets(const Value& value, const std::vector<std::string>& keys, std::size_t next, const std::string& list) {
    if (value.is_table()) {
        if (next == keys.size()) return !value.table().empty();
        const Value* below = value.table().find(keys[next]);
        return below != nullptr &&
               sets(*below, keys, next + 1, next == 0 && is_list_of_entries(keys[0]) ? keys[0] : "");
    }
    if (!value.is_array() || list.empty() || next == keys.size()) return true;
    return std::ranges::any_of(value.array(), [&](const Value& entry) {
        return identity(list, entry) == keys[next] && sets(entry, keys, next + 1, "");
    });
}

bool sets(const Table& differences, const std::vector<std::string>& keys) {
    return contains(stage_sections, keys.front()) && sets(Value{differences, {}}, keys, 0, "");
}

std::vector<std::string> stages_that_set(const Table& tree, const std::vector<std::string>& keys) {
    std::vector<std::string> names;
    const Value* stages = tree.find("stage");
    if (stages == nullptr || !stages->is_array()) return names;
    for (const auto& stage : stages->array())
        if (stage.is_table() && sets(stage.table(), keys)) names.push_back(identity("stage", stage));
    return names;
}

std::string set_by_text(const std::string& key, const std::vector<std::string>& stages) {
    const bool several = stages.size() > 1;
    return fmt::format("{} is set by the stage{} {} {}", key, several ? "s" : "", join(stages),
                       several ? "themselves" : "itself");
}

bool check_stages(const Recipe& whole, const std::vector<std::string>& opens, std::vector<std::string>& notes,
                  Diagnostics& problems) {
    const auto stages = read_stages(whole.tree, problems);
    if (stages.empty()) return false;
    std::vector<Part> parts;
    std::vector<Recipe> recipes;
    for (const auto& stage : stages) {
        parts.push_back(part_of(whole, stage, opens));
        recipes.push_back(parts.back().recipe);
    }
    report(parts, problems);
    check_used(whole, stages, problems);
    check_watched(whole, parts, problems);
    note_untrained(recipes, notes);
    return !parts.empty() && std::ranges::all_of(parts, &Part::whole);
}

std::vector<Recipe> stages(const Recipe& whole) {
    Diagnostics reported;  // when the recipe was loaded
    std::vector<Recipe> out;
    for (const auto& stage : read_stages(whole.tree, reported)) {
        auto recipe = part_of(whole, stage, {}).recipe;
        // What no stage differs in is the whole's, which may have been set since it was read.
        recipe.data = whole.data;
        recipe.monitor = whole.monitor;
        recipe.probe = whole.probe;
        if (recipe.validate) recipe.validate = whole.validate;
        if (stage.spec.number + 1 == stage.spec.count) {
            recipe.eval = whole.eval;
            recipe.detect = whole.detect;
        }
        out.push_back(std::move(recipe));
    }
    if (out.empty()) return {whole};
    const auto trained = trained_in_any(out);
    for (auto& recipe : out) recipe.stage->trained = trained;
    return out;
}

}  // namespace hearth::recipe
