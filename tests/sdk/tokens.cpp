// Images as tokens: the order of pixels in a patch, the inverse, and the labels of a lesion mask.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <hearth/error.hpp>
#include <hearth/tokens.hpp>

using namespace hearth;

namespace {

at::Tensor counting(std::int64_t b, std::int64_t c, std::int64_t h, std::int64_t w) {
    return at::arange(b * c * h * w, at::kDouble).view({b, c, h, w});
}

}  // namespace

TEST_CASE("patches lie row by row, and a patch row, column, channel") {
    const std::int64_t b = 2, c = 3, h = 4, w = 6, p = 2;
    const auto image = counting(b, c, h, w), patches = patchify(image, p);
    REQUIRE(patches.sizes() == at::IntArrayRef({b, 6, p * p * c}));
    bool equal = true;
    for (std::int64_t i = 0; i < b; ++i)
        for (std::int64_t k = 0; k < c; ++k)
            for (std::int64_t y = 0; y < h; ++y)
                for (std::int64_t x = 0; x < w; ++x) {
                    const auto token = (y / p) * (w / p) + x / p, within = ((y % p) * p + x % p) * c + k;
                    equal =
                        equal && patches[i][token][within].item<double>() == image[i][k][y][x].item<double>();
                }
    CHECK(equal);
}

TEST_CASE("unpatchify undoes patchify, also where the image is no square") {
    const auto image = counting(2, 3, 8, 12);
    CHECK(at::equal(unpatchify(patchify(image, 4), 3, 8, 12), image));
    CHECK(at::equal(unpatchify(patchify(image, 2), 3, 8, 12), image));
}

TEST_CASE("the edge of a patch follows from image and tokens, or is refused") {
    CHECK(patch_edge(224, 224, 196) == 16);
    CHECK(patch_edge(32, 64, 8) == 16);
    CHECK_THROWS_WITH(patch_edge(224, 224, 197),
                      "197 tokens do not tile an image of 224 x 224 with square patches");
    CHECK_THROWS_AS(patch_edge(30, 30, 16), Error);
}

TEST_CASE("a token is abnormal where its mean exceeds the mask's mean") {
    auto mask = at::zeros({2, 1, 4, 4});
    mask[0][0].slice(0, 0, 2).slice(1, 2, 4).fill_(0.8);  // patch 1: mean 0.8
    mask[0][0][2][0] = 0.4;                               // patch 2: mean 0.1, below the mask's 0.225
    const auto mean = token_labels(mask, 4, LabelThreshold::mean);
    CHECK(mean.scalar_type() == at::kBool);
    CHECK(at::equal(mean, at::tensor({0, 1, 0, 0, 0, 0, 0, 0}).view({2, 4}).to(at::kBool)));
    const auto zero = token_labels(mask, 4, LabelThreshold::zero);
    CHECK(at::equal(zero, at::tensor({0, 1, 1, 0, 0, 0, 0, 0}).view({2, 4}).to(at::kBool)));
}

TEST_CASE("an all-zero mask has no abnormal token") {
    const auto mask = at::zeros({3, 1, 32, 32});
    CHECK_FALSE(token_labels(mask, 16, LabelThreshold::mean).any().item<bool>());
    CHECK_FALSE(token_labels(mask, 16, LabelThreshold::zero).any().item<bool>());
}

TEST_CASE("a constant mask has no token above its mean, whatever its value rounds to") {
    for (const double value : {0.1, 1.0 / 3, 0.7, 1.0}) {
        const auto mask = at::full({1, 1, 48, 48}, value);
        CHECK_FALSE(token_labels(mask, 9, LabelThreshold::mean).any().item<bool>());
        CHECK(token_labels(mask, 9, LabelThreshold::zero).all().item<bool>());
    }
}

TEST_CASE("one grey level in one pixel is enough to make a token abnormal") {
    auto mask = at::zeros({1, 1, 32, 32});
    mask[0][0][31][31] = 1.0 / 255;
    const auto labels = token_labels(mask, 4, LabelThreshold::mean);
    CHECK(at::equal(labels, at::tensor({0, 0, 0, 1}).view({1, 4}).to(at::kBool)));
}
