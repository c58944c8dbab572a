// Checkpoints are written while training goes on: what it waits for, what is told of them, and what is in them.
#include <atomic>
#include <csignal>
#include <future>
#include <thread>

#include "train/checkpoint_writer.hpp"
#include "train/host_copy.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace checkpoints_written {
namespace {

constexpr auto patience = std::chrono::seconds(120);  // of what a mistake would wait for

/// Writes, after `before` was called with the file.
train::WriteTensors writes(std::function<void(const fs::path& file)> before) {
    return [before](const auto& file, const auto& tensors, const auto& metadata, const auto& old) {
        before(file);
        base::write_safetensors(file, tensors, metadata, old);
    };
}

/// Trains with another writer of checkpoints; `probe` is called at the end of each epoch.
train::TrainSummary run_with(const TrainingRun& run, train::WriteTensors write,
                             const std::function<void()>& probe = {}) {
    train::TrainRequest request;
    request.out = run.path();
    request.quiet = true;
    request.write_checkpoint = std::move(write);
    if (probe)
        request.probe = [&](const plan::Plan&, const Context&) {
            probe();
            return train::Values{};
        };
    train::Trainer trainer(run.recipe, with_parts(), std::move(request));
    return trainer.run();
}

std::int64_t steps_told(const TrainingRun& run) {
    std::int64_t step = 0;
    for (const auto& line : run.metrics()) step = std::max(step, line.value("step", std::int64_t{0}));
    return step;
}

base::SafeTensors checkpoint(const TrainingRun& run, const std::string& name) {
    return base::read_safetensors(run.path() / "checkpoints" / (name + ".safetensors"));
}

}  // namespace

TEST_CASE("training goes on while a checkpoint is written, which holds the weights of its step") {
    const std::vector<std::string> keys = {"probe.every=1", "train.checkpoint_every=1"};
    TrainingRun run(linear_map, keys), calm(linear_map, keys);
    calm.run();
    std::promise<void> second_epoch;
    auto reached = second_epoch.get_future();
    int probes = 0, files = 0;
    bool waited = false;
    const auto slow = writes([&](const fs::path&) {
        if (++files == 1) waited = reached.wait_for(patience) == std::future_status::ready;
    });
    run_with(run, slow, [&] {
        if (++probes < 2) return;
        CHECK(steps_told(run) == 4);
        CHECK_FALSE(fs::exists(run.path() / "checkpoints/last.safetensors"));
        CHECK_FALSE(run.status().contains("epoch"));  // nor does it say so
        second_epoch.set_value();
    });
    CHECK(waited);
    CHECK(files == 4);
    CHECK(run.status()["epoch"] == 2);
    for (const auto* name : {"step_2", "previous", "step_4", "last"}) {
        INFO(name);
        CHECK(difference(checkpoint(run, name), checkpoint(calm, name)) == "");
        CHECK(checkpoint(run, name).metadata == checkpoint(calm, name).metadata);
    }
    CHECK(difference(checkpoint(run, "step_2"), checkpoint(run, "step_4")) != "");
}

TEST_CASE("what becomes of a checkpoint that cannot be written is what the run ends with, and it goes on") {
    const std::vector<std::string> keys = {"train.epochs=40"};
    TrainingRun run(linear_map, keys), calm(linear_map, keys);
    calm.run();
    int files = 0;
    const auto failing = writes([&](const fs::path& file) {
        if (++files == 2) throw DataError("cannot write " + file.string() + ": no room");
    });
    const auto message = message_of<DataError>([&] { run_with(run, failing); });
    CHECK_THAT(message, Contains("last.safetensors: no room"));
    const auto status = run.status();
    CHECK(status["status"] == "failed");
    CHECK(status["exit_code"] == 3);
    CHECK(status["error"] == message);
    CHECK(status["epoch"] == 1);
    CHECK(files == 2);  // the next one is not begun before it is known what became of this
    CHECK(steps_told(run) <= 6);
    CHECK_THAT(run.log(), Catch::Matchers::EndsWith("\nerror: " + message + "\n"));
    CHECK(run.last().metadata.at("hearth.step") == "2");
    run.run(train::Resume::yes);
    CHECK(difference(run.last(), calm.last()) == "");
}

