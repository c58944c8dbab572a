// A follower is a network that follows another as an exponential moving average: after (or before) each step
// theta_T becomes m theta_T + (1 - m) theta_S.
#pragma once

#include <vector>

#include "plan/plan.hpp"
#include "train/optimizer.hpp"

namespace hearth::train {

class Follower {
  public:
    Follower(const plan::Network& follower, const plan::Network& leader);
    /// One update; buffers are copied.
    void update(const Progress& progress);
    /// The same in two parts: what Optimizer::step() can move along with the leader, and the buffers.
    std::vector<MovingAverage> averages(const Progress& progress) const;
    void copy_buffers();
    /// Where `updated`, a number of the device, is not 0.
    void copy_buffers_where(const at::Tensor& updated);
    /// Makes the follower equal to its leader.
    void copy();
    bool after_step() const { return after_step_; }
    /// The name of the network that it follows.
    const std::string& leader() const { return leader_; }
    double momentum(const Progress& progress) const { return momentum_(progress); }

  private:
    Schedule momentum_;
    bool after_step_;
    std::string leader_;
    std::vector<at::Tensor> to_, from_, buffers_to_, buffers_from_;
};

}  // namespace hearth::train
