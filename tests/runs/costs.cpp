// What a run cost, read from a log as runs write it.
#include <cmath>

#include <catch2/catch.hpp>
#include "runs/run_costs.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using Catch::Matchers::Equals;

TEST_CASE("seconds a step are the median over the log, memory is the peak, alarms are listed") {
    const test::TemporaryFolder folder;
    folder.write("metrics.jsonl",
                 R"({"step": 10, "parts": {"forward": 60.0, "backward": 40.0}, "memory_mib": 500.0}
{"step": 20, "parts": {"forward": 1.5, "backward": 0.5}, "memory_mib": 700.0}
{"step": 20, "event": "collapse", "reason": "std 0.001"}
{"step": 30, "parts": {"forward": 2.0, "backward": 1.0}, "memory_mib": 600.0}
{"step": 20, "parts": {"forward": 9.0}, "memory_mib": 600.0}
{"step": 25, "event": "nan", "first": "loss.a"}
{"step": 25, "event": "probe", "knn_auc": 0.5}
)");
    const auto costs = runs::read_costs(folder.path());
    CHECK(costs.seconds_per_step == Approx(0.3));  // of 10, 0.2, 0.3; the resumed line repeats steps
    CHECK(costs.peak_memory_mib == 700);
    CHECK_THAT(costs.alarms,
               Equals(std::vector<std::string>{"step 20: collapse std 0.001", "step 25: nan loss.a"}));
}

TEST_CASE("a GPU's memory goes before the process's, and of a run without a log nothing is known") {
    const test::TemporaryFolder folder;
    folder.write("metrics.jsonl",
                 R"({"step": 1, "parts": {}, "memory_mib": 500.0, "device_memory_mib": 90.0})");
    CHECK(runs::read_costs(folder.path()).peak_memory_mib == 90);
    CHECK(std::isnan(runs::read_costs(folder.path()).seconds_per_step));
    const auto none = runs::read_costs(folder / "nowhere");
    CHECK(std::isnan(none.seconds_per_step));
    CHECK(std::isnan(none.peak_memory_mib));
    CHECK(none.alarms.empty());
}
