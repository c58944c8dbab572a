// Every rule against torch.optim's, LARS against a loop in double precision; and what an Optimizer does alike for
// all of them: clipping, frozen layers, followers, state.
#include "train/update_rule.hpp"

#include <ATen/ATen.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <hearth/error.hpp>

#include "train/optimizer.hpp"

namespace train_update_rule {

using namespace hearth;
using namespace hearth::train;
using Catch::Matchers::Contains;

namespace {

constexpr int step_count = 50;

recipe::OptimizerSpec spec_of(const std::string& use, double weight_decay = 0.1) {
    recipe::OptimizerSpec spec;
    spec.use = use;
    spec.lr = 0.01;
    spec.lr_batch = 0;
    spec.weight_decay = weight_decay;
    spec.clip = 0;
    spec.momentum = use == "adamw" || use == "adam" ? 0 : 0.9;
    return spec;
}

/// One of each kind, with all the state that it can have.
std::vector<recipe::OptimizerSpec> all_rules() {
    std::vector<recipe::OptimizerSpec> out;
    for (const auto* use : {"adamw", "adam", "sgd", "lars", "rmsprop"}) out.push_back(spec_of(use));
    out.back().centered = true;
    return out;
}

Progress at_step(std::int64_t step) {
    return {.step = step, .total_steps = step_count, .steps_per_epoch = 10};
}

/// A matrix that decays and a bias that does not.
struct Parameters {
    at::Tensor matrix, bias;
    explicit Parameters(at::ScalarType type) {
        at::manual_seed(7);
        matrix = at::randn({5, 7}, at::kDouble).to(type).set_requires_grad(true);
        bias = at::randn({7}, at::kDouble).to(type).set_requires_grad(true);
    }
    NamedTensors named() const { return {{"net.weight", matrix}, {"net.bias", bias}}; }
    /// The same gradients for the same step.
    void set_gradients(int step) {
        at::manual_seed(static_cast<std::uint64_t>(100 + step));
        for (auto* p : {&matrix, &bias}) p->mutable_grad() = at::randn(p->sizes(), at::kDouble).to(p->dtype());
    }
};

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
    const auto expected = b.detach().to(at::kDouble);
    return ((a.detach().to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

/// Of our parameters from those of torch.optim after all steps.
template <class Reference, class Options>
double difference(const recipe::OptimizerSpec& spec, Options options, at::ScalarType type) {
    Parameters ours(type), theirs(type);
    Optimizer optimizer(spec, ours.named(), 1);
    std::vector<torch::optim::OptimizerParamGroup> groups;
    options.weight_decay(spec.weight_decay.from);
    groups.emplace_back(std::vector<at::Tensor>{theirs.matrix}, std::make_unique<Options>(options));
    options.weight_decay(0);
    groups.emplace_back(std::vector<at::Tensor>{theirs.bias}, std::make_unique<Options>(options));
    Reference reference(groups, options);
    for (int step = 0; step < step_count; ++step) {
        ours.set_gradients(step);
        theirs.set_gradients(step);
        optimizer.step(at_step(step));
        reference.step();
    }
    return std::max(relative_difference(ours.matrix, theirs.matrix),
                    relative_difference(ours.bias, theirs.bias));
}

// You et al. 2017, algorithm 1 with lr outside of the momentum, one number at a time.
struct NaiveLars {
    std::vector<double> x, momentum;
    bool adapts;

    NaiveLars(const at::Tensor& start, bool adapts_) : momentum(start.numel(), 0.0), adapts(adapts_) {
        const auto flat = start.detach().to(at::kDouble).flatten();
        for (std::int64_t i = 0; i < flat.numel(); ++i) x.push_back(flat[i].item<double>());
    }
    void step(const at::Tensor& gradient, double lr, double decay, double share, double trust) {
        const auto flat = gradient.to(at::kDouble).flatten().contiguous();
        std::vector<double> g(flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel());
        double of_x = 0, of_g = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            if (adapts) g[i] += decay * x[i];
            of_x += x[i] * x[i];
            of_g += g[i] * g[i];
        }
        const double ratio = adapts && of_x > 0 && of_g > 0 ? trust * std::sqrt(of_x) / std::sqrt(of_g) : 1;
        for (std::size_t i = 0; i < x.size(); ++i) {
            momentum[i] = share * momentum[i] + ratio * g[i];
            x[i] -= lr * momentum[i];
        }
    }
    at::Tensor tensor(const at::Tensor& like) const { return at::tensor(x, at::kDouble).view(like.sizes()); }
};

NamedTensors copy_of(const NamedTensors& state) {
    NamedTensors out;
    for (const auto& [name, tensor] : state) out.emplace_back(name, tensor.clone());
    return out;
}

}  // namespace

TEST_CASE("fifty steps of a rule are those of torch.optim, with decay on matrices only") {
    for (const auto type : {at::kFloat, at::kDouble}) {
        CAPTURE(c10::toString(type));
        auto spec = spec_of("adamw");
        spec.beta1 = 0.8;
        spec.beta2 = 0.95;
        const std::tuple betas(0.8, 0.95);
        CHECK(difference<torch::optim::AdamW>(spec, torch::optim::AdamWOptions(0.01).betas(betas), type) <
              1e-6);
        spec.use = "adam";
        CHECK(difference<torch::optim::Adam>(spec, torch::optim::AdamOptions(0.01).betas(betas), type) < 1e-6);

        spec = spec_of("sgd");
        torch::optim::SGDOptions sgd(0.01);
        sgd.momentum(0.9);
        CHECK(difference<torch::optim::SGD>(spec, sgd, type) < 1e-6);
        spec.nesterov = true;
        sgd.nesterov(true);
        CHECK(difference<torch::optim::SGD>(spec, sgd, type) < 1e-6);
        spec.nesterov = false;
        spec.momentum = 0;
        CHECK(difference<torch::optim::SGD>(spec, torch::optim::SGDOptions(0.01), type) < 1e-6);

        spec = spec_of("rmsprop");
        spec.alpha = 0.9;
        spec.eps = 1e-6;
        for (const bool centered : {false, true})
            for (const double momentum : {0.0, 0.9}) {
                CAPTURE(centered, momentum);
                spec.centered = centered;
                spec.momentum = momentum;
                torch::optim::RMSpropOptions options(0.01);
                options.alpha(0.9).eps(1e-6).centered(centered).momentum(momentum);
                CHECK(difference<torch::optim::RMSprop>(spec, options, type) < 1e-6);
            }
    }
}

TEST_CASE(
    "fifty steps of LARS are those of a naive loop: biases, and what no_decay names, keep their gradient") {
    for (const auto type : {at::kFloat, at::kDouble}) {
        at::manual_seed(3);
        auto spec = spec_of("lars");
        spec.lr.shape = Schedule::Shape::linear;
        spec.lr.from = 2;
        spec.lr.to = 0.1;
        spec.trust = 0.01;
        spec.no_decay = {"token"};
        NamedTensors named;
        for (const auto* name : {"net.weight", "net.zero", "net.bias", "mask_token"}) {
            auto start = at::randn(std::string(name) == "net.bias" ? at::IntArrayRef{7} : at::IntArrayRef{5, 7},
                                   at::kDouble);
            if (std::string(name) == "net.zero") start.zero_();  // a first step from 0 has the ratio 1
            named.emplace_back(name, start.to(type).set_requires_grad(true));
        }
        std::vector<NaiveLars> naive;
        for (std::size_t i = 0; i < named.size(); ++i) naive.emplace_back(named[i].second, i < 2);
        Optimizer optimizer(spec, named, 1);
        for (int step = 0; step < step_count; ++step) {
            for (std::size_t i = 0; i < named.size(); ++i) {
                auto& parameter = named[i].second;
                parameter.mutable_grad() = at::randn(parameter.sizes(), at::kDouble).to(type);
                naive[i].step(parameter.grad(), spec.lr(at_step(step)), 0.1, 0.9, 0.01);
            }
            optimizer.step(at_step(step));
        }
        for (std::size_t i = 0; i < named.size(); ++i) {
            CAPTURE(c10::toString(type), named[i].first);
            CHECK(relative_difference(named[i].second, naive[i].tensor(named[i].second)) < 1e-6);
        }
    }
}

TEST_CASE("under every rule a gradient without length moves nothing that does not decay") {
    for (const auto& spec : all_rules()) {
        CAPTURE(spec.use);
        Parameters p(at::kFloat);
        const auto before = p.bias.detach().clone();
        Optimizer optimizer(spec, p.named(), 1);
        for (auto* tensor : {&p.matrix, &p.bias}) tensor->mutable_grad() = at::zeros_like(*tensor);
        optimizer.step(at_step(0));
        CHECK(at::equal(p.bias, before));
        CHECK(p.matrix.isfinite().all().item<bool>());
    }
}

TEST_CASE("under every rule clipping is the same as a smaller gradient") {
    for (auto spec : all_rules()) {
        CAPTURE(spec.use);
        Parameters clipped(at::kFloat), smaller(at::kFloat);
        Optimizer free(spec, smaller.named(), 1);
        spec.clip = 1;
        spec.clip_mode = "global";
        Optimizer optimizer(spec, clipped.named(), 1);
        for (int step = 0; step < 3; ++step) {
            clipped.set_gradients(step);
            smaller.set_gradients(step);
            const double norm = optimizer.clip();
            REQUIRE(norm > 1);
            for (auto* p : {&smaller.matrix, &smaller.bias}) p->mutable_grad().div_(norm + 1e-6);
            optimizer.step(at_step(step));
            free.step(at_step(step));
        }
        CHECK(relative_difference(clipped.matrix, smaller.matrix) < 1e-6);
        CHECK(relative_difference(clipped.bias, smaller.bias) < 1e-6);
    }
}

TEST_CASE("under every rule a gradient may lie in memory in another order than its parameter") {
    for (const auto& spec : all_rules()) {
        CAPTURE(spec.use);
        Parameters plain(at::kFloat), turned(at::kFloat);
        Optimizer first(spec, plain.named(), 1), second(spec, turned.named(), 1);
        for (int step = 0; step < 3; ++step) {
            plain.set_gradients(step);
            turned.set_gradients(step);
            turned.matrix.mutable_grad() = turned.matrix.grad().t().contiguous().t();
            first.step(at_step(step));
            second.step(at_step(step));
        }
        CHECK(relative_difference(turned.matrix, plain.matrix) < 1e-6);
    }
}

TEST_CASE("under every rule a frozen parameter stays, and moving averages follow what moves and what stays") {
    for (auto spec : all_rules()) {
        CAPTURE(spec.use);
        spec.freeze = {"bias"};
        spec.freeze_epochs = 1;
        Parameters p(at::kFloat);
        Optimizer optimizer(spec, p.named(), 1);
        const auto matrix = p.matrix.detach().clone(), bias = p.bias.detach().clone();
        const auto start = at::randn({5, 7}), start_of_bias = at::randn({7});
        const std::vector<MovingAverage> averages = {{start.clone(), p.matrix, 0.25},
                                                     {start_of_bias.clone(), p.bias, 0.75}};
        p.set_gradients(0);
        optimizer.step(at_step(0), averages);
        CHECK_FALSE(at::equal(p.matrix, matrix));
        CHECK(at::equal(p.bias, bias));
        CHECK(at::allclose(averages[0].tensor, at::lerp(start, p.matrix.detach(), 0.25)));
        CHECK(at::allclose(averages[1].tensor, at::lerp(start_of_bias, bias, 0.75)));
        for (const auto& [name, tensor] : optimizer.state())
            if (name.ends_with("net.bias")) CHECK(tensor.count_nonzero().item<std::int64_t>() == 0);
        p.set_gradients(10);
        optimizer.step(at_step(10));
        CHECK_FALSE(at::equal(p.bias, bias));
    }
}

TEST_CASE("under every rule loaded state goes on to the last bit, and that of another rule is refused") {
    for (const auto& spec : all_rules()) {
        CAPTURE(spec.use);
        Parameters first(at::kFloat);
        Optimizer saved(spec, first.named(), 1);
        for (int step = 0; step < 3; ++step) {
            first.set_gradients(step);
            saved.step(at_step(step));
        }
        Parameters second(at::kFloat);
        {
            const at::NoGradGuard no_grad;
            second.matrix.copy_(first.matrix);
            second.bias.copy_(first.bias);
        }
        Optimizer loaded(spec, second.named(), 1);
        const auto state = copy_of(saved.state());
        loaded.load(state);
        for (int step = 3; step < 6; ++step) {
            for (auto* p : {&first, &second}) p->set_gradients(step);
            saved.step(at_step(step));
            loaded.step(at_step(step));
        }
        CHECK(at::equal(first.matrix, second.matrix));
        CHECK(at::equal(first.bias, second.bias));
        Optimizer another(spec_of(spec.use == "adam" || spec.use == "adamw" ? "sgd" : "adamw"), second.named(),
                          1);
        CHECK_THROWS_WITH(another.load(state), Contains("it belongs to another recipe"));
    }
}

TEST_CASE("state is called by its slot and its parameter, of one of several optimisers by its name too") {
    const auto names = [](const recipe::OptimizerSpec& spec, const std::string& name) {
        const auto p = at::zeros({2}).set_requires_grad(true);
        std::vector<std::string> out;
        for (const auto& [key, tensor] : Optimizer(spec, {{"net.p", p}}, 1, name).state()) out.push_back(key);
        return out;
    };
    using Names = std::vector<std::string>;
    CHECK(names(spec_of("adamw"), "") ==
          Names{"optimizer.average.net.p", "optimizer.square.net.p", "optimizer.steps.net.p"});
    CHECK(names(spec_of("adam"), "critic") == Names{"optimizer.critic.average.net.p",
                                                    "optimizer.critic.square.net.p",
                                                    "optimizer.critic.steps.net.p"});
    CHECK(names(spec_of("lars"), "") == Names{"optimizer.momentum.net.p", "optimizer.steps.net.p"});
    auto spec = spec_of("rmsprop");
    spec.centered = true;
    CHECK(names(spec, "") == Names{"optimizer.square.net.p", "optimizer.mean.net.p", "optimizer.momentum.net.p",
                                   "optimizer.steps.net.p"});
    spec = spec_of("sgd");
    spec.momentum = 0;
    CHECK(names(spec, "") == Names{"optimizer.steps.net.p"});
}

TEST_CASE("patterns of one of several optimisers are checked over the parameters of all") {
    auto spec = spec_of("sgd");
    spec.freeze = {"critic"};
    spec.origin = {"a.toml", 7, 1};
    const auto p = at::zeros({2}).set_requires_grad(true);
    CHECK_THROWS_AS(Optimizer(spec, {{"net.p", p}}, 1), RecipeError);
    CHECK_NOTHROW(Optimizer(spec, {{"net.p", p}}, 1, "net"));
    CHECK_NOTHROW(check_patterns(spec, {{"net.p", p}, {"critic.p", p}}));
    CHECK_THROWS_WITH(
        check_patterns(spec, {{"net.p", p}}),
        Contains("a.toml:7") && Contains("optimizer.freeze names 'critic', which matches no trained"));
}

TEST_CASE("a rule that there is not is an error") {
    CHECK_THROWS_WITH(update_rule(spec_of("lamb")),
                      Contains("optimizer.use: found \"lamb\", expected adamw, adam, sgd, lars or rmsprop"));
}

}  // namespace train_update_rule
