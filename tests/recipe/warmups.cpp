// A warm-up as a share of the run, and one that is longer than the run.
#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;

namespace {

struct WarmedUp : Attempt {
    explicit WarmedUp(const std::string& warmup) {
        file("a.toml",
             test::smallest +
                 "[train]\nepochs = 40\n[optimizer]\nlr = { shape = \"cosine\", from = 1.0, to = 0.0, "
                 "warmup = " +
                 warmup + " }\n");
    }
};

}  // namespace

TEST_CASE("a warm-up may be a share of the run") {
    CHECK(WarmedUp("\"5 %\"").load().optimizer.lr.warmup == 2);
    CHECK(WarmedUp("\"2.5%\"").load().optimizer.lr.warmup == 1);
    CHECK(WarmedUp("\"1/8\"").load().optimizer.lr.warmup == 5);
    WarmedUp a("\"5 %\"");
    CHECK(a.load({"train.epochs=1"}).optimizer.lr.warmup == 0.05);
    CHECK(a.load({"optimizer.lr.warmup=10%"}).optimizer.lr.warmup == 4);
    CHECK_THAT(to_toml(a.load().tree, false), Contains("warmup = \"5 %\""));  // as it was written
}

TEST_CASE("a share counts in every schedule") {
    Attempt a;
    a.file("a.toml",
           test::smallest +
               "[train]\nepochs = 10\n[[loss]]\nuse = \"restoration\"\nweight = { shape = \"linear\", from "
               "= 1, to = 0, warmup = \"20 %\" }\ntemperature = { shape = \"constant\", from = 1, warmup = "
               "\"50 %\" }\n");
    const auto recipe = a.load();
    CHECK(recipe.losses.at(0).weight.warmup == 2);
    CHECK(test::value_at(recipe.losses[0].options, {"temperature", "warmup"}) == "5.0");
}

TEST_CASE("a text that is no share says how one looks") {
    for (const auto* text : {"\"5\"", "\"five %\"", "\"1/0\"", "\"1/\"", "\"%\"", "\"5 percent\""}) {
        INFO(text);
        CHECK_THAT(WarmedUp(text).error(),
                   Contains("optimizer.lr.warmup: found text") &&
                       Contains("expected epochs, or a share of the run, \"5 %\" or \"1/6\""));
    }
    CHECK_THAT(WarmedUp("\"-5 %\"").error(), Contains("found a negative number of epochs"));
}

TEST_CASE("a warm-up or an edge behind the end names the override that makes it run") {
    WarmedUp a("10");
    CHECK_THAT(
        a.error({"train.epochs=1"}),
        Contains("optimizer.lr.warmup: found a warm-up of 10 epochs, but the run has 1 (train.epochs): add "
                 "optimizer.lr.warmup=10% to the command line, a tenth of the run, or optimizer.lr.warmup=0"));
    CHECK(a.load({"train.epochs=1", "optimizer.lr.warmup=10%"}).optimizer.lr.warmup == 0.1);
    CHECK_THAT(WarmedUp("\"150 %\"").error(), Contains("found a warm-up of 60 epochs, but the run has 40"));
    Attempt b;
    b.file("a.toml",
           test::smallest + "[optimizer]\nlr = { shape = \"steps\", at = [30, 60], values = [3, 2, 1] }\n");
    CHECK_THAT(b.error({"train.epochs=50"}),
               Contains("optimizer.lr.at: found an edge at epoch 60, but the run has 50 (train.epochs): add "
                        "optimizer.lr.at=[..] with edges up to 50 to the command line, or raise train.epochs"));
}
