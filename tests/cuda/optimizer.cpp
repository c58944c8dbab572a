// An optimiser whose update is one operation of the device, beside one that goes pass after pass: the kernels are loops of
// the host, the code that calls them is that of a GPU.
#include "train/optimizer.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <stdexcept>

#include "cuda/host_twin.hpp"
#include "cuda/support.hpp"
#include "cuda/twin_kernels.hpp"

namespace cuda_optimizer {

using namespace hearth;
using namespace hearth::test;
using at::Tensor;
using train::NamedTensors;

namespace {

/// A loop sums 32,768 squares in fp32, where a thread of a GPU has 128.
constexpr double near = 1e-5;

recipe::OptimizerSpec adamw() {
    recipe::OptimizerSpec spec;
    spec.use = "adamw";
    spec.lr = 0.02;
    spec.lr.shape = Schedule::Shape::linear;
    spec.lr.to = 0.001;
    spec.lr_batch = 0;
    spec.weight_decay = 0.3;
    spec.beta2 = 0.95;
    spec.eps = 1e-6;
    spec.clip = 2;
    spec.layer_decay = 0.7;
    spec.freeze = {"head.last"};
    spec.freeze_epochs = 1;
    return spec;
}

Progress at_step(std::int64_t step) {
    return {.step = step, .total_steps = 9, .steps_per_epoch = 3};
}

/// What a training has: parameters, of which the last one never gets a gradient, and their moving averages.
struct Net {
    explicit Net(const recipe::OptimizerSpec& spec) {
        at::manual_seed(3);
        const auto add = [&](const std::string& name, at::IntArrayRef shape) {
            named.emplace_back(name, numbers(shape).requires_grad_());
            followers.push_back(at::zeros(shape));
        };
        add("blocks.0.weight", {200, 300});  // two pieces
        add("blocks.0.bias", {7});
        add("blocks.1.weight", {5, 6});
        add("head.last.weight", {4, 5});
        add("head.unused", {3});
        followers[2] = at::zeros({6, 5}).t();  // lies otherwise in memory
        second = at::zeros({7});
        fixed = numbers({3, 5});
        of_fixed = at::zeros({3, 5});
        optimizer = std::make_unique<train::Optimizer>(spec, named, 64);
    }

    std::vector<train::MovingAverage> averages() const {
        std::vector<train::MovingAverage> out;
        for (std::size_t i = 0; i < named.size(); ++i) out.push_back({followers[i], named[i].second, 0.125});
        out.push_back({second, named[1].second, 0.5});
        out.push_back({of_fixed, fixed, 0.25});
        return out;
    }
    void set_gradients(std::int64_t step) {
        at::manual_seed(100 + step);
        for (auto& [name, parameter] : named)
            if (name != "head.unused") parameter.mutable_grad() = numbers(parameter.sizes()) * 0.3;
        auto& turned = named[2].second;
        turned.mutable_grad() = numbers({6, 5}).t();
    }
    /// All that a step may change.
    NamedTensors all() const {
        auto out = optimizer->state();
        for (std::size_t i = 0; i < named.size(); ++i) {
            out.emplace_back(named[i].first, named[i].second.detach());
            out.emplace_back(named[i].first + " followed", followers[i]);
        }
        out.emplace_back("second follower", second);
        out.emplace_back("follower of what is not trained", of_fixed);
        return out;
    }

    NamedTensors named;
    std::vector<Tensor> followers;
    Tensor second, fixed, of_fixed;
    std::unique_ptr<train::Optimizer> optimizer;
};

double pass_after_pass(Net& net, std::int64_t step) {
    net.set_gradients(step);
    const double norm = net.optimizer->clip();
    net.optimizer->step(at_step(step), net.averages());
    return norm;
}

Tensor at_once(Net& net, std::int64_t step, const std::function<void(Net&)>& before = {}) {
    net.set_gradients(step);
    if (before) before(net);
    return net.optimizer->update_on_device(at_step(step), net.averages(), at::scalar_tensor(1.5));
}

void check_close(const Net& found, const Net& expected) {
    const auto a = found.all(), b = expected.all();
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        INFO(a[i].first);
        CHECK(distance(a[i].second, b[i].second) < near);
    }
}

NamedTensors copied(const NamedTensors& tensors) {
    NamedTensors out;
    for (const auto& [name, tensor] : tensors) out.emplace_back(name, tensor.clone());
    return out;
}

void check_equal(const NamedTensors& found, const NamedTensors& expected) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
        INFO(found[i].first);
        CHECK(at::equal(found[i].second, expected[i].second));
    }
}

}  // namespace

