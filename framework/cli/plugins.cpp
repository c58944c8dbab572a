// hearth plugins says which plugins are there, what they can be told, and what a file would be refused for; it
// tests them, too.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "cli/cli.hpp"
#include "summary/plugins_text.hpp"

namespace hearth::cli {

void add_plugins(CLI::App& app, Globals& globals) {
    auto* verb =
        app.add_subcommand("plugins", "List plugins, show their options and ports, check and test a file");
    verb->require_subcommand(1);
    verb->footer("Examples:\n  hearth plugins list\n  hearth plugins show vit");

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

    auto name = std::make_shared<std::string>();
    auto* show =
        verb->add_subcommand("show", "Options with types, defaults and ranges; ports with shapes; paper; file");
    show->add_option("name", *name, "Component, such as vit")->required();
    show->footer("Examples:\n  hearth plugins show vit\n  hearth plugins show restoration --json");
    show->callback([name, &globals] {
        const auto registry = make_registry(globals);
        if (globals.json)
            base::print_json(summary::plugins_show_json(registry, *name), 2);
        else
            fmt::print("{}", summary::plugins_show_text(registry, *name));
    });

    auto file = std::make_shared<std::string>();
    auto* check =
        verb->add_subcommand("check", "Say what a file would be refused for, without running any of its code");
    check->add_option("file", *file, "Shared library")->required();
    check->footer(
        "Examples:\n  hearth plugins check build/lib/libhearth_head_mine.so\n  hearth plugins check mine.so "
        "--json");
    check->callback([file, &globals] {
        const auto checked = summary::check_plugin(*file);
        if (globals.json)
            base::print_json(summary::plugins_check_json(checked), 2);
        else if (checked.problem.empty())
            fmt::print("{}", summary::plugins_check_text(checked));
        if (!checked.problem.empty()) throw PluginError(checked.problem);
    });
    add_plugins_test(*verb, globals);
}

}  // namespace hearth::cli
