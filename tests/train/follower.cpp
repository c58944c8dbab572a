// Networks that follow another: the closed form of a moving average, and what is copied.
#include "train/follower.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>
#include <cmath>

using namespace hearth;

namespace {

struct Part : Head {
    explicit Part(double value) {
        weight = register_parameter("weight", at::full({2, 3}, value, at::kDouble));
        count = register_buffer("count", at::full({}, static_cast<std::int64_t>(value), at::kLong));
    }
    Tensors forward(const Tensors& in, const Context&) override { return in; }
    void fill(double value) const {
        const at::NoGradGuard no_grad;
        at::Tensor(weight).fill_(value);
        at::Tensor(count).fill_(static_cast<std::int64_t>(value));
    }
    double value() const { return weight[1][2].item<double>(); }
    at::Tensor weight, count;
};

struct Pair {
    std::shared_ptr<Part> leading = std::make_shared<Part>(5), following = std::make_shared<Part>(1),
                          own = std::make_shared<Part>(9);
    plan::Network leader, follower;

    explicit Pair(const Schedule& momentum) {
        leader.name = "student";
        leader.heads = {{"project", leading}, {"restore", std::make_shared<Part>(7)}};
        follower.name = "teacher";
        follower.follows = "student";
        follower.heads = {{"project", following}, {"prototypes", own}};
        follower.momentum = momentum;
    }
};

Progress at_step(std::int64_t step) {
    return {.step = step, .total_steps = 10, .steps_per_epoch = 2};
}

}  // namespace

TEST_CASE("a follower of a leader at rest approaches it by the product of its scheduled momenta") {
    Schedule momentum = 0.9;
    momentum.shape = Schedule::Shape::cosine;
    momentum.to = 1;
    Pair pair(momentum);
    train::Follower follower(pair.follower, pair.leader);
    double product = 1;
    for (std::int64_t step = 0; step < 10; ++step) {
        const double m = 1 - 0.1 * (std::cos(M_PI * static_cast<double>(step) / 10) + 1) / 2;
        CHECK(follower.momentum(at_step(step)) == Approx(m));
        product *= m;
        follower.update(at_step(step));
        CHECK(pair.following->value() == Approx(5 + (1 - 5) * product).epsilon(1e-12));
    }
}

TEST_CASE("a follower of a moving leader is the weighted sum of where it has been") {
    Pair pair(0.75);
    train::Follower follower(pair.follower, pair.leader);
    double expected = 1;
    for (std::int64_t step = 0; step < 6; ++step) {
        const double leader = 10.0 * static_cast<double>(step * step);
        pair.leading->fill(leader);
        follower.update(at_step(step));
        expected = 0.75 * expected + 0.25 * leader;
    }
    CHECK(pair.following->value() == Approx(expected).epsilon(1e-12));
    CHECK(pair.leading->value() == 250);  // the leader itself never moves
}

TEST_CASE("buffers are copied, a head of its own is left alone") {
    Pair pair(0.5);
    pair.leading->fill(42);
    train::Follower follower(pair.follower, pair.leader);
    follower.update(at_step(0));
    CHECK(pair.following->count.item<std::int64_t>() == 42);
    CHECK(pair.following->value() == Approx(21.5));
    CHECK(pair.own->value() == 9);
    CHECK(pair.own->count.item<std::int64_t>() == 9);
}

TEST_CASE("momentum 1 never moves, momentum 0 is a copy") {
    Pair still(1.0), copy(0.0);
    train::Follower(still.follower, still.leader).update(at_step(0));
    train::Follower(copy.follower, copy.leader).update(at_step(0));
    CHECK(still.following->value() == 1);
    CHECK(copy.following->value() == 5);
}
