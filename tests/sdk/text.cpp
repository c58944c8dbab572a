// The nearest valid name: near enough to be a slip, or none.
#include <catch2/catch.hpp>
#include <hearth/text.hpp>

using namespace hearth;

TEST_CASE("a slip finds the name that was meant") {
    const std::vector<std::string> names = {"temperature", "momentum", "epochs", "batch"};
    CHECK(nearest("temprature", names) == "temperature");  // a letter left out
    CHECK(nearest("momemtum", names) == "momentum");       // one for another
    CHECK(nearest("epohcs", names) == "epochs");           // two swapped
    CHECK(nearest("batchs", names) == "batch");            // one too many
    CHECK(nearest("batch", names) == "batch");
}

TEST_CASE("another word finds nothing") {
    const std::vector<std::string> names = {"temperature", "momentum", "epochs", "batch"};
    CHECK(nearest("colour", names).empty());
    CHECK(nearest("x", {"y"}).empty());  // one letter for another is no likeness
    CHECK(nearest("ab", {"cd"}).empty());
    CHECK(nearest("anything", {}).empty());
}

TEST_CASE("two swapped letters cost one edit, so they win over two substitutions") {
    CHECK(nearest("abcd", {"abxy", "abdc"}) == "abdc");
}

TEST_CASE("the hint is a half-sentence, or nothing") {
    CHECK(did_you_mean("epohcs", {"epochs"}) == " (did you mean 'epochs'?)");
    CHECK(did_you_mean("colour", {"epochs"}).empty());
}

TEST_CASE("join puts the separator between words only") {
    CHECK(join({}).empty());
    CHECK(join({"a"}) == "a");
    CHECK(join({"a", "b", "c"}) == "a, b, c");
    CHECK(join({"a", "b"}, " and ") == "a and b");
}
