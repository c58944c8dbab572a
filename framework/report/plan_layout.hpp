// Says where the boxes and arrows of a plan go; nothing is drawn here.
#pragma once

#include <cstddef>
#include <vector>

#include "report/plan_picture.hpp"

namespace hearth::report {

/// A box, or (with `node` = no_node) the place where a long arrow crosses a column. `y` is the middle.
struct Cell {
    std::size_t node;
    std::size_t column;
    double height;
    double y = 0;
    std::vector<std::size_t> before = {};  ///< cells of the column to the left that it is joined to
    std::vector<std::size_t> after = {};
};
inline constexpr std::size_t no_node = static_cast<std::size_t>(-1);

/// An arrow's cells from its first box to its last.
struct Route {
    std::size_t edge;
    std::vector<std::size_t> cells;
};

struct PlanLayout {
    std::vector<Cell> cells;  ///< the first nodes.size() of them are the nodes, in order
    std::vector<std::vector<std::size_t>> columns;
    std::vector<Route> routes;            ///< dataflow
    std::vector<std::size_t> side_edges;  ///< `follows` and edges that close a circle
    double height = 0;
};

/// `heights` holds the height of each node's box.
PlanLayout lay_out(const std::vector<PlanNode>& nodes, const std::vector<PlanEdge>& edges,
                   const std::vector<double>& heights);

/// The index of the node with this id, or an Error.
std::size_t find_node(const std::vector<PlanNode>& nodes, const std::string& id);

}  // namespace hearth::report
