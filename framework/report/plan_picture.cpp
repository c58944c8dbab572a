// Draws the layout of plan_layout.cpp.
#include "report/plan_picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "report/canvas.hpp"
#include "report/markup.hpp"
#include "report/plan_layout.hpp"

namespace hearth::report {
namespace {

constexpr double margin = 12;
constexpr double bend = 36;       // room for a curve between two columns
constexpr double pitch_one = 17;  // between arrows that meet a box: room for a label
constexpr double pitch_two = 31;  // room for a label above the arrow and a shape below
constexpr double label_size = 10.5;
constexpr std::size_t longest_label = 30;

struct ColumnBox {
    double left = 0;
    double width = 0;
    double label_zone = 14;  // left of the boxes: straight lines with the labels of the arrows that arrive
};

std::string kind_colour(const std::string& kind) {
    static const std::map<std::string, std::size_t> colours{
        {"backbone", 0}, {"loss", 1}, {"head", 2}, {"augment", 4}};
    const auto found = colours.find(kind);
    return found == colours.end() ? std::string(ink::muted) : ink::series(found->second);
}

std::string sub_label(const PlanNode& node) {
    if (node.group.empty()) return node.kind;
    return node.kind.empty() ? node.group : node.kind + " · " + node.group;
}

class PlanDrawing {
  public:
    PlanDrawing(const std::vector<PlanNode>& nodes, const std::vector<PlanEdge>& edges);
    std::string finish() const;

  private:
    void place_columns();
    void place_ports();
    void draw_route(const Route& route);
    void draw_side_edge(const PlanEdge& edge);
    void draw_box(const PlanNode& node, const Cell& cell);
    void arrow_head(double x, double y, const char* direction);
    void edge_label(double x, double y, const std::string& label, std::string_view anchor);
    double left(const Cell& cell) const { return columns_[cell.column].left; }
    double right(const Cell& cell) const { return left(cell) + columns_[cell.column].width; }
    double middle(const Cell& cell) const { return margin + cell.y; }

    const std::vector<PlanNode>& nodes_;
    const std::vector<PlanEdge>& edges_;
    PlanLayout layout_;
    std::vector<ColumnBox> columns_;
    std::vector<double> leaves_, arrives_;  // by edge: the y where its arrow starts and ends
    Canvas canvas_{0, 0};
    double width_ = 0;
};

/// The distance between the arrows that arrive at a node.
double pitch_of(const std::string& id, const std::vector<PlanEdge>& edges) {
    const auto is_two = [&](const PlanEdge& e) {
        return e.to == id && !e.follows && !e.shape.empty() && !e.label.empty();
    };
    return std::ranges::any_of(edges, is_two) ? pitch_two : pitch_one;
}

std::vector<double> box_heights(const std::vector<PlanNode>& nodes, const std::vector<PlanEdge>& edges) {
    std::vector<double> heights;
    for (const auto& node : nodes) {
        const auto inputs =
            std::ranges::count_if(edges, [&](const auto& e) { return e.to == node.id && !e.follows; });
        heights.push_back(std::max(44.0, pitch_of(node.id, edges) * static_cast<double>(inputs) + 8));
    }
    return heights;
}

PlanDrawing::PlanDrawing(const std::vector<PlanNode>& nodes, const std::vector<PlanEdge>& edges)
    : nodes_(nodes), edges_(edges), layout_(lay_out(nodes, edges, box_heights(nodes, edges))) {
    place_columns();
    place_ports();
    for (const auto& route : layout_.routes) draw_route(route);
    for (std::size_t node = 0; node < nodes.size(); ++node) draw_box(nodes[node], layout_.cells[node]);
    for (const auto edge : layout_.side_edges) draw_side_edge(edges[edge]);
    for (const auto& route : layout_.routes) {  // last, so that no line runs over a label
        const auto& target = layout_.cells[route.cells.back()];
        const auto& edge = edges[route.edge];
        const double x = left(target) - 9, y = arrives_[route.edge];
        edge_label(x, y - 4, edge.label.empty() ? edge.shape : edge.label, "end");
        if (!edge.label.empty()) edge_label(x, y + 12, edge.shape, "end");
    }
    canvas_.resize(width_, layout_.height + 2 * margin);
}

void PlanDrawing::place_columns() {
    columns_.resize(layout_.columns.size());
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
        auto& column = columns_[layout_.cells[node].column];
        const double text = std::max(text_width(shorten(nodes_[node].label, longest_label), 14.5),
                                     text_width(shorten(sub_label(nodes_[node]), longest_label + 6), 11));
        column.width = std::max({column.width, text + 30, 84.0});
    }
    for (const auto& route : layout_.routes) {
        auto& column = columns_[layout_.cells[route.cells.back()].column];
        const auto& edge = edges_[route.edge];
        const double text = std::max(text_width(edge.label, label_size), text_width(edge.shape, label_size));
        column.label_zone = std::max(column.label_zone, text + 18);
    }
    double x = margin;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (i > 0) x += bend + columns_[i].label_zone;
        columns_[i].left = x;
        x += columns_[i].width;
    }
    width_ = x + margin;
}

