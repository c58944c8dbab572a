// Draws a dataflow from left to right as inline SVG: boxes in columns by longest path, arrows that run
// between the boxes, after Sugiyama, Tagawa and Toda, Methods for Visual Understanding of Hierarchical System
// Structures.
#pragma once

#include <string>
#include <vector>

namespace hearth::report {

/// A box. `kind` colours it (source, augment, backbone, head or loss); `group` is the network it belongs to,
/// written under the label; `no_gradient` draws it with a dashed outline.
struct PlanNode {
    std::string id;
    std::string label;
    std::string kind;
    std::string group;
    bool no_gradient = false;
};

/// An arrow with a label and a shape at its head, such as "tokens" over "B L D". `follows` is not dataflow (an
/// EMA follower, say): it is dashed and has no say in the columns.
struct PlanEdge {
    std::string from;
    std::string to;
    std::string label;
    std::string shape;
    bool follows = false;
};

/// The part of a report that shows the plan.
struct Plan {
    std::string title;
    std::vector<PlanNode> nodes;
    std::vector<PlanEdge> edges;
};

/// Edges that close a circle are drawn as `follows`. An edge to an unknown node throws hearth::Error.
std::string plan_picture(const std::vector<PlanNode>& nodes, const std::vector<PlanEdge>& edges);

}  // namespace hearth::report
