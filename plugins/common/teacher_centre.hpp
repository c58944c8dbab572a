// The running centre of a teacher's logits (Caron et al. 2021, DINO, https://arxiv.org/abs/2104.14294, eq. 4).
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <hearth/context.hpp>
#include <utility>

namespace hearth {

/// c <- m c + (1 - m) mean(t) after each step, the mean over all rows that the step counted on all processes; outside of
/// a step at once. A mean that is not finite leaves it as it is: the host may skip such a step and go on.
class TeacherCentre {
  public:
    /// `buffer` [1, K] is the component's, and `momentum` m.
    TeacherCentre(at::Tensor buffer, double momentum) : centre_(std::move(buffer)), momentum_(momentum) {}

    const at::Tensor& value() const { return centre_; }

    void begin_step() {
        in_step_ = true;
        sums_ = at::Tensor();
    }
    void end_step(const Comm& comm) {
        in_step_ = false;
        settle(comm);
    }
    /// logits [.., K].
    void count(const at::Tensor& logits) {
        const at::NoGradGuard no_grad;
        const auto rows = logits.flatten(0, -2);
        const auto number = at::full({1}, static_cast<double>(rows.size(0)), rows.options());
        const auto sums = at::cat({rows.sum(0), number});
        sums_ = sums_.defined() ? sums_ + sums : sums;
    }
    /// After all count() of a forward pass.
    void counted(const Comm& comm) {
        if (!in_step_) settle(comm);
    }

  private:
    void settle(const Comm& comm) {
        if (!sums_.defined()) return;
        const at::NoGradGuard no_grad;
        auto sums = std::exchange(sums_, at::Tensor());
        comm.all_reduce_sum(sums);
        const auto mean = (sums.slice(0, 0, -1) / sums[-1]).to(centre_.scalar_type()).unsqueeze(0);
        const auto moved = centre_ * momentum_ + mean * (1 - momentum_);
        centre_.copy_(at::where(mean.isfinite().all(), moved, centre_));
    }

    at::Tensor centre_, sums_;  ///< sums_ [K + 1]: of the rows of this step, and how many they are
    double momentum_;
    bool in_step_ = false;
};

}  // namespace hearth
