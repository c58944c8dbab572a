// From a file to a recipe: parents first, each file once, then overrides, then types.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <system_error>

#include "recipe/components.hpp"
#include "recipe/renamed.hpp"
#include "recipe/shipped.hpp"

namespace hearth::recipe {
namespace fs = std::filesystem;
namespace {

/// Merges files in the order in which `extends` reaches them.
class Resolver {
  public:
    /// `above`: gets the drops of a fragment, which are for what it goes on top of as well.
    Resolver(Diagnostics& problems, std::vector<std::string>& notes, std::vector<Value>* above = nullptr)
        : problems_(problems), notes_(notes), above_(above) {}

    /// Merges the parents of `file`, then `file`. A file reached twice counts once, at its first place.
    void add(const fs::path& file, const Origin& asked) {
        std::error_code impossible;  // a path that no file can have: parse_file says so
        const auto id = fs::weakly_canonical(file, impossible);
        if (std::find(open_.begin(), open_.end(), id) != open_.end()) throw RecipeError(cycle(file, asked));
        if (std::find(done_.begin(), done_.end(), id) != done_.end()) return;
        Table table = parse_file(file, asked);
        check_schema(table);
        rename_old_keys(table, notes_, problems_);
        open_.push_back(id);
        chain_.push_back(file.string());
        for (const auto& parent : parents(table)) add(parent_file(file, parent.text()), parent.origin);
        open_.pop_back();
        chain_.pop_back();
        done_.push_back(id);

        if (const Value* drop = table.find("drop")) {
            Diagnostics later;
            apply_drops(tree_, *drop, dropped_, above_ != nullptr ? later : problems_);
            if (above_ != nullptr) above_->push_back(*drop);
        }
        for (const auto* const key : {"name", "description"})
            tree_.erase(key);  // a recipe does not pass on what it is called
        table.erase("extends");
        table.erase("drop");
        merge_into(tree_, table);
    }

    Table take() { return std::move(tree_); }
    std::vector<std::string> take_dropped() { return std::move(dropped_); }

  private:
    /// A file beside the one that names it, else a shipped recipe.
    static fs::path parent_file(const fs::path& file, const std::string& name) {
        auto beside = (file.parent_path() / name).lexically_normal();
        std::error_code ignored;
        if (fs::exists(beside, ignored)) return beside;
        const auto shipped = find_shipped(name);
        return shipped.empty() ? beside : shipped;
    }

    std::string cycle(const fs::path& file, const Origin& asked) const {
        return fmt::format("{}: extends: a recipe cannot extend itself: {} -> {}", asked.text(),
                           join(chain_, " -> "), file.string());
    }

    void check_schema(const Table& table) {
        const Value* schema = table.find("schema");
        if (schema == nullptr) return;
        const auto* version = std::get_if<std::int64_t>(&schema->data);
        if (version == nullptr || *version != 1)
            problems_.add(schema->origin, fmt::format("schema: found {}, expected 1, the version of the recipe "
                                                      "language that this hearth reads",
                                                      found(*schema)));
    }

    std::vector<Value> parents(const Table& table) {
        const Value* extends = table.find("extends");
        if (extends == nullptr) return {};
        std::vector<Value> out;
        for (const auto& entry : extends->is_array() ? extends->array() : Array{*extends}) {
            if (entry.is_text() && !entry.text().empty())
                out.push_back(entry);
            else
                problems_.add(entry.origin,
                              fmt::format("extends: found {}, expected the path of a recipe", found(entry)));
        }
        return out;
    }

