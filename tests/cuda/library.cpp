// libhearth_cuda.so beside LibTorch's CUDA: loaded without a GPU, it gives every operator its kernel.
#include <ATen/core/dispatch/Dispatcher.h>
#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "host/cuda.hpp"
#include "host/library.hpp"

TEST_CASE("libhearth_cuda.so loads, and every operator has its kernel for CUDA") {
    const auto library = hearth::host::own_library("libhearth_cuda.so");
    if (!std::filesystem::exists(library) || !hearth::host::libtorch_has_cuda()) {
        std::puts("SKIPPED: no libhearth_cuda.so was built, or LibTorch has no CUDA");
        return;
    }
    const auto has_kernel = [](const char* name) {
        return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").hasKernelForDispatchKey(
            c10::DispatchKey::CUDA);
    };
    const auto load = [](const std::filesystem::path& file) {
        const bool loaded = ::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr;
        INFO((loaded ? "" : ::dlerror()));
        CHECK(loaded);
    };
    load(hearth::host::libtorch_folder() / "libtorch_cuda.so");
    load(library);
    for (const auto* name :
         {"hearth_kernels::norm", "hearth_kernels::add_norm", "hearth_kernels::norm_backward",
          "hearth_kernels::gelu_backward", "hearth_kernels::crops", "hearth_kernels::adamw_"}) {
        INFO(name);
        CHECK(has_kernel(name));
    }
    CHECK_FALSE(has_kernel("hearth_kernels::linear_gelu"));  // a product of cuBLAS and GELU
}
