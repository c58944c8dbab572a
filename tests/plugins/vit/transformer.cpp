// The shared transformer parts against plain formulations, in double and single precision.
#include "common/transformer/attention.hpp"

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <hearth/hearth.hpp>
#include <hearth/mixed_precision.hpp>

#include "common/nn/linear.hpp"
#include "common/transformer/block.hpp"
#include "common/transformer/gelu_linear.hpp"
#include "common/transformer/mixed.hpp"
#include "common/transformer/positions.hpp"
#include "common/transformer/recompute.hpp"
#include "support/gradients.hpp"

using namespace hearth;
using namespace hearth::transformer;
using at::Tensor;

namespace {

Tensor plain_attention(const Tensor& qkv, std::int64_t heads) {
    const auto b = qkv.size(0), n = qkv.size(1), d = qkv.size(2) / (3 * heads);
    const auto parts = qkv.view({b, n, 3, heads, d}).permute({2, 0, 3, 1, 4}).unbind(0);
    const auto scores = parts[0].matmul(parts[1].transpose(2, 3)) / std::sqrt(static_cast<double>(d));
    return scores.softmax(-1).matmul(parts[2]).transpose(1, 2).reshape({b, n, heads * d});
}

/// Gradients of sum(f(inputs) * fixed numbers).
std::vector<Tensor> gradients(const std::function<Tensor()>& f, const std::vector<Tensor>& inputs) {
    const auto y = f();
    const auto weights = at::linspace(-1, 1, y.numel(), y.options()).view_as(y);
    return torch::autograd::grad({(y * weights).sum()}, inputs);
}

}  // namespace

TEST_CASE("attention equals the formula, with its gradient") {
    at::manual_seed(2);
    // Few and many samples for the threads, short and long sequences: each is divided among threads
    // differently.
    struct Case {
        std::int64_t batch, length, heads;
    };
    for (const auto [batch, length, heads] : {Case{3, 9, 1}, {3, 9, 4}, {1, 9, 4}, {17, 5, 2}, {3, 130, 4}}) {
        CAPTURE(batch, length, heads);
        const auto qkv = at::randn({batch, length, 3 * 16}, at::kDouble).requires_grad_();
        const auto ours = [&] { return attention(qkv, heads); };
        const auto plain = [&] { return plain_attention(qkv, heads); };
        CHECK(at::allclose(ours(), plain(), 0, 1e-12));
        CHECK(at::allclose(gradients(ours, {qkv})[0], gradients(plain, {qkv})[0], 0, 1e-12));
        if (length < 10)
            CHECK(test::gradient_error([&](const Tensor& x) { return attention(x, heads).square().sum(); },
                                       qkv) < 1e-7);
    }
}

TEST_CASE("attention on long sequences and on strided input") {
    at::manual_seed(3);
    const auto lengthy = at::randn({1, 1100, 3 * 8});
    CHECK(at::allclose(attention(lengthy, 2), plain_attention(lengthy, 2), 1e-4, 1e-5));
    const auto strided = at::randn({2, 3 * 8, 5}).transpose(1, 2);
    CHECK(at::allclose(attention(strided, 2), plain_attention(strided.contiguous(), 2), 1e-4, 1e-5));
}

TEST_CASE("attention in bf16 rounds its results only") {
    at::manual_seed(4);
    const auto qkv = at::randn({2, 50, 3 * 64}).to(at::kBFloat16).requires_grad_();
    const auto exact = qkv.detach().to(at::kDouble).requires_grad_();
    const auto y = attention(qkv, 2);
    CHECK(y.scalar_type() == at::kBFloat16);
    const auto truth = plain_attention(exact, 2);
    CHECK((y.to(at::kDouble) - truth).norm().item<double>() < 0.01 * truth.norm().item<double>());
    const auto grad = gradients([&] { return attention(qkv, 2); }, {qkv})[0].to(at::kDouble);
    const auto true_grad = gradients([&] { return plain_attention(exact, 2); }, {exact})[0];
    CHECK((grad - true_grad).norm().item<double>() < 0.02 * true_grad.norm().item<double>());
}

