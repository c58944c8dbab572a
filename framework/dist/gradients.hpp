// Gradients are averaged over the processes of a run while the backward pass still works on others.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dist/process_group.hpp"

namespace c10d {
class Reducer;
}

namespace hearth::dist {

/// Averages gradients in buckets of 25 MiB, each as soon as it is complete (c10d's reducer, as in PyTorch's
/// DDP). Parameters that no process has a gradient for keep none.
class GradientAverage {
  public:
    /// `group` outlives it. Throws CommunicationLost where the processes have other parameters.
    GradientAverage(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                    const ProcessGroup& group);
    ~GradientAverage();

    /// The backward pass of `loss` that follows ends with averaged gradients, what was accumulated before it
    /// included. Without this call gradients stay with the process.
    void prepare(const at::Tensor& loss);

  private:
    std::shared_ptr<c10d::Reducer> reducer_;
};

}  // namespace hearth::dist
