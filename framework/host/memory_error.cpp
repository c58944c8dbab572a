#include "host/memory_error.hpp"

#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <new>

namespace hearth::host {

// LibTorch's allocators of the CPU and of page-locked memory report exhaustion as a plain c10::Error, as do libraries
// that ask CUDA for memory themselves: cuBLAS, cuDNN and NCCL.
bool tells_of_memory(const std::string& text) {
    static constexpr std::array words = {"can't allocate memory",
                                         "not enough memory",
                                         "out of memory",
                                         "CUBLAS_STATUS_ALLOC_FAILED",
                                         "CUDNN_STATUS_ALLOC_FAILED",
                                         "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION",
                                         "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION",
                                         "CUSOLVER_STATUS_ALLOC_FAILED"};
    return std::ranges::any_of(words, [&](const char* word) { return text.find(word) != std::string::npos; });
}

bool is_out_of_memory(const std::exception& error) {
    if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
    if (const auto* ours = dynamic_cast<const Error*>(&error)) return ours->code() == ExitCode::out_of_memory;
    if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
    const auto* theirs = dynamic_cast<const c10::Error*>(&error);
    return theirs != nullptr && tells_of_memory(theirs->what_without_backtrace());
}

ExitCode code_of(const std::exception& error) {
    if (const auto* ours = dynamic_cast<const Error*>(&error)) return ours->code();
    return is_out_of_memory(error) ? ExitCode::out_of_memory : ExitCode::internal;
}

std::string reason_of(const std::exception& error) {
    if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return "the system gives no more memory";
    if (const auto* theirs = dynamic_cast<const c10::Error*>(&error)) return theirs->what_without_backtrace();
    return error.what();
}

}  // namespace hearth::host
