#include "host/descriptor.hpp"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "host/declarations.hpp"

namespace hearth::host {
namespace {

constexpr const char* rebuild = "; rebuild the plugin against the SDK of this Hearth (docs/plugins.md)";

bool blank(const char* text) {
    return text == nullptr || *text == '\0';
}

std::string differs(const char* what, std::uint32_t found, std::size_t expected) {
    if (found == expected) return "";
    return fmt::format("{}: found {}, expected {}{}", what, found, expected, rebuild);
}

// Of everything that crosses the boundary by value or is derived from.
std::string check_sizes(const HearthPlugin& plugin) {
    struct Size {
        const char* what;
        std::uint32_t found;
        std::size_t expected;
    };
    for (const auto& size : {Size{"size of Component", plugin.component_size, sizeof(Component)},
                             {"size of Options", plugin.options_size, sizeof(Options)},
                             {"size of OptionSpec", plugin.option_size, sizeof(OptionSpec)},
                             {"size of Schema", plugin.schema_size, sizeof(Schema)},
                             {"size of Port", plugin.port_size, sizeof(Port)},
                             {"size of Context", plugin.context_size, sizeof(Context)},
                             {"size of Tensors", plugin.tensors_size, sizeof(Tensors)},
                             {"size of LossOutput", plugin.loss_output_size, sizeof(LossOutput)},
                             {"size of Schedule", plugin.schedule_size, sizeof(Schedule)},
                             {"size of Random", plugin.random_size, sizeof(Random)}})
        if (auto problem = differs(size.what, size.found, size.expected); !problem.empty()) return problem;
    return "";
}

// struct_size, api_major and api_minor never move: they may be read even when the rest does not fit.
std::string check_layout(const HearthPlugin& plugin) {
    auto problem = differs("API major version", plugin.api_major, HEARTH_API_MAJOR);
    if (problem.empty()) problem = differs("size of HearthPlugin", plugin.struct_size, sizeof(HearthPlugin));
    if (problem.empty() && plugin.api_minor > HEARTH_API_MINOR)
        problem = fmt::format(
            "API version: found {}.{}, expected at most {}.{}; update Hearth, or build the plugin "
            "against this Hearth's SDK",
            plugin.api_major, plugin.api_minor, HEARTH_API_MAJOR, HEARTH_API_MINOR);
    if (problem.empty())
        problem = differs("alignment of Component", plugin.component_align, alignof(Component));
    if (problem.empty()) problem = check_sizes(plugin);
    return problem;
}

std::string check_texts(const HearthPlugin& plugin) {
    if (blank(plugin.id)) return "the plugin has no id, expected PluginInfo{.id = \"...\"}";
    if (blank(plugin.version)) return "the plugin has no version, expected PluginInfo{.version = \"...\"}";
    if (const auto problem = check_name(plugin.id); !problem.empty()) return "id of the plugin: " + problem;
    for (const char* text : {plugin.version, plugin.summary, plugin.license, plugin.url, plugin.paper}) {
        if (text == nullptr) return "a text of PluginInfo is a null pointer, expected at least \"\"";
        if (const auto problem = check_text(text); !problem.empty()) return "a text of PluginInfo: " + problem;
    }
    return "";
}

std::string check_component(const HearthComponent& component) {
    if (component.kind < Kind::augment || component.kind > Kind::loss)
        return fmt::format("has kind {}, expected augment, backbone, head or loss",
                           static_cast<int>(component.kind));
    if (blank(component.id) || component.summary == nullptr) return "has no id or no summary, expected both";
    if (const auto problem = check_name(component.id); !problem.empty()) return "has an id: " + problem;
    if (const auto problem = check_text(component.summary); !problem.empty())
        return "has a summary: " + problem;
    if (component.schema == nullptr || component.reads == nullptr || component.writes == nullptr ||
        component.create == nullptr)
        return "has a null function, expected schema, reads, writes and create";
    return "";
}

std::string check_table(const HearthPlugin& plugin) {
    if (plugin.components == nullptr || plugin.component_count == 0)
        return "the plugin offers no component, expected at least one";
    std::set<std::pair<Kind, std::string>> seen;
    for (std::uint32_t i = 0; i < plugin.component_count; ++i) {
        const auto& component = plugin.components[i];
        if (const auto problem = check_component(component); !problem.empty())
            return fmt::format("entry {} of the component table {}", i, problem);
        if (!seen.emplace(component.kind, component.id).second)
            return fmt::format("the component table has {} '{}' twice, expected it once",
                               to_string(component.kind), component.id);
    }
    return "";
}

}  // namespace

std::string check_descriptor(const HearthPlugin* plugin) {
    if (plugin == nullptr) return "hearth_plugin() returned a null pointer, expected a descriptor";
    auto problem = check_layout(*plugin);
    if (problem.empty()) problem = check_texts(*plugin);
    if (problem.empty()) problem = check_table(*plugin);
    return problem;
}

}  // namespace hearth::host