TEST_CASE("the second derivative of attention is refused, not wrong") {
    const auto qkv = at::randn({1, 4, 12}, at::kDouble).requires_grad_();
    CHECK_THROWS_AS(torch::autograd::grad({attention(qkv, 2).sum()}, {qkv}, {}, true, /*create_graph=*/true),
                    Error);
}

TEST_CASE("what is not kept for the backward pass of attention is computed again, bit for bit") {
    at::manual_seed(12);
    for (const auto type : {at::kFloat, at::kBFloat16}) {
        for (const std::int64_t length : {9, 130}) {
            const auto qkv = at::randn({3, length, 3 * 16}).to(type).requires_grad_();
            const auto kept = [&] { return attention(qkv, 4, 1 << 30); };
            const auto again = [&] { return attention(qkv, 4, 0); };
            CHECK(at::equal(kept(), again()));
            CHECK(at::equal(gradients(kept, {qkv})[0], gradients(again, {qkv})[0]));
        }
    }
}

TEST_CASE("gelu_linear gives the same, whether it keeps gelu(x) or not") {
    at::manual_seed(13);
    const torch::nn::Linear layer(24, 16), plain(torch::nn::LinearOptions(24, 16).bias(false));
    for (const bool bf16 : {false, true}) {
        const MixedPrecision mixed(at::kCPU, bf16);
        for (const auto& [l, inputs] : {std::pair{layer, layer->parameters()}, {plain, plain->parameters()}}) {
            const auto x = at::randn({2, 5, 24}).requires_grad_();
            auto all = inputs;
            all.insert(all.begin(), x);
            const auto kept = [&, &l = l] { return gelu_linear(bf16 ? x.to(at::kBFloat16) : x, l); };
            const auto again = [&, &l = l] { return gelu_linear(bf16 ? x.to(at::kBFloat16) : x, l, 0); };
            REQUIRE(again().scalar_type() == (bf16 ? at::kBFloat16 : at::kFloat));
            CHECK(at::equal(kept(), again()));
            const auto expected = gradients(kept, all), found = gradients(again, all);
            const double tolerance = bf16 ? 1e-2 : 1e-5;
            for (std::size_t i = 0; i < all.size(); ++i) {
                CHECK(found[i].scalar_type() == at::kFloat);
                CHECK(at::allclose(found[i], expected[i], tolerance, tolerance));
            }
        }
    }
    const auto x = at::randn({1, 4, 24}).requires_grad_();
    CHECK_THROWS_AS(
        torch::autograd::grad({gelu_linear(x, layer, 0).sum()}, {x}, {}, true, /*create_graph=*/true), Error);
}

TEST_CASE("in mixed precision a norm rounds its result to bf16, once") {
    at::manual_seed(14);
    for (const auto& shape : {std::vector<std::int64_t>{2, 3, 5}, {4, 50, 48}, {1, 1, 768}}) {
        CAPTURE(shape);
        torch::nn::LayerNorm norm = layer_norm(shape.back());
        const at::NoGradGuard initial;
        norm->weight.normal_();
        norm->bias.normal_();
        const at::AutoGradMode graph(true);
        const auto x = (at::randn(shape) * 3 + 1).requires_grad_();
        const auto exact = x.detach().to(at::kDouble).requires_grad_();
        const auto gain = norm->weight.detach().to(at::kDouble).requires_grad_(),
                   bias = norm->bias.detach().to(at::kDouble).requires_grad_();
        const auto truth = [&] { return at::layer_norm(exact, {shape.back()}, gain, bias, 1e-6); };
        const auto ours = [&] {
            const MixedPrecision mixed(at::kCPU, true);
            return norm_for_branch(x, norm);
        };
        REQUIRE(ours().scalar_type() == at::kBFloat16);
        // A bf16 number has 8 significant bits.
        CHECK(at::allclose(ours().to(at::kDouble), truth(), 1.0 / 256, 1e-5));
        const auto along = at::randn(shape).to(at::kBFloat16);  // what comes back from the linear layer
        const auto found = torch::autograd::grad({ours()}, {x, norm->weight, norm->bias}, {along}),
                   expected = torch::autograd::grad({truth()}, {exact, gain, bias}, {along.to(at::kDouble)});
        for (std::size_t i = 0; i < 3; ++i) {
            CHECK(found[i].scalar_type() == at::kFloat);
            CHECK(at::allclose(found[i].to(at::kDouble), expected[i], 1e-4, 1e-5));
        }
        CHECK(at::equal(norm_for_branch(x, norm), norm->forward(x)));  // without autocast nothing changes
    }
    torch::nn::LayerNorm norm = layer_norm(4);
    const auto broken = at::full({1, 4}, NAN).requires_grad_();
    const MixedPrecision mixed(at::kCPU, true);
    CHECK(norm_for_branch(broken, norm).isnan().all().item<bool>());
    CHECK_THROWS_AS(torch::autograd::grad({norm_for_branch(broken, norm).sum()}, {broken}, {}, true, true),
                    Error);
}

