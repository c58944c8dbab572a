// Tells a component what it may know about the run: progress, device, processes. It is passed to every call,
// so components keep no globals.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <hearth/schedule.hpp>
#include <hearth/tensors.hpp>
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

/// All images of the training set, as a component of the plan sees them.
class TrainingSet {
  public:
    /// `in` holds what the component reads, its Port::for_fit() included; `index` [B] (int64, CPU) says which
    /// images these are.
    using Use = std::function<void(const Tensors& in, const at::Tensor& index)>;
    virtual ~TrainingSet() = default;
    /// How many images there are; an `index` is below it.
    virtual std::int64_t size() const = 0;
    /// Calls `use` for batch after batch, each image once, in the order of the index, without augments, in
    /// evaluation mode, without gradients. The processes of a run share the work, and each of them is given all
    /// batches: what is computed from them is the same everywhere. Collective; main thread.
    virtual void each(const Use& use) const = 0;
};

struct Context {
    Progress progress;
    c10::Device device = c10::kCPU;
    std::uint64_t seed = 0;
    bool training = true;
    /// Whether this call is one from which the component may learn besides by gradients (centres, banks,
    /// queues): it trains, and what it belongs to is trained by this update. A follower learns where its leader
    /// does, a loss where its phase runs.
    bool learns = true;
    /// In fit(), and in on_epoch_begin() unless a resumed run goes on in the middle of that epoch; else null.
    const TrainingSet* set = nullptr;
    /// What normal() and uniform() are keyed by: the micro-step within the run, and the call within it.
    std::uint64_t draw = 0, stream = 0;
    const Comm* comm = &Comm::local();
    /// Ports of this call that somebody reads; null: all. A component may leave out the others and the work
    /// that only they need. What it does write must not depend on this.
    const std::set<std::string>* wanted = nullptr;

    bool wants(const std::string& port) const { return wanted == nullptr || wanted->count(port) != 0; }
    double value(const Schedule& schedule) const { return schedule(progress); }

    /// Random numbers [B, shape...], float on `device`, of mean 0 and deviation 1. Row i depends on the seed,
    /// the micro-step, the call and index[i] ([B], int64: the images of the batch) alone, so that several
    /// processes draw what one would. Calls within one forward() are told apart by `which`.
    at::Tensor normal(const at::Tensor& index, at::IntArrayRef shape, std::uint64_t which = 0) const;
    /// The same, between 0 and 1.
    at::Tensor uniform(const at::Tensor& index, at::IntArrayRef shape, std::uint64_t which = 0) const;
};

}  // namespace hearth
