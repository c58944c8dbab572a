// A backend carries tensors between the processes: NCCL for GPUs, Gloo for CPUs.
#pragma once

#include <c10/core/Device.h>
#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <string>
#include <vector>

#include "dist/launch.hpp"

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace hearth::dist {

/// The device of one process: `wanted`, and where that is "cuda" without a number, the one with this process's
/// number on its machine, of the `visible` ones. A process that sees one alone (srun --gpus-per-task) takes
/// that. Throws RecipeError where there are fewer devices than processes, or where all would use the one that
/// the recipe names.
c10::Device device_of(const Launch& launch, c10::Device wanted, int visible);

/// Throws RecipeError where this build has no backend for the device.
c10::intrusive_ptr<c10d::Backend> make_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                               const Launch& launch, c10::Device device,
                                               std::chrono::seconds timeout);

/// What tells a CUDA device from every other, on any machine: its UUID, as nvidia-smi writes it. "" for other
/// devices and where the driver does not say. `driver`: its library.
std::string identity_of(c10::Device device, const char* driver = "libcuda.so.1");

/// A process and the device it uses.
struct Seat {
    std::string host, device;
};
/// "" where each process, by rank, has a device of its own or one that nothing is known of; else which two have
/// the same, and what to write.
std::string shared_device(const std::vector<Seat>& seats);

/// What joins the processes of a run on a kind of device.
struct BackendFact {
    std::string name;     ///< "Gloo", "NCCL"; empty where this build has none
    std::string missing;  ///< why it has none and how to have it; empty where it has
    bool broken = false;  ///< it was built, and its library is gone
};
BackendFact backend_on(c10::DeviceType device);

}  // namespace hearth::dist
