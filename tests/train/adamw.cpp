// One pass over memory against ATen's kernels in double precision.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>
#include <functional>

#include "train/update_kernel.hpp"
#include "train/update_rule.hpp"

using namespace hearth::train;

namespace {

/// Three updates, with clipping and a moving average, each with a gradient of its own.
Update after_three(const at::Tensor& start, const std::function<at::Tensor(const at::Tensor&)>& as) {
    const at::NoGradGuard no_grad;
    Update update;
    update.parameter = as(start);
    for (int slot = 0; slot < 2; ++slot) update.slots.push_back(as(at::zeros_like(start)));
    update.steps = at::zeros({}, at::kFloat);
    update.moving_average = {as(at::ones_like(start)), update.parameter, 0.125};
    hearth::recipe::OptimizerSpec spec;
    spec.beta2 = 0.95;
    spec.eps = 1e-6;
    const auto adamw = update_rule(spec);
    for (int step = 1; step <= 3; ++step) {
        update.gradient = as(start.sin() * step);
        update.gradient_scale = 1.0 / step;
        update.steps.add_(1);
        adamw->apply({.lr = 0.01, .weight_decay = 0.2}, {&update, 1});
    }
    return update;
}

void check_equal(const Update& a, const Update& b) {
    const auto close = [](const at::Tensor& x, const at::Tensor& y) {
        return at::allclose(x.to(at::kDouble), y.to(at::kDouble), 1e-5, 1e-6);
    };
    CHECK(close(a.parameter, b.parameter));
    for (std::size_t slot = 0; slot < 2; ++slot) CHECK(close(a.slots[slot], b.slots[slot]));
    CHECK(close(a.moving_average.tensor, b.moving_average.tensor));
}

}  // namespace

TEST_CASE("one pass does what ATen's kernels do one after another") {
    at::manual_seed(3);
    // 0, a vector's remainder, and more than one thread's share
    for (const std::int64_t count : {0, 1, 13, 16384 * 3 + 5}) {
        INFO(count);
        const auto start = at::randn({count});
        check_equal(after_three(start, [](const at::Tensor& t) { return t.clone(); }),
                    after_three(start, [](const at::Tensor& t) { return t.to(at::kDouble); }));
    }
}

TEST_CASE("tensors that lie in memory in another order than their parameter are updated element by element") {
    at::manual_seed(4);
    const auto start = at::randn({6, 5});
    const auto plain = after_three(start, [](const at::Tensor& t) { return t.clone(); });
    const auto turned = [](const at::Tensor& t) { return t.t().contiguous().t(); };
    check_equal(plain, after_three(start, turned));  // all alike, none contiguous
    int made = 0;
    check_equal(plain, after_three(start, [&](const at::Tensor& t) {
                    return made++ < 4 ? t.clone() : turned(t);  // gradients turned, the rest not
                }));
}

TEST_CASE("a sum of squares counts every element once, whatever the length") {
    at::manual_seed(5);
    for (const std::int64_t count : {0, 1, 31, 33, 4095, 4096 * 2 + 45, 100000}) {
        INFO(count);
        const auto values = at::randn({count});
        CHECK(sum_of_squares(values.const_data_ptr<float>(), count) ==
              Approx(values.to(at::kDouble).square().sum().item<double>()).epsilon(1e-5));
    }
}
