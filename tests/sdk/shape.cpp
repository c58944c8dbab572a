// Symbolic shapes: binding, clashes, arithmetic that prints readably.
#include <catch2/catch.hpp>
#include <hearth/error.hpp>
#include <hearth/shape.hpp>

using namespace hearth;

TEST_CASE("a shape is parsed into numbers and symbols, and printed again") {
    const auto shape = parse_shape("B  L 256");
    REQUIRE(shape.size() == 3);
    CHECK_FALSE(shape[0].known());
    CHECK(shape[2].known());
    CHECK(shape[2].value() == 256);
    CHECK(to_string(shape) == "B L 256");
    CHECK(to_string(parse_shape("")) == "scalar");
}

TEST_CASE("a text that is no shape is refused with the word that is wrong and the whole") {
    for (const auto& [text, word] : {std::pair("[B, L, D]", "[B,"),
                                     {"B L, D", "L,"},
                                     {"B;L", "B;L"},
                                     {"B 3D", "3D"},
                                     {"B 1234567890123456789", "1234567890123456789"}}) {
        INFO(text);
        CHECK_THROWS_WITH(parse_shape(text),
                          std::string("found '") + word + "' in the shape '" + text +
                              "', expected numbers and symbols with blanks between them, as in "
                              "'B L 256'");
    }
    CHECK_THROWS_AS(parse_shape("B, D"), PluginError);
    CHECK(to_string(parse_shape("B (L+1)*D 2*H/16 token_count")) == "B (L+1)*D 2*H/16 token_count");
}

TEST_CASE("arithmetic of known dimensions gives numbers") {
    CHECK((Dim(6) * Dim(7)).value() == 42);
    CHECK((Dim(224) / Dim(16)).value() == 14);
    CHECK((Dim(196) + Dim(1)).value() == 197);
    CHECK(Dim(14) * Dim(14) == Dim(196));
}

TEST_CASE("arithmetic with symbols prints as it would be read") {
    CHECK((Dim("H") / 16 * (Dim("W") / 16)).text() == "H/16*W/16");
    CHECK(((Dim("L") + 1) * Dim("D")).text() == "(L+1)*D");
    CHECK((Dim("H") / (Dim("p") * Dim("p"))).text() == "H/(p*p)");
    CHECK_FALSE(Dim("H") / (Dim("p") * Dim("p")) == Dim("H") / Dim("p") * Dim("p"));
    CHECK_FALSE((Dim("H") / 16).known());
}

TEST_CASE("unifying binds the symbols of the declaration") {
    Symbols symbols;
    CHECK(unify(parse_shape("B L D"), Shape{"B", 196, 192}, symbols) == "");
    CHECK(symbols.value("L") == 196);
    CHECK(symbols.value("D") == 192);
    CHECK(symbols["B"].text() == "B");
    CHECK(to_string(symbols.resolve(parse_shape("B D 3 K"))) == "B 192 3 K");
}

TEST_CASE("a symbol keeps its value over all ports of a component") {
    Symbols symbols;
    REQUIRE(unify(parse_shape("B L D"), Shape{"B", 196, 192}, symbols) == "");
    CHECK(unify(parse_shape("B D"), Shape{"B", 384}, symbols) == "dimension 1: D is 192, found 384");
    CHECK(unify(parse_shape("B D D"), Shape{"B", 192, 192}, symbols) == "");
}

TEST_CASE("one symbol at two places of a shape must be the same number") {
    Symbols symbols;
    CHECK(unify(parse_shape("S S"), Shape{4, 5}, symbols) == "dimension 1: S is 4, found 5");
}

TEST_CASE("numbers and ranks of a declaration must be met") {
    Symbols symbols;
    CHECK(unify(parse_shape("B 1 H W"), Shape{"B", 3, 8, 8}, symbols) == "dimension 1: expected 1, found 3");
    CHECK(unify(parse_shape("B D"), Shape{"B", 3, 8, 8}, symbols) ==
          "expected 2 dimensions (B D), found 4 (B 3 8 8)");
    CHECK(unify(parse_shape("B 1"), Shape{"B", "C"}, symbols) == "");  // C may turn out to be 1
}

TEST_CASE("asking for the number of an unknown symbol is a fault that names it") {
    Symbols symbols;
    symbols.bind("L", Dim("H") / 16);
    CHECK_THROWS_WITH(symbols.value("L"), "dimension L is not known here (found 'H/16')");
    CHECK_THROWS_AS(symbols.value("D"), Error);
}
