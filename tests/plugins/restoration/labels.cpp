// Which tokens of a lesion mask are abnormal.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>

#include "common/lesion_labels.hpp"

namespace restoration_labels {

using namespace hearth;
using namespace hearth::lesion_labels;

TEST_CASE("a token is abnormal where its mean exceeds the mask's mean") {
    auto mask = at::zeros({2, 1, 4, 4});
    mask[0][0].slice(0, 0, 2).slice(1, 2, 4).fill_(0.8);  // patch 1: mean 0.8
    mask[0][0][2][0] = 0.4;                               // patch 2: mean 0.1, below the mask's 0.225
    const auto mean = of_tokens(mask, 4, Threshold::mean);
    CHECK(mean.scalar_type() == at::kBool);
    CHECK(at::equal(mean, at::tensor({0, 1, 0, 0, 0, 0, 0, 0}).view({2, 4}).to(at::kBool)));
    const auto zero = of_tokens(mask, 4, Threshold::zero);
    CHECK(at::equal(zero, at::tensor({0, 1, 1, 0, 0, 0, 0, 0}).view({2, 4}).to(at::kBool)));
}

TEST_CASE("an all-zero mask has no abnormal token") {
    const auto mask = at::zeros({3, 1, 32, 32});
    CHECK_FALSE(of_tokens(mask, 16, Threshold::mean).any().item<bool>());
    CHECK_FALSE(of_tokens(mask, 16, Threshold::zero).any().item<bool>());
}

TEST_CASE("a constant mask has no token above its mean, whatever its value rounds to") {
    for (const double value : {0.1, 1.0 / 3, 0.7, 1.0}) {
        const auto mask = at::full({1, 1, 48, 48}, value);
        CHECK_FALSE(of_tokens(mask, 9, Threshold::mean).any().item<bool>());
        CHECK(of_tokens(mask, 9, Threshold::zero).all().item<bool>());
    }
}

TEST_CASE("one grey level in one pixel is enough to make a token abnormal") {
    auto mask = at::zeros({1, 1, 32, 32});
    mask[0][0][31][31] = 1.0 / 255;
    const auto labels = of_tokens(mask, 4, Threshold::mean);
    CHECK(at::equal(labels, at::tensor({0, 0, 0, 1}).view({1, 4}).to(at::kBool)));
}

}  // namespace restoration_labels