    Diagnostics& problems_;
    std::vector<std::string>& notes_;
    std::vector<Value>* above_;
    Table tree_;
    std::vector<fs::path> open_, done_;
    std::vector<std::string> chain_, dropped_;
};

Fragment read_fragment(const fs::path& file, Diagnostics& problems, std::vector<std::string>& notes) {
    Fragment out;
    Resolver resolver(problems, notes, &out.drops);
    resolver.add(file, {});
    out.tree = resolver.take();
    out.dropped = resolver.take_dropped();
    return out;
}

/// Sections that were dropped and are there again were not dropped; what was stands at the end.
void settle_drops(Table& tree) {
    const Value* drop = tree.find("drop");
    if (drop == nullptr) return;
    auto dropped = *drop;
    tree.erase("drop");
    for (const auto& section : optional_sections)
        if (tree.find(section) != nullptr) dropped.table().erase(section);
    if (!dropped.table().empty()) tree.set("drop", std::move(dropped));
}

void check_override(const std::string& argument, const std::vector<std::string>& only, Diagnostics& problems) {
    const auto key = argument.substr(0, argument.find('='));
    if (is_among(only, key) || (key.starts_with("drop.") && contains(only, key.substr(5)))) return;
    problems.add({"argument '" + argument + "'", 0, 0},
                 fmt::format("{} is not read again of a finished run: expected a key of {}{}", key, join(only),
                             did_you_mean(key, only)));
}

Table resolve(const fs::path& file, const Reading& reading, Diagnostics& problems,
              std::vector<std::string>& notes) {
    Resolver resolver(problems, notes);
    resolver.add(file, {});
    Table tree = resolver.take();
    for (const auto& fragment : reading.with)
        merge_fragment(tree, read_fragment(fragment, problems, notes), reading.only, problems);
    for (const auto& argument : reading.overrides) {
        if (reading.only) check_override(argument, *reading.only, problems);
        apply_override(tree, argument, problems, notes);
    }
    settle_drops(tree);
    if (tree.find("name") == nullptr) tree.set("name", Value{file.stem().string(), {}});
    return tree;
}

void check_top(const Table& tree, Recipe& recipe, Diagnostics& problems) {
    check_keys(tree, "", top_level_keys, problems);
    const Origin file{recipe.file.string(), 0, 0};
    if (tree.find("schema") == nullptr)
        problems.add(file, "schema: missing, expected schema = 1 at the top of the recipe");
    recipe.name = read_text(tree, "name", "recipe", recipe.file.stem().string(), problems);
    const Value* name = tree.find("name");
    // The name becomes a folder, runs/<name>.
    if (recipe.name.empty() || recipe.name.front() == '.' || recipe.name.find('/') != std::string::npos)
        problems.add(name->origin,
                     fmt::format("name: found \"{}\", expected a name that can be a folder's", recipe.name));
    recipe.description = read_text(tree, "description", "recipe", "", problems);
    if (const Value* folders = tree.find("plugin_paths"))
        for (const auto& folder : read_texts(*folders, "plugin_paths", problems))
            recipe.plugin_paths.emplace_back(folder);
    if (tree.find("networks") == nullptr)
        problems.add(file, "networks: missing, expected at least one [networks.NAME]");
}

/// [probe] and [eval] read the source of [data] where they name none.
std::vector<std::string> with_inherited_source(const Table& tree, std::vector<std::string> opens) {
    for (const auto* const name : {"probe", "eval"}) {
        const Value* section = tree.find(name);
        if (section == nullptr || !section->is_table() || !is_among(opens, name)) continue;
        const Value* source = section->table().find("source");
        const bool named = source != nullptr && source->is_text() && !source->text().empty();
        if (!named && !is_among(opens, "data")) opens.emplace_back("data");
    }
    return opens;
}

}  // namespace

std::string Loaded::title() const {
    const auto count = problems.messages().size();
    return fmt::format(
        "{}: {}", recipe.file.string(),
        count == 1 ? "a mistake in the recipe" : fmt::format("{} mistakes in the recipe", count));
}

Table load_tree(const fs::path& file, const Reading& reading) {
    Loaded loaded;
    loaded.recipe.file = file;
    Table tree = resolve(file, reading, loaded.problems, loaded.recipe.notes);
    Diagnostics unset_variables;
    resolve_paths(tree, {}, unset_variables);  // a recipe can be shown on a machine that does not have its data
    loaded.problems.throw_if_any(loaded.title());
    return tree;
}

Table load_tree(const fs::path& file, const std::vector<std::string>& overrides) {
    Reading reading;
    reading.overrides = overrides;
    return load_tree(file, reading);
}

bool read_parts(Recipe& recipe, const std::vector<std::string>& opens, const Address& address,
                Diagnostics& problems) {
    const Table tree = with_warmups_in_epochs(with_phase_optimizers(recipe.tree));
    const bool judged = !has_stages(tree);
    const auto before = problems.messages().size();
    recipe.augments = read_components(tree, "augment", problems);
    recipe.heads = read_components(tree, "head", problems);
    recipe.losses = read_components(tree, "loss", problems);
    recipe.networks = read_networks(tree, problems);
    recipe.passes = read_passes(tree, recipe.networks, problems);
    recipe.phases = read_phases(tree, problems);
    if (recipe.phases.size() == 1)
        for (auto& loss : recipe.losses)
            if (loss.phase.empty()) loss.phase = recipe.phases.front().name;
    if (judged) check_phases(tree, recipe, problems);
    const bool whole = problems.messages().size() == before && !recipe.networks.empty();
    read_sections(tree, opens, recipe, problems);
    recipe.detect = read_detect(tree, opens, problems);
    if (!judged) return whole;
    if (recipe.validate) check_watch(recipe, names_of(recipe.losses), problems);
    check_schedules(without_general_keys(tree, recipe.tree), "", recipe.train.epochs, address, problems);
    return whole;
}

Loaded try_load(const fs::path& file, const Reading& reading) {
    Loaded out;
    Recipe& recipe = out.recipe;
    Diagnostics& problems = out.problems;
    recipe.file = file;
    recipe.tree = resolve(file, reading, problems, recipe.notes);
    const auto opens = with_inherited_source(recipe.tree, reading.opens);
    resolve_paths(recipe.tree, opens, problems);
    check_top(recipe.tree, recipe, problems);
    Diagnostics of_losses;
    check_loss_phases(recipe.tree, of_losses);
    out.whole = read_parts(recipe, opens, std::identity(), problems) && of_losses.empty();
    for (const auto& mistake : of_losses.mistakes()) problems.add(mistake.where, mistake.what);
    if (has_stages(recipe.tree))
        out.whole = check_stages(recipe, opens, recipe.notes, problems) && out.whole;
    else
        note_untrained({recipe}, recipe.notes);
    return out;
}

Recipe load(const fs::path& file, const Reading& reading) {
    auto loaded = try_load(file, reading);
    loaded.problems.throw_if_any(loaded.title());
    return std::move(loaded.recipe);
}

Recipe load(const fs::path& file, const std::vector<std::string>& overrides) {
    Reading reading;
    reading.overrides = overrides;
    return load(file, reading);
}

const NetworkSpec* Recipe::network(const std::string& wanted) const {
    const auto found =
        std::find_if(networks.begin(), networks.end(), [&](const auto& n) { return n.name == wanted; });
    return found == networks.end() ? nullptr : &*found;
}

}  // namespace hearth::recipe
