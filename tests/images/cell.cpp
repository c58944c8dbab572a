// How cells are read, alike in labels, filters, patients and splits.
#include "images/cell.hpp"

#include <catch2/catch.hpp>

#include "recipe/word_list.hpp"

using namespace hearth::images;
using Words = std::vector<std::string>;

TEST_CASE("blanks around a cell are none of it, those of Unicode and byte order marks among them") {
    CHECK(trimmed(" \tnormal\r\n") == "normal");
    CHECK(trimmed("\xC2\xA0normal\xC2\xA0 \xC2\xA0") == "normal");  // U+00A0
    CHECK(trimmed("\xEF\xBB\xBFnormal\xE2\x80\x8B") == "normal");   // U+FEFF, U+200B
    CHECK(trimmed("left lung") == "left lung");
    CHECK(trimmed("\xC3\xA0") == "\xC3\xA0");  // U+00E0 ends with the byte that U+00A0 ends with
    CHECK(trimmed(" \xC2\xA0 ").empty());
}

TEST_CASE("the usual words for missing are empty cells, none is a value") {
    for (const std::string missing :
         {"", "  ", "nan", "NaN", "NA", "n/a", "N/A", "#N/A", "<NA>", "null", "NULL ", " nan"})
        CHECK(plain(missing).empty());
    for (const std::string value : {"none", "None", "unknown", "0", "-", "nano", "PA"})
        CHECK(plain(value) == value);
}

TEST_CASE("decimal numbers compare by their value, whatever their length") {
    for (const std::string one : {"1", "1.0", "1.", "01", "+1", "1.000", " 1 ",
                                  "\xC2\xA0"
                                  "1"})
        CHECK(key(one) == "1");
    for (const std::string zero : {"0", "0.0", "-0", ".0", "00"}) CHECK(key(zero) == "0");
    CHECK(key("-1.0") == "-1");
    CHECK(key("7.50") == "7.5");
    CHECK(key(".5") == "0.5");
    CHECK(key("20000123456789012345") == "20000123456789012345");
    for (const std::string text : {"1.2.840", "12e4", "0004cfab", "P07", "-", ".", "+", "--1", "1,0"})
        CHECK(key(text) == text);
    CHECK(key("NaN").empty());
}

TEST_CASE("values that differ only in capitals and blanks fold to one") {
    CHECK(folded("TRUE") == folded("True"));
    CHECK(folded("Pleural_Effusion") == folded("pleural\xC2\xA0 effusion"));
    CHECK(folded("1.0") == folded("1"));
    CHECK(folded("A+") != folded("A-"));
    CHECK(folded("PleuralEffusion") != folded("Pleural Effusion"));
}

TEST_CASE("a list of values holds a cell where their keys are equal") {
    CHECK(among({"0", "1"}, "1.0"));
    CHECK(among({" normal"}, "normal "));
    CHECK_FALSE(among({"Normal"}, "normal"));
    CHECK_FALSE(among({}, ""));
}

TEST_CASE("numbers are finite") {
    CHECK(as_number("-7.5e1") == -75.0);
    for (const std::string text : {"", "nan", "inf", "1e999", "1x", "x"}) CHECK_FALSE(as_number(text));
}

TEST_CASE("values are counted as written, the most frequent first") {
    CHECK(counted_values({"1.0", "0", "1.0", " 1.0", "", "NA", "1"}) == "1.0 (3), empty (2), 0 (1), 1 (1)");
    Words many;
    for (int i = 10; i < 22; ++i) many.push_back(std::to_string(i));
    CHECK(counted_values(many) ==
          "10 (1), 11 (1), 12 (1), 13 (1), 14 (1), 15 (1), 16 (1), 17 (1), 18 (1), 19 (1) and 2 more");
}

TEST_CASE("words of a list that hold commas stand in double quotes") {
    using hearth::recipe::word_list;
    CHECK(word_list(" Edema ,,Effusion") == Words{"Edema", "Effusion"});
    CHECK(word_list(R"("Opacity, other" , Edema)") == Words{"Opacity, other", "Edema"});
    CHECK(word_list(R"(a 5" tube, b)") == Words{R"(a 5" tube)", "b"});
    CHECK(word_list(R"("said ""no"", twice")") == Words{R"(said "no", twice)"});
    CHECK(word_list(" ").empty());
    CHECK(word_list("").empty());
}
