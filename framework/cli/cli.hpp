// The verbs of the `hearth` command have one file each. A verb adds its subcommand and sets the callback that
// runs it.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "host/registry.hpp"
#include "recipe/opens.hpp"
#include "recipe/recipe.hpp"

namespace hearth::cli {

/// Flags every verb understands.
struct Globals {
    bool json = false, quiet = false;
    bool locked = false;  ///< plugins that plugins.lock does not name are refused
    bool strict = false;  ///< a run whose plugins were swapped is refused
    bool trust = false;   ///< plugins that a run brings with it are run unasked
    std::string out, device;
    long long seed = -1;
    std::vector<std::string> plugin_paths;
    std::vector<std::string> command;  ///< argv
    int exit_code = 0;                 ///< of the verb that ran
};

using recipe::Opens;

/// RECIPE [key=value ...] [--with FRAGMENT ...], which most verbs take.
struct RecipeArguments {
    std::string file;
    std::vector<std::string> overrides, with;
    void add_to(CLI::App& verb);
    /// Loads the recipe with the fragments, the overrides, --seed and --device. What no section of `opens`
    /// needs may be missing. Throws RecipeError with all mistakes at once, those of components and wiring among
    /// them.
    recipe::Recipe load(const Globals& globals, const Opens& opens) const;
    /// The same, merged but not checked against any schema.
    recipe::Table load_tree(const Globals& globals) const;

  private:
    recipe::Reading reading(const Globals& globals) const;
};

/// Fragments as --with names them: found like recipes.
std::vector<std::filesystem::path> find_fragments(const std::vector<std::string>& with);
/// Throws RecipeError for a word without "=".
void check_overrides(const std::vector<std::string>& words, const std::string& after);
/// --with FRAGMENT, repeatable; `help` says what it does for the verb.
void add_with(CLI::App& verb, std::vector<std::string>& with, const std::string& help);

/// The file of this program, for starting it again under its own name.
std::string own_program();

/// Where an installed program has its recipes: PREFIX/share/hearth.
std::filesystem::path installed_share();

/// Holds the number of the process that started this one and that it ends with: a killed sweep leaves no run
/// behind that goes on.
inline constexpr const char* parent_variable = "HEARTH_PARENT";

/// --stage NAME of a verb that takes one stage of a recipe; `otherwise`: which, without it.
void add_stage(CLI::App& verb, std::string& stage, const std::string& otherwise = "the first");
/// The stage of that name, for "" the first. Throws RecipeError where there is no such stage.
recipe::Recipe stage_of(const recipe::Recipe& recipe, const std::string& stage);

/// Scans the search order, recipe folders included, held to the recipe's plugins.lock. Says which plugins came with
/// the recipe, and which folders others may write to.
host::Registry make_registry(const Globals& globals, const recipe::Recipe* recipe = nullptr);

/// On standard error, unless quiet: what its folders and the recipe or run that brought plugins should be known for.
/// Warns where train.device = "auto" takes the CPU although NVIDIA's driver is here; the same as text, or "".
std::string say_device(const recipe::Recipe& recipe, bool quiet);
void say_about(const host::Registry& registry, const std::string& bringer, const Globals& globals);

void add_train(CLI::App& app, Globals& globals);
void add_bench(CLI::App& app, Globals& globals);
void add_check(CLI::App& app, Globals& globals);
void add_plan(CLI::App& app, Globals& globals);
void add_sweep(CLI::App& app, Globals& globals);
void add_detect(CLI::App& app, Globals& globals);
void add_pictures(CLI::App& app, Globals& globals);
void add_probe(CLI::App& app, Globals& globals);
void add_report(CLI::App& app, Globals& globals);
void add_embed(CLI::App& app, Globals& globals);
void add_export(CLI::App& app, Globals& globals);
void add_import(CLI::App& app, Globals& globals);
void add_runs(CLI::App& app, Globals& globals);
void add_compare(CLI::App& app, Globals& globals);
void add_data(CLI::App& app, Globals& globals);
void add_preview(CLI::App& data, Globals& globals);  // a verb of `data`
void add_recipes(CLI::App& app, Globals& globals);
void add_plugins(CLI::App& app, Globals& globals);
void add_doctor(CLI::App& app, Globals& globals);

}  // namespace hearth::cli
