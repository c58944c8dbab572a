// hearth plugins says which plugins are there, what they can be told, and what a file would be refused for; it
// tests them, too.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "cli/plugins.hpp"
#include "summary/plugins_text.hpp"

namespace hearth::cli {

void add_plugins(CLI::App& app, Globals& globals) {
    auto* verb = app.add_subcommand(
        "plugins", "List plugins, show their options and ports, check and test a file, start one of your own");
    verb->require_subcommand(1);
    verb->footer(
        "Examples:\n  hearth plugins list\n  hearth plugins show vit size=tiny H=224 W=224\n"
        "  hearth plugins new loss my-loss\n  hearth plugins check "
        "build/lib/hearth/plugins/libhearth_loss_my-loss.so");

    auto* list =
        verb->add_subcommand("list", "Every component with the file it comes from and what that shadows");
    list->footer(
        "Examples:\n  hearth plugins list\n  hearth plugins list --plugin-path build/my-plugins --json");
    list->callback([&globals] {
        const auto registry = make_registry(globals);
        if (globals.json)
            base::print_json(summary::plugins_list_json(registry), 2);
        else
            fmt::print("{}", summary::plugins_list_text(registry));
    });

    struct Show {
        std::string name;
        std::vector<std::string> words;
        bool markdown = false;
    };
    auto asked = std::make_shared<Show>();
    auto* show =
        verb->add_subcommand("show", "Options with types, defaults and ranges; ports with shapes; paper; file");
    show->add_option("name", asked->name, "Component, such as vit")->required();
    auto* words = show->add_option("words", asked->words,
                                   "option=value, or SYMBOL=size of what it reads: the ports that these make");
    show->add_flag("--markdown", asked->markdown, "As a page of documentation")->excludes(words);
    show->footer(
        "Examples:\n  hearth plugins show vit\n  hearth plugins show vit size=tiny patch=8 H=64 W=64\n  hearth "
        "plugins "
        "show restoration --json");
    show->callback([asked, &globals] {
        const auto registry = make_registry(globals);
        if (globals.json && asked->markdown)
            throw RecipeError("found --json and --markdown, expected one of them");
        if (globals.json)
            base::print_json(summary::plugins_show_json(registry, asked->name, asked->words), 2);
        else if (asked->markdown)
            fmt::print("{}", summary::plugins_show_markdown(registry, asked->name));
        else
            fmt::print("{}", summary::plugins_show_text(registry, asked->name, asked->words));
    });

    add_plugins_check(*verb, globals);
    add_plugins_lock(*verb, globals);
    add_plugins_test(*verb, globals);
    add_plugins_pages(*verb, globals);
    add_plugins_new(*verb, globals);
}

}  // namespace hearth::cli
