// Prints a plan for people: a table for the terminal, Mermaid and Graphviz for documents.
#include <fmt/format.h>

#include <algorithm>

#include "plan/plan.hpp"

namespace hearth::plan {
namespace {

std::string quoted_id(const std::string& text) {
    std::string out;
    for (const char c : text) out += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return out;
}

/// A source of the data is a node of its own.
std::string from(const Edge& edge) {
    return edge.from == nullptr ? "data." + edge.wire->name : edge.from->id;
}

std::string label(const Edge& edge) {
    return edge.wire->name + " " + to_string(edge.wire->shape);
}

// A follower and its leader, as the nodes of their backbones; a pass need not be called like its network.
std::vector<std::pair<std::string, std::string>> followers(const Plan& plan) {
    const auto backbone = [&](const std::string& network) -> std::string {
        for (const auto& node : plan.nodes())
            if (node.kind == Kind::backbone && node.network == network) return node.id;
        return "";
    };
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& network : plan.networks())
        if (!network.follows.empty() && !backbone(network.name).empty() && !backbone(network.follows).empty())
            out.emplace_back(backbone(network.follows), backbone(network.name));
    return out;
}

std::int64_t parameters(const Component& component) {
    std::int64_t count = 0;
    for (const auto& parameter : component.parameters()) count += parameter.numel();
    return count;
}

}  // namespace

std::string to_text(const Plan& plan) {
    std::string out;
    for (const auto& node : plan.nodes()) {
        const auto count = node.component ? parameters(*node.component) : 0;
        out += fmt::format("{:<28} {} {}{}{}\n", node.id, to_string(node.kind), node.use,
                           count > 0 ? fmt::format("  {:.2f} M parameters{}", static_cast<double>(count) / 1e6,
                                                   node.trained ? "" : ", no gradient")
                                     : "",
                           node.on_device ? "  (on the device)"
                           : node.runs    ? ""
                                          : "  (not run)");
        for (const auto& wire : node.reads)
            if (!wire.name.empty())
                out += fmt::format("    <- {:<16} {:<26} {}\n", wire.port, wire.name, to_string(wire.shape));
        for (const auto& wire : node.writes)
            // What a component writes only where it is asked to is no part of a plan that does not ask.
            if (!wire.optional || node.kind == Kind::augment || node.wanted.count(wire.port) != 0)
                out += fmt::format("    -> {:<16} {:<26} {}\n", wire.port, wire.name, to_string(wire.shape));
    }
    for (const auto& network : plan.networks())
        if (!network.follows.empty())
            out += fmt::format("{} follows {}, momentum {}, {}\n", network.name, network.follows,
                               network.momentum.describe(),
                               network.after_step ? "after each step" : "before each forward");
    for (const auto& warning : plan.warnings()) out += "warning: " + warning + "\n";
    return out;
}

std::string to_mermaid(const Plan& plan) {
    std::string out = "flowchart LR\n";
    std::vector<std::string> seen;
    for (const auto& edge : plan.edges()) {
        if (edge.from != nullptr || std::ranges::find(seen, from(edge)) != seen.end()) continue;
        seen.push_back(from(edge));
        out += fmt::format("  {}([\"{}\"])\n", quoted_id(seen.back()), seen.back());
    }
    for (const auto& node : plan.nodes())
        out += fmt::format("  {}[\"{}<br/>{} {}\"]\n", quoted_id(node.id), node.id, to_string(node.kind),
                           node.use);
    for (const auto& edge : plan.edges())
        out += fmt::format("  {} -->|\"{}\"| {}\n", quoted_id(from(edge)), label(edge), quoted_id(edge.to->id));
    for (const auto& [leader, follower] : followers(plan))
        out += fmt::format("  {} -.->|EMA| {}\n", quoted_id(leader), quoted_id(follower));
    return out;
}

std::string to_dot(const Plan& plan) {
    std::string out = "digraph plan {\n  rankdir=LR; node [shape=box];\n";
    for (const auto& node : plan.nodes())
        out +=
            fmt::format("  \"{}\" [label=\"{}\\n{} {}\"];\n", node.id, node.id, to_string(node.kind), node.use);
    for (const auto& edge : plan.edges())
        out += fmt::format("  \"{}\" -> \"{}\" [label=\"{}\"];\n", from(edge), edge.to->id, label(edge));
    for (const auto& [leader, follower] : followers(plan))
        out += fmt::format("  \"{}\" -> \"{}\" [label=\"EMA\" style=dashed];\n", leader, follower);
    return out + "}\n";
}

}  // namespace hearth::plan