TEST_CASE("a bf16 branch is added to the residual stream in fp32") {
    at::manual_seed(15);
    const auto x = at::randn({3, 7, 11}).requires_grad_();
    const auto y = at::randn({3, 11, 7}).to(at::kBFloat16).transpose(1, 2).requires_grad_();
    const auto ours = [&] { return add_branch_to(x, y); };
    const auto plain = [&] { return x + y; };
    CHECK(ours().scalar_type() == at::kFloat);
    CHECK(at::equal(ours(), plain()));
    const auto found = gradients(ours, {x, y}), expected = gradients(plain, {x, y});
    for (std::size_t i = 0; i < 2; ++i) CHECK(at::equal(found[i], expected[i]));
    CHECK(at::equal(add_branch_to(x, x), x + x));
    CHECK(add_branch_to(x, at::full({3, 7, 11}, INFINITY, at::kBFloat16)).isinf().all().item<bool>());
}

TEST_CASE("linear equals at::linear, with its gradients") {
    at::manual_seed(5);
    const auto weight = at::randn({24, 16}).requires_grad_(), bias = at::randn({24}).requires_grad_();
    for (const auto& x : {at::randn({7, 16}), at::randn({2, 5, 16}), at::randn({2, 9, 16}).slice(1, 1),
                          at::randn({2, 16, 5}).transpose(1, 2)}) {
        const auto input = x.detach().requires_grad_();
        const auto ours = [&] { return nn::linear(input, weight, bias); };
        const auto plain = [&] { return at::linear(input, weight, bias); };
        REQUIRE(ours().sizes() == plain().sizes());
        CHECK(at::allclose(ours(), plain(), 1e-4, 1e-5));
        const auto found = gradients(ours, {input, weight, bias}),
                   expected = gradients(plain, {input, weight, bias});
        for (std::size_t i = 0; i < 3; ++i) CHECK(at::allclose(found[i], expected[i], 1e-4, 1e-4));
        CHECK(at::allclose(nn::linear(input, weight, {}), at::linear(input, weight), 1e-4, 1e-5));
    }
}

TEST_CASE("linear takes the expanded gradient of a sum") {
    const auto x = at::randn({3, 5}).requires_grad_(), weight = at::randn({2, 5}).requires_grad_();
    const auto grads = torch::autograd::grad({nn::linear(x, weight, {}).sum()}, {x, weight});
    CHECK(at::allclose(grads[0], weight.detach().sum(0).expand({3, 5}), 1e-4, 1e-5));
    CHECK(at::allclose(grads[1], x.detach().sum(0).expand({2, 5}), 1e-4, 1e-5));
}

TEST_CASE("linear can be differentiated twice") {
    at::manual_seed(6);
    const auto x = at::randn({5, 6}).requires_grad_(), weight = at::randn({4, 6}).requires_grad_();
    const auto penalty = [&](const Tensor& y) {
        const auto grad = torch::autograd::grad({y.pow(3).sum()}, {x}, {}, true, true)[0];
        return torch::autograd::grad({grad.square().sum()}, {weight})[0];
    };
    CHECK(at::allclose(penalty(nn::linear(x, weight, {})), penalty(at::linear(x, weight)), 1e-3, 1e-3));
}

