// Options: what a schema accepts, and what it says about the rest.
#include <catch2/catch.hpp>
#include <hearth/error.hpp>
#include <hearth/option.hpp>

using namespace hearth;
using Catch::Matchers::Contains;

namespace {

using Integers = std::vector<std::int64_t>;
using Numbers = std::vector<double>;
using Texts = std::vector<std::string>;

Schema schema() {
    Schema made;
    made.boolean("flag", true);
    made.integer("depth", 4).range(1, 64);
    made.number("temperature", 0.1).range(1e-4, 10).schedulable();
    made.text("size", "base").choices({"tiny", "small", "base"});
    made.integers("regions", {1, 4}).size(2).range(1, 64);
    made.numbers("betas", {0.9, 0.999}).size(2).range(0, 1);
    made.texts("views", {"a"}).choices({"a", "b"});
    return made;
}

std::string problem(const std::string& name, const OptionValue& value) {
    const auto made = schema();
    const auto* option = made.find(name);
    REQUIRE(option != nullptr);
    return option->check(value);
}

}  // namespace

TEST_CASE("every default of a schema passes its own check") {
    const auto made = schema();
    CHECK(made.names() == Texts{"flag", "depth", "temperature", "size", "regions", "betas", "views"});
    for (const auto& option : made.options()) CHECK(option.check(option.fallback) == "");
}

TEST_CASE("a range includes its ends and nothing beyond") {
    CHECK(problem("depth", std::int64_t{1}) == "");
    CHECK(problem("depth", std::int64_t{64}) == "");
    CHECK(problem("depth", std::int64_t{0}) == "found 0, expected between 1 and 64");
    CHECK(problem("depth", std::int64_t{65}) == "found 65, expected between 1 and 64");
}

TEST_CASE("a schedule must stay in range all the way") {
    Schedule rising;
    rising.shape = Schedule::Shape::linear;
    rising.from = 0.04;
    rising.to = 10;
    CHECK(problem("temperature", rising) == "");
    rising.to = 10.5;
    CHECK_THAT(problem("temperature", rising), Contains("expected between 0.0001 and 10"));
    rising.to = 1;
    rising.warmup = 3;  // starts at 0
    CHECK_THAT(problem("temperature", rising), Contains("expected between 0.0001 and 10"));
}

TEST_CASE("a word that is no choice is answered with the choices and the nearest one") {
    CHECK(problem("size", std::string("tiny")) == "");
    CHECK(problem("size", std::string("smal")) ==
          "found \"smal\", expected one of tiny, small, base (did you mean 'small'?)");
    CHECK(problem("size", std::string("enormous")) == "found \"enormous\", expected one of tiny, small, base");
    CHECK(problem("views", Texts{"a", "c"}) == "found \"c\", expected one of a, b");
}

TEST_CASE("lists have a length, and each entry is in range") {
    CHECK(problem("regions", Integers{2, 64}) == "");
    CHECK(problem("regions", Integers{2}) == "found 1 entries, expected 2");
    CHECK_THAT(problem("regions", Integers{0, 4}), Contains("expected between 1 and 64"));
    CHECK_THAT(problem("betas", Numbers{0.9, 1.1}), Contains("expected between 0 and 1"));
}

TEST_CASE("options start at the defaults and can be set") {
    Options options(schema());
    CHECK(options.boolean("flag"));
    CHECK(options.integer("depth") == 4);
    CHECK(options.number("temperature") == 0.1);
    CHECK(options.text("size") == "base");
    CHECK(options.integers("regions") == Integers{1, 4});
    CHECK(options.numbers("betas") == Numbers{0.9, 0.999});
    CHECK(options.texts("views") == Texts{"a"});
    options.set("depth", std::int64_t{12});
    CHECK(options.integer("depth") == 12);
}

TEST_CASE("a name or type that the schema lacks is a fault of the component, named") {
    const Options options(schema());
    CHECK_THROWS_WITH(options.integer("dept"), Contains("'dept'"));
    CHECK_THROWS_AS(options.integer("temperature"), Error);
    CHECK_THROWS_AS(options.text("depth"), Error);
}

TEST_CASE("an option cannot be declared twice") {
    auto made = schema();
    CHECK_THROWS_WITH(made.integer("depth", 1), "option 'depth' is declared twice");
}
