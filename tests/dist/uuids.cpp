// A driver of NVIDIA's with two devices, as far as identity_of() asks it.
#include <numeric>

#define SHOWN extern "C" [[gnu::visibility("default")]]

SHOWN int cuInit(unsigned) {
    return 0;
}

SHOWN int cuDeviceGet(int* handle, int ordinal) {
    *handle = 10 + ordinal;
    return ordinal < 2 ? 0 : 101;
}

SHOWN int cuDeviceGetUuid_v2(unsigned char* bytes, int handle) {
    std::iota(bytes, bytes + 16, 0);
    bytes[0] = static_cast<unsigned char>(handle - 10);
    return 0;
}
