// The augment random-patch-mask: how many patches stay, which, and how the order comes back.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>

#include "support/plugins.hpp"

namespace mae_mask {

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

Symbols symbols_of(std::int64_t height, std::int64_t width) {
    Symbols symbols;
    symbols.bind("H", height);
    symbols.bind("W", width);
    return symbols;
}

Tensors masks(const Changes& changes, std::int64_t height, std::int64_t width, const RandomKey& key = {}) {
    const auto augment = test::make<Augment>("random-patch-mask", changes, symbols_of(height, width));
    Random random(key);
    return augment->sample({{"image", at::zeros({1, height, width})}}, random);
}

Tensors masks(std::uint64_t sample) {
    return masks({}, 224, 224, {.seed = 3, .epoch = 1, .sample = sample, .stream = 1});
}

}  // namespace

TEST_CASE("of 196 patches 49 stay and 147 go, in every sample") {
    for (std::uint64_t sample = 0; sample < 50; ++sample) {
        const auto out = masks(sample);
        REQUIRE(out["keep"].sizes() == at::IntArrayRef({49}));
        REQUIRE(out["keep"].scalar_type() == at::kLong);
        REQUIRE(out["restore"].scalar_type() == at::kLong);
        REQUIRE(out["masked"].scalar_type() == at::kFloat);
        CHECK(out["masked"].sum().item<float>() == 147);
        CHECK(out["masked"].index({out["keep"]}).sum().item<float>() == 0);
        CHECK(at::equal(std::get<0>(out["restore"].sort()), at::arange(196)));
        CHECK(at::equal(out["restore"] >= 49, out["masked"] == 1));
    }
}

TEST_CASE("restoring (kept, removed) gives the sequence back") {
    const auto out = masks(5);
    const auto x = at::randn({196, 4});
    const auto shuffle = out["restore"].argsort();
    CHECK(at::equal(out["keep"], shuffle.slice(0, 0, 49)));
    const auto sequence = at::cat({x.index({out["keep"]}), x.index({shuffle.slice(0, 49)})});
    CHECK(at::equal(sequence.index({out["restore"]}), x));
}

TEST_CASE("restore is argsort(argsort(u)) of one uniform number a patch") {
    const RandomKey key{.seed = 11, .epoch = 2, .sample = 9, .stream = 1};
    Random random(key);
    auto noise = at::empty({196}, at::kDouble);
    for (std::int64_t i = 0; i < 196; ++i) noise[i] = random.uniform();
    CHECK(at::equal(masks({}, 224, 224, key)["restore"], noise.argsort().argsort()));
}

TEST_CASE("the same sample gets the same mask, another sample or epoch another") {
    const auto of = [](std::uint64_t sample, std::uint64_t epoch) {
        return masks({}, 224, 224, {.seed = 3, .epoch = epoch, .sample = sample, .stream = 1})["keep"];
    };
    CHECK(at::equal(of(4, 1), of(4, 1)));
    CHECK_FALSE(at::equal(of(4, 1), of(5, 1)));
    CHECK_FALSE(at::equal(of(4, 1), of(4, 2)));
}

TEST_CASE("every patch is removed as often as the others") {
    auto removed = at::zeros({196});
    constexpr int samples = 2000;
    for (std::uint64_t sample = 0; sample < samples; ++sample) removed += masks(sample)["masked"];
    // 0.75 with a standard deviation of 0.0097: five of them for the worst of 196
    CHECK((removed / samples - 0.75).abs().max().item<float>() < 0.05);
}

TEST_CASE("numbers of patches that stay, as the official code rounds them") {
    const auto kept = [](double ratio, std::int64_t height, std::int64_t width, std::int64_t patch) {
        return masks({{"ratio", Schedule(ratio)}, {"patch", patch}}, height, width)["keep"].size(0);
    };
    CHECK(kept(0.75, 224, 224, 14) == 64);
    CHECK(kept(0.6, 224, 224, 16) == 78);  // 78.4
    CHECK(kept(0.9, 224, 224, 16) == 19);  // 19.6
    CHECK(kept(0.8, 16, 40, 8) == 1);      // 2 less a bit: 1 - 0.8 < 0.2 in double
    CHECK(kept(0.75, 32, 64, 16) == 2);    // 8 patches, not a square
    CHECK(kept(0, 64, 64, 16) == 16);
    CHECK(masks({{"ratio", Schedule(0.0)}}, 64, 64)["masked"].sum().item<float>() == 0);
}

TEST_CASE("what the mask writes has the declared shapes") {
    const auto& type = test::registry().find(Kind::augment, "random-patch-mask");
    const auto ports = type.writes(test::options(type), symbols_of(224, 224));
    REQUIRE(ports.size() == 3);
    CHECK(to_string(ports[0].shape) == "B 49");
    CHECK(ports[0].dtype == "int64");
    CHECK(to_string(ports[1].shape) == "B 196");
    CHECK(ports[1].dtype == "int64");
    CHECK(to_string(ports[2].shape) == "B 196");
    const auto open = type.writes(test::options(type), {});
    CHECK(to_string(open[0].shape) == "B N");
    CHECK(to_string(open[1].shape) == "B H/16*W/16");
}

TEST_CASE("masks that cannot be made are refused") {
    const auto& schema = test::registry().find(Kind::augment, "random-patch-mask").schema();
    CHECK_FALSE(schema.find("ratio")->check(Schedule(1.0)).empty());
    CHECK_FALSE(schema.find("ratio")->check(Schedule(-0.1)).empty());
    CHECK_FALSE(schema.find("patch")->check(std::int64_t{0}).empty());
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
    const auto make = [](const Changes& changes, std::int64_t height, std::int64_t width) {
        return test::make<Augment>("random-patch-mask", changes, symbols_of(height, width));
    };
    CHECK_THROWS_AS(make({}, 224, 230), RecipeError);
    CHECK_THROWS_WITH(make({{"ratio", Schedule(0.95)}}, 64, 64), Catch::Contains("expected at most 0.9375"));
    const auto unsized = test::make<Augment>("random-patch-mask");
    Random random(RandomKey{});
    CHECK_THROWS_AS(unsized->sample({{"image", at::zeros({1, 30, 32})}}, random), RecipeError);
}

}  // namespace mae_mask
