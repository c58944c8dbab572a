// The kernels of layer norm as loops of the host, against ATen in double precision.
#include <torch/autograd.h>

#include <catch2/catch.hpp>

#include "cuda/host_twin.hpp"
#include "cuda/support.hpp"
#include "cuda/teams.hpp"

using namespace hearth;
using namespace hearth::test;
using at::Tensor;
using cuda::bf16;

namespace {

constexpr double norm_eps = 1e-6;

/// What a block reads, [samples, 2, width], and what its results are in double precision.
template <class T>
struct Case {
    Case(std::int64_t samples, int width_, bool branched, bool scaled)
        : width(width_), rows(2 * samples), has_branch(branched), has_scale(scaled) {
        at::manual_seed(width + samples);
        x = 3 * numbers({samples, 2, width}) + 1;
        branch = numbers(x.sizes(), type_of<T>);
        scale = scaled ? at::bernoulli(at::full({samples}, 0.5)) * 1.25 : at::ones({samples});
        gain = numbers({width}) + 1;
        bias = numbers({width});
        grad_sum = numbers(x.sizes());
        grad_out = numbers(x.sizes(), type_of<T>);

        const auto leaf = [](const Tensor& t) { return exact(t).requires_grad_(); };
        const auto x_ = leaf(x), branch_ = leaf(branch), gain_ = leaf(gain), bias_ = leaf(bias);
        const auto sum_ = branched ? x_ + branch_ * exact(scale).view({-1, 1, 1}) : x_ * 1;
        const auto out_ = at::layer_norm(sum_, {width}, gain_, bias_, norm_eps);
        sum = sum_.detach();
        out = out_.detach();
        const auto total = (out_ * exact(grad_out)).sum() + (sum_ * exact(grad_sum)).sum();
        auto inputs = std::vector<Tensor>{x_, gain_, bias_};
        if (branched) inputs.push_back(branch_);
        const auto grads = torch::autograd::grad({total}, inputs);
        grad_x = grads[0];
        grad_gain = grads[1];
        grad_bias = grads[2];
        if (branched) grad_branch = grads[3];
    }

