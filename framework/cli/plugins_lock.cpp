// hearth plugins lock writes down which plugins may run for the recipes of a folder.
#include <fmt/format.h>

#include "base/json_text.hpp"
#include "cli/plugins.hpp"
#include "plan/plan.hpp"
#include "runs/plugins_lock.hpp"

namespace hearth::cli {
namespace {

void lock(const RecipeArguments& arguments, const Globals& globals) {
    const auto recipe = arguments.load(globals, {});
    const auto registry =
        host::Registry::found({.from_command_line = {globals.plugin_paths.begin(), globals.plugin_paths.end()},
                               .from_recipe = recipe.plugin_paths});
    for (const auto& stage : recipe::stages(recipe)) static_cast<void>(plan::Plan::build(stage, registry));
    const auto file = runs::PluginsLock::file_beside(recipe.file);
    auto lock = runs::PluginsLock::read_beside(recipe.file).value_or(runs::PluginsLock(file));
    const auto used = plan::used_plugins(recipe, registry);
    lock.put(used);
    lock.write();
    if (globals.json) {
        auto ids = nlohmann::json::array();
        for (const auto& plugin : used) ids.push_back(plugin.library->plugin->id);
        base::print_json(nlohmann::json({{"lock", file.string()}, {"plugins", ids}}), 2);
        return;
    }
    for (const auto& plugin : used)
        fmt::print("{} {}  {}\n", plugin.library->plugin->id, plugin.library->plugin->version,
                   plugin.library->file.string());
    fmt::print("lock: {}\n", file.string());
}

}  // namespace

void add_plugins_lock(CLI::App& plugins, Globals& globals) {
    auto arguments = std::make_shared<RecipeArguments>();
    auto* verb = plugins.add_subcommand(
        "lock", "Write the plugins that a recipe uses, by hash, into plugins.lock beside it");
    arguments->add_to(*verb);
    verb->footer(
        "From then on a verb that reads the recipe refuses another file in place of one of them, before any of "
        "its\n"
        "code runs; with --locked it runs no plugin that the lock does not name. The lock is one of all "
        "recipes in\n"
        "the folder: run it for each of them.\n\n"
        "Examples:\n  hearth plugins lock recipe.toml\n  hearth plugins lock recipe.toml --plugin-path mine");
    verb->callback([arguments, &globals] { lock(*arguments, globals); });
}

}  // namespace hearth::cli
