// Roll-out and Grad-CAM on tensors small enough to work by hand.
#include "eval/pictures/saliency.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace hearth::eval;

TEST_CASE("the roll-out of one block is half its attention and half the residual") {
    const auto heads = at::tensor({0.2, 0.8, 0.6, 0.4, 0.4, 0.6, 1.0, 0.0}, at::kDouble).view({1, 1, 2, 2, 2});
    // Mean over heads: [[0.3, 0.7], [0.8, 0.2]].
    const auto expected = at::tensor({0.65, 0.35, 0.4, 0.6}, at::kDouble).view({1, 2, 2});
    CHECK(at::allclose(attention_rollout(heads), expected));
}

TEST_CASE("the roll-out of two blocks is their product, the later one on the left") {
    at::manual_seed(0);
    const auto attention = at::randn({2, 2, 3, 5, 5}, at::kDouble).softmax(-1);
    const auto block = [&](std::int64_t i) {
        return 0.5 * attention.select(1, i).mean(1) + 0.5 * at::eye(5, at::kDouble);
    };
    const auto rollout = attention_rollout(attention);
    CHECK(at::allclose(rollout, at::matmul(block(1), block(0))));
    CHECK(at::allclose(rollout.sum(-1), at::ones({2, 5}, at::kDouble)));
}

TEST_CASE("Grad-CAM weighs channels by their mean gradient and keeps what raises the score") {
    // Score = sum over tokens of 2 a_0 - 3 a_1, so every gradient is (2, -3) and the map is relu(2 a_0 - 3
    // a_1).
    const auto a = at::tensor({9.0, 9.0, 3.0, 1.0, 1.0, 1.0, 0.5, 0.0}).view({1, 4, 2}).requires_grad_(true);
    const auto scores = (a * at::tensor({2.0, -3.0})).slice(1, 1).sum({1, 2});
    CHECK(at::allclose(grad_cam(a, scores, 1).slice(1, 1), at::tensor({3.0, 0.0, 1.0}).view({1, 3})));
}

TEST_CASE("Grad-CAM of an image does not depend on the other images of the batch") {
    at::manual_seed(0);
    const auto mix = at::randn({6}), data = at::randn({3, 4, 6});
    const auto cam = [&](const at::Tensor& images) {
        const auto a = images.clone().requires_grad_(true);
        return grad_cam(a, at::tanh(a).matmul(mix).mean(1), 0);
    };
    CHECK(at::allclose(cam(data).slice(0, 1, 2), cam(data.slice(0, 1, 2)), 1e-5, 1e-7));
}
