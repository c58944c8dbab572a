// The plan picture: columns follow the dataflow, boxes never overlap, and circles do not hang it.
#include <catch2/catch.hpp>
#include <cmath>

#include "hearth/error.hpp"
#include "report/plan_layout.hpp"
#include "report/plan_picture.hpp"
#include "support.hpp"

using namespace hearth::report;
using hearth_test::count;

namespace {

const std::vector<PlanNode> nodes{{"data", "data", "source", ""},
                                  {"student", "vit", "backbone", "student"},
                                  {"teacher", "vit", "backbone", "teacher", true},
                                  {"head", "projector", "head", "student"},
                                  {"loss", "<loss>", "loss", ""}};
const std::vector<PlanEdge> edges{
    {"data", "student", "image", "B 1 H W"}, {"data", "teacher", "image", "B 1 H W"},
    {"student", "head", "tokens", "B L D"},  {"head", "loss", "queries", "B L 256"},
    {"teacher", "loss", "keys", "B L 256"},  {"student", "teacher", "EMA", "", true}};

}  // namespace

TEST_CASE("every dataflow edge points right, by the longest path") {
    const auto layout = lay_out(nodes, edges, std::vector<double>(nodes.size(), 44));
    for (const auto& edge : edges) {
        if (edge.follows) continue;
        CHECK(layout.cells[find_node(nodes, edge.from)].column <
              layout.cells[find_node(nodes, edge.to)].column);
    }
    CHECK(layout.cells[4].column == 3);
    CHECK(layout.cells[1].column == layout.cells[2].column);  // a follower beside the one it follows
}

TEST_CASE("a source used late stands beside its first use") {
    const std::vector<PlanNode> chain{
        {"a", "a", "", ""}, {"b", "b", "", ""}, {"c", "c", "", ""}, {"late", "", "", ""}};
    const auto layout = lay_out(chain, {{"a", "b", "", ""}, {"b", "c", "", ""}, {"late", "c", "", ""}},
                                std::vector<double>(4, 44));
    CHECK(layout.cells[3].column == 1);
}

TEST_CASE("boxes and crossings of a column never overlap") {
    std::vector<PlanNode> many;
    std::vector<PlanEdge> links;
    for (int i = 0; i < 24; ++i) {
        many.push_back({std::to_string(i), "node", "head", ""});
        for (int k = i + 1; k < 24; k += 1 + (i * 7 + k) % 9) {
            if ((k - i) % 3 == 1) links.push_back({std::to_string(i), std::to_string(k), "x", "B D"});
        }
    }
    const auto layout = lay_out(many, links, std::vector<double>(many.size(), 50));
    for (const auto& column : layout.columns) {
        for (std::size_t i = 1; i < column.size(); ++i) {
            const auto& upper = layout.cells[column[i - 1]];
            const auto& lower = layout.cells[column[i]];
            CHECK(lower.y - upper.y >= (upper.height + lower.height) / 2);
        }
    }
}

TEST_CASE("the picture has a box for each node and an arrow for each edge") {
    const auto svg = plan_picture(nodes, edges);
    CHECK(count(svg, "class=\"node\"") == 5);
    CHECK(count(svg, "class=\"edge\"") == 5);
    CHECK(count(svg, "class=\"follows\"") == 1);
    CHECK(count(svg, ">B L 256<") == 2);
    CHECK(count(svg, "<loss>") == 0);
    CHECK(count(svg, "nan") == 0);
}

TEST_CASE("circles are drawn instead of hanging, and unknown nodes are refused") {
    const std::vector<PlanNode> pair{{"a", "a", "", ""}, {"b", "b", "", ""}};
    const auto svg = plan_picture(pair, {{"a", "b", "", ""}, {"b", "a", "", ""}, {"a", "a", "", ""}});
    CHECK(count(svg, "class=\"edge\"") == 1);
    CHECK(count(svg, "class=\"follows\"") == 2);
    CHECK(count(plan_picture(pair, {{"a", "b", "", "", true}, {"b", "a", "", "", true}}),
                "class=\"follows\"") == 2);
    CHECK_THROWS_WITH(plan_picture(pair, {{"a", "c", "", ""}}), Catch::Contains("node 'c'"));
    CHECK(plan_picture({}, {}).empty());
}
