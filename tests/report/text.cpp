// Tables as text and Markdown, shortened texts and numbers.
#include "report/text.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <sstream>

#include "report/markup.hpp"
#include "report/wrap.hpp"

using namespace hearth::report;

TEST_CASE("a shortened text fits its width and keeps whole characters") {
    CHECK(shorten("restoration", 20) == "restoration");
    CHECK(shorten("restoration", 6) == "resto…");
    CHECK(shorten("胸部胸部", 5) == "胸部…");
}

TEST_CASE("numbers are short and missing ones say so") {
    CHECK(number(0.84213) == "0.8421");
    CHECK(number(12) == "12");
    CHECK(number(1.5e-7) == "1.5e-7");
    CHECK(number(-0.0) == "0");
    CHECK(number(std::nan("")) == "–");
    CHECK(number(-std::numeric_limits<double>::infinity()) == "−∞");
}

TEST_CASE("a text table aligns its columns and marks stressed cells") {
    Table table;
    table.headers = {"method", "AUC"};
    table.rows = {{"AFiRe", "0.913"}, {"naïve", "0.5"}, {"short"}};
    table.align = {Align::left, Align::right};
    table.emphasis = {{0, 1}};
    CHECK(text_table(table) ==
          "method    AUC\n"
          "───────────────\n"
          "AFiRe   0.913 *\n"
          "naïve     0.5\n"
          "short\n");
}

TEST_CASE("a text table that is too wide wraps its texts, and its caption") {
    Table table;
    table.headers = {"part", "images", "classes"};
    table.align = {Align::left, Align::right};
    table.rows = {{"training", "140", "normal 76, cardiomegaly 16, consolidation 14"}};
    table.caption = "Counts of what the filters leave.";
    CHECK(text_table(table, 44) ==
          "part      images  classes\n"
          "────────────────────────────────────────────\n"
          "training     140  normal 76, cardiomegaly\n"
          "                  16, consolidation 14\n"
          "Counts of what the filters leave.\n");
    table.caption = "Counts of what the filters leave of the table.";
    CHECK(text_table(table, 44).ends_with("Counts of what the filters leave of the\ntable.\n"));
    CHECK(text_table(table).find("cardiomegaly 16, consolidation 14\n") != std::string::npos);
}

TEST_CASE("columns of numbers that do not fit follow below, each part with the first column") {
    Table table;
    table.headers = {"recipe", "linear", "k-NN"};
    table.align = {Align::left, Align::right, Align::right};
    table.rows = {{"afire", "0.946", "0.884"}};
    CHECK(text_table(table, 16) ==
          "recipe  linear\n"
          "──────────────\n"
          "afire    0.946\n"
          "\n"
          "recipe   k-NN\n"
          "─────────────\n"
          "afire   0.884\n");
    CHECK(text_table(table, 21) == text_table(table));
}

TEST_CASE("a text is wrapped at spaces, and a long word has a line of its own") {
    CHECK(wrapped("one two three", 7) == "one two\nthree");
    CHECK(wrapped("one two three", 80) == "one two three");
    CHECK(wrapped("a restoration ± b", 4) == "a\nrestoration\n± b");
    CHECK(wrapped("", 10).empty());
}

TEST_CASE("a Markdown table escapes bars and writes its alignment") {
    Table table;
    table.headers = {"a|b", "n", "c"};
    table.rows = {{"x\ny", "1", "z"}};
    table.align = {Align::left, Align::right, Align::center};
    table.emphasis = {{0, 1}};
    CHECK(markdown_table(table) ==
          "| a\\|b |     n |  c  |\n"
          "| ---- | ----: | :-: |\n"
          "| x y  | **1** |  z  |\n");
}
