// hearth recipes says what recipes there are, and what one resolves to.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "cli/cli.hpp"
#include "recipe/shipped.hpp"
#include "summary/print_table.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

nlohmann::ordered_json to_json(const recipe::Value& value, bool origins);

nlohmann::ordered_json to_json(const recipe::Table& table, bool origins) {
    auto out = nlohmann::ordered_json::object();
    for (std::size_t i = 0; i < table.keys().size(); ++i) out[table.keys()[i]] = to_json(table.at(i), origins);
    return out;
}

// With `origins` a value that is no table and no list is {"value": ..., "origin": "file:line:column"}.
nlohmann::ordered_json to_json(const recipe::Value& value, bool origins) {
    if (value.is_table()) return to_json(value.table(), origins);
    nlohmann::ordered_json out;
    if (value.is_array()) {
        out = nlohmann::ordered_json::array();
        for (const auto& entry : value.array()) out.push_back(to_json(entry, origins));
        return out;
    }
    if (const auto* flag = std::get_if<bool>(&value.data)) out = *flag;
    if (const auto* integer = std::get_if<std::int64_t>(&value.data)) out = *integer;
    if (const auto* number = std::get_if<double>(&value.data)) out = *number;
    if (value.is_text()) out = value.text();
    if (!origins) return out;
    return {{"value", out}, {"origin", value.origin.text()}};
}

/// The folder that is listed, and in front of what it is named relative to: outside a checkout the installed
/// recipes, which every verb finds by their short names.
struct Listed {
    fs::path folder, below;
};

Listed find_folder(const std::string& asked) {
    if (fs::is_directory(asked)) return {asked, ""};
    const auto share = installed_share();
    if (const auto found = recipe::find_shipped_folder(asked); !found.empty())
        return {found, found.is_relative() ? fs::path() : share};
    throw RecipeError(
        fmt::format("{0}: found no such folder, nor {1}, expected one with recipes; run it in a checkout of "
                    "Hearth, or name a folder: hearth recipes list FOLDER",
                    asked, (share / asked).string()));
}

void list(const std::string& asked, const Globals& globals) {
    const bool json = globals.json;
    const auto [folder, below] = find_folder(asked);
    if (!below.empty() && !json && !globals.quiet)
        summary::print_line(fmt::format("in {}; every verb finds them by these names", below.string()), stderr);
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
        if (entry.path().extension() == ".toml") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    auto all = nlohmann::ordered_json::array();
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
        if (json)
            all.push_back({{"file", file.string()}, {"description", about}});
        else
            fmt::print("{:<44} {}\n", (below.empty() ? file : file.lexically_relative(below)).string(), about);
    }
    if (json) base::print_json(all, 2);
}

}  // namespace

void add_recipes(CLI::App& app, Globals& globals) {
    auto* verb =
        app.add_subcommand("recipes", "List recipes; show what one resolves to and where each value came from");
    verb->require_subcommand(1);
    verb->footer("Examples:\n  hearth recipes list\n  hearth recipes show recipe.toml --origin");
    auto folder = std::make_shared<std::string>("recipes");
    auto* all = verb->add_subcommand("list", "Recipes of a folder with their first line of description");
    all->add_option("folder", *folder,
                    "Folder; where it is not there, the shipped one of this name, such as ablation")
        ->capture_default_str();
    all->footer("Examples:\n  hearth recipes list\n  hearth recipes list my-recipes");
    all->callback([folder, &globals] { list(*folder, globals); });

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
        const auto tree = flags->arguments.load_tree(globals);
        if (globals.json)
            base::print_json(to_json(tree, flags->origin), 2);
        else
            fmt::print("{}", recipe::to_toml(tree, flags->origin));
    });
}

}  // namespace hearth::cli