/// Arrows meet a box in the order of the places they come from and go to, so that they do not cross beside it.
/// Arrows that leave with the same label leave together.
void PlanDrawing::place_ports() {
    leaves_.resize(edges_.size());
    arrives_.resize(edges_.size());
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
        std::vector<std::pair<double, std::size_t>> incoming;
        std::map<std::string, std::vector<const Route*>> outgoing;
        for (const auto& route : layout_.routes) {
            if (route.cells.back() == node) {
                incoming.emplace_back(layout_.cells[route.cells[route.cells.size() - 2]].y, route.edge);
            }
            if (route.cells.front() == node) outgoing[edges_[route.edge].label].push_back(&route);
        }
        std::ranges::sort(incoming);
        const double y = middle(layout_.cells[node]);
        const auto offset = [](std::size_t i, std::size_t count, double pitch) {
            return (static_cast<double>(i) - static_cast<double>(count - 1) / 2) * pitch;
        };
        for (std::size_t i = 0; i < incoming.size(); ++i) {
            arrives_[incoming[i].second] = y + offset(i, incoming.size(), pitch_of(nodes_[node].id, edges_));
        }
        std::vector<std::pair<double, const std::vector<const Route*>*>> bundles;
        for (const auto& [label, routes] : outgoing) {
            double sum = 0;
            for (const auto* route : routes) sum += layout_.cells[route->cells[1]].y;
            bundles.emplace_back(sum / static_cast<double>(routes.size()), &routes);
        }
        std::ranges::sort(bundles);
        const double pitch =
            std::min(pitch_one, (layout_.cells[node].height - 12) / static_cast<double>(bundles.size()));
        for (std::size_t i = 0; i < bundles.size(); ++i) {
            for (const auto* route : *bundles[i].second)
                leaves_[route->edge] = y + offset(i, bundles.size(), pitch);
        }
    }
}

void PlanDrawing::draw_route(const Route& route) {
    double x = right(layout_.cells[route.cells.front()]), y = leaves_[route.edge];
    std::string path = fmt::format("M{:.1f},{:.1f}", x, y);
    for (std::size_t i = 1; i < route.cells.size(); ++i) {
        const auto& cell = layout_.cells[route.cells[i]];
        const bool last = i + 1 == route.cells.size();
        const double next_x = left(cell) - columns_[cell.column].label_zone;
        const double next_y = last ? arrives_[route.edge] : middle(cell);
        const double half = (next_x - x) / 2;
        path += fmt::format("C{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}", x + half, y, next_x - half, next_y,
                            next_x, next_y);
        x = last ? left(cell) - 6 : right(cell);
        y = next_y;
        path += fmt::format("L{:.1f},{:.1f}", x, y);
    }
    canvas_.add(
        fmt::format("<path class=\"edge\" d=\"{}\" fill=\"none\" stroke-width=\"1.4\" style=\"stroke:{}\"/>",
                    path, "var(--edge,#8b949e)"));
    arrow_head(x + 6, y, "l-7,-3.8v7.6z");
}

