// Settings: what a file beside a library and a command line say about the tests of a component.
#include "conformance/settings.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <hearth/error.hpp>

#include "conformance/inputs.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::conformance;
using Catch::Matchers::Contains;

namespace {

SettingsOfAll read(const std::string& text) {
    const test::TemporaryFolder folder;
    folder.write("a.test.toml", text);
    return read_settings(folder.path() / "a.test.toml", {"split", "order"});
}

Port port(const char* name, const char* help) {
    return {name, "B D", help};
}

}  // namespace

TEST_CASE("a file of settings says options, sizes, inputs and what is skipped") {
    const auto all = read(
        "[gain]\noptions = { width = 3 }\nsymbols = { D = 8 }\ninputs = { x = \"unit\" }\nskip = { split = \"a "
        "mean\" "
        "}\n[\"loss/gain\"]\nsymbols = { D = 4 }\n");
    const auto head = settings_of(all, Kind::head, "gain");
    CHECK(head.options.find("width") != nullptr);
    CHECK(head.symbols.at("D") == 8);
    CHECK(head.inputs.at("x") == Values::unit);
    CHECK(head.skip.at("split") == "a mean");
    CHECK(settings_of(all, Kind::loss, "gain").symbols.at("D") == 4);
    CHECK(settings_of(all, Kind::loss, "other").symbols.empty());
}

TEST_CASE("what a file of settings says wrongly is refused with its line") {
    CHECK_THROWS_WITH(
        read("[gain]\nsymbol = { D = 8 }"),
        Contains("a.test.toml:2:1: gain.symbol: unknown key") && Contains("did you mean 'symbols'"));
    CHECK_THROWS_WITH(read("[gain]\nskip = { spilt = \"x\" }"),
                      Contains("no case 'spilt'") && Contains("'split'"));
    CHECK_THROWS_WITH(read("[gain]\nskip = { split = true }"), Contains("expected the reason, a text"));
    CHECK_THROWS_WITH(read("[gain]\nsymbols = { D = 0 }"), Contains("found 0, expected a size from 1"));
    CHECK_THROWS_WITH(read("[gain]\ninputs = { x = \"unti\" }"),
                      Contains("found \"unti\"") && Contains("'unit'"));
    CHECK_THROWS_WITH(read("gain = 3"), Contains("found integer 3, expected a table"));
}

TEST_CASE("options and sizes of a command line") {
    Settings settings;
    set_option(settings, "width=3");
    set_symbol(settings, "D=64");
    CHECK(std::get<std::int64_t>(settings.options.find("width")->data) == 3);
    CHECK(settings.symbols.at("D") == 64);
    CHECK_THROWS_WITH(set_option(settings, "width"), Contains("found 'width', expected an option such as"));
    CHECK_THROWS_WITH(set_symbol(settings, "D=many"),
                      Contains("--symbol D: found 'many', expected an integer"));
    CHECK_THROWS_WITH(set_symbol(settings, "D=-1"), Contains("expected a size from 1"));
}

TEST_CASE("what an input holds follows its type, its name and its documentation") {
    CHECK(values_of(port("image", "a film")) == Values::pixels);
    CHECK(values_of(port("query", "of unit length")) == Values::unit);
    CHECK(values_of(port("pixel.std", "the unit")) == Values::positive);
    CHECK(values_of(port("tokens", "patch tokens")) == Values::normal);
    CHECK(values_of(port("label", "class").of("int64")) == Values::labels);
    CHECK(values_of(port("index", "which image").of("int64")) == Values::index);
    CHECK(values_of(port("here", "indices of patches").of("int64")) == Values::order);
    CHECK(values_of(port("labels", "true where").of("bool")) == Values::binary);
}

TEST_CASE("the same seed makes the same input, in the type of the port") {
    const auto keep = port("keep", "indices").of("int64");
    const auto a = make_tensor(keep, Values::order, {4, 6}, 5), b = make_tensor(keep, Values::order, {4, 6}, 5);
    CHECK(a.equal(b));
    CHECK_FALSE(a.equal(make_tensor(keep, Values::order, {4, 6}, 6)));
    CHECK(std::get<0>(a.sort(-1)).equal(at::arange(6).expand({4, 6})));
    const auto unit = make_tensor(port("q", ""), Values::unit, {4, 6}, 5);
    CHECK(at::allclose(unit.norm(2, -1), at::ones({4})));
    CHECK(make_tensor(port("index", "").of("int64"), Values::index, {4}, 5).equal(at::arange(4)));
}

TEST_CASE("sizes of an image, of its patches and of their tokens fit together") {
    const Ports reads = {Port("tokens", "B L D", ""), Port("image", "B C H W", ""), Port("odd", "B Q", "")};
    const auto numbers = numbers_for(reads, {64, 16}, {{"D", 3}});
    CHECK(numbers.value("L") == 16);
    CHECK(numbers.value("H") == 64);
    CHECK(numbers.value("D") == 3);
    CHECK(numbers.value("Q") > 1);
    CHECK_FALSE(numbers.bound("B"));
}
