// Prints a plan for people: a table for the terminal, Mermaid and Graphviz for documents.
#include <fmt/format.h>

#include <algorithm>

#include "plan/followers.hpp"

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

/// Where a network's weights are: its backbone, which a pass need not be called like.
const Node* backbone_of(const Plan& plan, const std::string& network) {
    const Node* first = nullptr;
    for (const auto& node : plan.nodes()) {
        if (node.kind != Kind::backbone || node.network != network) continue;
        if (node.runs) return &node;
        if (first == nullptr) first = &node;
    }
    return first;
}

std::int64_t parameters(const Component& component) {
    std::int64_t count = 0;
    for (const auto& parameter : component.parameters()) count += parameter.numel();
    return count;
}

}  // namespace

std::vector<FollowerEdge> follower_edges(const Plan& plan) {
    std::vector<FollowerEdge> out;
    for (const auto& network : plan.networks()) {
        if (network.follows.empty()) continue;
        const auto *leader = backbone_of(plan, network.follows), *follower = backbone_of(plan, network.name);
        if (leader != nullptr && follower != nullptr) out.push_back({leader, follower});
    }
    return out;
}

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
    for (const auto& [leader, follower] : follower_edges(plan))
        out += fmt::format("  {} -.->|EMA| {}\n", quoted_id(leader->id), quoted_id(follower->id));
    return out;
}

std::string to_dot(const Plan& plan) {
    std::string out = "digraph plan {\n  rankdir=LR; node [shape=box];\n";
    for (const auto& node : plan.nodes())
        out +=
            fmt::format("  \"{}\" [label=\"{}\\n{} {}\"];\n", node.id, node.id, to_string(node.kind), node.use);
    for (const auto& edge : plan.edges())
        out += fmt::format("  \"{}\" -> \"{}\" [label=\"{}\"];\n", from(edge), edge.to->id, label(edge));
    for (const auto& [leader, follower] : follower_edges(plan))
        out += fmt::format("  \"{}\" -> \"{}\" [label=\"EMA\" style=dashed];\n", leader->id, follower->id);
    return out + "}\n";
}

}  // namespace hearth::plan
