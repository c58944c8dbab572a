#include "summary/plugin_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "base/atomic_file.hpp"
#include "base/folder.hpp"
#include "summary/plugin_words.hpp"

namespace hearth::summary {
namespace {

namespace fs = std::filesystem;

constexpr const char* made_by =
    "<!-- Written by `hearth plugins pages`. Edit the plugin's source instead. -->\n\n";

/// Text for a cell of a table.
std::string cell(std::string text) {
    for (auto at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2))
        text.insert(at, 1, '\\');
    return text;
}

std::string code(const std::string& text) {
    return text.empty() ? "" : "`" + cell(text) + "`";
}

/// A link where it is an address, else the text.
std::string link(const std::string& text) {
    return text.starts_with("http") ? "<" + text + ">" : text;
}

std::string options_table(const Schema& schema) {
    if (schema.options().empty()) return "None.\n";
    std::string text = "| option | type | default | limits | meaning |\n| --- | --- | --- | --- | --- |\n";
    for (const auto& option : schema.options())
        text += fmt::format("| {} | {} | {} | {} | {} |\n", code(option.name), to_string(option.type),
                            option.needed ? "required" : code(to_string(option.fallback)), cell(limits(option)),
                            cell(option.help));
    return text;
}

template <class Call>
std::string ports_table(Call&& ports) {
    Ports list;
    try {
        list = ports();
    } catch (const Error&) {
        return "They depend on options that have no default.\n";
    }
    if (list.empty()) return "Nothing.\n";
    std::string text = "| port | shape | type | notes | meaning |\n| --- | --- | --- | --- | --- |\n";
    for (const auto& port : list)
        text += fmt::format("| {} | {} | {} | {} | {} |\n", code(port.name), code(to_string(port.shape)),
                            port.dtype, cell(join(port_notes(port))), cell(port.help));
    return text;
}

/// The README.md in a folder of that name, anywhere below `sources`; empty where there is none.
fs::path notes_of(const std::string& plugin, const fs::path& sources) {
    if (sources.empty()) return {};
    for (const auto& entry : fs::recursive_directory_iterator(sources))
        if (entry.path().filename() == plugin && fs::exists(entry.path() / "README.md"))
            return entry.path() / "README.md";
    return {};
}

std::string index_page(const std::vector<const host::ComponentType*>& types) {
    std::string text = "# Components of plugins\n\n" + std::string(made_by) +
                       "| kind | component | what it does |\n| --- | --- | --- |\n";
    for (const auto* type : types)
        text += fmt::format("| {0} | [{1}]({0}/{1}.md) | {2} |\n", to_string(type->kind()), type->id(),
                            cell(type->summary()));
    return text;
}

}  // namespace

std::string plugin_page(const host::ComponentType& type, const std::string& notes) {
    const auto& plugin = *type.library().plugin;
    std::string text = fmt::format("# {} `{}`\n\n{}", to_string(type.kind()), type.id(), made_by);
    text += fmt::format("{}.\n", type.summary());
    const auto line = [&](const char* label, const std::string& value) {
        if (!value.empty()) text += fmt::format("- {}: {}\n", label, value);
    };
    text += '\n';
    line("Plugin", fmt::format("{} {}, {}", plugin.id, plugin.version, plugin.license));
    line("About", plugin.summary);
    line("Paper", link(plugin.paper));
    line("See", link(plugin.url));
    if (!notes.empty()) line("Notes, equations, choices", fmt::format("[README]({})", notes));

    const auto defaults = asked_of(type, {});
    text += "\n## Options\n\n" + options_table(type.schema());
    text += "\n## Reads\n\n" + ports_table([&] { return asked_reads(type, defaults); });
    text += "\n## Writes\n\n" + ports_table([&] { return asked_writes(type, defaults); });
    text += fmt::format(
        "\nPorts are those of the default options.\n`hearth plugins show {} OPTION=VALUE` shows others.\n",
        type.id());
    return text;
}

std::vector<PluginPage> plugin_pages(const host::Registry& registry, const fs::path& folder,
                                     const fs::path& sources) {
    auto types = registry.components();
    std::ranges::sort(types, {}, [](const auto* type) { return full_name(*type); });
    std::vector<PluginPage> pages = {{"README.md", index_page(types)}};
    for (const auto* type : types) {
        const auto path = full_name(*type) + ".md";
        const auto readme = notes_of(type->library().plugin->id, sources);
        const auto notes =
            readme.empty()
                ? ""
                : fs::absolute(readme)
                      .lexically_normal()
                      .lexically_proximate(fs::absolute(folder / path).lexically_normal().parent_path())
                      .generic_string();
        pages.push_back({path, plugin_page(*type, notes)});
    }
    return pages;
}

void write_pages(const std::vector<PluginPage>& pages, const fs::path& folder) {
    for (const auto& page : pages) {
        base::make_folder((folder / page.path).parent_path());
        base::write_atomically(folder / page.path, page.text);
    }
}

}  // namespace hearth::summary