TEST_CASE("the end of a run waits for its last checkpoint, and fails where that cannot be written") {
    TrainingRun run(linear_map);
    std::string while_writing;
    run_with(run, writes([&](const fs::path&) { while_writing = run.status()["status"]; }));
    CHECK(while_writing == "running");
    CHECK(run.status()["status"] == "finished");
    CHECK(run.last().metadata.at("hearth.step") == "4");
    TrainingRun bad(linear_map);
    int files = 0;
    const auto failing = writes([&](const fs::path&) {
        if (++files == 2) throw DataError("no room");
    });
    CHECK(message_of<DataError>([&] { run_with(bad, failing); }) == "no room");
    CHECK(bad.status()["status"] == "failed");
    CHECK(bad.status()["epoch"] == 1);
}

TEST_CASE("a signal while a checkpoint is written ends the run when that and its own are there") {
    TrainingRun run(linear_map, {"train.epochs=40"});
    std::atomic<int> under_way = 0, most = 0, files = 0, too_late = 0;
    const train::WriteTensors signalled = [&](const auto& file, const auto& tensors, const auto& metadata,
                                              const auto& old) {
        most = std::max<int>(most, ++under_way);
        if (++files == 1) std::raise(SIGTERM);
        too_late += run.status()["status"] != "running";
        base::write_safetensors(file, tensors, metadata, old);
        --under_way;
    };
    const auto summary = run_with(run, signalled);
    CHECK(summary.stopped);
    CHECK(most == 1);
    CHECK(too_late == 0);
    CHECK(files >= 2);
    CHECK(run.status()["status"] == "stopped");
    CHECK(run.last().metadata.at("hearth.step") == std::to_string(summary.steps));
    CHECK(run.status()["step"] == summary.steps);
}

TEST_CASE("where training fails while a checkpoint is written, it is written, and training's error told") {
    TrainingRun run(linear_map,
                    {"networks.student.backbone.fault=not-finite", "networks.student.backbone.fault_step=2"});
    const auto until = std::chrono::steady_clock::now() + patience;
    const auto slow = writes([&](const fs::path&) {
        while (std::chrono::steady_clock::now() < until && !fs::exists(run.path() / "not-a-number.safetensors"))
            std::this_thread::yield();
    });
    CHECK_THROWS_AS(run_with(run, slow), NumericError);
    CHECK(run.last().metadata.at("hearth.step") == "2");
    CHECK(run.status()["exit_code"] == 5);
    CHECK(run.status()["epoch"] == 1);
}

TEST_CASE("a writer tells of each error once, and when it is done") {
    train::CheckpointWriter writer;
    writer.settle();
    writer.poll();
    int told = 0;
    writer.begin(
        "last", [] { throw DataError("no room"); }, [&] { ++told; });
    CHECK(writer.what() == "last");
    CHECK(message_of<DataError>([&] { writer.settle(); }) == "no room");
    CHECK(writer.what().empty());
    writer.settle();
    CHECK(told == 0);
    std::promise<void> go_on;
    writer.begin(
        "best", [&] { go_on.get_future().wait_for(patience); }, [&] { ++told; });
    writer.poll();  // it does not wait
    CHECK(told == 0);
    go_on.set_value();
    writer.settle();
    CHECK(told == 1);
    std::atomic<bool> written = false;
    {
        train::CheckpointWriter leaves;
        leaves.begin(
            "last", [&] { written = true; }, [&] { ++told; });
    }
    CHECK(written);
    CHECK(told == 1);
}

TEST_CASE("a snapshot does not change with what it is of") {
    const auto weight = at::ones({3, 2}), strided = weight.t();
    const auto copies = train::snapshot({{"weight", weight}, {"strided", strided}});
    REQUIRE(copies);
    weight.fill_(7);
    for (const auto& [name, copy] : *copies) {
        INFO(name);
        CHECK(copy.is_contiguous());
        CHECK(at::equal(copy, at::ones_like(copy)));
    }
    CHECK((*copies)[1].second.sizes() == at::IntArrayRef({2, 3}));
    CHECK(train::on_host({{"weight", weight}})[0].second.is_same(weight));
    // More than any machine has: of no storage, so that nothing is allocated here.
    const auto vast = at::zeros({1}).expand({std::int64_t{1} << 50});
    CHECK_FALSE(train::snapshot({{"vast", vast}}));
}

}  // namespace checkpoints_written