    std::int64_t width, rows;
    bool has_branch, has_scale;
    Tensor x, branch, scale, gain, bias, grad_sum, grad_out;
    Tensor sum, out, grad_x, grad_branch, grad_gain, grad_bias;
};

template <class T, class Run>
void check_forward(const Case<T>& c, const Run& run) {
    const auto sum = at::full_like(c.x, NAN), out = at::full_like(c.branch, NAN);
    const auto mean = at::empty({c.rows}), rstd = at::empty({c.rows});
    all_blocks(cuda::Norm<T>{.x = c.x.template const_data_ptr<float>(),
                             .branch = c.has_branch ? c.branch.template const_data_ptr<T>() : nullptr,
                             .scale = c.has_scale ? c.scale.template const_data_ptr<float>() : nullptr,
                             .gain = c.gain.template const_data_ptr<float>(),
                             .bias = c.bias.template const_data_ptr<float>(),
                             .sum = sum.template mutable_data_ptr<float>(),
                             .out = out.template mutable_data_ptr<T>(),
                             .mean = mean.template mutable_data_ptr<float>(),
                             .rstd = rstd.template mutable_data_ptr<float>(),
                             .rows = c.rows,
                             .rows_per_sample = 2,
                             .width = static_cast<int>(c.width),
                             .eps = static_cast<float>(norm_eps)},
               run);
    if (c.has_branch)
        CHECK(distance(sum, c.sum) < rounding<float>);
    else
        CHECK(sum.isnan().all().template item<bool>());  // x is the sum: nothing is written
    CHECK(distance(out, c.out) < rounding<T>);
    const auto rows = c.sum.view({c.rows, c.width});
    CHECK(distance(mean, rows.mean(1)) < rounding<float>);
    CHECK(distance(rstd, (rows.var(1, /*unbiased=*/false) + norm_eps).rsqrt()) < rounding<float>);
}

template <class T, class Run>
void check_backward(const Case<T>& c, bool with_grad_sum, int strips, const Run& run) {
    const auto sum = c.sum.to(at::kFloat), rows = c.sum.view({c.rows, c.width});
    const auto mean = rows.mean(1).to(at::kFloat),
               rstd = (rows.var(1, /*unbiased=*/false) + norm_eps).rsqrt().to(at::kFloat);
    const auto grad_x = at::full_like(c.x, NAN), grad_branch = at::full_like(c.branch, NAN);
    const auto partial = at::full({2, strips, c.width}, NAN), sums = at::full({2, c.width}, NAN);
    all_blocks(
        cuda::NormBackward<T>{
            .grad_sum = with_grad_sum ? c.grad_sum.template const_data_ptr<float>() : nullptr,
            .grad_out = c.grad_out.template const_data_ptr<T>(),
            .sum = sum.template const_data_ptr<float>(),
            .mean = mean.template const_data_ptr<float>(),
            .rstd = rstd.template const_data_ptr<float>(),
            .gain = c.gain.template const_data_ptr<float>(),
            .scale = c.has_scale ? c.scale.template const_data_ptr<float>() : nullptr,
            .grad_x = grad_x.template mutable_data_ptr<float>(),
            .grad_branch = c.has_branch ? grad_branch.template mutable_data_ptr<T>() : nullptr,
            .partial = partial.template mutable_data_ptr<float>(),
            .rows = c.rows,
            .rows_per_sample = 2,
            .strips = strips,
            .width = static_cast<int>(c.width)},
        run);
    all_blocks(cuda::ColumnSums{partial.template const_data_ptr<float>(),
                                sums.template mutable_data_ptr<float>(), 2, strips, static_cast<int>(c.width)},
               run);
    const auto less = with_grad_sum ? at::zeros_like(c.grad_x) : exact(c.grad_sum);
    CHECK(distance(grad_x, c.grad_x - less) < 2 * rounding<float>);
    if (c.has_branch)
        CHECK(distance(grad_branch, c.grad_branch - less * exact(c.scale).view({-1, 1, 1})) < rounding<T>);
    CHECK(distance(sums[0], c.grad_gain) < 2 * rounding<float>);
    CHECK(distance(sums[1], c.grad_bias) < 2 * rounding<float>);
}

template <class T>
void check_norms() {
    for (const auto& [samples, width] : {std::pair<int, int>{1, 7}, {5, 64}, {3, 192}, {2, 1030}})
        for (const auto& [branched, scaled] : {std::pair{true, true}, {true, false}, {false, false}}) {
            const Case<T> c(samples, width, branched, scaled);
            for_each_team([&, s = samples, w = width, b = branched](const char* team, const auto& run) {
                INFO(team << ": " << s << " samples, width " << w << ", branch " << b);
                check_forward(c, run);
                for (const int strips : {1, std::min(3, 2 * s)}) check_backward(c, strips == 1, strips, run);
            });
        }
}

}  // namespace

TEST_CASE("a sum and its layer norm are ATen's in double precision, with their gradients, in fp32") {
    check_norms<float>();
}

TEST_CASE("a sum and its layer norm are ATen's in double precision, with their gradients, rounded to bf16") {
    check_norms<bf16>();
}

TEST_CASE("a row far from 0 keeps its deviation") {
    // In fp32 the mean of squares less the square of the mean would leave nothing of it.
    const auto x = numbers({1, 256}) + 4096, out = at::empty({1, 256}), mean = at::empty({1}),
               rstd = at::empty({1});
    const auto gain = at::ones({256}), bias = at::zeros({256});
    all_blocks(cuda::Norm<float>{.x = x.const_data_ptr<float>(),
                                 .branch = nullptr,
                                 .scale = nullptr,
                                 .gain = gain.const_data_ptr<float>(),
                                 .bias = bias.const_data_ptr<float>(),
                                 .sum = nullptr,
                                 .out = out.mutable_data_ptr<float>(),
                                 .mean = mean.mutable_data_ptr<float>(),
                                 .rstd = rstd.mutable_data_ptr<float>(),
                                 .rows = 1,
                                 .rows_per_sample = 1,
                                 .width = 256,
                                 .eps = 1e-6F},
               [](const auto& work) { work(cuda::Alone()); });
    CHECK(distance(out, at::layer_norm(exact(x), {256}, {}, {}, 1e-6)) < 1e-3);
}
