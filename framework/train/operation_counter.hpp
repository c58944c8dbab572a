// Counts what LibTorch does: floating-point operations of matrix products and convolutions, and the time spent
// inside operations, by operation.
#pragma once

#include <ATen/record_function.h>

#include <string>
#include <vector>

namespace hearth::train {

struct OperationTime {
    std::string name;    ///< "aten::addmm"; that of a RECORD_FUNCTION scope
    double seconds = 0;  ///< in it but not in operations that it called; on a GPU only what launching took
    std::int64_t calls = 0;
};

/// Counts while it lives. One at a time.
class OperationCounter {
  public:
    /// `shapes` false: only seconds(), at less cost.
    explicit OperationCounter(bool shapes);
    ~OperationCounter();
    OperationCounter(const OperationCounter&) = delete;
    OperationCounter& operator=(const OperationCounter&) = delete;

    /// Of products of matrices and vectors, linear layers, convolutions and fused attention, those of oneDNN
    /// and MKL included, forward and backward, on all threads; a multiplication and an addition are two.
    double flops() const;
    /// Operators that multiply by their name and are not in flops(), nor is any that they called; with
    /// `shapes`.
    std::vector<std::string> uncounted() const;
    /// Spent in operations that this thread called.
    double seconds() const;
    /// With `shapes`: every operation of every thread, the slowest first.
    std::vector<OperationTime> slowest_first() const;

  private:
    at::CallbackHandle handle_;
};

/// Floating-point operations a second of large matrix products in float or bfloat16 here and now, the best of
/// several shapes. Takes about three seconds.
double measure_gemm(c10::Device device, at::ScalarType type);

}  // namespace hearth::train
