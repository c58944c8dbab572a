// Kernels, copies and waits of any process that uses CUDA, counted through CUPTI:
//
//     CUDA_INJECTION64_PATH=libcount_kernels.so HEARTH_KERNELS=kernels.tsv hearth bench ...
//
// A line a name: how often, milliseconds, bytes, name. scripts/gpu-package builds it where cupti.h is; no target of CMake's is it.
#include <cupti.h>
#include <cxxabi.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace {

constexpr std::size_t buffer_size = 8 << 20;

struct Sum {
    std::int64_t count = 0;
    double nanoseconds = 0, bytes = 0;
};

struct Counted {
    std::mutex mutex;
    std::map<std::string, Sum> sums;
};

/// Never destroyed: CUPTI may deliver records until the process is gone.
Counted& counted() {
    static auto* const made = new Counted;
    return *made;
}

void add(const std::string& name, std::uint64_t start, std::uint64_t end, double bytes) {
    auto& sum = counted().sums[name];
    ++sum.count;
    sum.nanoseconds += static_cast<double>(end - start);
    sum.bytes += bytes;
}

template <class Record>
const Record& as(const CUpti_Activity* record) {
    return *reinterpret_cast<const Record*>(record);
}

void take(const CUpti_Activity* record) {
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
        const auto& kernel = as<CUpti_ActivityKernel9>(record);
        add(std::string("kernel ") + (kernel.name != nullptr ? kernel.name : "?"), kernel.start, kernel.end, 0);
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
        const auto& copy = as<CUpti_ActivityMemcpy6>(record);
        add("copy " + std::to_string(copy.copyKind), copy.start, copy.end, static_cast<double>(copy.bytes));
    } else if (record->kind == CUPTI_ACTIVITY_KIND_SYNCHRONIZATION) {
        const auto& wait = as<CUpti_ActivitySynchronization>(record);
        add("wait " + std::to_string(wait.type), wait.start, wait.end, 0);
    }
}

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
    *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, buffer_size));
    *size = *buffer != nullptr ? buffer_size : 0;
    *most_records = 0;
}

void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t valid) {
    const std::lock_guard lock(counted().mutex);
    CUpti_Activity* record = nullptr;
    while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) take(record);
    std::free(buffer);
}

std::string readable(const std::string& name) {
    constexpr const char* kernel = "kernel ";
    if (name.rfind(kernel, 0) != 0) return name;
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> plain(
        abi::__cxa_demangle(name.c_str() + 7, nullptr, nullptr, &status), &std::free);
    return plain ? kernel + std::string(plain.get()) : name;
}

void write() {
    cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    const std::lock_guard lock(counted().mutex);
    const char* path = std::getenv("HEARTH_KERNELS");
    std::FILE* out = path != nullptr ? std::fopen(path, "w") : stderr;
    if (out == nullptr) return;
    for (const auto& [name, sum] : counted().sums)
        std::fprintf(out, "%lld\t%.3f\t%.0f\t%s\n", static_cast<long long>(sum.count), sum.nanoseconds / 1e6,
                     sum.bytes, readable(name).c_str());
    if (path != nullptr) std::fclose(out);
}

}  // namespace

/// CUDA calls this when it starts in the process.
extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
    if (cuptiActivityRegisterCallbacks(give_buffer, take_buffer) != CUPTI_SUCCESS) return 0;
    for (const auto kind : {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY,
                            CUPTI_ACTIVITY_KIND_SYNCHRONIZATION})
        cuptiActivityEnable(kind);
    std::atexit(write);
    return 1;
}
