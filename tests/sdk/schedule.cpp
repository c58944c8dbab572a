// Schedules: values at known steps, and nothing remembered between calls.
#include <catch2/catch.hpp>
#include <cmath>
#include <hearth/schedule.hpp>
#include <numbers>
#include <vector>

using namespace hearth;

namespace {

Progress at_step(std::int64_t step, std::int64_t epochs = 10, std::int64_t steps_per_epoch = 7) {
    return {.step = step, .total_steps = epochs * steps_per_epoch, .steps_per_epoch = steps_per_epoch};
}

// utils.cosine_scheduler of facebookresearch/dino, line by line.
std::vector<double> dino(double base, double final, int epochs, int niter, int warmup_epochs, double start) {
    std::vector<double> values;
    const int warmup = warmup_epochs * niter;
    for (int i = 0; i < warmup; ++i)  // numpy.linspace(start, base, warmup)
        values.push_back(start + (base - start) * i / (warmup - 1));
    const int rest = epochs * niter - warmup;
    for (int i = 0; i < rest; ++i)
        values.push_back(final + 0.5 * (base - final) * (1 + std::cos(std::numbers::pi * i / rest)));
    return values;
}

Schedule cosine(double from, double to, double warmup = 0, double start = 0) {
    Schedule schedule;
    schedule.shape = Schedule::Shape::cosine;
    schedule.from = from;
    schedule.to = to;
    schedule.warmup = warmup;
    schedule.start = start;
    return schedule;
}

}  // namespace

TEST_CASE("a number is a constant schedule") {
    const Schedule schedule = 0.3;
    CHECK(schedule(at_step(0)) == 0.3);
    CHECK(schedule(at_step(69)) == 0.3);
    CHECK(schedule.min() == 0.3);
    CHECK(schedule.max() == 0.3);
    CHECK(schedule.describe() == "0.3");
}

TEST_CASE("cosine with warm-up is DINO's schedule at every step") {
    const auto schedule = cosine(5e-4, 1e-6, 3, 1e-5);
    const auto expected = dino(5e-4, 1e-6, 10, 7, 3, 1e-5);
    REQUIRE(expected.size() == 70);
    for (std::int64_t step = 0; step < 70; ++step)
        CHECK(schedule(at_step(step)) == Approx(expected[static_cast<std::size_t>(step)]).epsilon(1e-12));
    CHECK(schedule(at_step(0)) == 1e-5);                      // where the warm-up starts
    CHECK(schedule(at_step(20)) == Approx(5e-4));             // its last step
    CHECK(schedule(at_step(21)) == 5e-4);                     // the cosine starts at the top
    CHECK(schedule(at_step(70)) == Approx(1e-6));             // the end, after the last step
    CHECK(schedule(at_step(1000)) == schedule(at_step(70)));  // and stays there
}

TEST_CASE("a cosine is half-way at half of the steps, a quarter of the way down at a third") {
    const auto schedule = cosine(1, 0);
    CHECK(schedule(at_step(30, 10, 6)) == Approx(0.5));
    CHECK(schedule(at_step(20, 10, 6)) == Approx(0.75));
}

TEST_CASE("linear goes evenly from one value to the other after the warm-up") {
    auto schedule = cosine(2, 1, 1);
    schedule.shape = Schedule::Shape::linear;
    CHECK(schedule(at_step(0, 3, 10)) == 0);
    CHECK(schedule(at_step(9, 3, 10)) == 2);
    CHECK(schedule(at_step(10, 3, 10)) == 2);
    CHECK(schedule(at_step(15, 3, 10)) == Approx(1.75));
    CHECK(schedule(at_step(30, 3, 10)) == 1);
}

TEST_CASE("a warm-up of one step is its start, as numpy.linspace has it") {
    const auto schedule = cosine(1, 0, 1, 0.25);
    CHECK(schedule(at_step(0, 5, 1)) == 0.25);
    CHECK(schedule(at_step(1, 5, 1)) == 1);
}

TEST_CASE("a constant with warm-up stays where the warm-up ends") {
    Schedule schedule = 0.4;
    schedule.warmup = 2;
    CHECK(schedule(at_step(0)) == 0);
    CHECK(schedule(at_step(13)) == Approx(0.4));
    CHECK(schedule(at_step(14)) == 0.4);
    CHECK(schedule(at_step(69)) == 0.4);
}

TEST_CASE("steps change at the first step of their epoch") {
    Schedule schedule;
    schedule.shape = Schedule::Shape::steps;
    schedule.at = {2, 4.5};
    schedule.values = {1, 0.5, 0.1};
    CHECK(schedule(at_step(19, 10, 10)) == 1);
    CHECK(schedule(at_step(20, 10, 10)) == 0.5);
    CHECK(schedule(at_step(44, 10, 10)) == 0.5);
    CHECK(schedule(at_step(45, 10, 10)) == 0.1);
    CHECK(schedule(at_step(99, 10, 10)) == 0.1);
    CHECK(schedule.min() == 0.1);
    CHECK(schedule.max() == 1);
}

TEST_CASE("per_epoch holds the value of an epoch's first step") {
    auto held = cosine(1, 0);
    held.per_epoch = true;
    const auto moving = cosine(1, 0);
    for (const std::int64_t step : {7, 8, 13}) CHECK(held(at_step(step)) == moving(at_step(7)));
    CHECK(held(at_step(14)) == moving(at_step(14)));
    CHECK(moving(at_step(8)) < moving(at_step(7)));
}

TEST_CASE("the range of a schedule includes its warm-up") {
    CHECK(cosine(5, 2).min() == 2);
    CHECK(cosine(5, 2).max() == 5);
    CHECK(cosine(5, 2, 1, 0.5).min() == 0.5);
    CHECK(cosine(5, 2, 1, 9).max() == 9);
    CHECK(cosine(2, 5).max() == 5);
}
