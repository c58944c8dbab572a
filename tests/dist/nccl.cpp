// As far as NCCL comes without a GPU: its library is found, loads with LibTorch's CUDA library, and is asked.
#include <catch2/catch.hpp>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "dist/backend.hpp"
#include "host/cuda.hpp"

using namespace hearth;
using Catch::Matchers::Contains;

TEST_CASE("processes with GPUs are joined by NCCL, which says that there are none, or are told why not") {
    if (host::cuda_devices() > 0) {
        WARN("skipped: there is a GPU; what joins several is tried with several");
        return;
    }
    const auto nccl = dist::backend_on(c10::kCUDA);
    CHECK_FALSE(nccl.broken);
    CHECK(nccl.name.empty() != nccl.missing.empty());
    dist::Launch launch;
    launch.world = 2;
    launch.launcher = "torchrun";
    const c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();
    const auto told = nccl.name.empty() ? nccl.missing : "no GPUs found";
    CHECK_THROWS_WITH(dist::make_backend(store, launch, c10::kCUDA, std::chrono::seconds(3)), Contains(told));
}
