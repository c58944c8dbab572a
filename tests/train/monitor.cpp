// The three numbers that tell collapse from learning, on matrices whose numbers are known.
#include "train/monitor.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <mutex>

#include "support/thread_comm.hpp"

using namespace hearth::train;
using Catch::Matchers::Contains;

namespace {

hearth::recipe::MonitorSpec limits(std::int64_t patience) {
    hearth::recipe::MonitorSpec spec;
    spec.min_rank = 2;
    spec.min_std = 0.1;
    spec.min_entropy = 0.05;
    spec.patience = patience;
    return spec;
}

/// The effective rank by its definition, of the singular values themselves.
double rank_by_svd(const at::Tensor& x) {
    const auto singular = at::linalg_svdvals((x - x.mean(0, true)).to(at::kDouble));
    const auto share = singular / singular.sum().clamp_min(1e-12);
    return std::exp(-(share * (share + 1e-12).log()).sum().item<double>());
}

const Health healthy = {.std = 1, .rank = 10, .max_rank = 31, .entropy = 0.9};

}  // namespace

TEST_CASE("the effective rank counts directions of equal strength") {
    // Rows +-e_i: centred, with singular values all sqrt(2).
    for (const std::int64_t k : {2, 3, 8}) {
        const auto eye = at::eye(k, 16);
        const auto health = measure_health(at::cat({eye, -eye}), {});
        CHECK(health.rank == Approx(static_cast<double>(k)).epsilon(1e-6));
        CHECK(health.max_rank == static_cast<double>(std::min<std::int64_t>(2 * k - 1, 16)));
        CHECK_FALSE(health.entropy);
    }
}

TEST_CASE("unequal directions count less: singular values 3 and 1 give exp of their entropy") {
    const auto x = at::diag(at::tensor({3.0, 1.0, 0.0, 0.0}));
    const double expected = std::exp(-(0.75 * std::log(0.75) + 0.25 * std::log(0.25)));
    CHECK(measure_health(at::cat({x, -x}), {}).rank == Approx(expected).epsilon(1e-6));
}

TEST_CASE("an offset that all rows share does not count as a direction") {
    const auto eye = at::eye(4, 16);
    const auto health = measure_health(at::cat({eye, -eye}) + 100, {});
    CHECK(health.rank == Approx(4).epsilon(1e-3));
}

TEST_CASE("the rank is that of the singular values, in collapse too, and however small the features") {
    at::manual_seed(4);
    for (const auto& [rows, columns] : {std::pair<std::int64_t, std::int64_t>{64, 192}, {512, 96}, {2, 64}}) {
        const auto noise = at::randn({rows, columns});
        const auto line = at::randn({rows, 1}).matmul(at::randn({1, columns}));
        const auto point = at::randn({1, columns}).expand({rows, columns});
        const std::pair<const char*, at::Tensor> cases[] = {
            {"spread", noise},
            {"an offset", noise * 1e-3 + 5},
            {"three directions", at::randn({rows, 3}).matmul(at::randn({3, columns}))},
            {"one direction", line},
            {"one direction and a little", line + 1e-5 * noise},
            {"one direction and next to nothing", line + 1e-7 * noise},
            {"a point", point},
            {"a point and next to nothing", point + 1e-6 * noise},
            {"tiny", noise * 1e-18},
            {"tiny and collapsed", line * 1e-10},
        };
        for (const auto& [name, x] : cases) {
            INFO(name << ", " << rows << " x " << columns);
            CHECK(measure_health(x, {}).rank == Approx(rank_by_svd(x)).epsilon(1e-4));
        }
    }
}

