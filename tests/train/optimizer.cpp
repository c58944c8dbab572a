// AdamW against a loop in double precision, and what is around it: clipping, decay, frozen layers, followers.
#include "train/optimizer.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <hearth/error.hpp>

#include "train/layer_decay.hpp"

namespace train_optimizer {

using namespace hearth;
using namespace hearth::train;
using Catch::Matchers::Contains;

namespace {

at::Tensor parameter(at::IntArrayRef shape) {
    return at::randn(shape).set_requires_grad(true);
}

void set_gradient(at::Tensor p, const at::Tensor& gradient) {
    p.mutable_grad() = gradient.clone();
}

recipe::OptimizerSpec plain(double lr = 0.01) {
    recipe::OptimizerSpec spec;
    spec.lr = lr;
    spec.lr_batch = 0;
    spec.weight_decay = 0.1;
    spec.clip = 0;
    return spec;
}

Progress at_step(std::int64_t step, std::int64_t steps_per_epoch = 3) {
    return {.step = step, .total_steps = 12, .steps_per_epoch = steps_per_epoch};
}

/// What a first step from zero took for a parameter's gradient, after clipping: its average is a tenth of that.
at::Tensor gradient_used(Optimizer& optimizer, const std::string& name) {
    optimizer.step(at_step(0));
    for (const auto& [key, tensor] : optimizer.state())
        if (key == "optimizer.average." + name) return tensor * 10;
    FAIL("no parameter " << name);
    return {};
}

// Loshchilov & Hutter 2019, algorithm 2, one number at a time.
struct NaiveAdamW {
    std::vector<double> x, m, v;
    int t = 0;

