// A CUDA device that is not there. Its tensors say that they are on cuda:0, have shapes and types, and hold nothing; operations on
// them are counted and not computed. Autocast, autograd's device thread, flash attention and fused optimisers take the way they
// take on a GPU, so a whole step shows what it would launch, where it would wait and what it would copy:
//
//   fake_cuda::install();
//   plan.to(fake_cuda::device);
//   const fake_cuda::Counting counting;
//   stepper.step(...);
//   counting.now().questions   // how often the host asked for a value
//
// What it cannot tell: values, times, how a library splits an operation into kernels, and what depends on values (a step whose
// loss is not finite). One program alone has it, since it stands in for LibTorch's CUDA for the whole process.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace hearth::test::fake_cuda {

inline const c10::Device device(c10::kCUDA, 0);

/// Once in a process, before the first tensor of the device.
void install();

struct Operation {
    std::int64_t count = 0;
    double bytes = 0;  ///< of its tensors: read and written
};

struct Counts {
    /// Operations that a GPU has at least one kernel for, allocations and views not among them; copies from one place of the device
    /// to another are.
    std::int64_t kernels = 0;
    std::int64_t questions =
        0;  ///< the host waits for a value: item(), nonzero(), a copy to the host that blocks
    std::int64_t waits_up = 0;  ///< copies to the device that block, of tensors with axes
    double bytes_up = 0, bytes_down = 0;
    double bytes = 0;  ///< read and written by the kernels
    std::map<std::string, Operation> by_name;
    std::set<std::string> mixed;   ///< operations that were given tensors with axes of both devices
    std::set<std::string> askers;  ///< what asked
    /// Copies to the device, events and questions as they came: "copy on 1", "record on 1", "0 waits for it", "question";
    /// stream 0 computes, 1 is the other.
    std::vector<std::string> order;
    std::int64_t copies_up = 0;
    std::set<std::string> draws;  ///< operations that draw from the device's generator
    /// Each operation with the shapes and the numbers that the host gave it: a graph that was captured has both fixed.
    struct Call {
        std::string name, shapes, numbers;
    };
    std::vector<Call> calls;
};

/// Counts what all threads do from its making on. One at a time.
class Counting {
  public:
    Counting();
    Counts now() const;
};

}  // namespace hearth::test::fake_cuda
