#include "dist/backend.hpp"

#include <c10/core/DeviceType.h>
#include <fmt/format.h>

#include <filesystem>
#include <hearth/error.hpp>
#include <map>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#ifdef HEARTH_WITH_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif

#include "dist/nccl.hpp"
#include "dist/nccl_missing.hpp"
#include "host/cuda.hpp"
#include "host/driver.hpp"
#include "host/library.hpp"

namespace hearth::dist {
namespace {

constexpr const char* nccl_library = "libhearth_nccl.so";

#ifdef HEARTH_WITH_GLOO
c10::intrusive_ptr<c10d::Backend> gloo(const c10::intrusive_ptr<c10d::Store>& store, const Launch& launch,
                                       std::chrono::seconds timeout) {
    auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    options->devices.push_back(launch.address == "127.0.0.1" || launch.address == "localhost"
                                   ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                   : c10d::ProcessGroupGloo::createDefaultDevice());
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, launch.rank, launch.world, options);
}
#endif

c10::intrusive_ptr<c10d::Backend> nccl(const c10::intrusive_ptr<c10d::Store>& store, const Launch& launch,
                                       std::chrono::seconds timeout) {
    const auto make = reinterpret_cast<decltype(&hearth_nccl_backend)>(
        host::symbol_of_own_library(nccl_library, "hearth_nccl_backend"));
    return c10::intrusive_ptr<c10d::Backend>::reclaim(make(store, launch.rank, launch.world, timeout));
}

}  // namespace

c10::Device device_of(const Launch& launch, c10::Device wanted, int visible) {
    if (!wanted.is_cuda()) return wanted;
    if (wanted.has_index())
        throw RecipeError(fmt::format(
            "found train.device = \"{}\" with {} processes, which all would use it, expected \"cuda\" or "
            "\"auto\": each then takes one of its own",
            wanted.str(), launch.world));
    if (visible == 1) return {c10::kCUDA, 0};
    if (launch.local_rank >= visible)
        throw RecipeError(fmt::format(
            "found process {} of this machine and {} CUDA devices, expected one for each process; start "
            "fewer with {}, or set train.device = \"cpu\"",
            launch.local_rank, visible, launch.launcher));
    return {c10::kCUDA, static_cast<c10::DeviceIndex>(launch.local_rank)};
}

c10::intrusive_ptr<c10d::Backend> make_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                               const Launch& launch, c10::Device device,
                                               std::chrono::seconds timeout) {
#ifdef HEARTH_WITH_GLOO
    if (device.is_cpu()) return gloo(store, launch, timeout);
#endif
    if (device.is_cuda() && nccl_missing.empty()) return nccl(store, launch, timeout);
    throw RecipeError(fmt::format(
        "{} started {} processes, but this build of Hearth cannot join them on {}: {}; or start one "
        "process (docs/scaling.md)",
        launch.launcher, launch.world, device.str(), backend_on(device.type()).missing));
}

std::string identity_of(c10::Device device, const char* driver) {
    if (!device.is_cuda()) return "";
    return host::Driver(driver).uuid(device.index());
}

std::string shared_device(const std::vector<Seat>& seats) {
    std::map<std::string, std::size_t> users;
    for (std::size_t rank = 0; rank < seats.size(); ++rank) {
        const auto& [host, device] = seats[rank];
        if (device.empty()) continue;
        const auto [user, first] = users.emplace(device, rank);
        if (first) continue;
        return fmt::format(
            "found processes {} and {} on the same device ({} of {}), expected one of its own for each; start "
            "no "
            "more on a machine than it has devices (torchrun --nproc_per_node, srun --ntasks-per-node), and "
            "let each see all of them or only its own (srun --gpus-per-task=1), or set train.device = \"cpu\"",
            user->second, rank, device, host);
    }
    return "";
}

BackendFact backend_on(c10::DeviceType device) {
    if (device == c10::kCPU) {
#ifdef HEARTH_WITH_GLOO
        return {"Gloo", ""};
#else
        return {"",
                "Gloo's headers were not there when it was built; to have it, install libgloo-dev, then "
                "scripts/setup"};
#endif
    }
    if (device == c10::kCUDA) {
        if (!nccl_missing.empty()) return {"", std::string(nccl_missing)};
        if (!host::libtorch_has_cuda())
            return {"",
                    "the LibTorch it runs with is a CPU build; to have it, run with a CUDA build of LibTorch"};
        const auto file = host::own_library(nccl_library);
        if (std::filesystem::exists(file)) return {"NCCL", ""};
        return {"", fmt::format("found no {}; install Hearth again", file.string()), true};
    }
    return {"", fmt::format("nothing joins processes on {}", c10::DeviceTypeName(device, true))};
}

}  // namespace hearth::dist
