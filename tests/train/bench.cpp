// What `hearth bench` counts and times.
#include "train/bench.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include "train/operations.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;

TEST_CASE("floating-point operations of products and convolutions are counted, forward and backward") {
    const auto counted = [](const auto& work) {
        const train::OperationCounter counter(/*shapes=*/true);
        work();
        return counter.flops();
    };
    const auto a = at::rand({3, 4}), b = at::rand({4, 5}), stack = at::rand({2, 3, 4}),
               other = at::rand({2, 4, 5});
    CHECK(counted([&] { at::mm(a, b); }) == 2 * 3 * 4 * 5);
    CHECK(counted([&] { at::addmm(at::rand({5}), a, b); }) == 2 * 3 * 4 * 5);
    CHECK(counted([&] { at::bmm(stack, other); }) == 2 * 2 * 3 * 4 * 5);
    CHECK(counted([&] { at::linear(a, at::rand({5, 4}), at::rand({5})); }) == 2 * 3 * 4 * 5);
    CHECK(counted([&] { at::add(a, a); }) == 0);
    // Weights [6, 2, 3, 3], an output of [1, 6, 8, 8].
    const auto image = at::rand({1, 2, 8, 8}).requires_grad_(),
               kernel = at::rand({6, 2, 3, 3}).requires_grad_();
    const double forward = 2.0 * 6 * 8 * 8 * 2 * 3 * 3;
    const auto convolve = [&] { return at::conv2d(image, kernel, {}, 1, 1); };
    CHECK(counted([&] { convolve(); }) == forward);
    CHECK(counted([&] { convolve().sum().backward(); }) == 3 * forward);
}

TEST_CASE("time inside operations is measured, and only that of this thread") {
    const auto x = at::rand({256, 256});
    const train::OperationCounter counter(/*shapes=*/false);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 50; ++i) at::mm(x, x);
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    CHECK(counter.seconds() > 0.5 * passed);
    CHECK(counter.seconds() <= passed);
}

TEST_CASE("time is told apart by operation, without the operations it called") {
    const auto x = at::rand({512, 512});  // long beside what another process may take in between
    const train::OperationCounter counter(/*shapes=*/true);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) at::linear(x, x);
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto operations = counter.slowest_first();
    double sum = 0;
    for (const auto& operation : operations) {
        CHECK(operation.seconds >= 0);
        sum += operation.seconds;
    }
    CHECK(sum <= passed);
    CHECK(std::ranges::is_sorted(operations, std::greater{}, &train::OperationTime::seconds));
    const auto named = [&](const std::string& name) {
        return *std::ranges::find(operations, name, &train::OperationTime::name);
    };
    CHECK(operations.front().name == "aten::mm");  // at::linear only calls it
    CHECK(named("aten::mm").calls == 20);
    CHECK(named("aten::linear").calls == 20);
    CHECK(named("aten::linear").seconds < named("aten::mm").seconds);
}

TEST_CASE("a bench says how long a step takes, of what it consists, and what it computes") {
    const TrainingRun made(tiny_demo(), {"probe.every=0"});
    for (const bool generated : {true, false}) {
        const auto result =
            train::bench(made.recipe, registry(), {.steps = 3, .warmup = 1, .generated = generated});
        CHECK(result.images == 8);
        REQUIRE(result.step_seconds.size() == 3);
        CHECK(result.fastest() <= result.median());
        double phases = 0, forward = 0;
        for (const auto& [name, seconds] : result.phases) {
            phases += seconds;
            if (name == "forward" || name == "loss") forward += seconds;
        }
        const double mean = std::accumulate(result.step_seconds.begin(), result.step_seconds.end(), 0.0) / 3;
        CHECK(phases == Approx(mean).epsilon(0.1));
        double components = 0;
        for (const auto& [id, seconds] : result.components) components += seconds;
        CHECK(components == Approx(forward).epsilon(0.1));
        CHECK(result.flops > 1e6);
        CHECK(result.operations.size() > 10);
        CHECK(result.gemm_flops > 1e8);
        CHECK(result.utilisation() < 1);
        CHECK(result.host_overhead >= 0);
        CHECK(result.host_overhead < 1);
        CHECK(result.trained_parameters > 1000);
        CHECK(std::isfinite(result.last_loss));
    }
}
