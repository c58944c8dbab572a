// Finds columns by longest path, their order by barycentres, and heights by pulling each box towards its
// neighbours.
#include "report/plan_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "hearth/error.hpp"

namespace hearth::report {
namespace {

constexpr double vertical_gap = 20;
constexpr double crossing_height = 16;

struct Link {
    std::size_t edge, from, to;
};

/// The edges that can be drawn left to right; the others are appended to `side_edges`.
std::vector<Link> forward_links(const std::vector<PlanNode>& nodes, const std::vector<PlanEdge>& edges,
                                std::vector<std::size_t>& side_edges) {
    std::vector<std::vector<Link>> out(nodes.size());
    for (std::size_t e = 0; e < edges.size(); ++e) {
        const Link link{e, find_node(nodes, edges[e].from), find_node(nodes, edges[e].to)};
        if (edges[e].follows || link.from == link.to) {
            side_edges.push_back(e);
        } else {
            out[link.from].push_back(link);
        }
    }
    enum class Seen { no, open, done };
    std::vector<Seen> seen(nodes.size(), Seen::no);
    std::vector<Link> links;
    const std::function<void(std::size_t)> visit = [&](std::size_t node) {
        seen[node] = Seen::open;
        for (const auto& link : out[node]) {
            if (seen[link.to] == Seen::open) {
                side_edges.push_back(link.edge);
                continue;
            }
            links.push_back(link);
            if (seen[link.to] == Seen::no) visit(link.to);
        }
        seen[node] = Seen::done;
    };
    for (std::size_t node = 0; node < nodes.size(); ++node) {
        if (seen[node] == Seen::no) visit(node);
    }
    std::ranges::sort(links, {}, &Link::edge);
    return links;
}

bool reaches(std::size_t from, std::size_t to, const std::vector<Link>& links) {
    if (from == to) return true;
    return std::ranges::any_of(
        links, [&](const Link& link) { return link.from == from && reaches(link.to, to, links); });
}

std::vector<std::size_t> longest_paths(std::size_t nodes, const std::vector<Link>& links,
                                       const std::vector<Link>& followers) {
    std::vector<std::size_t> column(nodes, 0);
    const auto push = [&](std::size_t node, std::size_t least) {
        const bool moves = column[node] < least;
        if (moves) column[node] = least;
        return moves;
    };
    bool moved = true;
    for (std::size_t pass = 0; moved && pass < 2 * nodes;
         ++pass) {  // bounded: followers may ask for the impossible
        moved = false;
        for (const auto& link : followers) moved |= push(link.to, column[link.from]);
        for (const auto& link : links) moved |= push(link.to, column[link.from] + 1);
    }
    // A source used only later stands beside its first use rather than far left.
    for (std::size_t node = 0; node < nodes; ++node) {
        std::size_t nearest = no_node;
        bool fed = false;
        for (const auto& link : links) {
            if (link.from == node) nearest = std::min(nearest, column[link.to]);
            fed = fed || link.to == node;
        }
        if (!fed && nearest != no_node) column[node] = nearest - 1;
    }
    return column;
}

void join(PlanLayout& layout, std::size_t left, std::size_t right) {
    layout.cells[left].after.push_back(right);
    layout.cells[right].before.push_back(left);
}

double mean_of(const std::vector<std::size_t>& neighbours, const std::function<double(std::size_t)>& value,
               double otherwise) {
    if (neighbours.empty()) return otherwise;
    double sum = 0;
    for (const auto cell : neighbours) sum += value(cell);
    return sum / static_cast<double>(neighbours.size());
}

/// Sorts every column by the mean place of its neighbours, sweeping right and left.
void order_columns(PlanLayout& layout) {
    std::vector<double> place(layout.cells.size());
    const auto renumber = [&](const std::vector<std::size_t>& column) {
        for (std::size_t i = 0; i < column.size(); ++i) place[column[i]] = static_cast<double>(i);
    };
    std::ranges::for_each(layout.columns, renumber);
    for (int sweep = 0; sweep < 8; ++sweep) {
        const bool rightward = sweep % 2 == 0;
        for (std::size_t i = 0; i < layout.columns.size(); ++i) {
            auto& column = layout.columns[rightward ? i : layout.columns.size() - 1 - i];
            std::vector<double> key(layout.cells.size());
            for (const auto cell : column) {
                const auto& neighbours = rightward ? layout.cells[cell].before : layout.cells[cell].after;
                key[cell] = mean_of(
                    neighbours, [&](std::size_t n) { return place[n]; }, place[cell]);
            }
            std::ranges::stable_sort(column, {}, [&](std::size_t cell) { return key[cell]; });
            renumber(column);
        }
    }
}

double distance(const Cell& upper, const Cell& lower) {
    return (upper.height + lower.height) / 2 + vertical_gap;
}

/// Gives the cells of a column the heights they wish for, as far as their order and distances allow: runs of
/// cells that would overlap move as one block to their mean wish.
void settle(PlanLayout& layout, const std::vector<std::size_t>& column, const std::vector<double>& wish) {
    struct Block {
        std::size_t first, count;
        double weight;
        double sum;   // of wishes, each less its offset in the block
        double span;  // from the first cell to the last
        double top() const { return sum / weight; }
    };
    std::vector<Block> blocks;
    for (std::size_t i = 0; i < column.size(); ++i) {
        const double weight = layout.cells[column[i]].node == no_node ? 4 : 1;  // long arrows stay straight
        blocks.push_back({i, 1, weight, weight * wish[i], 0});
        while (blocks.size() > 1) {
            auto& last = blocks.back();
            auto& previous = blocks[blocks.size() - 2];
            const double gap = distance(layout.cells[column[last.first - 1]], layout.cells[column[last.first]]);
            if (previous.top() + previous.span + gap <= last.top()) break;
            const double offset = previous.span + gap;
            previous.sum += last.sum - offset * last.weight;
            previous.weight += last.weight;
            previous.count += last.count;
            previous.span = offset + last.span;
            blocks.pop_back();
        }
    }
    for (const auto& block : blocks) {
        double y = block.top();
        for (std::size_t i = block.first; i < block.first + block.count; ++i) {
            if (i > block.first) y += distance(layout.cells[column[i - 1]], layout.cells[column[i]]);
            layout.cells[column[i]].y = y;
        }
    }
}

void place_cells(PlanLayout& layout) {
    for (const auto& column : layout.columns) settle(layout, column, std::vector<double>(column.size(), 0));
    for (int sweep = 0; sweep < 24; ++sweep) {
        for (std::size_t i = 0; i < layout.columns.size(); ++i) {
            const auto& column = layout.columns[sweep % 2 == 0 ? i : layout.columns.size() - 1 - i];
            std::vector<double> wish;
            for (const auto index : column) {
                const auto& cell = layout.cells[index];
                auto neighbours = cell.before;
                neighbours.insert(neighbours.end(), cell.after.begin(), cell.after.end());
                wish.push_back(mean_of(
                    neighbours, [&](std::size_t n) { return layout.cells[n].y; }, cell.y));
            }
            settle(layout, column, wish);
        }
    }
    double top = 0, bottom = 0;
    for (const auto& cell : layout.cells) {
        top = std::min(top, cell.y - cell.height / 2);
        bottom = std::max(bottom, cell.y + cell.height / 2);
    }
    for (auto& cell : layout.cells) cell.y -= top;
    layout.height = bottom - top;
}

}  // namespace

std::size_t find_node(const std::vector<PlanNode>& nodes, const std::string& id) {
    const auto found = std::ranges::find(nodes, id, &PlanNode::id);
    if (found == nodes.end()) {
        throw Error(ExitCode::internal,
                    fmt::format("plan picture: an edge names node '{}', which is not among the {} nodes", id,
                                nodes.size()));
    }
    return static_cast<std::size_t>(found - nodes.begin());
}

PlanLayout lay_out(const std::vector<PlanNode>& nodes, const std::vector<PlanEdge>& edges,
                   const std::vector<double>& heights) {
    PlanLayout layout;
    const auto links = forward_links(nodes, edges, layout.side_edges);
    std::vector<Link> followers;  // stand in the column of the one they follow, or right of it
    for (const auto edge : layout.side_edges) {
        const Link link{edge, find_node(nodes, edges[edge].from), find_node(nodes, edges[edge].to)};
        if (edges[edge].follows && !reaches(link.to, link.from, links)) followers.push_back(link);
    }
    const auto columns = longest_paths(nodes.size(), links, followers);
    for (std::size_t node = 0; node < nodes.size(); ++node)
        layout.cells.push_back({node, columns[node], heights[node]});
    for (const auto& link : links) {
        Route route{link.edge, {link.from}};
        for (std::size_t column = columns[link.from] + 1; column < columns[link.to]; ++column) {
            layout.cells.push_back({no_node, column, crossing_height});
            join(layout, route.cells.back(), layout.cells.size() - 1);
            route.cells.push_back(layout.cells.size() - 1);
        }
        join(layout, route.cells.back(), link.to);
        route.cells.push_back(link.to);
        layout.routes.push_back(std::move(route));
    }
    for (std::size_t cell = 0; cell < layout.cells.size(); ++cell) {
        const std::size_t column = layout.cells[cell].column;
        if (layout.columns.size() <= column) layout.columns.resize(column + 1);
        layout.columns[column].push_back(cell);
    }
    order_columns(layout);
    place_cells(layout);
    return layout;
}

}  // namespace hearth::report
