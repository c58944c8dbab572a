// Mixed precision in tests, switched off again whatever happens in between.
#pragma once

#include <hearth/mixed_precision.hpp>

namespace hearth::test {

/// bf16 autocast on the CPU while it lives.
struct Autocast : MixedPrecision {
    Autocast() : MixedPrecision(at::kCPU, true) {}
};

/// What `run` returns under bf16 autocast on the CPU.
template <class Run>
auto in_bf16(const Run& run) {
    const Autocast autocast;
    return run();
}

}  // namespace hearth::test
