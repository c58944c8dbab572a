// A group of one over a backend that only notes what it is told: how a group begins, ends, and hears of errors that no
// call threw, as those of NCCL.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <hearth/error.hpp>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include "dist/process_group.hpp"
#include "support/processes.hpp"

using namespace hearth;
using Catch::Matchers::Contains;

namespace {

class Notes : public c10d::Backend {
  public:
    Notes() : Backend(0, 1) {}
    const std::string getBackendName() const override { return "notes"; }
    c10d::ErrorType getError() override { return error; }
    void shutdown() override { ++shutdowns; }
    void abort() override { ++aborts; }

    c10d::ErrorType error = c10d::ErrorType::SUCCESS;
    int shutdowns = 0, aborts = 0;
};

/// On the device cpu:0, since a number is what a GPU has.
std::unique_ptr<dist::ProcessGroup> group_over(const c10::intrusive_ptr<Notes>& notes) {
    dist::Launch launch;
    launch.address = "127.0.0.1";
    launch.port = test::free_port();
    launch.launcher = "torchrun";
    dist::GroupParts parts;
    parts.backend = [notes](const auto&, const auto&, c10::Device, std::chrono::seconds) { return notes; };
    return std::make_unique<dist::ProcessGroup>(launch, c10::Device(c10::kCPU, 0), std::chrono::seconds(5),
                                                parts);
}

}  // namespace

TEST_CASE("a group is bound to its device, and shut down in the end") {
    const auto notes = c10::make_intrusive<Notes>();
    {
        const auto group = group_over(notes);
        CHECK(notes->getBoundDeviceId() == c10::Device(c10::kCPU, 0));
        CHECK_NOTHROW(group->settle("a step"));
        CHECK(notes->shutdowns == 0);
    }
    CHECK(notes->shutdowns == 1);
    CHECK(notes->aborts == 0);
}

TEST_CASE("what an error leaves under way is broken off, not waited for") {
    const auto notes = c10::make_intrusive<Notes>();
    try {
        const auto group = group_over(notes);
        throw NumericError("not-a-number");
    } catch (const NumericError&) {
    }
    CHECK(notes->aborts == 1);
    CHECK(notes->shutdowns == 0);
}

TEST_CASE("an error that the backend noted ends whatever is asked next, with exit code 7") {
    const auto notes = c10::make_intrusive<Notes>();
    {
        const auto group = group_over(notes);
        CHECK_FALSE(group->any_before(false));
        notes->error = c10d::ErrorType::TIMEOUT;
        auto x = at::ones({2});
        const std::string why = " failed: a collective call took too long";
        CHECK_THROWS_AS(group->check("a step"), CommunicationLost);
        CHECK_THROWS_WITH(group->check("a step"),
                          Contains("process 0 of 1: a step" + why) && Contains("--resume"));
        CHECK_THROWS_WITH(group->settle("a checkpoint"), Contains("a checkpoint" + why));
        CHECK_THROWS_WITH(group->all_reduce_sum(x), Contains("all-reduce" + why));
        CHECK_THROWS_WITH(group->all_gather(x, false), Contains("all-gather" + why));
        CHECK_THROWS_WITH(group->reduce_scatter_sum(x), Contains("reduce-scatter" + why));
        CHECK_THROWS_WITH(group->any_before(false), Contains("asking whether to stop" + why));
        CHECK_THROWS_WITH(group->from_first("word"), Contains("a word of process 0" + why));
        CHECK_THROWS_WITH(group->wait_for_all(std::chrono::seconds(1)),
                          Contains("waiting for all processes" + why));
        notes->error = c10d::ErrorType::COMM_ERROR;
        CHECK_THROWS_WITH(group->check("a step"), Contains("the connection to another process broke"));
    }
    CHECK(notes->aborts == 1);  // not shut down: the others will not take part
    CHECK(notes->shutdowns == 0);
}
