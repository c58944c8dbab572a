// Two and four processes over Gloo.
#include "support/processes.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

void all_hold(const std::string& what) {
    for (const int world : {2, 4}) {
        const TemporaryFolder folder;
        Processes processes(folder, world, {HEARTH_TEST_BINARY_DIR "/bin/hearth_dist_worker", what});
        const auto codes = processes.wait();
        for (int rank = 0; rank < world; ++rank) {
            INFO(fmt::format("{} of {}: {}", rank, world, processes.printed(rank)));
            CHECK(codes[static_cast<std::size_t>(rank)] == 0);
        }
    }
}

}  // namespace

TEST_CASE("sums over processes") {
    all_hold("sums");
}

TEST_CASE("rows of all processes side by side, with the gradient of all of them") {
    all_hold("gathers");
}

TEST_CASE("batch normalisation over all processes is that of one with the whole batch") {
    all_hold("normalises");
}

TEST_CASE("a word of the first process, and a meeting") {
    all_hold("words");
}

TEST_CASE("gradients are averaged, accumulated ones too, and where nobody has one there is none") {
    all_hold("averages");
}

TEST_CASE("parameters that take turns, as those of phases, are averaged when it is theirs") {
    all_hold("turns");
}

TEST_CASE("which parameters a loss reaches may change from step to step and differ between processes") {
    all_hold("reaches");
}

TEST_CASE("what any process asked for is known to all after the next call, without a collective") {
    all_hold("asks");
}

TEST_CASE("two processes on one device end with a message that names both, and exit code 2") {
    const TemporaryFolder folder;
    Processes processes(folder, 3, {HEARTH_TEST_BINARY_DIR "/bin/hearth_dist_worker", "sits"});
    CHECK(processes.wait() == std::vector<int>{2, 2, 2});
    for (int rank = 0; rank < 3; ++rank)
        CHECK_THAT(processes.printed(rank),
                   Contains("found processes 0 and 1 on the same device (GPU-00000000-0000 of ") &&
                       Contains("--nproc_per_node"));
}

TEST_CASE("a process that dies ends the others with a message and exit code 7") {
    const TemporaryFolder folder;
    Processes processes(folder, 2, {HEARTH_TEST_BINARY_DIR "/bin/hearth_dist_worker", "dies"});
    const auto codes = processes.wait();
    CHECK(codes == std::vector<int>{7, 9});
    CHECK_THAT(processes.printed(0), Contains("process 0 of 2: all-reduce failed") && Contains("--resume"));
}

TEST_CASE("a process that hangs is given up after the timeout") {
    const TemporaryFolder folder;
    Processes processes(folder, 2, {HEARTH_TEST_BINARY_DIR "/bin/hearth_dist_worker", "hangs"});
    int code = 0;
    const auto start = std::chrono::steady_clock::now();
    while (processes.printed(0).empty() && std::chrono::steady_clock::now() - start < std::chrono::seconds(30))
        ::usleep(50000);
    processes.kill(1);
    code = processes.wait()[0];
    CHECK(code == 7);
    CHECK_THAT(processes.printed(0), Contains("did not answer within 3 s"));
}
