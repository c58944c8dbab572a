// A process group joins the processes of a run over c10d.
#pragma once

#include <c10/core/Device.h>
#include <c10/util/intrusive_ptr.h>

#include <array>
#include <chrono>
#include <functional>
#include <hearth/context.hpp>
#include <string>

#include "dist/backend.hpp"
#include "dist/launch.hpp"

namespace c10d {
class ProcessGroup;
class Store;
}  // namespace c10d

namespace hearth::dist {

/// What a group is made of, where a test wants another than make_backend() or identity_of().
struct GroupParts {
    std::function<decltype(make_backend)> backend = {};
    std::function<std::string(c10::Device)> identity = {};
};

/// Joins the processes of a launch when it is made. Every call is collective, but for check() and settle(): all
/// processes make the same calls in the same order. What fails, or takes longer than the timeout, throws
/// CommunicationLost, which names the call; the run can go on from its last checkpoint when all are started
/// again.
///
/// On GPUs a call returns before its work is done, as any of the device does. Of a process that is lost the host
/// then learns by check(), which every call asks first: after a value has been read from the device, and before
/// anything is made of it that lasts.
class ProcessGroup : public Comm {
  public:
    /// `device`: of this process (device_of). Tensors of other devices pass through it. Throws RecipeError
    /// where this build has no backend for it, and where two processes have the same GPU.
    ProcessGroup(const Launch& launch, c10::Device device, std::chrono::seconds timeout,
                 const GroupParts& parts = {});
    ~ProcessGroup() override;
    ProcessGroup(const ProcessGroup&) = delete;
    ProcessGroup& operator=(const ProcessGroup&) = delete;

    int rank() const override { return launch_.rank; }
    int world_size() const override { return launch_.world; }
    c10::Device device() const { return device_; }
    const Launch& launch() const { return launch_; }
    void all_reduce_sum(at::Tensor& tensor) const override;
    at::Tensor all_gather(const at::Tensor& tensor, bool with_grad) const override;
    /// The sum over all processes of those rows of `tensor` [world * n, ...] that belong to this one: [n, ...].
    at::Tensor reduce_scatter_sum(const at::Tensor& tensor) const;

    /// Whether any process passed true to the call *before* this one; the same answer for all. It goes through
    /// the store, so no device is asked, and nobody waits for what the others do now.
    bool any_before(bool here) const;
    /// What the process with rank 0 passes, on all of them.
    std::string from_first(const std::string& text) const;
    /// Waits for all; `patience` instead of the timeout, for work that one process does alone.
    void wait_for_all(std::chrono::seconds patience) const;

    /// Throws CommunicationLost where the backend found out that another process is lost; `what`: during this.
    /// What the device returned since then means nothing. Asks no device.
    void check(const std::string& what) const;
    /// Waits for the device, then check().
    void settle(const std::string& what) const;

    const c10::intrusive_ptr<c10d::ProcessGroup>& group() const { return group_; }
    /// Rethrows what the call `what` threw as CommunicationLost.
    [[noreturn]] void lost(const std::string& what, const std::string& reason) const;

  private:
    void expect_own_devices(const std::string& identity) const;

    Launch launch_;
    c10::Device device_;
    std::chrono::seconds timeout_;
    c10::intrusive_ptr<c10d::Store> store_;
    c10::intrusive_ptr<c10d::ProcessGroup> group_;
    bool notes_errors_ = false;  ///< the backend has a getError()
    int exceptions_ = 0;         ///< under way when it was made
    mutable bool lost_ = false;
    mutable std::int64_t meetings_ = 0, asked_ = 0;
    mutable std::array<std::int64_t, 2> yes_{};  ///< of the calls of any_before(), even and odd ones
};

/// Cores that this process should take for itself: of a group, its share of those of its machine. 0: all.
int cores_of(const Comm& comm);

}  // namespace hearth::dist
