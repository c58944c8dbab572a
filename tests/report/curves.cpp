// Precision-recall curves, embeddings, and charts as files.
#include <catch2/catch.hpp>

#include "report/svg.hpp"
#include "support.hpp"

using namespace hearth::report;
using Catch::Matchers::Contains;
using hearth_test::count;

namespace {

const ScatterChart three{.title = "t-SNE <of> films",
                         .groups = {{"a", {0, 1}, {0, 1}}, {"b", {2}, {0}}, {"c & d", {0}, {2}}},
                         .caption = "4 points",
                         .description = ""};

}  // namespace

TEST_CASE("a precision-recall curve goes in steps, with the share of positives as chance") {
    const auto svg = pr_chart({.title = "PR",
                               .curves = {{"model", {{9, 0, 1}, {0.8, 0.5, 1}, {0.3, 1, 0.5}}, 0.75}},
                               .prevalence = 0.25,
                               .description = ""});
    // The square is 250 wide from (40, 52): recall 0.5 is x = 165, precision 1 is y = 52 and 0.5 is y = 177.
    CHECK_THAT(svg, Contains("M40.0,52.0L165.0,52.0L165.0,177.0L290.0,177.0"));
    CHECK_THAT(svg, Contains("M40.0,239.5L290.0,239.5"));  // chance
    CHECK_THAT(svg, Contains("AP 0.75"));
}

TEST_CASE("every point of an embedding is drawn once, each group with its own colour and mark") {
    const auto svg = scatter_chart(three);
    CHECK(count(svg, "<circle") == 2 + 1);  // and one in the legend
    CHECK(count(svg, "<path") == 1 + 1);
    CHECK(count(svg, "<rect") == 1 + 1 + 1);  // and the frame
    CHECK_THAT(svg,
               Contains("t-SNE &lt;of&gt; films") && Contains("c &amp; d") && Contains("4 points in 3 groups"));
}

TEST_CASE("an embedding has one scale for both axes") {
    const auto svg = scatter_chart(
        {.title = "", .groups = {{"wide", {-10, 10}, {-1, 1}}}, .caption = "", .description = ""});
    // 20 units wide over 400 / 1.06 pixels: one unit is 18.87 pixels, so the points are 377.4 by 37.7 apart.
    CHECK_THAT(svg, Contains("cx=\"51.3\"") && Contains("cx=\"428.7\""));
    const auto height = [&](const std::string& from) {
        return std::stod(svg.substr(svg.find(from) + from.size()));
    };
    CHECK(height("cx=\"51.3\" cy=\"") - height("cx=\"428.7\" cy=\"") == Approx(37.7).margin(0.2));
}

TEST_CASE("of more groups than colours the largest are coloured, and the rest is grey below them") {
    ScatterChart many{.title = "many", .groups = {}, .caption = "", .description = ""};
    for (int g = 0; g < 12; ++g) many.groups.push_back({"group " + std::to_string(g), {0, 1}, {0, 1}});
    for (const std::size_t small : {1u, 4u, 7u}) many.groups[small].x = many.groups[small].y = {0.5};
    const auto svg = scatter_chart(many);
    CHECK_THAT(svg, Contains(">3 smaller ones, 3 points<") && Contains(">group 11<") && !Contains(">group 4<"));
    // One group of marks and one sample in the legend for each colour; the three that are grey come first.
    CHECK(count(svg, "style=\"fill:var(--line,") == 3 + 1);
    CHECK(count(svg, "style=\"fill:var(--series-0,") == 1 + 1);
    CHECK(svg.rfind("fill:var(--line,") < svg.find("<g opacity=\"0.75\" style=\"fill:var(--series-0,"));
    CHECK_THAT(svg, Contains("21 points in 12 groups") && Contains("group 4 1;"));
}

TEST_CASE("an embedding without points is an empty frame") {
    CHECK_THAT(scatter_chart({.title = "none", .groups = {}, .caption = "", .description = ""}),
               Contains("0 points in 0 groups") && !Contains("nan"));
}

TEST_CASE("a chart as a file has colours that any program reads, on white") {
    const auto file = standalone_svg(scatter_chart(three));
    CHECK(file.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg "));
    CHECK_THAT(file, !Contains("var(") && Contains("style=\"fill:#0072b2\"") && Contains("fill=\"#ffffff\""));
}
