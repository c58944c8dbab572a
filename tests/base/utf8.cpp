// Which bytes are UTF-8, and how wide a terminal shows them.
#include "base/utf8.hpp"

#include <catch2/catch.hpp>

#include "base/json_text.hpp"

using namespace hearth::base;

TEST_CASE("text in UTF-8 is found whole") {
    for (const std::string text : {"", "plain", "R\xC3\xB6ntgen", "\xE2\x82\xAC", "\xF0\x9F\xA9\xBB"})
        CHECK(find_invalid_utf8(text) == std::string::npos);
}

TEST_CASE("the first byte that belongs to no character is found") {
    CHECK(find_invalid_utf8("R\xF6ntgen") == 1);
    CHECK(find_invalid_utf8("ab\xC3") == 2);            // cut
    CHECK(find_invalid_utf8("\x80") == 0);              // continues nothing
    CHECK(find_invalid_utf8("\xC0\xAF") == 0);          // '/' in two bytes
    CHECK(find_invalid_utf8("\xE0\x80\xAF") == 0);      // in three
    CHECK(find_invalid_utf8("\xED\xA0\x80") == 0);      // half of a pair of UTF-16
    CHECK(find_invalid_utf8("\xF4\x90\x80\x80") == 0);  // above U+10FFFF
    CHECK(find_invalid_utf8("\xC3\xB6\xE2\x82 euro") == 2);
}

TEST_CASE("bytes that are no UTF-8 are written as such") {
    CHECK(escaped("R\xF6ntgen \xC3\xB6") == "R\\xF6ntgen \xC3\xB6");
    CHECK(escaped("\xFF\xFE") == "\\xFF\\xFE");
    CHECK(escaped("plain") == "plain");
}

TEST_CASE("what a terminal would obey is written out") {
    for (const char* text : {"", "plain", "Größe", "胸部"}) {
        CHECK(is_printable(text));
        CHECK(printable(text) == text);
    }
    CHECK(printable("\x1b[31mred\n") == "\\x1B[31mred\\x0A");
    CHECK(printable("\x1b[31mred\n\tblue\r", "\n\t") == "\\x1B[31mred\n\tblue\\x0D");
    CHECK(printable("\xc2\x9b"
                    "31m \x7f \xff") == "\\xC2\\x9B31m \\x7F \\xFF");
    CHECK_FALSE(is_printable("a\tb"));
    CHECK_FALSE(is_printable("\xc3"));
}

TEST_CASE("JSON is written whatever bytes its strings hold") {
    CHECK(json_text(nlohmann::json({{"file", "R\xF6ntgen.png"}})) == "{\"file\":\"R\xEF\xBF\xBDntgen.png\"}");
    CHECK(json_text(nlohmann::json({1, 2}), 1) == "[\n 1,\n 2\n]");
}

TEST_CASE("widths count columns, not bytes") {
    CHECK(display_width("AUC") == 3);
    CHECK(display_width("é ± –") == 5);
    CHECK(display_width("e\u0301") == 1);
    CHECK(display_width("胸部") == 4);
    CHECK(display_width("\xff\xfe") == 2);
    CHECK(display_width("\xe8\x83") == 2);
}
