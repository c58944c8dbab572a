// Prints a plan for people: a table for the terminal, Mermaid and Graphviz for documents.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

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

/// What a wire is besides: cut, differentiated, for a fit alone.
std::string remark(const Wire& wire) {
    return wire.only_for_fit    ? "  (for its fit)"
           : wire.with_gradient ? "  (differentiated)"
           : wire.detached      ? "  (no gradient)"
                                : "";
}

/// " [critic, generator]": the phases in which a node runs, in brackets where it takes what an earlier one
/// computed; "" where a step has but one.
std::string phases_of(const Plan& plan, std::size_t node) {
    if (plan.phases().size() == 1) return "";
    std::vector<std::string> names;
    for (const auto& phase : plan.phases()) {
        const auto& use = phase.uses[node];
        if (use.runs) names.push_back(use.reused ? "(" + phase.name + ")" : phase.name);
    }
    return names.empty() ? "" : "  [" + join(names) + "]";
}

/// "phase critic trains critic, 5 updates a step: critic-real, critic-fake"
std::string phase_text(const Plan& plan, const Phase& phase) {
    std::vector<std::string> losses;
    for (const auto& node : plan.nodes())
        if (node.kind == Kind::loss && std::ranges::find(phase.losses, node.loss_index) != phase.losses.end())
            losses.push_back(node.id);
    return fmt::format("phase {} trains {}{}{}: {}\n", phase.name, join(phase.trains),
                       phase.repeat > 1 ? fmt::format(", {} updates a step", phase.repeat) : "",
                       phase.every > 1 ? fmt::format(", every {} steps", phase.every) : "", join(losses));
}

/// Neither in steps nor for anything else.
bool is_idle(const Node& node) {
    return !node.runs && !node.fits && !node.serves;
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
    // With phases most of what does not run here belongs to another stage.
    const bool several = !plan.phases().front().name.empty();
    std::vector<std::string> idle;
    std::string out;
    for (std::size_t i = 0; i < plan.nodes().size(); ++i) {
        const auto& node = plan.nodes()[i];
        if (several && is_idle(node)) {
            idle.push_back(node.id);
            continue;
        }
        const auto count = node.component ? parameters(*node.component) : 0;
        out += fmt::format("{:<28} {} {}{}{}{}\n", node.id, to_string(node.kind), node.use,
                           count > 0 ? fmt::format("  {:.2f} M parameters{}", static_cast<double>(count) / 1e6,
                                                   node.trained ? "" : ", no gradient")
                                     : "",
                           node.on_device ? "  (on the device)"
                           : node.runs    ? ""
                           : node.fits    ? "  (fits to the training set)"
                           : node.serves  ? "  (for a fit or a score)"
                                          : "  (not run)",
                           phases_of(plan, i));
        for (const auto& wire : node.reads)
            if (!wire.name.empty())
                out += fmt::format("    <- {:<16} {:<26} {}{}\n", wire.port, wire.name, to_string(wire.shape),
                                   remark(wire));
        for (const auto& wire : node.writes)
            // What a component writes only where it is asked to is no part of a plan that does not ask.
            if (!wire.optional || node.kind == Kind::augment || node.wanted.count(wire.port) != 0)
                out += fmt::format("    -> {:<16} {:<26} {}\n", wire.port, wire.name, to_string(wire.shape));
    }
    for (const auto& phase : plan.phases())
        if (!phase.name.empty()) out += phase_text(plan, phase);
    if (!idle.empty()) out += "not run here: " + join(idle) + "\n";
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
    const auto is_shown = [&](const Node* node) {
        return node == nullptr || plan.phases().front().name.empty() || !is_idle(*node);
    };
    std::vector<std::string> seen;
    for (const auto& edge : plan.edges()) {
        if (edge.from != nullptr || !is_shown(edge.to) || std::ranges::find(seen, from(edge)) != seen.end())
            continue;
        seen.push_back(from(edge));
        out += fmt::format("  {}([\"{}\"])\n", quoted_id(seen.back()), seen.back());
    }
    for (std::size_t i = 0; i < plan.nodes().size(); ++i) {
        const auto& node = plan.nodes()[i];
        if (!is_shown(&node)) continue;
        const auto phases = phases_of(plan, i);
        out += fmt::format("  {}[\"{}<br/>{} {}{}\"]\n", quoted_id(node.id), node.id, to_string(node.kind),
                           node.use, phases.empty() ? "" : "<br/>" + phases.substr(2));
    }
    for (const auto& edge : plan.edges())
        if (is_shown(edge.from) && is_shown(edge.to))
            out += fmt::format("  {} {}|\"{}\"| {}\n", quoted_id(from(edge)),
                               edge.wire->detached || edge.wire->only_for_fit ? "-.->" : "-->", label(edge),
                               quoted_id(edge.to->id));
    for (const auto& [leader, follower] : follower_edges(plan))
        if (is_shown(leader) && is_shown(follower))
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
