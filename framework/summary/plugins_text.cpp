#include "summary/plugins_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host/identity.hpp"
#include "summary/plugin_page.hpp"
#include "summary/plugin_words.hpp"

namespace hearth::summary {
namespace {

using Types = std::vector<const host::ComponentType*>;

/// Components of that name. With `only_one`, several are an error: options are those of one.
Types matching(const host::Registry& registry, const std::string& name, bool only_one) {
    Types found;
    std::vector<std::string> names;
    for (const auto* type : registry.components()) {
        const std::string plugin = type->library().plugin->id;
        if (name == type->id() || name == full_name(*type) || name == plugin) found.push_back(type);
        names.insert(names.end(), {type->id(), full_name(*type), plugin});
    }
    if (found.empty())
        throw RecipeError(
            fmt::format("there is no plugin or component '{}'{}; `hearth plugins list` names them all", name,
                        did_you_mean(name, names)));
    if (only_one && found.size() > 1) {
        std::vector<std::string> several;
        for (const auto* type : found) several.push_back(full_name(*type));
        throw RecipeError(fmt::format("found several components '{}', expected one to go with options: {}",
                                      name, join(several)));
    }
    return found;
}

std::string option_text(const OptionSpec& option, const OptionValue& asked) {
    const auto fallback = option.needed ? "required" : "default " + to_string(option.fallback);
    const auto value = to_string(asked) == to_string(option.fallback) ? "" : ", here " + to_string(asked);
    auto text = fmt::format("    {:<20} {}, {}{}\n", option.name, to_string(option.type), fallback, value);
    for (const auto& line : {option.help, limits(option)})
        if (!line.empty()) text += fmt::format("    {:<20}   {}\n", "", line);
    return text;
}

std::string port_text(const Port& port) {
    const auto notes = join(port_notes(port));
    return fmt::format("    {:<20} [{}] {}{}{}\n    {:<20}   {}\n", port.name, to_string(port.shape),
                       port.dtype, notes.empty() ? "" : ", ", notes, "", port.help);
}

// Ports depend on the options, and some components have options without a default: the reason is shown instead.
template <class Call>
std::string ports_text(const char* title, Call&& ports) {
    std::string text = fmt::format("  {}\n", title);
    try {
        const Ports list = ports();
        for (const auto& port : list) text += port_text(port);
        if (list.empty()) text += "    nothing\n";
    } catch (const Error& error) {
        text += fmt::format("    not known with these options: {}\n", error.what());
    }
    return text;
}

std::string show_text(const host::ComponentType& type, const Asked& asked) {
    const auto& library = type.library();
    const auto& plugin = *library.plugin;
    std::string text = fmt::format("{}: {}\n", full_name(type), type.summary());
    const auto line = [&](const char* label, std::string_view value) {
        if (!value.empty()) text += fmt::format("  {:<8} {}\n", label, value);
    };
    line("plugin", fmt::format("{} {}", plugin.id, plugin.version));
    line("about", plugin.summary);
    line("paper", plugin.paper);
    line("license", plugin.license);
    line("url", plugin.url);
    line("file", fmt::format("{} ({})", library.file.string(), library.origin));
    line("sha256", library.sha256);
    for (const auto& shadowed : library.shadows) line("shadows", shadowed.string());

    text += "\n  options\n";
    for (const auto& option : type.schema().options())
        text += option_text(option, asked.options.all().at(option.name));
    if (type.schema().options().empty()) text += "    none\n";
    text += "\n" + ports_text("reads", [&] { return asked_reads(type, asked); });
    text += "\n" + ports_text("writes", [&] { return asked_writes(type, asked); });
    return text;
}

nlohmann::ordered_json value_json(const OptionValue& value) {
    return std::visit(
        [](const auto& v) -> nlohmann::ordered_json {
            if constexpr (std::is_same_v<std::decay_t<decltype(v)>, Schedule>) {
                if (v.shape == Schedule::Shape::constant && v.warmup == 0) return v.from;
                return v.describe();
            } else {
                return v;
            }
        },
        value);
}

nlohmann::ordered_json option_json(const OptionSpec& option, const OptionValue& asked) {
    nlohmann::ordered_json json = {
        {"name", option.name}, {"type", to_string(option.type)}, {"help", option.help}};
    if (!option.needed) json["default"] = value_json(option.fallback);
    json["required"] = option.needed;
    if (!option.needed || to_string(asked) != to_string(option.fallback)) json["value"] = value_json(asked);
    if (option.low && option.high) json["range"] = {*option.low, *option.high};
    if (!option.allowed.empty()) json["choices"] = option.allowed;
    if (option.length) json["length"] = *option.length;
    json["schedulable"] = option.may_schedule;
    json["path"] = option.names_file;
    return json;
}

template <class Call>
nlohmann::ordered_json ports_json(Call&& ports) {
    auto list = nlohmann::ordered_json::array();
    try {
        for (const Port& port : ports())
            list.push_back({{"name", port.name},
                            {"shape", to_string(port.shape)},
                            {"dtype", port.dtype},
                            {"optional", port.optional},
                            {"notes", port_notes(port)},
                            {"help", port.help}});
    } catch (const Error& error) {
        return {{"unknown", error.what()}};
    }
    return list;
}

nlohmann::ordered_json origin_json(const host::Library& library) {
    auto shadows = nlohmann::ordered_json::array();
    for (const auto& file : library.shadows) shadows.push_back(file.string());
    const auto& plugin = *library.plugin;
    return {{"id", plugin.id},
            {"version", plugin.version},
            {"summary", plugin.summary},
            {"paper", plugin.paper},
            {"license", plugin.license},
            {"url", plugin.url},
            {"file", library.file.string()},
            {"origin", library.origin},
            {"sha256", library.sha256},
            {"shadows", shadows}};
}

nlohmann::ordered_json show_json(const host::ComponentType& type, const Asked& asked) {
    auto options = nlohmann::ordered_json::array();
    for (const auto& option : type.schema().options())
        options.push_back(option_json(option, asked.options.all().at(option.name)));
    return {{"kind", to_string(type.kind())},
            {"id", type.id()},
            {"summary", type.summary()},
            {"plugin", origin_json(type.library())},
            {"options", options},
            {"reads", ports_json([&] { return asked_reads(type, asked); })},
            {"writes", ports_json([&] { return asked_writes(type, asked); })}};
}

}  // namespace

std::string plugins_list_text(const host::Registry& registry) {
    std::size_t widest = 0;
    for (const auto* type : registry.components()) widest = std::max(widest, type->id().size());
    std::string text;
    for (const auto* type : registry.components())
        text += fmt::format("{:<9} {:<{}}  {}\n", to_string(type->kind()), type->id(), widest, type->summary());
    if (text.empty()) text = "no plugins found\n";

    text += "\nlibraries\n";
    for (const auto& library : registry.libraries()) {
        text += fmt::format("  {} {}  {} ({})\n", library->plugin->id, library->plugin->version,
                            library->file.string(), library->origin);
        for (const auto& shadowed : library->shadows)
            text += fmt::format("    shadows {}\n", shadowed.string());
    }
    text += "\nsearched, in this order\n";
    for (const auto& entry : registry.searched())
        text += fmt::format("  {} ({}{})\n", entry.folder.string(), entry.origin,
                            std::filesystem::exists(entry.folder) ? "" : ", does not exist");
    return text;
}

nlohmann::ordered_json plugins_list_json(const host::Registry& registry) {
    auto plugins = nlohmann::ordered_json::array();
    for (const auto& library : registry.libraries()) {
        auto json = origin_json(*library);
        json["components"] = nlohmann::ordered_json::array();
        for (const auto* type : registry.components())
            if (&type->library() == library.get())
                json["components"].push_back(
                    {{"kind", to_string(type->kind())}, {"id", type->id()}, {"summary", type->summary()}});
        plugins.push_back(json);
    }
    auto searched = nlohmann::ordered_json::array();
    for (const auto& entry : registry.searched())
        searched.push_back({{"folder", entry.folder.string()}, {"origin", entry.origin}});
    return {{"plugins", plugins}, {"searched", searched}};
}

std::string plugins_show_text(const host::Registry& registry, const std::string& name,
                              const std::vector<std::string>& words) {
    std::string text;
    for (const auto* type : matching(registry, name, !words.empty()))
        text += (text.empty() ? "" : "\n") + show_text(*type, asked_of(*type, words));
    return text;
}

nlohmann::ordered_json plugins_show_json(const host::Registry& registry, const std::string& name,
                                         const std::vector<std::string>& words) {
    auto list = nlohmann::ordered_json::array();
    for (const auto* type : matching(registry, name, !words.empty()))
        list.push_back(show_json(*type, asked_of(*type, words)));
    return list;
}

std::string plugins_show_markdown(const host::Registry& registry, const std::string& name) {
    std::string text;
    for (const auto* type : matching(registry, name, /*only_one=*/false))
        text += (text.empty() ? "" : "\n") + plugin_page(*type, "");
    return text;
}

PluginCheck check_plugin(const std::filesystem::path& file) {
    return {file, host::host_identity(), host::check_file(file)};
}

std::string plugins_check_text(const PluginCheck& check) {
    if (!check.problem.empty()) return "refused\n" + check.problem + "\n";
    return fmt::format(
        "accepted\n{}: built like this Hearth ({}), and loads beside the plugins that are found\n",
        check.file.string(), check.expected);
}

nlohmann::ordered_json plugins_check_json(const PluginCheck& check) {
    return {{"file", check.file.string()},
            {"accepted", check.problem.empty()},
            {"expected_identity", check.expected},
            {"problem", check.problem}};
}

}  // namespace hearth::summary
