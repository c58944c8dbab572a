// hearth plugins pages writes the reference page of every component.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "cli/plugins.hpp"
#include "summary/plugin_page.hpp"

namespace hearth::cli {

void add_plugins_pages(CLI::App& plugins, Globals& globals) {
    struct Folders {
        std::string out, sources;
    };
    auto folders = std::make_shared<Folders>();
    auto* verb = plugins.add_subcommand(
        "pages", "Write a reference page of every component, as Markdown: DIR/KIND/ID.md and an index");
    verb->add_option("dir", folders->out, "Folder; pages that it has are written anew")->required();
    verb->add_option(
            "--sources", folders->sources,
            "Folder of plugins' sources: a page links to the README.md in the folder called like its plugin")
        ->check(CLI::ExistingDirectory);
    verb->footer(
        "Examples:\n  hearth plugins pages docs/plugins --sources plugins\n  hearth plugins pages docs "
        "--plugin-path "
        "build/lib/hearth/plugins");
    verb->callback([folders, &globals] {
        const auto pages = summary::plugin_pages(make_registry(globals), folders->out, folders->sources);
        summary::write_pages(pages, folders->out);
        nlohmann::ordered_json told = {{"folder", folders->out}, {"pages", nlohmann::ordered_json::array()}};
        for (const auto& page : pages) told["pages"].push_back(page.path);
        if (globals.json)
            base::print_json(told, 2);
        else if (!globals.quiet)
            fmt::print("{} pages in {}\n", pages.size(), folders->out);
    });
}

}  // namespace hearth::cli
