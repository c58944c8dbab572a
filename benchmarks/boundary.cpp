// What it costs to hold one call to its ports: every step does so for each of its components (framework/plan/boundary.hpp). In paired
// runs of whole steps this drowns in their noise; here it does not.
//   bench_boundary [google-benchmark flags]
#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "plan/boundary.hpp"
#include "plan/untouched.hpp"

namespace {

using namespace hearth;

/// A decoder's call, one with more ports than most: three reads, two writes. `batch` images of 16 tokens; the cost does
/// not depend on how many.
struct Call {
    Ports reads{Port("tokens", "B L D", "tokens"), Port("mask", "B L", "where").of("bool"),
                Port("image", "B C H W", "films")};
    Ports writes{Port("restored", "B C H W", "films"), Port("hidden", "B L D", "tokens").maybe()};
    Symbols symbols;
    Tensors in, out;

    explicit Call(std::int64_t batch) {
        for (const auto& [name, size] : {std::pair{"L", 16}, {"D", 48}, {"C", 1}, {"H", 32}, {"W", 32}})
            symbols.bind(name, size);
        const auto tokens = at::zeros({batch, 16, 48}), image = at::zeros({batch, 1, 32, 32});
        in = {{"tokens", tokens}, {"mask", at::zeros({batch, 16}, at::kBool)}, {"image", image}};
        out = {{"restored", image.clone()}, {"hidden", tokens.clone()}};
    }
};

void held(benchmark::State& state) {
    const Call call(32);
    const plan::Boundary boundary(call.reads, call.writes, call.symbols);
    for (auto _ : state) {
        const plan::Untouched before(call.in);
        auto problem = boundary.problem(call.in, call.out, {});
        if (before.changed() != nullptr || !problem.empty()) state.SkipWithError(problem.c_str());
        benchmark::DoNotOptimize(problem);
    }
}
BENCHMARK(held)->Name("one call, held to its ports");

/// A number that a microsecond can be compared with.
void smallest_operation(benchmark::State& state) {
    const auto x = at::zeros({1});
    for (auto _ : state) benchmark::DoNotOptimize(at::add(x, x));
}
BENCHMARK(smallest_operation)->Name("one addition of two numbers, for comparison");

}  // namespace

BENCHMARK_MAIN();
