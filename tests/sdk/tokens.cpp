// Images as tokens: the order of pixels in a patch, and the inverse.
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
