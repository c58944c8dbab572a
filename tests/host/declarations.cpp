// What a component may say of itself: options, ports, names and texts.
#include "host/declarations.hpp"

#include <cmath>

#include "host/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;
using host::check_reads;
using host::check_writes;

namespace {

/// What is wrong with a schema that `declare` fills.
template <class Declare>
std::string schema_problem(Declare&& declare, Kind kind = Kind::head) {
    Schema schema;
    declare(schema);
    return host::check_schema(schema, kind);
}

}  // namespace

TEST_CASE("options that a recipe can set are no problem") {
    CHECK(schema_problem([](Schema& schema) {
              schema.integer("size", 4).range(1, 64).doc("edge, in pixels");
              schema.integer("batch", 0).range(1, 64).or_word("auto", 0);
              schema.number("lr", 0.1).range(0.1, 1).schedulable();
              schema.text("mode", "a").choices({"a", "b"}).doc("größer");
              schema.numbers("area", {0, 1}).size(2).range(0, 1);
              schema.texts("files", {}).path();
              schema.integer("needed", -1).range(1, 2).required();
              schema.number("weight", 1);
          }) == "");
}

TEST_CASE("a default that its own option refuses is the plugin's mistake") {
    const auto of = [](auto declare) { return schema_problem(declare); };
    CHECK(of([](Schema& schema) { schema.integer("size", 0).range(1, 64); }) ==
          "option 'size': its default: found 0, expected between 1 and 64");
    CHECK_THAT(of([](Schema& schema) {
                   schema.text("mode", "c").choices({"a", "b"});
               }),
               Contains("option 'mode': its default: found \"c\", expected one of a, b"));
    CHECK_THAT(of([](Schema& schema) { schema.numbers("area", {1}).size(2); }),
               Contains("its default: found 1 entries, expected 2"));
    CHECK_THAT(of([](Schema& schema) { schema.number("lr", std::nan("")); }), Contains("no finite number"));
}

TEST_CASE("limits of another type of option are refused") {
    const auto of = [](auto declare) { return schema_problem(declare); };
    CHECK(of([](Schema& schema) { schema.text("mode", "a").range(1, 2); }) ==
          "option 'mode': found .range() on a text, expected it on numbers");
    CHECK_THAT(of([](Schema& schema) { schema.integer("size", 1).choices({"a"}); }), Contains(".choices()"));
    CHECK_THAT(of([](Schema& schema) { schema.integer("size", 1).size(2); }), Contains(".size()"));
    CHECK_THAT(of([](Schema& schema) { schema.integer("size", 1).schedulable(); }), Contains(".schedulable()"));
    CHECK_THAT(of([](Schema& schema) { schema.number("size", 1).or_word("auto", 0); }), Contains(".or_word()"));
    CHECK_THAT(of([](Schema& schema) { schema.number("size", 1).path(); }), Contains(".path()"));
    CHECK_THAT(of([](Schema& schema) { schema.number("size", 1).range(2, 1); }),
               Contains("the lower number first"));
}

TEST_CASE("a word that a component's table has already is no name of an option") {
    for (const std::string word : {"use", "name", "reads", "writes"})
        for (const auto kind : {Kind::augment, Kind::backbone, Kind::head, Kind::loss})
            CHECK_THAT(schema_problem([&](Schema& schema) { schema.integer(word, 1); }, kind),
                       Contains("option '" + word + "': found a word that every " + to_string(kind)));
    for (const std::string word : {"weight", "phase"}) {
        const auto declare = [&](Schema& schema) { schema.number(word, 1); };
        CHECK_THAT(schema_problem(declare, Kind::loss), Contains("found a word that every loss has"));
        CHECK(schema_problem(declare, Kind::head) == "");
    }
}

TEST_CASE("names are lower-case letters, digits, '_', '-' and '.'") {
    for (const char* name : {"a", "restored.std", "q-1_b"}) CHECK(host::check_name(name) == "");
    for (const char* name : {"", "A", "a b", "a=b", "\xc3\xa9", "a\n"}) CHECK(host::check_name(name) != "");
    CHECK_THAT(schema_problem([](Schema& schema) { schema.integer("Size", 1); }),
               Contains("option: found the name 'Size', expected lower-case letters"));
    CHECK_THAT(check_reads({Port("\x1b[2Jx", "B", "")}), Contains("port: found the name '\\x1B[2Jx'"));
}

TEST_CASE("texts with control characters, or not in UTF-8, never reach a terminal") {
    CHECK(host::check_text("Größe in Pixeln") == "");
    for (const char* text : {"\x1b[31mred", "a\nb", "a\tb", "\x7f",
                             "\xc2\x9b"
                             "31m",
                             "\xff"})
        CHECK_THAT(host::check_text(text),
                   Contains("expected a text in UTF-8 without control characters") && Contains("\\x"));
    CHECK_THAT(schema_problem([](Schema& schema) { schema.integer("size", 1).doc("\x1b[31mred"); }),
               Contains("option 'size': found \"\\x1B[31mred\""));
    CHECK_THAT(check_reads({Port("x", "B \x1b", "")}), Contains("port 'x': found \"B \\x1B\""));
}

TEST_CASE("ports of a type that there is not, or twice, are refused") {
    CHECK(check_reads({Port("x", "B", "").of("int64"), Port("y", "B", "").gradient().maybe()}) == "");
    CHECK(check_reads({Port("x", "B", "").of("int32")}) ==
          "port 'x': found the type 'int32', expected one of float, int64, bool");
    CHECK(check_writes({Port("x", "B", ""), Port("x", "B", "")}, Kind::head) ==
          "port 'x': found it declared twice, expected it once");
    CHECK(check_writes({Port("x", "B", "").detached()}, Kind::head) ==
          "port 'x': found .detached() on a write, expected it on a read");
}

TEST_CASE("a loss writes per_sample and per_pixel and nothing else") {
    const Ports both = {Port("per_sample", "B", ""), Port("per_pixel", "B 1 H W", "")};
    CHECK(check_writes(both, Kind::loss) == "");
    CHECK_THAT(check_writes({Port("score", "B", "")}, Kind::loss),
               Contains("port 'score': found a loss that writes it, expected per_sample or per_pixel"));
}

TEST_CASE("a plugin whose declarations are wrong is refused when it is loaded, with its file") {
    const auto refused = [](const std::string& fault) {
        const auto message = scan_refusal(folder(fault));
        CHECK_THAT(message, Contains(library(fault).string()));
        return message;
    };
    CHECK_THAT(refused("null_text"), Contains("a text of PluginInfo is a null pointer"));
    CHECK_THAT(refused("control_character"),
               Contains("entry 0 of the component table has a summary: found \"\\x1B[31mred\""));
    CHECK_THAT(refused("id_of_other_letters"), Contains("has an id: found the name 'My Head'"));
    CHECK_THAT(refused("same_option_twice"),
               Contains("head 'x' of plugin x 0.1.0 (") && Contains("schema: option 'size' is declared twice"));
}
