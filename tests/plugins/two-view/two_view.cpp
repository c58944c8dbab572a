// Two views of one image: the crops of multi-crop, each in a tensor of its own.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>

#include "support/device_augment.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

using Changes = std::vector<std::pair<std::string, OptionValue>>;
using Numbers = std::vector<double>;

at::Tensor film(std::int64_t channels = 1) {
    at::manual_seed(7);
    return at::upsample_bicubic2d(at::rand({1, channels, 9, 8}), {90, 80}, false)[0].clamp(0, 1);
}

Tensors views(const Changes& changes, const at::Tensor& image, std::uint64_t sample = 3) {
    Random random({.seed = 1, .sample = sample});
    return make<Augment>("two-view", changes)->sample({{"image", image}}, random);
}

}  // namespace

TEST_CASE("the two views are the large crops that multi-crop cuts of the same draws") {
    const Changes ours = {{"size", std::int64_t{48}}, {"blur", Numbers{1.0, 0.1}}, {"solarise", Numbers{0, 1}}};
    const Changes theirs = {{"global_crops", std::int64_t{2}},
                            {"local_crops", std::int64_t{0}},
                            {"global_size", std::int64_t{48}},
                            {"global_scale", Numbers{0.2, 1}},
                            {"blur", Numbers{1.0, 0.1}},
                            {"solarise", Numbers{0, 1}},
                            {"interpolation", std::string("bilinear")}};
    for (const std::uint64_t sample : {0, 1, 2}) {
        const auto found = views(ours, film(3), sample);
        Random random({.seed = 1, .sample = sample});
        const auto crops = make<Augment>("multi-crop", theirs)->sample({{"image", film(3)}}, random)["global"];
        CHECK(at::equal(found["view1"], crops[0]));
        CHECK(at::equal(found["view2"], crops[1]));
    }
}

TEST_CASE("views are in [0, 1], differ, and follow their key") {
    const auto found = views({{"size", std::int64_t{40}}}, film());
    for (const char* name : {"view1", "view2"}) {
        CHECK(found[name].sizes() == at::IntArrayRef({1, 40, 40}));
        CHECK(found[name].ge(0).logical_and(found[name].le(1)).all().item<bool>());
        CHECK(at::equal(found[name], views({{"size", std::int64_t{40}}}, film())[name]));
    }
    CHECK_FALSE(at::equal(found["view1"], found["view2"]));
    CHECK_FALSE(at::equal(found["view1"], views({{"size", std::int64_t{40}}}, film(), 4)["view1"]));
}

TEST_CASE("with everything switched off a view is the image") {
    const Changes off = {{"size", std::int64_t{80}}, {"scale", Numbers{1, 1}}, {"ratio", Numbers{1, 1}},
                         {"flip", Schedule(0)},      {"jitter", Schedule(0)},  {"blur", Numbers{0}}};
    const auto image = film().slice(1, 0, 80);
    const auto found = views(off, image);
    CHECK(at::allclose(found["view1"], image, 0, 1e-6));
    CHECK(at::allclose(found["view2"], image, 0, 1e-6));
}

TEST_CASE("views of a batch are those of its images one by one") {
    const auto augment = make<DeviceAugment>("two-view", {{"size", std::int64_t{40}}});
    const auto images = at::stack({film(), film().flip(1), 1 - film()});
    const auto expected = one_by_one(*augment, images);
    for (const auto& device : devices()) {
        const auto found = in_halves(*augment, images, device);
        for (const char* name : {"view1", "view2"})
            CHECK(at::allclose(found[name], expected[name], 1e-5, 2e-5));
    }
}

TEST_CASE("options that fit no two views are refused") {
    CHECK_THROWS_WITH(views({{"blur", Numbers{0.1, 0.2, 0.3}}}, film()),
                      Catch::Contains("blur: found 3 entries"));
    CHECK_THROWS_WITH(views({{"scale", Numbers{1, 0.2}}}, film()), Catch::Contains("[lowest, highest]"));
}
