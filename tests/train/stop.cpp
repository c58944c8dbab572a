// Runs that go wrong: not-a-number, collapse and a plugin that throws, each with its reason.
#include <csignal>

#include "train/check.hpp"
#include "train/signals.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

std::vector<std::string> fault(const std::string& what, std::vector<std::string> more = {}) {
    more.push_back("networks.student.backbone.fault=" + what);
    more.push_back("networks.student.backbone.fault_step=3");
    return more;
}

const nlohmann::json* event(const std::vector<nlohmann::json>& lines, const std::string& name) {
    for (const auto& line : lines)
        if (line.value("event", "") == name) return &line;
    return nullptr;
}

}  // namespace

TEST_CASE("not-a-number ends the run and names the first tensor that is not finite") {
    TrainingRun run(linear_map, fault("not-finite"));
    const auto message = message_of<NumericError>([&] { run.run(); });
    CHECK_THAT(message, Contains("not-a-number at step 3") && Contains("'student.cls'") &&
                            Contains("student.backbone") && Contains("recipe.toml:"));
    const auto status = run.status();
    CHECK(status["status"] == "failed");
    CHECK(status["exit_code"] == 5);
    CHECK_THAT(status["error"].get<std::string>(), Contains("'student.cls'"));
    CHECK_THAT(run.log(), Catch::Matchers::EndsWith("\nerror: " + message + "\n"));
    CHECK(run.last().metadata.at("hearth.step") == "2");  // the epoch before, still good
    CHECK(at::isfinite(run.last().find("student.backbone.weight")).all().item<bool>());
    const auto lines = run.metrics();
    REQUIRE(event(lines, "nan") != nullptr);
    CHECK((*event(lines, "nan"))["step"] == 3);
}

TEST_CASE("with on_nan = warn the step is skipped, and the weights stay as they were") {
    TrainingRun run(linear_map, fault("not-finite", {"monitor.on_nan=warn"}));
    CHECK(run.run().steps == 4);
    CHECK(at::isfinite(run.last().find("student.backbone.weight")).all().item<bool>());
    CHECK(run.last().find("optimizer.steps.student.backbone.weight").item<double>() == 3);
    const auto lines = run.metrics();
    CHECK(event(lines, "nan") != nullptr);
}

TEST_CASE("a collapsed representation ends the run where the recipe asks for it, with the reason") {
    const std::vector<std::string> stop = {"monitor.on_collapse=stop", "monitor.patience=2", "train.epochs=10"};
    TrainingRun run(linear_map, fault("constant", stop));
    const auto message = message_of<NumericError>([&] { run.run(); });
    // The fault starts with the fourth step; two lines below the threshold are needed.
    CHECK_THAT(message, Contains("step 5") && Contains("the representation has collapsed") &&
                            Contains("feature spread") && Contains("monitor.min_std"));
    CHECK(run.status()["exit_code"] == 5);
    CHECK(run.last().metadata.at("hearth.step") == "5");
    const auto lines = run.metrics();
    REQUIRE(event(lines, "collapse") != nullptr);
    CHECK_THAT((*event(lines, "collapse"))["reason"].get<std::string>(), Contains("feature spread"));
}

TEST_CASE("a loss term that a recipe calls collapsed ends the run as features do") {
    TrainingRun run(linear_map, {"monitor.collapse_if=[\"loss < 1e9\"]", "monitor.on_collapse=stop",
                                 "monitor.patience=2", "train.epochs=10"});
    CHECK_THAT(message_of<NumericError>([&] { run.run(); }),
               Contains("step 2: the representation has collapsed: loss") && Contains("monitor.collapse_if"));
    CHECK(run.status()["exit_code"] == 5);
}

TEST_CASE("a rule about an unknown loss term ends a run at its first step, and a check") {
    TrainingRun run(linear_map, {"monitor.collapse_if=[\"teacher_kl < 0.01\"]"});
    CHECK_THAT(message_of<RecipeError>([&] { run.run(); }), Contains("found no loss term 'teacher_kl'"));
    CHECK(run.status()["exit_code"] == 2);
    CHECK_THAT(message_of<RecipeError>([&] { train::check(run.recipe, with_parts(), 2); }),
               Contains("found no loss term 'teacher_kl'; there are: loss"));
}

TEST_CASE("with on_collapse = warn the run goes on and says so") {
    TrainingRun run(linear_map, fault("constant", {"monitor.patience=1"}));
    CHECK(run.run().steps == 4);
    CHECK(run.status()["status"] == "finished");
    CHECK_THAT(run.folder.read("run/train.log"), Contains("warning: step 4: the representation has collapsed"));
}

TEST_CASE("a healthy run raises no alarm") {
    TrainingRun run(linear_map, {"monitor.on_collapse=stop", "monitor.patience=1", "monitor.min_rank=1.2"});
    CHECK_NOTHROW(run.run());
}

TEST_CASE("a plugin that throws while training is named, and the run is marked as failed") {
    TrainingRun run(linear_map, fault("throw"));
    CHECK_THAT(message_of<PluginError>([&] { run.run(); }),
               Contains("student.backbone (plugin ") && Contains("as it was told"));
    CHECK(run.status()["status"] == "failed");
    CHECK(run.status()["exit_code"] == 4);
}

TEST_CASE("handlers run on a stack of their own: a kernel may hold data below the pointer of its stack") {
    const train::StopSignals signals(/*tells=*/false);
    for (const int signal : train::StopSignals::signals) {
        struct sigaction action {};
        REQUIRE(::sigaction(signal, nullptr, &action) == 0);
        CHECK((action.sa_flags & SA_ONSTACK) != 0);
        CHECK((action.sa_flags & SA_RESTART) != 0);
    }
}
