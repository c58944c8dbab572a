// Tells a component what it may know about the run: progress, device, processes. It is passed to every call,
// so components keep no globals.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <hearth/schedule.hpp>
#include <set>
#include <string>

namespace hearth {

/// Communication between the processes of a run; the identity on one process, so that a plugin is written once.
/// all_reduce_sum and all_gather are collective: every process makes the same calls in the same order. Only the
/// main thread may make them, in forward() and in hooks; rank and size may be asked from any thread.
class Comm {
  public:
    virtual ~Comm() = default;
    /// The number of this process, from 0. Any thread.
    virtual int rank() const { return 0; }
    /// How many processes there are. Any thread.
    virtual int world_size() const { return 1; }
    /// Sums `tensor` over all processes, in place. No gradient. Main thread.
    virtual void all_reduce_sum(at::Tensor& tensor) const { (void)tensor; }
    /// Concatenates the tensors of all processes along dimension 0. With `with_grad` the gradient flows back to
    /// each process, and the backward pass is a collective call too. Main thread.
    virtual at::Tensor all_gather(const at::Tensor& tensor, bool with_grad) const {
        return with_grad ? tensor : tensor.detach();
    }
    /// One process.
    static const Comm& local();
};

struct Context {
    Progress progress;
    c10::Device device = c10::kCPU;
    std::uint64_t seed = 0;
    bool training = true;
    const Comm* comm = &Comm::local();
    /// Ports of this call that somebody reads; null: all. A component may leave out the others and the work
    /// that only they need. What it does write must not depend on this.
    const std::set<std::string>* wanted = nullptr;

    bool wants(const std::string& port) const { return wanted == nullptr || wanted->count(port) != 0; }
    double value(const Schedule& schedule) const { return schedule(progress); }
};

}  // namespace hearth
