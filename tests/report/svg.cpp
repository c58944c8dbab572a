// Charts hold the points they were given, and nothing that was not drawn.
#include "report/svg.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>

#include "report/axis.hpp"
#include "support.hpp"

using namespace hearth::report;
using hearth_test::count;

namespace {

const double missing = std::numeric_limits<double>::quiet_NaN();

std::string path_of(const std::string& svg) {
    const auto start = svg.find("<path d=\"");
    return start == std::string::npos ? "" : svg.substr(start + 9, svg.find('"', start + 9) - start - 9);
}

Chart one_line(std::vector<double> y) {
    Chart chart;
    chart.title = "Loss";
    Series series{"total", {}, std::move(y)};
    for (std::size_t i = 0; i < series.y.size(); ++i) series.x.push_back(static_cast<double>(i));
    chart.series = {series};
    return chart;
}

}  // namespace

TEST_CASE("a line has one path command for each point") {
    const auto path = path_of(line_chart(one_line({3, 2, 1.5, 1.2})));
    CHECK(count(path, "M") == 1);
    CHECK(count(path, "L") == 3);
}

TEST_CASE("a point that is not finite is a gap, and a lonely point a dot") {
    const auto svg = line_chart(one_line({3, 2, missing, 5, std::numeric_limits<double>::infinity(), 1, 1}));
    CHECK(count(path_of(svg), "M") == 3);
    CHECK(count(path_of(svg), "L") == 2);
    CHECK(count(svg, "<circle") == 1);
    CHECK(count(svg, "nan") == 0);
    CHECK(count(svg, "inf") == 0);
}

TEST_CASE("a logarithmic axis leaves out what it cannot show") {
    auto chart = one_line({1, 0, 0.01, -1, 0.001});
    chart.log_y = true;
    const auto svg = line_chart(chart);
    CHECK(count(path_of(svg), "M") == 3);
    CHECK(count(svg, "nan") == 0);
}

TEST_CASE("a chart without finite values says so") {
    for (const auto& svg :
         {line_chart(one_line({missing, missing})), line_chart(one_line({})), line_chart(Chart{})}) {
        CHECK(count(svg, "no finite values") == 1);
        CHECK(count(svg, ">nan<") == 0);
    }
}

TEST_CASE("smoothing draws a second line and starts at the first value") {
    auto chart = one_line({4, 4, 4});
    chart.smoothing = 0.9;
    const auto svg = line_chart(chart);
    CHECK(count(svg, "<path") == 2);
    const auto first = path_of(svg);
    CHECK(count(svg, first) == 2);  // the average of a constant is the constant
}

TEST_CASE("a long line is thinned but keeps its spike") {
    std::vector<double> y(20000, 1);
    y[7777] = 100;
    const auto path = path_of(line_chart(one_line(y)));
    CHECK(count(path, "L") < 600);
    const auto short_path = path_of(line_chart(one_line({1, 100})));  // the same axis
    const auto peak = short_path.substr(short_path.rfind(','));
    CHECK(count(path, peak + "L") == 1);
}

TEST_CASE("a legend appears with the second series, and names are escaped") {
    auto chart = one_line({1, 2});
    chart.series[0].name = "<script>alert(1)</script>";
    chart.series.push_back(chart.series[0]);
    const auto svg = line_chart(chart);
    CHECK(count(svg, "<script") == 0);
    CHECK(count(svg, "&lt;script&gt;") >= 2);
    CHECK(count(svg, "role=\"img\" aria-label=\"Loss\"") == 1);
    CHECK(count(svg, "<desc>Line chart.") == 1);
}

TEST_CASE("bars have error bars where there is an interval, and a missing value has no bar") {
    BarChart chart;
    chart.title = "AUC";
    chart.baseline = 0.5;
    chart.bars = {{"a", 0.9, 0.88, 0.92, true}, {"b", 0.8, missing, missing}, {"c", missing, missing, missing}};
    const auto svg = bar_chart(chart);
    CHECK(count(svg, "<rect") == 2);
    CHECK(count(svg, "0.900 [0.880, 0.920]") >= 1);
    CHECK(count(svg, ">missing<") == 1);
    CHECK(count(svg, "nan") == 0);
}

TEST_CASE("a bar below its baseline has a positive width") {
    BarChart chart;
    chart.bars = {{"loss", -2, missing, missing}};
    CHECK(count(bar_chart(chart), "width=\"-") == 0);
}

TEST_CASE("a ROC chart draws the curves that exist and the line of chance") {
    RocChart chart;
    chart.title = "ROC";
    const std::vector<double> scores{0.1, 0.4, 0.35, 0.8};
    const std::vector<int> labels{0, 0, 1, 1};
    chart.curves = {{"a", hearth::eval::roc_points(scores, labels), 0.75}, {"empty", {}, missing}};
    const auto svg = roc_chart(chart);
    CHECK(count(svg, "<path") == 2);
    CHECK(count(svg, ">AUC 0.75<") == 1);
    CHECK(count(svg, ">AUC –<") == 1);
}

TEST_CASE("ticks are round numbers inside the axis") {
    CHECK(linear_axis(0.13, 0.98, 5, true).ticks.front() == 0);
    CHECK(linear_axis(0, 1, 5, false).ticks.size() == 6);
    const auto steps = linear_axis(0, 60000, 5, false);
    CHECK(steps.label(steps.ticks[1]) == "10k");
    const auto rates = linear_axis(0, 1.5e-4, 5, true);
    CHECK(rates.label(rates.ticks[2]) == "1e-4");
    CHECK(rates.label(rates.ticks[3]) == "1.5e-4");
    const auto constant = linear_axis(3, 3, 5, true);
    CHECK(constant.low < 3);
    CHECK(constant.high > 3);
    const auto decades = log_axis(0.004, 30);
    CHECK(decades.low <= 0.004);
    CHECK(decades.high >= 30);
    CHECK(decades.ticks == std::vector<double>{0.01, 0.1, 1, 10});
    CHECK(log_axis(1.5, 9).ticks == std::vector<double>{1, 2, 5, 10});
}
