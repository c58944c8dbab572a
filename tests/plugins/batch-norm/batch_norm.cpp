// Batch normalisation against LibTorch's, and two processes against one with the whole batch.
#include <ATen/ATen.h>
#include <torch/nn/modules/batchnorm.h>

#include <catch2/catch.hpp>
#include <hearth/error.hpp>

#include "common/nn/batch_norm.hpp"
#include "support/autocast.hpp"
#include "support/thread_comm.hpp"

using namespace hearth;
using namespace hearth::test;
using at::Tensor;
using Catch::Matchers::Contains;

namespace {

double distance(const Tensor& a, const Tensor& b) {
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

/// With a gain and a shift that are not 1 and 0.
template <class Layer>
void set_affine(Layer& layer) {
    const at::NoGradGuard no_grad;
    auto parameters = layer.named_parameters();
    for (auto& item : parameters)
        item.value().copy_(at::linspace(item.key() == "weight" ? 0.5 : -1, 2, item.value().size(0)));
}

/// What a normalisation makes of a batch, and all that it changes.
struct Result {
    Tensor y, x_grad, weight_grad, bias_grad, mean, var, batches;
};

/// In double precision, in training; `incoming` is the gradient of y.
Result run(const Tensor& x, const Tensor& incoming, bool sync, const Comm& comm) {
    nn::BatchNorm norm(x.size(1), {}, sync);
    set_affine(norm);
    norm.to(at::kDouble);
    const auto own = x.clone().requires_grad_();
    const auto y = norm.forward(own, comm);
    (y * incoming).sum().backward();
    auto parameters = norm.named_parameters(), buffers = norm.named_buffers();
    return {y.detach(),
            own.grad(),
            parameters["weight"].grad(),
            parameters["bias"].grad(),
            buffers["running_mean"],
            buffers["running_var"],
            buffers["num_batches_tracked"]};
}

/// Two processes with half of x each.
std::vector<Result> run_halves(const Tensor& x, const Tensor& incoming, bool sync) {
    std::vector<Result> out(2);
    const auto rows = x.size(0) / 2;
    run_ranks(2, [&](const Comm& comm) {
        const auto half = [&](const Tensor& all) { return all.narrow(0, rows * comm.rank(), rows); };
        out[static_cast<std::size_t>(comm.rank())] = run(half(x), half(incoming), sync, comm);
    });
    return out;
}

void check_halves_make_the_whole(const Tensor& x) {
    const auto incoming = at::randn_like(x);
    const auto whole = run(x, incoming, /*sync=*/true, Comm::local());
    const auto halves = run_halves(x, incoming, /*sync=*/true);
    CHECK(distance(at::cat({halves[0].y, halves[1].y}), whole.y) < 1e-12);
    CHECK(distance(at::cat({halves[0].x_grad, halves[1].x_grad}), whole.x_grad) < 1e-12);
    CHECK(distance(halves[0].weight_grad + halves[1].weight_grad, whole.weight_grad) < 1e-12);
    CHECK(distance(halves[0].bias_grad + halves[1].bias_grad, whole.bias_grad) < 1e-12);
    for (const auto& half : halves) {
        CHECK(distance(half.mean, whole.mean) < 1e-12);
        CHECK(distance(half.var, whole.var) < 1e-12);
        CHECK(half.batches.item<std::int64_t>() == 1);
    }
}

}  // namespace

TEST_CASE("in one process it is LibTorch's batch normalisation, bit for bit, synchronised or not") {
    at::manual_seed(1);
    const auto x = at::randn({6, 4}) * 3 + 1;
    for (const bool sync : {false, true}) {
        nn::BatchNorm ours(4, {}, sync);
        torch::nn::BatchNorm1d theirs(4);
        set_affine(ours);
        set_affine(*theirs);
        CHECK(at::equal(ours.forward(x, Comm::local()), theirs->forward(x)));
        for (const auto& item : theirs->named_buffers())
            CHECK(at::equal(ours.named_buffers()[item.key()], item.value()));
        ours.eval();
        theirs->eval();
        CHECK(at::equal(ours.forward(x, Comm::local()), theirs->forward(x)));
    }
}

TEST_CASE("two synchronised processes are one with the whole batch: outputs, gradients, running statistics") {
    at::manual_seed(2);
    check_halves_make_the_whole(at::randn({8, 3}, at::kDouble) * 2 + 100);
    check_halves_make_the_whole(at::randn({4, 3, 5, 2}, at::kDouble) + 1);
    check_halves_make_the_whole(at::randn({2, 3}, at::kDouble));  // one vector each
}

TEST_CASE("processes that are not synchronised have statistics of their own") {
    at::manual_seed(3);
    const auto x = at::randn({8, 3}, at::kDouble), incoming = at::randn_like(x);
    const auto halves = run_halves(x, incoming, /*sync=*/false);
    CHECK(at::equal(halves[0].y, run(x.slice(0, 0, 4), incoming.slice(0, 0, 4), false, Comm::local()).y));
    CHECK(distance(halves[0].mean, halves[1].mean) > 1e-3);
}

TEST_CASE("synchronised statistics are of full precision, and the output has the input's type") {
    at::manual_seed(4);
    const auto x = at::randn({8, 3});
    std::vector<Tensor> found(2);
    run_ranks(2, [&](const Comm& comm) {
        nn::BatchNorm norm(3, {}, true);
        const auto half = x.narrow(0, 4 * comm.rank(), 4).to(at::kBFloat16);
        found[static_cast<std::size_t>(comm.rank())] = in_bf16([&] { return norm.forward(half, comm); });
    });
    CHECK(found[0].scalar_type() == at::kBFloat16);
    const auto exact = nn::BatchNorm(3, {}, false).forward(x.to(at::kBFloat16).to(at::kFloat), Comm::local());
    CHECK(distance(at::cat(found), exact) < 0.02);
}

TEST_CASE("gain and shift are there where they are asked for") {
    const auto names = [](nn::BatchNorm::Affine affine) {
        std::vector<std::string> out;
        for (const auto& item : nn::BatchNorm(2, affine, false).named_parameters()) out.push_back(item.key());
        return out;
    };
    CHECK(names({}) == std::vector<std::string>{"weight", "bias"});
    CHECK(names({.gain = true, .shift = false}) == std::vector<std::string>{"weight"});
    CHECK(names({.gain = false, .shift = false}).empty());
}

TEST_CASE("one value a channel is refused in training, and fine in evaluation") {
    nn::BatchNorm norm(2, {}, true);
    CHECK_THROWS_WITH(
        norm.forward(at::ones({1, 2}), Comm::local()),
        Contains("found 1 value a channel in training, expected at least two; raise train.batch"));
    CHECK(norm.named_buffers()["num_batches_tracked"].item<std::int64_t>() == 0);
    norm.eval();
    CHECK(norm.forward(at::ones({1, 2}), Comm::local()).sizes() == at::IntArrayRef({1, 2}));
}
