#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <hearth/error.hpp>
#include <hearth/text.hpp>

#include "base/terminal_text.hpp"
#include "cli/cli.hpp"
#include "host/cuda.hpp"
#include "plan/plan.hpp"
#include "plan/used_plugins.hpp"
#include "recipe/shipped.hpp"
#include "runs/plugins_lock.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

/// The recipes beside a file, by names as it has.
std::vector<std::string> names_beside(const fs::path& file) {
    std::vector<std::string> out;
    const auto folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    if (fs::is_directory(folder))
        for (const auto& entry : fs::directory_iterator(folder))
            if (entry.path().extension() == ".toml")
                out.push_back((file.parent_path() / entry.path().filename()).string());
    return out;
}

/// A recipe as given, else a shipped one.
fs::path find_recipe(const std::string& file) {
    if (fs::exists(file)) return file;
    if (const auto shipped = recipe::find_shipped(file); !shipped.empty()) return shipped;
    auto candidates = names_beside(file);
    for (auto& name : recipe::shipped_names()) candidates.push_back(std::move(name));
    throw RecipeError(fmt::format("{}: found no such recipe{}; `hearth recipes list` shows those at hand", file,
                                  did_you_mean(file, candidates)));
}

/// What --with names: the user's own file, else a shipped recipe.
fs::path find_fragment(const std::string& file) {
    if (fs::exists(file)) return file;
    if (const auto shipped = recipe::find_shipped(file); !shipped.empty()) return shipped;
    throw RecipeError(
        fmt::format("--with {0}: found no such file{1}, expected a recipe to put on top, such as `hearth data "
                    "recipe FILMS -o "
                    "my-data.toml` writes",
                    file, did_you_mean(file, names_beside(file))));
}

/// Mistakes that only the plugins know of: added to those of the recipe, so that all come at once.
std::string mistakes_of_components(const recipe::Loaded& loaded, const Globals& globals) {
    const auto& recipe = loaded.recipe;
    try {
        const auto registry = make_registry(globals, &recipe);
        if (loaded.whole) {
            for (const auto& stage : recipe::stages(recipe))
                static_cast<void>(plan::Plan::build(stage, registry));
            return "";
        }
        recipe::Diagnostics problems;
        for (const auto& [kind, path, spec] : plan::components_of(recipe)) try {
                recipe::bind_options(spec->options, registry.find(kind, spec->use).schema(), path, spec->origin,
                                     problems);
            } catch (const RecipeError& error) {
                problems.add(spec->origin, error.what());
            }
        problems.throw_if_any("the recipe's components do not resolve");
    } catch (const Error& error) {
        return std::string("\n") + error.what();
    }
    return "";
}

}  // namespace

void add_with(CLI::App& verb, std::vector<std::string>& with, const std::string& help) {
    verb.add_option("--with", with, help)->type_name("RECIPE")->allow_extra_args(false);
}

void check_overrides(const std::vector<std::string>& words, const std::string& after) {
    for (const auto& word : words)
        if (word.find('=') == std::string::npos)
            throw RecipeError(fmt::format(
                "found '{}' after the {}, expected key=value such as {}{}", word, after,
                after == "recipe" ? "train.epochs=3" : "eval.probe=linear",
                word == "auto" || word == "longer"
                    ? fmt::format("; --resume takes its word after an equals sign: --resume={}", word)
                    : ""));
}

std::vector<fs::path> find_fragments(const std::vector<std::string>& with) {
    std::vector<fs::path> out;
    for (const auto& file : with) out.push_back(find_fragment(file));
    return out;
}

void RecipeArguments::add_to(CLI::App& verb) {
    verb.add_option("recipe", file, "Recipe file, or the name of one in recipes/, such as base/phantom-tiny")
        ->required();
    verb.add_option("overrides", overrides,
                    "key=value, for example optimizer.lr=1e-4 or loss.restoration.weight=2");
    add_with(
        verb, with,
        "Put this recipe on top, such as my-data.toml of `hearth data recipe`; may be given several times");
}