void PlanDrawing::draw_side_edge(const PlanEdge& edge) {
    const auto& from = layout_.cells[find_node(nodes_, edge.from)];
    const auto& to = layout_.cells[find_node(nodes_, edge.to)];
    const bool down = to.y >= from.y;
    const double x1 = (left(from) + right(from)) / 2, x2 = (left(to) + right(to)) / 2;
    const double y1 = middle(from) + (down ? 1 : -1) * from.height / 2;
    const double y2 = middle(to) - (down ? 1 : -1) * (to.height / 2 + 6);
    canvas_.add(fmt::format(
        "<path class=\"follows\" d=\"M{:.1f},{:.1f}C{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}\" fill=\"none\" "
        "stroke-width=\"1.4\" stroke-dasharray=\"4 3\" style=\"stroke:{}\"/>",
        x1, y1, x1, (y1 + y2) / 2, x2, (y1 + y2) / 2, x2, y2, ink::muted));
    arrow_head(x2, y2 + (down ? 6 : -6), down ? "l-3.8,-7h7.6z" : "l-3.8,7h7.6z");
    edge_label((x1 + x2) / 2 + 7, (y1 + y2) / 2 + 4, edge.label, "start");
}

void PlanDrawing::arrow_head(double x, double y, const char* direction) {
    canvas_.add(
        fmt::format("<path d=\"M{:.1f},{:.1f}{}\" style=\"fill:var(--edge,#8b949e)\"/>", x, y, direction));
}

void PlanDrawing::edge_label(double x, double y, const std::string& label, std::string_view anchor) {
    if (label.empty()) return;
    canvas_.add(fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" text-anchor=\"{}\" paint-order=\"stroke\" "
        "stroke-width=\"3\" stroke-linejoin=\"round\" style=\"fill:{};stroke:{}\">{}</text>",
        x, y, label_size, anchor, ink::muted, ink::surface, escape(label)));
}

void PlanDrawing::draw_box(const PlanNode& node, const Cell& cell) {
    const double x = left(cell), y = middle(cell) - cell.height / 2, width = columns_[cell.column].width;
    const auto colour = kind_colour(node.kind);
    canvas_.add(
        fmt::format("<g class=\"node\"><title>{}</title><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
                    "height=\"{:.1f}\" rx=\"6\" "
                    "stroke-width=\"1.4\"{} style=\"fill:{};stroke:{}\"/>",
                    escape(node.label + " (" + sub_label(node) + ")"), x, y, width, cell.height,
                    node.no_gradient ? " stroke-dasharray=\"5 3\"" : "", ink::surface, colour));
    canvas_.add(fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"4\" height=\"{:.1f}\" rx=\"2\" style=\"fill:{}\"/></g>", x + 5,
        y + 6, cell.height - 12, colour));
    const bool two_lines = !sub_label(node).empty();
    canvas_.text(x + 17, middle(cell) + (two_lines ? -2 : 5), shorten(node.label, longest_label),
                 {.size = 13, .weight = 600});
    canvas_.text(x + 17, middle(cell) + 14, shorten(sub_label(node), longest_label + 6),
                 {.size = 11, .fill = ink::muted});
}

std::string PlanDrawing::finish() const {
    std::string description = fmt::format("Dataflow of {} components.", nodes_.size());
    for (const auto& edge : edges_) {
        description +=
            fmt::format(" {} to {}{}{}.", edge.from, edge.to, edge.label.empty() ? "" : ": ", edge.label);
    }
    // At its own size: a wide plan is scrolled, because a plan made to fit a telephone could not be read.
    return canvas_.finish("Plan", description, fmt::format("display:block;height:auto;width:{:.0f}px", width_));
}

}  // namespace

std::string plan_picture(const std::vector<PlanNode>& nodes, const std::vector<PlanEdge>& edges) {
    if (nodes.empty()) return "";
    return PlanDrawing(nodes, edges).finish();
}

}  // namespace hearth::report
