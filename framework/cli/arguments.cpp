#include <fmt/format.h>

#include <filesystem>
#include <hearth/error.hpp>
#include <hearth/text.hpp>

#include "cli/cli.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

// Recipes are found as given, or below the installed share/hearth.
fs::path find_recipe(const std::string& file) {
    if (fs::exists(file)) return file;
    std::error_code ignored;
    const auto binary = fs::read_symlink("/proc/self/exe", ignored);
    const auto installed = binary.parent_path().parent_path() / "share/hearth" / file;
    if (fs::exists(installed)) return installed;
    std::vector<std::string> candidates;
    const auto folder = fs::path(file).has_parent_path() ? fs::path(file).parent_path() : fs::path(".");
    if (fs::is_directory(folder))
        for (const auto& entry : fs::directory_iterator(folder))
            if (entry.path().extension() == ".toml")
                candidates.push_back((fs::path(file).parent_path() / entry.path().filename()).string());
    throw RecipeError(fmt::format("{}: found no such recipe{}; `hearth recipes list` shows those at hand", file,
                                  did_you_mean(file, candidates)));
}

}  // namespace

void RecipeArguments::add_to(CLI::App& verb) {
    verb.add_option("recipe", file, "Recipe file")->required();
    verb.add_option("overrides", overrides,
                    "key=value, for example optimizer.lr=1e-4 or loss.restoration.weight=2");
}

std::vector<std::string> RecipeArguments::all_overrides(const Globals& globals) const {
    auto all = overrides;
    for (const auto& word : all)
        if (word.find('=') == std::string::npos)
            throw RecipeError(
                fmt::format("found '{}' after the recipe, expected key=value such as train.epochs=3", word));
    if (globals.seed >= 0) all.push_back(fmt::format("train.seed={}", globals.seed));
    if (!globals.device.empty()) all.push_back(fmt::format("train.device=\"{}\"", globals.device));
    return all;
}

recipe::Recipe RecipeArguments::load(const Globals& globals) const {
    const auto all = all_overrides(globals);
    return recipe::load(find_recipe(file), all);
}

recipe::Table RecipeArguments::load_tree(const Globals& globals) const {
    const auto all = all_overrides(globals);
    return recipe::load_tree(find_recipe(file), all);
}

std::string own_program() {
    std::error_code failed;
    const auto file = std::filesystem::read_symlink("/proc/self/exe", failed);
    return failed ? "/proc/self/exe" : file.string();
}

host::Registry make_registry(const Globals& globals, const recipe::Recipe* recipe) {
    host::SearchRequest request;
    for (const auto& folder : globals.plugin_paths) request.from_command_line.emplace_back(folder);
    if (recipe != nullptr) request.from_recipe = recipe->plugin_paths;
    host::Registry registry;
    registry.scan(host::search_path(request));
    return registry;
}

}  // namespace hearth::cli