TEST_CASE("several processes measure all rows together, and the first tells the others") {
    at::manual_seed(5);
    const auto x = at::randn({32, 16}), assignments = at::rand({32, 4}).softmax(1);
    for (const bool with : {true, false}) {
        const auto of = [&](const at::Tensor& part) { return with ? part : at::Tensor(); };
        const auto alone = measure_health(x, of(assignments));
        std::mutex mutex;
        std::vector<Health> found;
        hearth::test::run_ranks(4, [&](const hearth::Comm& comm) {
            const auto first = 8 * comm.rank();
            const auto health =
                measure_health(x.slice(0, first, first + 8), of(assignments.slice(0, first, first + 8)), comm);
            const std::lock_guard lock(mutex);
            found.push_back(health);
        });
        REQUIRE(found.size() == 4);
        for (const auto& health : found) {
            CHECK(health.std == alone.std);
            CHECK(health.rank == alone.rank);
            CHECK(health.max_rank == 16);
            CHECK(health.entropy == alone.entropy);
        }
    }
}

TEST_CASE("what is not finite anywhere is wrong for every process") {
    std::mutex mutex;
    int wrong = 0;
    hearth::test::run_ranks(2, [&](const hearth::Comm& comm) {
        const auto x = at::full({4, 4}, comm.rank() == 1 ? INFINITY : 1);
        const auto health = measure_health(x, at::ones({4, 2}), comm);
        const std::lock_guard lock(mutex);
        wrong += std::isnan(health.std) && std::isnan(health.rank) && !health.entropy;
    });
    CHECK(wrong == 2);
}

TEST_CASE("features uniform on the sphere have spread 1, equal features 0") {
    at::manual_seed(1);
    const auto x = at::randn({2000, 64});
    CHECK(measure_health(x, {}).std == Approx(1).margin(0.02));
    CHECK(measure_health(x * 1e-6, {}).std == Approx(1).margin(0.02));  // whatever their length
    const auto collapsed = measure_health(x.slice(0, 0, 1).expand({100, 64}), {});
    CHECK(collapsed.std == Approx(0).margin(1e-6));
    CHECK(collapsed.rank == Approx(1).margin(1e-3));
    CHECK(measure_health(at::zeros({8, 4}), {}).std == 0);
}

TEST_CASE("tokens of all images are taken together") {
    at::manual_seed(2);
    const auto x = at::randn({4, 9, 8});
    const auto together = measure_health(x, {}), flat = measure_health(x.view({36, 8}), {});
    CHECK(together.std == flat.std);
    CHECK(together.rank == flat.rank);
}

TEST_CASE("entropy is 1 where all clusters are used alike and 0 where one is") {
    const auto x = at::eye(8);
    CHECK(*measure_health(x, at::eye(4).repeat({2, 1})).entropy == Approx(1).epsilon(1e-6));
    const auto one = at::one_hot(at::full({2, 3}, 1, at::kLong), 4);
    CHECK(*measure_health(x, one).entropy == Approx(0).margin(1e-6));
    const auto half = at::tensor({1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0}).view({2, 4});
    CHECK(*measure_health(x, half).entropy == Approx(0.5).epsilon(1e-6));  // ln 2 / ln 4
    CHECK(*measure_health(x, at::ones({5, 1})).entropy == 1);
}

TEST_CASE("the alarm waits for its patience and starts counting again after a good value") {
    Monitor monitor(limits(3));
    auto low = healthy;
    low.std = 0.01;
    CHECK(monitor.check(low).empty());
    CHECK(monitor.check(low).empty());
    CHECK(monitor.check(healthy).empty());
    CHECK(monitor.check(low).empty());
    CHECK(monitor.check(low).empty());
    CHECK_THAT(monitor.check(low), Contains("collapsed: feature spread 0.01 is below 0.1 (monitor.min_std)"));
    CHECK_FALSE(monitor.check(low).empty());  // and goes on while it lasts
}

