// The page and its images: self-contained, harmless whatever the text, and the right pixels.
#include "report/page.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <opencv2/imgcodecs.hpp>
#include <regex>

#include "hearth/error.hpp"
#include "support.hpp"

using namespace hearth::report;
using hearth_test::count;

namespace {

const std::string evil = "</pre><script>alert(\"1\")</script>&'";

Report full_report() {
    Report report;
    report.title = evil;
    report.subtitle = evil;
    report.facts = {{evil, evil}};
    report.warnings = {evil};
    report.highlights = {{evil, evil, evil}};
    report.footer = evil;
    Table table;
    table.title = table.caption = evil;
    table.headers = {"name", "value"};
    table.rows = {{evil, "1"}, {"short"}};
    table.align = {Align::left, Align::right};
    table.emphasis = {{0, 1}};
    Chart chart;
    chart.title = chart.x_label = evil;
    chart.series = {{evil, {0, 1}, {1, 2}}};
    BarChart bars;
    bars.title = evil;
    bars.bars = {{evil, 1, 0, 2}};
    FigureGrid figure;
    figure.title = figure.caption = figure.heat_scale = evil;
    figure.columns = {evil, "b"};
    figure.rows = {{evil, {cv::Mat(4, 6, CV_8UC1, cv::Scalar(7)), cv::Mat()}}};
    Plan plan{evil, {{"a", evil, evil, evil}, {"b", "b", "", ""}}, {{"a", "b", evil, evil}}};
    report.sections = {
        {evil, evil, {table, chart, bars, plan, figure, Pre{evil, evil, true}, Note{evil, true}}},
        {"Second", "", {chart, Note{"between", false}, chart}}};
    return report;
}

std::vector<std::uint8_t> decoded(const std::string& base64) {
    const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::vector<std::uint8_t> bytes;
    std::uint32_t word = 0, bits = 0;
    for (const char c : base64) {
        if (c == '=') break;
        word = (word << 6) | static_cast<std::uint32_t>(digits.find(c));
        bits += 6;
        if (bits >= 8) bytes.push_back(static_cast<std::uint8_t>(word >> (bits -= 8)));
    }
    return bytes;
}

cv::Mat read_back(const std::string& uri) {
    const std::string prefix = "data:image/png;base64,";
    REQUIRE(uri.starts_with(prefix));
    return cv::imdecode(decoded(uri.substr(prefix.size())), cv::IMREAD_UNCHANGED);
}

}  // namespace

TEST_CASE("no text becomes markup") {
    const auto html = render(full_report());
    CHECK(count(html, "<script") == 0);
    CHECK(count(html, "</script") == 0);
    CHECK(count(html, "alert(\"1\")") == 0);
    CHECK(count(html, "<pre>") == 1);
    CHECK(count(html, "</pre>") == 1);
}

TEST_CASE("the page asks the network for nothing") {
    const auto html = render(full_report());
    const std::regex link("(src|href)=\"([^\"]{0,12})");
    for (std::sregex_iterator it(html.begin(), html.end(), link), end; it != end; ++it) {
        const auto target = (*it)[2].str();
        INFO(target);
        CHECK((target.starts_with("data:") || target.starts_with("#s")));
    }
    CHECK(count(html, "url(") == 0);
    CHECK(count(html, "@import") == 0);
    CHECK(count(html, "default-src 'none'") == 1);
}

TEST_CASE("elements are closed, and charts that follow each other share a row") {
    const auto html = render(full_report());
    for (const std::string tag :
         {"div", "section", "figure", "table", "svg", "details", "header", "main", "nav", "dl", "g"}) {
        INFO(tag);
        CHECK(count(html, "<" + tag + ">") + count(html, "<" + tag + " ") == count(html, "</" + tag + ">"));
    }
    CHECK(count(html, "<div class=\"charts\">") == 3);
    CHECK(count(html, "<svg") == 5);
}

TEST_CASE("an empty report is still a page") {
    const auto html = render(Report{});
    CHECK(html.starts_with("<!doctype html>"));
    CHECK(html.ends_with("</html>\n"));
}

TEST_CASE("a table pads short rows and aligns numbers") {
    Table table;
    table.headers = {"a", "b"};
    table.rows = {{"1"}, {"2", "3"}};
    table.align = {Align::left, Align::right};
    table.emphasis = {{1, 1}};
    const auto html = html_table(table);
    CHECK(count(html, "<td") == 4);
    CHECK(count(html, "class=\"right\"") == 3);
    CHECK(count(html, "<td class=\"right\"><strong>3</strong></td>") == 1);
}

TEST_CASE("images keep their pixels") {
    for (int size = 1; size < 5; ++size) {  // every length of base64 padding
        cv::Mat grey(size, 3, CV_8UC1, cv::Scalar(0));
        for (int i = 0; i < grey.rows * 3; ++i) grey.data[i] = static_cast<std::uint8_t>(i * 37);
        const auto back = read_back(data_uri(grey));
        REQUIRE(back.size() == grey.size());
        CHECK(cv::norm(back, grey, cv::NORM_INF) == 0);
    }
    const cv::Mat real = (cv::Mat_<float>(1, 4) << 0.f, 0.5f, 2.f, std::numeric_limits<float>::quiet_NaN());
    const auto back = read_back(data_uri(real));
    CHECK(back.at<std::uint8_t>(0, 0) == 0);
    CHECK(back.at<std::uint8_t>(0, 1) == 128);
    CHECK(back.at<std::uint8_t>(0, 2) == 255);
    CHECK(back.at<std::uint8_t>(0, 3) == 0);
    CHECK_THROWS_WITH(data_uri(cv::Mat(2, 2, CV_64FC1, cv::Scalar(0))), Catch::Contains("expected 8-bit grey"));
}

TEST_CASE("heat leaves cold pixels as they were and warms the others") {
    const cv::Mat grey(1, 2, CV_8UC1, cv::Scalar(100));
    const cv::Mat heat = (cv::Mat_<float>(1, 2) << 0.f, 1.f);
    const auto mixed = heat_overlay(grey, heat, 1.0);
    CHECK(mixed.at<cv::Vec3b>(0, 0) == cv::Vec3b(100, 100, 100));
    CHECK(mixed.at<cv::Vec3b>(0, 1) == cv::Vec3b(164, 255, 252));
    CHECK(heat_map(heat).at<cv::Vec3b>(0, 0) == cv::Vec3b(4, 0, 0));
    CHECK_THROWS_AS(heat_overlay(grey, cv::Mat(3, 3, CV_32FC1, cv::Scalar(0))), hearth::Error);
}