TEST_CASE("sin-cos positions follow MAE's formula") {
    const auto positions = sincos_positions(8, {2, 3}, 1);
    REQUIRE(positions.sizes() == at::IntArrayRef({1, 7, 8}));
    CHECK(positions[0][0].abs().sum().item<float>() == 0);
    for (std::int64_t row = 0; row < 2; ++row)
        for (std::int64_t column = 0; column < 3; ++column)
            for (std::int64_t i = 0; i < 2; ++i) {
                const auto found = positions[0][1 + row * 3 + column];
                const auto omega = std::pow(10000.0, -static_cast<double>(i) / 2);
                CHECK(found[i].item<float>() == Approx(std::sin(column * omega)).margin(1e-6));
                CHECK(found[2 + i].item<float>() == Approx(std::cos(column * omega)).margin(1e-6));
                CHECK(found[4 + i].item<float>() == Approx(std::sin(row * omega)).margin(1e-6));
                CHECK(found[6 + i].item<float>() == Approx(std::cos(row * omega)).margin(1e-6));
            }
    CHECK_THROWS_AS(sincos_positions(6, {2, 2}, 0), RecipeError);
}

TEST_CASE(
    "resampling positions: identity on the same grid, constants and the prefix survive, ramps stay ramps") {
    const auto positions = at::randn({1, 1 + 16, 8});
    CHECK(resample_positions(positions, 1, {4, 4}, {4, 4}).is_same(positions));
    const auto bigger = resample_positions(positions, 1, {4, 4}, {6, 8});
    REQUIRE(bigger.sizes() == at::IntArrayRef({1, 49, 8}));
    CHECK(at::equal(bigger[0][0], positions[0][0]));
    const auto constant = resample_positions(at::full({1, 16, 2}, 0.5), 0, {4, 4}, {7, 3});
    CHECK(at::allclose(constant, at::full({1, 21, 2}, 0.5)));
    const auto ramp = at::arange(8, at::kFloat).repeat({8}).view({1, 64, 1});  // the column's number
    const auto half = resample_positions(ramp, 0, {8, 8}, {4, 4}).view({4, 4});
    CHECK(at::allclose(half[0].slice(0, 1, 3), at::tensor({2.5F, 4.5F}), 0, 0.05));
    CHECK(at::allclose(half[0], half[3], 0, 1e-5));
}

TEST_CASE("a block keeps the residual stream in fp32 and scales its branches by keep") {
    at::manual_seed(8);
    Block block({.dim = 16, .heads = 2});
    const auto x = at::randn({3, 5, 16});
    const auto nothing = at::zeros({2, 3, 1, 1});
    CHECK(at::equal(block.forward(x, nothing), x));
    CHECK(at::allclose(block.forward(x, at::ones({2, 3, 1, 1})), block.forward(x)));
}

namespace {

/// A block in double with weights that matter, its input [3, 5, 16] and all it can get a gradient for.
struct BlockCase {
    BlockCase() {
        at::manual_seed(9);
        block = std::make_shared<Block>(BlockOptions{.dim = 16, .heads = 2});
        block->to(at::kDouble);
        x = at::randn({3, 5, 16}, at::kDouble).requires_grad_();
        inputs = block->parameters();
        inputs.push_back(x);
    }
    std::shared_ptr<Block> block;
    Tensor x;
    std::vector<Tensor> inputs;
};

void check_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        INFO("gradient " << i);
        CHECK(at::allclose(a[i], b[i], 1e-10, 1e-12));
    }
}

}  // namespace

TEST_CASE("the first token alone is what the whole block gives it, with its gradients") {
    const BlockCase sample;
    const auto scales = at::tensor({2.0, 0.0, 1.0, 0.0, 1.0, 3.0}, at::kDouble).view({2, 3, 1, 1});
    for (const auto& keep : {Tensor(), scales}) {
        const auto whole = [&] { return sample.block->forward(sample.x, keep).slice(1, 0, 1); };
        const auto first = [&] { return sample.block->forward_first(sample.x, keep); };
        REQUIRE(first().sizes() == at::IntArrayRef({3, 1, 16}));
        CHECK(at::allclose(first(), whole(), 1e-10, 1e-12));
        check_same(gradients(first, sample.inputs), gradients(whole, sample.inputs));
    }
}