TEST_CASE("the alarm names rank and entropy too") {
    auto rank = healthy, entropy = healthy;
    rank.rank = 1.5;
    entropy.entropy = 0.01;
    CHECK_THAT(Monitor(limits(1)).check(rank),
               Contains("effective rank 1.50 is below 2.00 (monitor.min_rank)"));
    CHECK_THAT(Monitor(limits(1)).check(entropy),
               Contains("entropy of assignments 0.010 is below 0.050 (monitor.min_entropy)"));
    CHECK(Monitor(limits(1)).check(healthy).empty());
}

TEST_CASE("a batch too small to have the rank is not called collapsed") {
    at::manual_seed(3);
    const auto two = measure_health(at::randn({2, 64}), {});
    CHECK(two.rank == Approx(1).margin(1e-3));
    CHECK(two.max_rank == 1);
    CHECK(Monitor(limits(1)).check(two).empty());
    const auto one = measure_health(at::randn({1, 64}), at::eye(4).slice(0, 0, 1));  // train.batch = 1
    CHECK(one.max_rank == 0);
    CHECK_FALSE(one.entropy);
    CHECK(Monitor(limits(1)).check(one).empty());
    CHECK_THAT(Monitor(limits(1)).check(measure_health(at::ones({2, 64}), {})), Contains("feature spread"));
}

TEST_CASE("features that are not finite have no rank and count as wrong") {
    auto x = at::randn({8, 4});
    x[3][2] = NAN;
    const auto health = measure_health(x, {});
    CHECK(std::isnan(health.std));
    CHECK(std::isnan(health.rank));
    CHECK_THAT(Monitor(limits(1)).check(health), Contains("not finite"));
}

TEST_CASE("a loss term on the wrong side of its bound counts as collapse, from either side") {
    auto spec = limits(1);
    spec.collapse_if = {{.term = "kl", .below = true, .bound = 0.01, .origin = {}},
                        {.term = "top1", .below = false, .bound = 0.9, .origin = {}}};
    CHECK(Monitor(spec).check(healthy, {{"kl", 0.02}, {"top1", 0.5}}).empty());
    CHECK(Monitor(spec).check(healthy, {{"kl", 0.01}, {"top1", 0.9}}).empty());  // at the bound
    CHECK_THAT(Monitor(spec).check(healthy, {{"kl", 0.001}, {"top1", 0.5}}),
               Contains("collapsed: kl 0.001 is below 0.01 (monitor.collapse_if)"));
    CHECK_THAT(Monitor(spec).check(healthy, {{"kl", 0.5}, {"top1", 0.95}}),
               Contains("collapsed: top1 0.95 is above 0.9 (monitor.collapse_if)"));
    CHECK_FALSE(Monitor(spec).check({}, {{"kl", 0.001}, {"top1", 0.5}}).empty());  // without features
    auto low = healthy;
    low.std = 0.01;
    CHECK_THAT(Monitor(spec).check(low, {{"kl", 0.001}}), Contains("feature spread"));  // features come first
}

TEST_CASE("terms and features share one patience") {
    auto spec = limits(2);
    spec.collapse_if = {{.term = "kl", .below = true, .bound = 0.01, .origin = {}}};
    Monitor monitor(spec);
    auto low = healthy;
    low.std = 0.01;
    CHECK(monitor.check(low, {{"kl", 1}}).empty());
    CHECK_FALSE(monitor.check(healthy, {{"kl", 0}}).empty());
}

TEST_CASE("a rule about a term that no loss has is refused, with its place and the nearest") {
    auto spec = limits(1);
    spec.collapse_if = {{.term = "teacher_k", .below = true, .bound = 0.01, .origin = {"mine.toml", 7, 3}}};
    const Monitor monitor(spec);
    CHECK_THROWS_WITH(monitor.require({"loss", "teacher_kl"}),
                      Contains("mine.toml:7:3: monitor.collapse_if: found no loss term 'teacher_k'") &&
                          Contains("did you mean 'teacher_kl'?") && Contains("there are: loss, teacher_kl"));
    CHECK_NOTHROW(monitor.require({"loss", "teacher_k"}));
}
