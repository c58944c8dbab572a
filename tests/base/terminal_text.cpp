// Errors, notes and help on a terminal: rows that end between words.
#include "base/terminal_text.hpp"

#include <catch2/catch.hpp>

using hearth::base::in_rows_of;

TEST_CASE("a line is broken between words, and what follows is indented below it") {
    CHECK(in_rows_of("error: found one, expected another", 20) == "error: found one,\n  expected another");
    CHECK(in_rows_of("  an indented line of words", 16) == "  an indented\n    line of\n    words");
    CHECK(in_rows_of("short", 20) == "short");
    CHECK(in_rows_of("", 20).empty());
}

TEST_CASE("every line of a text is broken by itself, and a path stays whole") {
    CHECK(in_rows_of("one two\nthree four five\n", 11) == "one two\nthree four\n  five\n");
    CHECK(in_rows_of("cannot open /a/very/long/path of it", 12) == "cannot open\n  /a/very/long/path\n  of it");
    CHECK(in_rows_of("/a/very/long/path", 8) == "/a/very/long/path");
}

TEST_CASE("a second column hangs below itself") {
    CHECK(in_rows_of("  --k N   neighbours of an image", 24) == "  --k N   neighbours of\n          an image");
}

TEST_CASE("a line that a caret points into is left as it is") {
    const std::string text = "found text where a number belongs\n  where some words are long\n        ^";
    CHECK(in_rows_of(text, 20) ==
          "found text where a\n  number belongs\n  where some words are long\n        ^");
}
