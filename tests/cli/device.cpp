// What a machine with a driver of NVIDIA's hears where no GPU can be used. The tests bring a driver of their own.
#include <torch/cuda.h>

#include <cstdlib>

#include "cli/support.hpp"
#include "host/cuda.hpp"
#include "host/library.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// As long as it lives, commands find a driver that answers so.
class Driver {
  public:
    Driver(const char* cuinit, const char* gpus) {
        ::setenv("LD_LIBRARY_PATH", HEARTH_TEST_DRIVER_FOLDER, 1);
        ::setenv("HEARTH_TEST_CUINIT", cuinit, 1);
        ::setenv("HEARTH_TEST_GPUS", gpus, 1);
    }
    ~Driver() {
        for (const char* name : {"LD_LIBRARY_PATH", "HEARTH_TEST_CUINIT", "HEARTH_TEST_GPUS"}) ::unsetenv(name);
    }
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;
};

}  // namespace

TEST_CASE(
    "a driver that does not work is a problem that doctor names, and no reason to train on the CPU in "
    "silence") {
    const Sandbox sandbox;
    const Driver driver("803", "1");
    const std::string problem =
        "NVIDIA's driver does not work: system has unsupported display driver / cuda driver combination (code "
        "803)";
    const auto doctor = sandbox.run({"doctor"});
    CHECK(doctor.code == 4);
    CHECK_THAT(doctor.out, Contains("problem: " + problem));
    const auto train = sandbox.run({"train", "tiny.toml", "--out", "run", "--no-report"});
    CHECK(train.code == 0);
    const auto warning = "warning: train.device = \"auto\" takes the CPU: " + problem;
    CHECK_THAT(train.err, Contains(warning));
    CHECK_THAT(sandbox.folder.read("run/train.log"), Contains(warning));
    const auto meant = sandbox.run({"check", "tiny.toml", "train.device=cpu"});
    CHECK_THAT(meant.err, !Contains("warning"));
    const auto wanted = sandbox.run({"check", "tiny.toml", "train.device=cuda"});
    CHECK(wanted.code == 2);
    CHECK_THAT(wanted.err, Contains("no CUDA device is usable here: " + problem));
}

TEST_CASE("a driver without a GPU is nothing wrong, and a GPU that the build cannot use is named") {
    const Sandbox sandbox;
    {
        const Driver driver("100", "0");
        CHECK_THAT(sandbox.run({"doctor"}).out, Contains("nothing wrong found"));
    }
    if (torch::cuda::is_available()) return;
    const Driver driver("0", "2");
    const auto doctor = sandbox.run({"doctor"});
    CHECK(doctor.code == 4);
    CHECK_THAT(doctor.out, Contains("the driver has 2 GPUs, but"));
}

TEST_CASE("kernels that do not load are a problem that doctor names, with the loader's words") {
    if (!hearth::host::libtorch_has_cuda()) return;  // then they are not looked for
    const Sandbox sandbox;
    // libhearth_sdk.so of another folder, and kernels beside it that are none.
    const auto sdk = sandbox.folder / "libhearth_sdk.so";
    std::filesystem::copy_file(hearth::host::own_library("libhearth_sdk.so"), sdk);
    sandbox.folder.write("libhearth_cuda.so", "no library");
    const Driver driver("100", "0");
    ::setenv("LD_PRELOAD", sdk.c_str(), 1);
    const auto doctor = sandbox.run({"doctor"});
    ::unsetenv("LD_PRELOAD");
    CHECK(doctor.code == 4);
    CHECK_THAT(doctor.out, Contains("problem: " + (sandbox.folder / "libhearth_cuda.so").string() +
                                    " does not load, so that steps take longer than they could: ") &&
                               (Contains("file too short") || Contains("invalid ELF header")));
}
