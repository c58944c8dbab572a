// Names and numbers are those of cuda.h.
#include "host/driver.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>

namespace hearth::host {
namespace {

constexpr int success = 0, no_device = 100;

}  // namespace

Driver::Driver(const char* library) : library_(::dlopen(library, RTLD_NOW | RTLD_GLOBAL)) {}

template <typename Function>
Function* Driver::function(const char* name) const {
    return library_ == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(library_, name));
}

Driver::State Driver::state() const {
    if (!there()) return {};
    const auto initialise = function<int(unsigned)>("cuInit");
    const auto count = function<int(int*)>("cuDeviceGetCount");
    const auto text = function<int(int, const char**)>("cuGetErrorString");
    if (initialise == nullptr || count == nullptr || text == nullptr)
        return {0, "libcuda.so.1 is not a driver's library"};
    State state;
    int code = initialise(0);
    if (code == success) code = count(&state.devices);
    if (code == success || code == no_device) return state;
    const char* said = nullptr;
    text(code, &said);
    return {0, fmt::format("NVIDIA's driver does not work: {} (code {})", said == nullptr ? "?" : said, code)};
}

std::string Driver::uuid(int device) const {
    const auto initialise = function<int(unsigned)>("cuInit");
    const auto get = function<int(int*, int)>("cuDeviceGet");
    auto tell = function<int(unsigned char*, int)>("cuDeviceGetUuid_v2");  // tells parts of one GPU apart
    if (tell == nullptr) tell = function<int(unsigned char*, int)>("cuDeviceGetUuid");
    if (initialise == nullptr || get == nullptr || tell == nullptr) return "";
    int handle = 0;
    std::array<unsigned char, 16> bytes{};
    if (initialise(0) != success || get(&handle, device) != success || tell(bytes.data(), handle) != success)
        return "";
    std::string out = "GPU";
    for (std::size_t i = 0; i < bytes.size(); ++i)
        out += fmt::format("{}{:02x}", i == 0 || i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    return out;
}

}  // namespace hearth::host
