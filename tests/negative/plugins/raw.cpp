// A library that looks like a plugin from outside and has none of its code: what is wrong with it is chosen by
// definitions (CMakeLists.txt). It repeats HEARTH_BUILD_IDENTITY because it must not include LibTorch.
#include <torch/headeronly/version.h>

#include <cstdint>
#include <cstdlib>

#define STR_(x) #x
#define STR(x) STR_(x)
#if defined(__clang__)
#define COMPILER "clang" STR(__clang_major__)
#else
#define COMPILER "gcc" STR(__GNUC__)
#endif
#ifndef API
#define API 2
#endif
#define IDENTITY                                                                                   \
    ".hearth.api" STR(API) ".torch" STR(TORCH_VERSION_MAJOR) "_" STR(TORCH_VERSION_MINOR) "_" STR( \
        TORCH_VERSION_PATCH) "." COMPILER ".cxx11abi" STR(_GLIBCXX_USE_CXX11_ABI)

#ifndef NO_IDENTITY
__attribute__((section(IDENTITY), used)) static const char identity[] = IDENTITY;
#endif

#ifdef CONSTRUCTOR
__attribute__((constructor)) static void run_when_loaded() {
    setenv("HEARTH_TEST_CONSTRUCTOR", "ran", 1);
}
#endif

#ifdef UNDEFINED_SYMBOL
extern "C" const void* symbol_that_nobody_defines();
#endif

#ifdef STRUCT_SIZE
static const struct {
    std::uint32_t struct_size = STRUCT_SIZE;
    std::uint16_t api_major = 2, api_minor = 0;
} descriptor;
#endif

#ifndef NO_SYMBOL
extern "C" __attribute__((visibility("default"))) const void* hearth_plugin() {
#if defined(UNDEFINED_SYMBOL)
    return symbol_that_nobody_defines();
#elif defined(STRUCT_SIZE)
    return &descriptor;
#else
    return nullptr;
#endif
}
#endif
