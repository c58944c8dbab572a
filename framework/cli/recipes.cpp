// hearth recipes: what recipes there are, and what one resolves to.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/cli.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

void list(const std::string& folder) {
    if (!fs::is_directory(folder))
        throw RecipeError(fmt::format("{}: found no such folder, expected one with recipes", folder));
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
        if (entry.path().extension() == ".toml") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
        std::string about;
        try {
            const auto tree = recipe::load_tree(file);
            if (const auto* text = tree.find("description"); text != nullptr)
                if (const auto* line = std::get_if<std::string>(&text->data))
                    about = line->substr(0, line->find('\n'));
        } catch (const RecipeError&) {
            about = "(does not load; see `hearth recipes show`)";
        }
        fmt::print("{:<44} {}\n", file.string(), about);
    }
}

}  // namespace

void add_recipes(CLI::App& app, Globals& globals) {
    auto* verb =
        app.add_subcommand("recipes", "List recipes; show what one resolves to and where each value came from");
    verb->require_subcommand(1);
    auto folder = std::make_shared<std::string>("recipes");
    auto* all = verb->add_subcommand("list", "Recipes of a folder with their first line of description");
    all->add_option("folder", *folder, "Folder")->capture_default_str();
    all->footer("Examples:\n  hearth recipes list\n  hearth recipes list my-recipes");
    all->callback([folder] { list(*folder); });

    struct Show {
        RecipeArguments arguments;
        bool origin = false;
    };
    auto flags = std::make_shared<Show>();
    auto* show = verb->add_subcommand("show", "A recipe with extends, drops and overrides applied");
    flags->arguments.add_to(*show);
    show->add_flag("--origin", flags->origin, "Say for each value which file and line, or argument, set it");
    show->footer(
        "Examples:\n  hearth recipes show recipe.toml --origin\n  hearth recipes show "
        "recipe.toml train.epochs=3");
    show->callback([flags, &globals] {
        auto overrides = flags->arguments.overrides;
        if (globals.seed >= 0) overrides.push_back(fmt::format("train.seed={}", globals.seed));
        fmt::print("{}", recipe::to_toml(recipe::load_tree(flags->arguments.file, overrides), flags->origin));
    });
}

}  // namespace hearth::cli