TEST_CASE("an update at once is that of pass after pass: schedules, decay, layers, frozen ones, averages") {
    for (const auto& [clip, mode] : {std::pair{2.0, "tensor"}, {2.0, "global"}, {0.0, "tensor"}}) {
        INFO("clip " << clip << " by " << mode);
        auto spec = adamw();
        spec.clip = clip;
        spec.clip_mode = mode;
        Net expected(spec);
        REQUIRE_FALSE(expected.optimizer->updates_on_device());
        const TwinKernels kernels;
        Net found(spec);
        REQUIRE(found.optimizer->updates_on_device());
        for (std::int64_t step = 0; step < 6; ++step) {  // the last layer is frozen for three
            const int before = launches();
            const double norm = pass_after_pass(expected, step);
            const auto told = at_once(found, step);
            CHECK(launches() - before == 1);
            CHECK(told[cuda::told_norm].item<double>() == Approx(norm).epsilon(near));
            CHECK(told[cuda::told_updated].item<double>() == 1);
            CHECK(told[cuda::told_loss].item<double>() == 1.5);
        }
        check_close(found, expected);
        CHECK(found.optimizer->state()[2].second.item<float>() == 6);
    }
}

TEST_CASE("a saved state goes on, by either way") {
    Net other(adamw());
    const TwinKernels kernels;
    Net whole(adamw()), resumed(adamw());
    for (std::int64_t step = 0; step < 3; ++step) at_once(whole, step);
    const auto saved = copied(whole.all());
    for (auto* net : {&resumed, &other}) {
        net->optimizer->load(saved);
        const at::NoGradGuard no_grad;
        const auto all = net->all();
        for (std::size_t i = 0; i < all.size(); ++i) Tensor(all[i].second).copy_(saved[i].second);
    }
    for (std::int64_t step = 3; step < 6; ++step) {
        at_once(whole, step);
        at_once(resumed, step);
        pass_after_pass(other, step);
    }
    check_equal(resumed.all(), whole.all());
    check_close(other, whole);
}

TEST_CASE("an update that is not finite leaves all as it was, whoever follows, and the next one is made") {
    const TwinKernels kernels;
    Net net(adamw()), without(adamw());
    at_once(net, 0);
    at_once(without, 0);
    const auto before = copied(net.all());
    const auto spoil = [](Net& spoilt) { spoilt.named[3].second.mutable_grad()[1][1] = NAN; };
    const auto told = at_once(net, 1, spoil);
    CHECK(told[cuda::told_updated].item<double>() == 0);
    check_equal(net.all(), before);
    net.set_gradients(1);
    const auto lost = net.optimizer->update_on_device(at_step(1), net.averages(), at::scalar_tensor(INFINITY));
    CHECK(lost[cuda::told_updated].item<double>() == 0);
    CHECK(std::isfinite(lost[cuda::told_norm].item<double>()));
    check_equal(net.all(), before);
    at_once(net, 2);
    at_once(without, 2);
    check_equal(net.all(), without.all());
}

TEST_CASE("what the operation does not do goes pass after pass") {
    const TwinKernels kernels;
    const NamedTensors single = {{"weight", at::zeros({2, 2})}};
    const auto at_once = [&](const std::function<void(recipe::OptimizerSpec&)>& change,
                             const NamedTensors& of) {
        auto spec = adamw();
        spec.freeze = {};
        change(spec);
        return train::Optimizer(spec, of, 64).updates_on_device();
    };
    const auto nothing = [](recipe::OptimizerSpec&) {};
    CHECK(at_once(nothing, single));
    CHECK_FALSE(at_once([](auto& spec) { spec.clip_slices = {"weight"}; }, single));
    CHECK_FALSE(at_once([](auto& spec) { spec.use = "adam"; }, single));
    CHECK_FALSE(at_once(nothing, {{"weight", at::zeros({2, 2}, at::kDouble)}}));
    CHECK_FALSE(at_once(nothing, {{"weight", at::zeros({2, 4}).slice(1, 0, 2)}}));
    CHECK_FALSE(at_once(nothing, {}));
    train::Optimizer none(adamw(), {{"head.last", at::zeros({2}, at::kDouble)}}, 64);
    CHECK_THROWS_AS(none.update_on_device(at_step(0), {}, {}), std::logic_error);
}

}  // namespace cuda_optimizer
