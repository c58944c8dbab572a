// In place of libcuda.so.1, as far as host/driver.cpp asks it: HEARTH_TEST_CUINIT is what cuInit() returns,
// HEARTH_TEST_GPUS the number of devices.
#include <cstdlib>
#include <numeric>

#define SHOWN extern "C" [[gnu::visibility("default")]]

namespace {

int number(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? 0 : std::atoi(value);
}

}  // namespace

SHOWN int cuInit(unsigned) {
    return number("HEARTH_TEST_CUINIT");
}

SHOWN int cuDeviceGetCount(int* count) {
    *count = number("HEARTH_TEST_GPUS");
    return 0;
}

SHOWN int cuGetErrorString(int code, const char** text) {
    *text = code == 803 ? "system has unsupported display driver / cuda driver combination" : nullptr;
    return 0;
}

SHOWN int cuDeviceGet(int* handle, int ordinal) {
    *handle = 10 + ordinal;
    return ordinal < number("HEARTH_TEST_GPUS") ? 0 : 101;
}

SHOWN int cuDeviceGetUuid_v2(unsigned char* bytes, int handle) {
    std::iota(bytes, bytes + 16, 0);
    bytes[0] = static_cast<unsigned char>(handle - 10);
    return 0;
}
