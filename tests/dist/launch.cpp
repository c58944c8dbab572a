// What torchrun, srun and mpirun leave in the environment.
#include "dist/launch.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <hearth/error.hpp>
#include <map>

#include "dist/backend.hpp"

using namespace hearth;
using Catch::Matchers::Contains;

namespace {

std::optional<dist::Launch> launch(const std::map<std::string, std::string>& variables) {
    return dist::read_launch([&](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
    });
}

}  // namespace

TEST_CASE("without a launcher, or with one process, a run is alone") {
    CHECK_FALSE(launch({}));
    CHECK_FALSE(launch({{"RANK", "0"}, {"WORLD_SIZE", "1"}}));
    // A batch script of SLURM, which is no step.
    CHECK_FALSE(launch({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_JOB_ID", "7"}}));
}

TEST_CASE("torchrun") {
    const auto found = launch({{"RANK", "5"},
                               {"WORLD_SIZE", "8"},
                               {"LOCAL_RANK", "1"},
                               {"LOCAL_WORLD_SIZE", "4"},
                               {"MASTER_ADDR", "node1"},
                               {"MASTER_PORT", "29400"}});
    REQUIRE(found);
    CHECK((found->rank == 5 && found->world == 8 && found->local_rank == 1));
    CHECK(found->local_world == 4);
    CHECK((found->address == "node1" && found->port == 29400));
}

TEST_CASE("srun: the address is the step's first host, the port follows from the job") {
    const auto found = launch({{"SLURM_PROCID", "3"},
                               {"SLURM_STEP_NUM_TASKS", "4"},
                               {"SLURM_LOCALID", "1"},
                               {"SLURM_STEP_TASKS_PER_NODE", "2(x2)"},
                               {"SLURM_STEP_NODELIST", "gpu[07-08]"},
                               {"SLURM_JOB_ID", "123456"}});
    REQUIRE(found);
    CHECK((found->rank == 3 && found->world == 4 && found->local_rank == 1));
    CHECK(found->local_world == 2);
    CHECK((found->address == "gpu07" && found->port == 20000 + 123456 % 20000));
}

TEST_CASE("hosts in SLURM's notation") {
    CHECK(dist::first_host("node1") == "node1");
    CHECK(dist::first_host("node1,node2") == "node1");
    CHECK(dist::first_host("node[03-07,9],other") == "node03");
    CHECK(dist::first_host("a,node[03-07]") == "a");
    CHECK(dist::first_host("node[5]") == "node5");
}

TEST_CASE("mpirun on one machine needs no address, on several it does") {
    std::map<std::string, std::string> variables = {{"OMPI_COMM_WORLD_RANK", "1"},
                                                    {"OMPI_COMM_WORLD_SIZE", "2"},
                                                    {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                                    {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
    REQUIRE(launch(variables));
    CHECK(launch(variables)->address == "127.0.0.1");
    variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
    CHECK_THROWS_WITH(launch(variables), Contains("mpirun started this process, but found no MASTER_ADDR"));
    variables["MASTER_ADDR"] = "node1";
    CHECK(launch(variables)->address == "node1");
}

TEST_CASE("what is missing or wrong is named") {
    CHECK_THROWS_WITH(launch({{"RANK", "0"}, {"WORLD_SIZE", "2"}}), Contains("MASTER_ADDR"));
    CHECK_THROWS_WITH(launch({{"RANK", "x"}, {"WORLD_SIZE", "2"}}),
                      Contains("RANK: found \"x\", expected a number from 0"));
    CHECK_THROWS_WITH(launch({{"RANK", "2"}, {"WORLD_SIZE", "2"}}), Contains("expected a rank below"));
}

TEST_CASE("processes of a machine share its cores, unless a launcher bound each to its own") {
    CHECK(dist::share_of_cores(128, 128, 8) == 16);
    CHECK(dist::share_of_cores(16, 128, 8) == 16);  // srun --cpus-per-task=16
    CHECK(dist::share_of_cores(64, 128, 8) == 8);   // a job with half of the machine
    CHECK(dist::share_of_cores(2, 2, 1) == 2);
    CHECK(dist::share_of_cores(2, 2, 8) == 1);
}

TEST_CASE(
    "two processes on one device are found, and where nothing is known of a device it is nobody's fault") {
    CHECK(dist::shared_device({{"n1", "a"}, {"n1", "b"}, {"n2", "c"}}).empty());
    CHECK(dist::shared_device({{"n1", ""}, {"n1", ""}}).empty());
    CHECK_THAT(
        dist::shared_device({{"n1", "a"}, {"n2", "b"}, {"n2", "c"}, {"n2", "b"}}),
        Contains("found processes 1 and 3 on the same device (b of n2)") && Contains("srun --gpus-per-task=1"));
}

TEST_CASE("a device is told by the UUID that its driver gives it") {
    const c10::Device second(c10::kCUDA, 1);
    ::setenv("HEARTH_TEST_GPUS", "2", 1);
    CHECK(dist::identity_of(second, HEARTH_TEST_DRIVER) == "GPU-01010203-0405-0607-0809-0a0b0c0d0e0f");
    CHECK(dist::identity_of(second, "no such library").empty());
    CHECK(dist::identity_of(c10::Device(c10::kCUDA, 7), HEARTH_TEST_DRIVER).empty());  // it has no such device
    CHECK(dist::identity_of(c10::kCPU, HEARTH_TEST_DRIVER).empty());
    ::setenv("HEARTH_TEST_CUINIT", "803", 1);
    CHECK(dist::identity_of(second, HEARTH_TEST_DRIVER).empty());
    for (const char* name : {"HEARTH_TEST_GPUS", "HEARTH_TEST_CUINIT"}) ::unsetenv(name);
}

TEST_CASE("each process takes a CUDA device of its own") {
    const auto index = [](int local_rank, int visible) {
        const dist::Launch launch{
            .rank = 6, .world = 8, .local_rank = local_rank, .address = "n1", .launcher = "srun"};
        return static_cast<int>(dist::device_of(launch, c10::Device(c10::kCUDA), visible).index());
    };
    CHECK(index(0, 4) == 0);
    CHECK(index(3, 4) == 3);
    CHECK(index(3, 1) == 0);  // srun --gpus-per-task=1 hides those of the others
    CHECK_THROWS_AS(index(4, 4), RecipeError);
    CHECK_THROWS_WITH(index(4, 2),
                      Contains("found process 4 of this machine and 2 CUDA devices") && Contains("srun"));
    const dist::Launch two{.rank = 0, .world = 2, .local_rank = 0, .address = "n1", .launcher = "torchrun"};
    CHECK_THROWS_WITH(dist::device_of(two, c10::Device("cuda:0"), 2), Contains("\"cuda:0\" with 2 processes"));
    CHECK(dist::device_of(two, c10::Device(c10::kCPU), 0).is_cpu());
}
