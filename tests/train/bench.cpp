// What `hearth bench` counts and times.
#include "train/bench.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "train/operation_counter.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

TORCH_LIBRARY(hearth_test, library) {
    library.def("odd_matmul", [](const at::Tensor& x) { return x * x; });
}

template <typename Work>
double counted(const Work& work) {
    const train::OperationCounter counter(/*shapes=*/true);
    work();
    return counter.flops();
}

}  // namespace

TEST_CASE("floating-point operations of products and convolutions are counted, forward and backward") {
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

TEST_CASE("vectors, transposed convolutions and the linear layers of oneDNN are counted by their shapes") {
    const auto a = at::rand({3, 4}), v = at::rand({4}), weight = at::rand({5, 4});
    CHECK(counted([&] { at::mv(a, v); }) == 2 * 3 * 4);
    CHECK(counted([&] { at::dot(v, v); }) == 2 * 4);
    CHECK(counted([&] { at::matmul(a, v); }) == 2 * 3 * 4);
    // An input of [1, 2, 8, 8], weights [2, 6, 3, 3].
    const auto image = at::rand({1, 2, 8, 8}), kernel = at::rand({2, 6, 3, 3});
    CHECK(counted([&] { at::conv_transpose2d(image, kernel); }) == 2.0 * 2 * 8 * 8 * 6 * 3 * 3);
    using InnerProduct =
        at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, c10::string_view,
                   c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);
    const auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (!found) return;  // a LibTorch without oneDNN
    CHECK(counted([&] {
              found->typed<InnerProduct>().call(a, weight, std::nullopt, "none",
                                                c10::List<std::optional<at::Scalar>>(), "");
          }) == 2 * 3 * 4 * 5);
}

TEST_CASE("an operator that multiplies and is not known is named, one that calls known ones is not") {
    const auto a = at::rand({3, 4}), b = at::rand({4, 5});
    const auto uncounted = [](const auto& work) {
        const train::OperationCounter counter(/*shapes=*/true);
        work();
        return counter.uncounted();
    };
    CHECK(uncounted([&] { at::matmul(a, b).relu().sum(); }).empty());
    CHECK(uncounted([&] { at::einsum("ij,jk->ik", {a, b}); }).empty());
    CHECK(uncounted([&] { at::lgamma(a); }).empty());
    const auto odd = c10::Dispatcher::singleton()
                         .findSchemaOrThrow("hearth_test::odd_matmul", "")
                         .typed<at::Tensor(const at::Tensor&)>();
    CHECK(uncounted([&] { odd.call(a); }) == std::vector<std::string>{"hearth_test::odd_matmul"});
    train::BenchResult result;
    result.step_seconds = {1};
    result.gemm_flops = 100;
    result.flops = 50;
    CHECK(result.utilisation() == 0.5);
    result.uncounted = {"hearth_test::odd_matmul"};
    CHECK_FALSE(result.utilisation().has_value());
}

TEST_CASE("a step in fp32 counts as much as one in bf16, whatever kernels they take") {
    const auto bench = [](const std::string& precision) {
        const TrainingRun made(tiny_demo(), {"probe.every=0", "train.precision=" + precision});
        return train::bench(made.recipe, with_parts(), {.steps = 1, .warmup = 0, .generated = true});
    };
    const auto fp32 = bench("fp32"), bf16 = bench("bf16");
    CHECK(fp32.uncounted == std::vector<std::string>{});
    CHECK(bf16.uncounted == std::vector<std::string>{});
    CHECK(fp32.flops == Approx(bf16.flops).epsilon(0.02));
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

TEST_CASE("a bench finds an automatic batch for its data, and opens none for generated images") {
    const TrainingRun own(linear_map, {"train.batch=auto"});
    const auto result = train::bench(own.recipe, with_parts(), {.steps = 1, .warmup = 0});
    CHECK(result.batch == 16);  // as many as there are
    CHECK(result.images == 16);
    auto elsewhere = own.recipe;
    elsewhere.data.source = "/nowhere.csv";
    const auto generated = train::bench(elsewhere, with_parts(), {.steps = 1, .warmup = 0, .generated = true});
    CHECK(generated.batch >= 1);
    CHECK(generated.images == generated.batch);
}

TEST_CASE("a bench says how long a step takes, of what it consists, and what it computes") {
    const TrainingRun made(tiny_demo(), {"probe.every=0"});
    for (const bool generated : {true, false}) {
        const auto result =
            train::bench(made.recipe, with_parts(), {.steps = 3, .warmup = 1, .generated = generated});
        CHECK(result.images == 8);
        REQUIRE(result.step_seconds.size() == 3);
        CHECK(result.fastest() <= result.median());
        double parts = 0, forward = 0;
        for (const auto& [name, seconds] : result.parts) {
            parts += seconds;
            if (name == "forward" || name == "loss") forward += seconds;
        }
        const double mean = std::accumulate(result.step_seconds.begin(), result.step_seconds.end(), 0.0) / 3;
        CHECK(parts == Approx(mean).epsilon(0.1));
        double components = 0;
        for (const auto& [id, seconds] : result.components) components += seconds;
        CHECK(components == Approx(forward).epsilon(0.1));
        CHECK(result.flops > 1e6);
        CHECK(result.operations.size() > 10);
        CHECK(result.gemm_flops > 1e8);
        CHECK(result.utilisation().value() < 1);
        CHECK(result.host_overhead >= 0);
        CHECK(result.host_overhead < 1);
        CHECK(result.trained_parameters > 1000);
        CHECK(std::isfinite(result.last_loss));
    }
}