TEST_CASE("the block that runs on a GPU gives what the CPU's gives, with its gradients") {
    const BlockCase sample;
    const auto scales = at::tensor({2.0, 0.0, 1.0, 0.5, 1.0, 3.0}, at::kDouble).view({2, 3, 1, 1});
    for (const auto& keep : {Tensor(), scales}) {
        const auto plain = [&] { return sample.block->forward(sample.x, keep); };
        const auto fused = [&] { return sample.block->forward_fused(sample.x, keep); };
        CHECK(at::allclose(fused(), plain(), 1e-10, 1e-12));
        check_same(gradients(fused, sample.inputs), gradients(plain, sample.inputs));
    }
}

TEST_CASE("in mixed precision the block that runs on a GPU keeps the residual stream in fp32") {
    at::manual_seed(10);
    Block block({.dim = 16, .heads = 2});
    const auto x = at::randn({3, 5, 16}).requires_grad_();
    auto inputs = block.parameters();
    inputs.push_back(x);
    const auto exact = gradients([&] { return block.forward(x); }, inputs);
    const auto mixed = [&] {
        const MixedPrecision bf16(at::kCPU, true);
        return block.forward_fused(x);
    };
    CHECK(mixed().scalar_type() == at::kFloat);
    CHECK(at::allclose(mixed(), block.forward(x), 0.02, 0.02));
    const auto found = gradients(mixed, inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        INFO("gradient " << i);
        CHECK(found[i].scalar_type() == at::kFloat);
        CHECK((found[i] - exact[i]).norm().item<double>() <= 0.02 * exact[i].norm().item<double>() + 1e-6);
    }
}

TEST_CASE("a branch that is dropped for some samples has the values and gradients of a product with 0") {
    const BlockCase sample;
    const auto keep = at::tensor({0.0, 2.0, 1.0, 3.0, 0.0, 1.0}, at::kDouble).view({2, 3, 1, 1});
    // The same samples one by one, where nothing can be skipped: all of a batch is dropped or none.
    const auto one_by_one = [&] {
        std::vector<Tensor> rows;
        for (std::int64_t i = 0; i < 3; ++i)
            rows.push_back(sample.block->forward(sample.x.slice(0, i, i + 1), keep.slice(1, i, i + 1)));
        return at::cat(rows);
    };
    const auto together = [&] { return sample.block->forward(sample.x, keep); };
    CHECK(at::allclose(together(), one_by_one(), 1e-10, 1e-12));
    check_same(gradients(together, sample.inputs), gradients(one_by_one, sample.inputs));
}

TEST_CASE("a block that is computed again in the backward pass gives the same values and gradients") {
    at::manual_seed(4);
    Block block({.dim = 24, .heads = 3});
    const auto x = at::randn({5, 7, 24}).requires_grad_();
    auto keep = at::ones({2, 5, 1, 1});
    keep[1][2] = 0;
    auto inputs = block.parameters();
    inputs.push_back(x);
    for (const bool bf16 : {false, true}) {
        for (const auto& scale : {Tensor(), keep}) {
            const auto in_precision = [&](const auto& forward) {
                return [&, forward] {
                    const MixedPrecision mixed(at::kCPU, bf16);
                    return forward();
                };
            };
            const auto plain = in_precision([&] { return block.forward(x, scale); });
            const auto again = in_precision([&] { return forward_recomputed(block, x, scale); });
            CHECK(at::equal(plain(), again()));
            const auto expected = gradients(plain, inputs), found = gradients(again, inputs);
            for (std::size_t i = 0; i < inputs.size(); ++i) {
                CAPTURE(bf16, scale.defined(), i);
                CHECK(at::allclose(found[i], expected[i], 1e-5, 1e-6));
            }
        }
    }
    const at::NoGradGuard no_grad;
    CHECK_FALSE(forward_recomputed(block, x, {}).requires_grad());
}

TEST_CASE("a frozen block that is computed again passes its input's gradient on") {
    Block block({.dim = 8, .heads = 2});
    for (auto& parameter : block.parameters()) parameter.set_requires_grad(false);
    const auto x = at::randn({2, 3, 8}).requires_grad_();
    forward_recomputed(block, x, {}).sum().backward();
    CHECK(x.grad().abs().max().item<double>() > 0);
}
