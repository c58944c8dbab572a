// A process group joins the processes of a run over c10d.
#pragma once

#include <c10/core/Device.h>
#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <hearth/context.hpp>

#include "dist/launch.hpp"

namespace c10d {
class ProcessGroup;
class Store;
}  // namespace c10d

namespace hearth::dist {

/// Joins the processes of a launch when it is made. Every call is collective: all processes make the same calls
/// in the same order. What fails, or takes longer than the timeout, throws CommunicationLost, which names the
/// call; the run can go on from its last checkpoint when all are started again.
class ProcessGroup : public Comm {
  public:
    /// `device`: of this process (device_of). Tensors of other devices pass through it. Throws RecipeError
    /// where this build has no backend for it.
    ProcessGroup(const Launch& launch, c10::Device device, std::chrono::seconds timeout);
    ~ProcessGroup() override;
    ProcessGroup(const ProcessGroup&) = delete;
    ProcessGroup& operator=(const ProcessGroup&) = delete;

    int rank() const override { return launch_.rank; }
    int world_size() const override { return launch_.world; }
    c10::Device device() const { return device_; }
    void all_reduce_sum(at::Tensor& tensor) const override;
    at::Tensor all_gather(const at::Tensor& tensor, bool with_grad) const override;

    /// What the process with rank 0 passes, on all of them.
    std::string from_first(const std::string& text) const;
    /// Waits for all; `patience` instead of the timeout, for work that one process does alone.
    void wait_for_all(std::chrono::seconds patience) const;

    const c10::intrusive_ptr<c10d::ProcessGroup>& group() const { return group_; }
    /// Rethrows what the call `what` threw as CommunicationLost.
    [[noreturn]] void lost(const std::string& what, const std::string& reason) const;

  private:
    Launch launch_;
    c10::Device device_;
    std::chrono::seconds timeout_;
    c10::intrusive_ptr<c10d::Store> store_;
    c10::intrusive_ptr<c10d::ProcessGroup> group_;
    mutable std::int64_t meetings_ = 0;
};

}  // namespace hearth::dist
