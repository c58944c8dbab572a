// Keeps losses and statistics in fp32, whatever the networks compute in.
#pragma once

#include <ATen/core/Tensor.h>

namespace hearth {

/// double for double, else float: bf16 and fp16 become fp32.
inline at::ScalarType at_least_float(at::ScalarType type) {
    return type == at::kDouble ? at::kDouble : at::kFloat;
}
/// `x` itself where it is float or double, else a float copy that passes the gradient on.
inline at::Tensor at_least_float(const at::Tensor& x) {
    return x.to(at_least_float(x.scalar_type()));
}

/// Switches autocast off in its thread while it lives: softmax, logarithms, norms and reductions of a loss are
/// computed in fp32.
class FullPrecision {
  public:
    FullPrecision();
    ~FullPrecision();
    FullPrecision(const FullPrecision&) = delete;
    FullPrecision& operator=(const FullPrecision&) = delete;

  private:
    bool cpu_, cuda_;
};

}  // namespace hearth