    explicit NaiveAdamW(const at::Tensor& start) : m(start.numel(), 0.0), v(start.numel(), 0.0) {
        const auto flat = start.detach().to(at::kDouble).flatten();
        for (std::int64_t i = 0; i < flat.numel(); ++i) x.push_back(flat[i].item<double>());
    }
    void step(const at::Tensor& gradient, double lr, double decay, double b1, double b2, double eps) {
        const auto g = gradient.to(at::kDouble).flatten().contiguous();
        const auto* grad = g.const_data_ptr<double>();
        ++t;
        for (std::size_t i = 0; i < x.size(); ++i) {
            x[i] -= lr * decay * x[i];
            m[i] = b1 * m[i] + (1 - b1) * grad[i];
            v[i] = b2 * v[i] + (1 - b2) * grad[i] * grad[i];
            const double mean = m[i] / (1 - std::pow(b1, t)), square = v[i] / (1 - std::pow(b2, t));
            x[i] -= lr * mean / (std::sqrt(square) + eps);
        }
    }
    double largest_difference(const at::Tensor& other) const {
        const auto flat = other.detach().to(at::kDouble).flatten().contiguous();
        double largest = 0;
        for (std::size_t i = 0; i < x.size(); ++i)
            largest = std::max(largest, std::abs(x[i] - flat.const_data_ptr<double>()[i]));
        return largest;
    }
};

}  // namespace

TEST_CASE("six steps of AdamW are those of a naive loop, with decay on matrices only") {
    at::manual_seed(1);
    auto matrix = parameter({5, 7}), bias = parameter({7}), gain = parameter({5, 1}), token = parameter({1, 7});
    auto spec = plain();
    spec.lr.shape = Schedule::Shape::linear;
    spec.lr.to = 0.001;
    spec.weight_decay.shape = Schedule::Shape::cosine;
    spec.weight_decay.to = 0.5;
    spec.beta1 = 0.8;
    spec.beta2 = 0.95;
    spec.eps = 1e-6;
    spec.no_decay = {"token"};
    const NamedTensors named = {{"net.weight", matrix},
                                {"net.bias", bias},
                                {"odd.bias", gain},  // a bias is one by its name too
                                {"mask_token", token}};
    Optimizer optimizer(spec, named, 64);
    std::vector<NaiveAdamW> naive;
    for (const auto& [name, p] : named) naive.emplace_back(p);
    for (std::int64_t step = 0; step < 6; ++step) {
        for (std::size_t i = 0; i < named.size(); ++i) {
            const auto gradient = at::randn_like(named[i].second);
            set_gradient(named[i].second, gradient);
            const auto now = at_step(step);
            naive[i].step(gradient, spec.lr(now), i == 0 ? spec.weight_decay(now) : 0, 0.8, 0.95, 1e-6);
        }
        optimizer.step(at_step(step));
    }
    for (std::size_t i = 0; i < named.size(); ++i) {
        INFO(named[i].first);
        CHECK(naive[i].largest_difference(named[i].second) < 2e-6);
    }
}

TEST_CASE("the learning rate follows the global batch, unless lr_batch is 0") {
    auto spec = plain(0.02);
    spec.lr_batch = 256;
    CHECK(Optimizer(spec, {}, 64).lr(at_step(0)) == Approx(0.005));
    CHECK(Optimizer(spec, {}, 512).lr(at_step(0)) == Approx(0.04));
    spec.lr_batch = 0;
    CHECK(Optimizer(spec, {}, 64).lr(at_step(0)) == 0.02);
}

TEST_CASE("clip_mode tensor clips each gradient by its own norm") {
    auto small = parameter({2}), large = parameter({2});
    set_gradient(small, at::tensor({0.3f, 0.4f}));  // norm 0.5
    set_gradient(large, at::tensor({6.0f, 8.0f}));  // norm 10
    auto spec = plain();
    spec.clip = 1;
    Optimizer optimizer(spec, {{"small", small}, {"large", large}}, 1);
    CHECK(optimizer.clip() == Approx(std::sqrt(0.25 + 100)));
    CHECK(at::allclose(gradient_used(optimizer, "small"), at::tensor({0.3f, 0.4f}), 1e-5));
    Optimizer again(spec, {{"small", small}, {"large", large}}, 1);
    again.clip();
    CHECK(at::allclose(gradient_used(again, "large"), at::tensor({0.6f, 0.8f}), 1e-5));
}

TEST_CASE("clip_slices clips each slice of a stack by its own norm, as if they were parameters of their own") {
    auto stack = parameter({3, 1, 2}), other = parameter({2, 2});
    set_gradient(stack, at::tensor({0.3f, 0.4f, 6.0f, 8.0f, 0.0f, 0.0f}).view({3, 1, 2}));
    set_gradient(other, at::tensor({3.0f, 0.0f, 0.0f, 4.0f}).view({2, 2}));
    auto spec = plain();
    spec.clip = 1;
    spec.clip_slices = {"last"};
    Optimizer optimizer(spec, {{"net.last_layer", stack}, {"net.other", other}}, 1);
    CHECK(optimizer.clip() == Approx(std::sqrt(0.25 + 100 + 25)));  // of what there was before
    CHECK(at::allclose(gradient_used(optimizer, "net.last_layer"),
                       at::tensor({0.3f, 0.4f, 0.6f, 0.8f, 0.0f, 0.0f}).view({3, 1, 2}), 1e-5));
    Optimizer again(spec, {{"net.last_layer", stack}, {"net.other", other}}, 1);
    again.clip();
    CHECK(at::allclose(gradient_used(again, "net.other"), at::tensor({0.6f, 0.0f, 0.0f, 0.8f}).view({2, 2}),
                       1e-5));

    spec.clip_slices = {"lst"};
    CHECK_THROWS_WITH(Optimizer(spec, {{"net.last_layer", stack}}, 1),
                      Catch::Contains("optimizer.clip_slices names 'lst', which matches no trained parameter"));
    spec.clip_slices = {"last"};
    spec.clip_mode = "global";
    CHECK_THROWS_WITH(Optimizer(spec, {{"net.last_layer", stack}}, 1),
                      Catch::Contains("clip_slices with clip_mode \"global\", expected \"tensor\""));
}

TEST_CASE("clip_mode global scales all gradients alike") {
    auto small = parameter({2}), large = parameter({2});
    auto spec = plain();
    spec.clip = 1;
    spec.clip_mode = "global";
    const auto used = [&](float scale, const std::string& name, bool clip = true) {
        set_gradient(small, at::tensor({3.0f, 0.0f}) * scale);
        set_gradient(large, at::tensor({0.0f, 4.0f}) * scale);
        Optimizer optimizer(spec, {{"small", small}, {"large", large}}, 1);
        if (clip) CHECK(optimizer.clip() == Approx(5 * scale));
        return gradient_used(optimizer, name);
    };
    CHECK(at::allclose(used(1, "small"), at::tensor({0.6f, 0.0f}), 1e-5));
    CHECK(at::allclose(used(1, "large"), at::tensor({0.0f, 0.8f}), 1e-5));
    CHECK(at::allclose(used(0.2f, "large"), at::tensor({0.0f, 0.8f}), 1e-5));  // within the limit: left alone
    CHECK(at::allclose(used(1, "large", false), at::tensor({0.0f, 4.0f}), 1e-5));
}

TEST_CASE("clipping holds for one step") {
    auto p = parameter({2});
    auto spec = plain();
    spec.clip = 1;
    spec.beta1 = 0;
    Optimizer optimizer(spec, {{"p", p}}, 1);
    set_gradient(p, at::tensor({30.0f, 40.0f}));
    optimizer.clip();
    CHECK(at::allclose(gradient_used(optimizer, "p"), at::tensor({6.0f, 8.0f}), 1e-5));
    set_gradient(p, at::tensor({30.0f, 40.0f}));
    CHECK(at::allclose(gradient_used(optimizer, "p"), at::tensor({300.0f, 400.0f}), 1e-5));
}

TEST_CASE("clip 0 leaves gradients alone, and a norm that is not finite is reported and not scaled") {
    auto p = parameter({2});
    set_gradient(p, at::tensor({30.0f, 40.0f}));
    Optimizer free(plain(), {{"p", p}}, 1);
    CHECK(free.clip() == Approx(50));
    CHECK(at::allclose(gradient_used(free, "p"), at::tensor({30.0f, 40.0f}), 1e-5));
    auto spec = plain();
    spec.clip = 1;
    set_gradient(p, at::tensor({INFINITY, 1.0f}));
    Optimizer strict(spec, {{"p", p}}, 1);
    CHECK_FALSE(std::isfinite(strict.clip()));
    CHECK(gradient_used(strict, "p")[1].item<float>() == Approx(1));
}

TEST_CASE("a frozen layer stays still for its epochs and then starts from the first Adam step") {
    at::manual_seed(2);
    auto last = parameter({3, 3}), other = parameter({3, 3});
    auto spec = plain();
    spec.freeze = {"last_layer"};
    spec.freeze_epochs = 2;
    Optimizer optimizer(spec, {{"head.last_layer.weight_v", last}, {"head.mlp.weight", other}}, 1);
    const auto start = last.detach().clone();
    NaiveAdamW naive(last);
    for (std::int64_t step = 0; step < 8; ++step) {  // three steps an epoch: frozen in steps 0 to 5
        const auto gradient = at::randn({3, 3});
        set_gradient(last, gradient);
        set_gradient(other, gradient);
        const auto before = other.detach().clone();
        optimizer.step(at_step(step));
        CHECK_FALSE(at::equal(other, before));
        if (step < 6)
            CHECK(at::equal(last, start));
        else
            naive.step(gradient, 0.01, 0.1, 0.9, 0.999, 1e-8);
    }
    CHECK(naive.largest_difference(last) < 1e-6);
}

TEST_CASE("a freeze pattern that matches nothing is an error that names it") {
    auto p = parameter({2});
    auto spec = plain();
    spec.freeze = {"last_layer"};
    spec.origin = {"a.toml", 7, 1};
    CHECK_THROWS_AS(Optimizer(spec, {{"backbone.weight", p}}, 1), RecipeError);
    CHECK_THROWS_WITH(Optimizer(spec, {{"backbone.weight", p}}, 1),
                      Contains("a.toml:7") && Contains("'last_layer', which matches no trained parameter"));
}

TEST_CASE("a pattern is a substring, or a glob for the whole name") {
    CHECK(matches("student.heads.project.last_layer.weight_v", "last_layer"));
    CHECK(matches("student.backbone.blocks.0.norm1.weight", "student.*.norm?.weight"));
    CHECK_FALSE(matches("student.backbone.blocks.0.norm1.weight", "norm?.weight"));
    CHECK_FALSE(matches("student.backbone", "teacher"));
}

TEST_CASE("a parameter without a gradient is neither moved nor decayed, and is named") {
    at::manual_seed(3);
    auto with = parameter({2, 2}), without = parameter({2, 2});
    const auto start = without.detach().clone();
    Optimizer optimizer(plain(), {{"with", with}, {"without", without}}, 1);
    set_gradient(with, at::ones({2, 2}));
    CHECK(optimizer.clip() == Approx(2));
    optimizer.step(at_step(0));
    CHECK(at::equal(without, start));
    CHECK(optimizer.without_gradient() == std::vector<std::string>{"without"});
    optimizer.zero_grad();
    CHECK(optimizer.without_gradient() == std::vector<std::string>{"with", "without"});
}

TEST_CASE("an optimiser with loaded state goes on as the one that saved it") {
    at::manual_seed(4);
    auto a = parameter({3, 4});
    Optimizer first(plain(), {{"p", a}}, 1);
    std::vector<at::Tensor> gradients;
    for (int i = 0; i < 4; ++i) gradients.push_back(at::randn({3, 4}));
    const auto step = [&](Optimizer& optimizer, const at::Tensor& p, int i) {
        set_gradient(p, gradients[static_cast<std::size_t>(i)]);
        optimizer.step(at_step(i));
    };
    for (int i = 0; i < 2; ++i) step(first, a, i);
    auto b = a.detach().clone().set_requires_grad(true);
    Optimizer second(plain(), {{"p", b}}, 1);
    NamedTensors saved;
    for (const auto& [name, tensor] : first.state()) saved.emplace_back(name, tensor.clone());
    second.load(saved);
    for (int i = 2; i < 4; ++i) {
        step(first, a, i);
        step(second, b, i);
    }
    CHECK(at::equal(a, b));
    saved.pop_back();
    CHECK_THROWS_AS(second.load(saved), DataError);
    CHECK_THROWS_WITH(second.load(saved), Contains("'optimizer.steps.p'"));
}

TEST_CASE("layers of a backbone are counted from their numbered names") {
    const std::vector<std::string> names = {
        "s.backbone.cls_token",          "s.backbone.patch_embed.proj.weight",
        "s.backbone.blocks.0.norm.bias", "s.backbone.blocks.1.mlp.fc.weight",
        "s.backbone.norm.weight",        "s.heads.classify.weight"};
    const std::vector<double> expected = {0.125, 0.125, 0.25, 0.5, 1, 1};
    CHECK(layer_factors(names, 0.5) == expected);
    CHECK(layer_factors(names, 1) == std::vector<double>(6, 1.0));
    CHECK(layer_factors(
              {"s.backbone.conv1.weight", "s.backbone.layer1.0.conv.weight",
               "s.backbone.layer1.0.downsample.0.weight", "s.backbone.layer2.0.conv.weight", "loss.scale"},
              0.5) == std::vector<double>{0.125, 0.25, 0.25, 0.5, 1});
    CHECK(layer_factors({"a.backbone.blocks.0.w", "b.backbone.blocks.0.w", "b.backbone.blocks.1.w"}, 0.5) ==
          std::vector<double>{0.5, 0.25, 0.5});
}

TEST_CASE("layer_decay scales the learning rate of each layer") {
    auto spec = plain();
    spec.layer_decay = 0.5;
    spec.weight_decay = 0.0;
    std::vector<at::Tensor> tensors;
    NamedTensors named;
    for (const auto* name : {"s.backbone.embed.bias", "s.backbone.blocks.0.bias", "s.heads.h.bias"}) {
        tensors.push_back(at::zeros({1}).set_requires_grad(true));
        named.emplace_back(name, tensors.back());
    }
    Optimizer optimizer(spec, named, 1);
    for (auto& tensor : tensors) set_gradient(tensor, at::ones({1}));
    optimizer.step(at_step(0));
    // The first step of Adam is lr, whatever the gradient.
    CHECK(tensors[0].item<double>() == Approx(-0.01 * 0.25).epsilon(1e-4));
    CHECK(tensors[1].item<double>() == Approx(-0.01 * 0.5).epsilon(1e-4));
    CHECK(tensors[2].item<double>() == Approx(-0.01).epsilon(1e-4));
}

TEST_CASE("moving averages move once, after their leaders: with the update, or where there is none") {
    auto moved = parameter({3, 2}), still = parameter({4}), frozen = parameter({2});
    const auto outside = at::randn({5});
    auto spec = plain();
    spec.freeze = {"frozen"};
    spec.freeze_epochs = 1;
    Optimizer optimizer(spec, {{"moved", moved}, {"still", still}, {"frozen", frozen}}, 1);
    set_gradient(moved, at::randn({3, 2}));
    set_gradient(frozen, at::randn({2}));
    const auto averages_of = [](const std::vector<at::Tensor>& leaders, double weight) {
        std::vector<MovingAverage> out;
        for (const auto& leader : leaders) out.push_back({at::randn(leader.sizes()), leader, weight});
        return out;
    };
    auto averages = averages_of({moved, still, frozen, outside}, 0.25);
    for (const auto& far : averages_of({moved, outside}, 0.75)) averages.push_back(far);
    std::vector<at::Tensor> before;
    for (const auto& average : averages) before.push_back(average.tensor.clone());
    const auto moved_before = moved.detach().clone(), frozen_before = frozen.detach().clone();
    optimizer.step(at_step(0), averages);
    CHECK_FALSE(at::equal(moved, moved_before));
    CHECK(at::equal(frozen, frozen_before));
    for (std::size_t i = 0; i < averages.size(); ++i)
        CHECK(at::allclose(averages[i].tensor,
                           at::lerp(before[i], averages[i].leader.detach(), averages[i].weight)));
}

}  // namespace train_optimizer
