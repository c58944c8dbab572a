// The values in which two recipes differ.
#include "recipe/differences.hpp"

#include <catch2/catch.hpp>

#include "recipe/steps.hpp"

using namespace hearth::recipe;

namespace {

using Rows = std::vector<std::vector<std::string>>;

Rows rows(const std::string& first, const std::string& second) {
    Rows out;
    for (const auto& [key, a, b] : differences(parse_text(first, "a.toml"), parse_text(second, "b.toml")))
        out.push_back({key, a, b});
    return out;
}

}  // namespace

TEST_CASE("equal recipes differ in nothing, whatever the order of their keys") {
    CHECK(rows("[train]\nepochs = 3\nseed = 1\n", "[train]\nseed = 1\nepochs = 3\n").empty());
}

TEST_CASE("a changed value, one that only the first sets, one that only the second sets") {
    CHECK(rows("[train]\nepochs = 3\nseed = 1\n[optimizer]\nlr = { from = 0.1, to = 0.0 }\n",
               "[train]\nepochs = 4\nbatch = 8\n[optimizer]\nlr = { from = 0.2, to = 0.0 }\n") ==
          Rows{{"train.epochs", "3", "4"},
               {"train.seed", "1", ""},
               {"train.batch", "", "8"},
               {"optimizer.lr.from", "0.1", "0.2"}});
    CHECK(rows("[train]\nepochs = 3\n", "[train]\nepochs = { from = 1 }\n") ==
          Rows{{"train.epochs", "3", "{ from = 1 }"}});
}

TEST_CASE("entries of lists go by name, so that a dropped one leaves the others alone") {
    CHECK(rows("[[loss]]\nuse = \"a\"\n[[loss]]\nuse = \"b\"\nweight = 2\n",
               "[[loss]]\nuse = \"b\"\nweight = 3\n") ==
          Rows{{"loss.a", "{ use = \"a\" }", ""}, {"loss.b.weight", "2", "3"}});
    CHECK(rows("[[pass]]\nnetwork = \"s\"\nview = \"x\"\n[[pass]]\nnetwork = \"s\"\nview = \"y\"\n",
               "[[pass]]\nnetwork = \"s\"\nview = \"x\"\n[[pass]]\nnetwork = \"s\"\nview = \"z\"\n") ==
          Rows{{"pass.s.2.view", "\"y\"", "\"z\""}});
}

TEST_CASE("a list of numbers is one value") {
    CHECK(rows("[data]\nscale = [0.1, 1.0]\n", "[data]\nscale = [0.2, 1.0]\n") ==
          Rows{{"data.scale", "[0.1, 1.0]", "[0.2, 1.0]"}});
}