recipe::Reading RecipeArguments::reading(const Globals& globals) const {
    check_overrides(overrides, "recipe");
    recipe::Reading out;
    out.with = find_fragments(with);
    out.overrides = overrides;
    if (globals.seed >= 0) out.overrides.push_back(fmt::format("train.seed={}", globals.seed));
    if (!globals.device.empty()) out.overrides.push_back(fmt::format("train.device=\"{}\"", globals.device));
    return out;
}

recipe::Recipe RecipeArguments::load(const Globals& globals, const Opens& opens) const {
    auto how = reading(globals);
    how.opens = opens;
    auto loaded = recipe::try_load(find_recipe(file), how);
    if (loaded.problems.empty()) return std::move(loaded.recipe);
    throw RecipeError(loaded.title() + "\n  " + join(loaded.problems.messages(), "\n  ") +
                      mistakes_of_components(loaded, globals));
}

recipe::Table RecipeArguments::load_tree(const Globals& globals) const {
    return recipe::load_tree(find_recipe(file), reading(globals));
}

void add_stage(CLI::App& verb, std::string& stage, const std::string& otherwise) {
    verb.add_option("--stage", stage, "Of a recipe with [[stage]]s, this one; without it " + otherwise);
}

recipe::Recipe stage_of(const recipe::Recipe& recipe, const std::string& stage) {
    const auto stages = recipe::stages(recipe);
    if (stage.empty()) return stages.front();
    std::vector<std::string> names;
    for (const auto& one : stages) {
        if (one.stage && one.stage->name == stage) return one;
        if (one.stage) names.push_back(one.stage->name);
    }
    throw RecipeError(fmt::format("--stage: found {}, expected one of {}{}", stage,
                                  names.empty() ? "none: the recipe has no [[stage]]" : join(names),
                                  did_you_mean(stage, names)));
}

std::string own_program() {
    std::error_code failed;
    const auto file = std::filesystem::read_symlink("/proc/self/exe", failed);
    return failed ? "/proc/self/exe" : file.string();
}

fs::path installed_share() {
    return recipe::installed_share();
}

void say_about(const host::Registry& registry, const std::string& bringer, const Globals& globals) {
    if (globals.quiet) return;
    for (const auto& warning : registry.warnings()) base::print_text("warning: " + warning);
    for (const auto& library : registry.libraries())
        if (library->origin == "recipe")
            base::print_text(fmt::format("note: {} brings plugin {} {} with it: {}", bringer,
                                         library->plugin->id, library->plugin->version,
                                         library->file.string()));
}

std::string say_device(const recipe::Recipe& recipe, bool quiet) {
    if (recipe.train.device != "auto") return "";
    const auto problem = host::cuda_problem();
    if (problem.empty()) return "";
    const auto text = fmt::format(
        "warning: train.device = \"auto\" takes the CPU: {}; write \"cpu\" where that is meant", problem);
    if (!quiet) base::print_text(text);
    return text;
}

host::Registry make_registry(const Globals& globals, const recipe::Recipe* recipe) {
    host::SearchRequest request;
    for (const auto& folder : globals.plugin_paths) request.from_command_line.emplace_back(folder);
    if (recipe == nullptr) return host::Registry::found(request);
    request.from_recipe = recipe->plugin_paths;
    const auto lock = runs::PluginsLock::read_beside(recipe->file);
    if (globals.locked && !lock)
        throw PluginError(
            fmt::format("found --locked and no {}, expected the plugins that may run in it; write it with "
                        "`hearth plugins lock {}`",
                        runs::PluginsLock::file_beside(recipe->file).string(), recipe->file.string()));
    if (lock) request.approve = lock->approve(globals.locked);
    auto registry = host::Registry::found(request);
    if (lock) lock->check(registry);
    say_about(registry, recipe->file.string(), globals);
    return registry;
}

}  // namespace hearth::cli
