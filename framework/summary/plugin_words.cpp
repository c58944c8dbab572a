#include "summary/plugin_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <hearth/text.hpp>

#include "recipe/option_words.hpp"
#include "recipe/recipe.hpp"

namespace hearth::summary {
namespace {

/// Symbols of shapes, each once: B, C, H, W.
std::vector<std::string> symbols_of(const Ports& ports) {
    std::vector<std::string> out;
    for (const auto& port : ports)
        for (const auto& dim : port.shape)
            if (!dim.known() && std::ranges::find(out, dim.text()) == out.end()) out.push_back(dim.text());
    return out;
}

/// Takes sizes out of `table`, which has options besides.
Symbols take_sizes(recipe::Table& table, const std::vector<std::string>& names, recipe::Diagnostics& problems) {
    Symbols out;
    for (const auto& name : names) {
        const auto* value = table.find(name);
        if (value == nullptr) continue;
        const auto* size = std::get_if<std::int64_t>(&value->data);
        if (size == nullptr || *size < 1)
            problems.add(value->origin, fmt::format("{}: found {}, expected a size, a number from 1 on", name,
                                                    value->to_toml()));
        else
            out.bind(name, Dim(*size));
        table.erase(name);
    }
    return out;
}

}  // namespace

std::string full_name(const host::ComponentType& type) {
    return to_string(type.kind()) + "/" + type.id();
}

std::string limits(const OptionSpec& option) {
    std::vector<std::string> parts;
    if (option.low && option.high) parts.push_back(fmt::format("between {} and {}", *option.low, *option.high));
    if (option.special) parts.push_back(fmt::format("or \"{}\"", option.special->first));
    if (!option.allowed.empty()) parts.push_back("one of " + join(option.allowed));
    if (option.length) parts.push_back(fmt::format("exactly {} entries", *option.length));
    if (option.may_schedule) parts.emplace_back("may be a schedule");
    if (option.names_file) parts.emplace_back("a path, relative to the recipe's file");
    return join(parts, "; ");
}

std::vector<std::string> port_notes(const Port& port) {
    std::vector<std::string> out;
    if (port.optional) out.emplace_back("optional");
    if (port.with_gradient) out.emplace_back("differentiated by");
    if (port.is_detached) out.emplace_back("no gradient goes through");
    if (port.only_for_fit) out.emplace_back("only for a fit");
    return out;
}

Asked asked_of(const host::ComponentType& type, const std::vector<std::string>& words) {
    recipe::Diagnostics problems;
    auto table = recipe::table_of_words(words, problems);
    recipe::Table options, others;
    for (std::size_t i = 0; i < table.keys().size(); ++i)
        (type.schema().find(table.keys()[i]) != nullptr ? options : others).set(table.keys()[i], table.at(i));
    Asked out;
    recipe::Diagnostics of_options;  // what is required may be missing here: the ports then say so
    out.options = recipe::bind_options(options, type.schema(), type.id(), {}, of_options);
    for (const auto& mistake : of_options.mistakes())
        if (mistake.where.is_argument()) problems.add(mistake.where, mistake.what);
    problems.throw_if_any(full_name(type) + " does not take this");
    if (others.empty()) return out;

    const auto symbols = symbols_of(type.reads(out.options));
    out.symbols = take_sizes(others, symbols, problems);
    auto names = type.schema().names();
    for (std::size_t i = 0; i < others.keys().size(); ++i)
        problems.add(others.at(i).origin,
                     fmt::format("found '{}', expected an option ({}) or a size of what it reads ({}){}",
                                 others.keys()[i], names.empty() ? "there are none" : join(names),
                                 symbols.empty() ? "there is none" : join(symbols),
                                 did_you_mean(others.keys()[i], names)));
    problems.throw_if_any(full_name(type) + " does not take this");
    return out;
}

Ports asked_reads(const host::ComponentType& type, const Asked& asked) {
    auto ports = type.reads(asked.options);
    for (auto& port : ports) port.shape = asked.symbols.resolve(port.shape);
    return ports;
}

Ports asked_writes(const host::ComponentType& type, const Asked& asked) {
    return type.writes(asked.options, asked.symbols);
}

}  // namespace hearth::summary
