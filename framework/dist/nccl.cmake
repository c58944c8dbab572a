# Can libhearth_nccl.so be built here? Asked of the compiler: a header that is there may include one that is not, as
# cuda_runtime.h of LibTorch's wheels does (crt/host_config.h is in PyPI's nvidia-cuda-crt, nv/target in nvidia-cuda-cccl, both in
# every CUDA toolkit).
# Output: HEARTH_NCCL_MISSING, why not, with what to do; empty where it can. HEARTH_NCCL_INCLUDE, HEARTH_CUDA_RUNTIME_INCLUDE.
set(HEARTH_NCCL_MISSING "")
if(NOT LibTorch_CUDA)
  set(HEARTH_NCCL_MISSING "the LibTorch it was built with has no CUDA; to have it, set up with a CUDA build of LibTorch")
  return()
endif()
# NCCL's headers and those of the CUDA runtime come with the wheel, beside torch/; a system's own serve as well.
file(GLOB _nvidia ${LibTorch_ROOT}/../nvidia/*/include)
find_path(HEARTH_NCCL_INCLUDE nccl.h HINTS ${_nvidia})
find_path(HEARTH_CUDA_RUNTIME_INCLUDE cuda_runtime_api.h HINTS ${_nvidia} PATHS /usr/local/cuda/include)
mark_as_advanced(HEARTH_NCCL_INCLUDE HEARTH_CUDA_RUNTIME_INCLUDE)
if(NOT HEARTH_NCCL_INCLUDE OR NOT HEARTH_CUDA_RUNTIME_INCLUDE)
  set(HEARTH_NCCL_MISSING "no nccl.h or no cuda_runtime_api.h was found; to have it, install NCCL's headers and a CUDA toolkit, then scripts/setup")
  return()
endif()

# Only a yes is kept: what was missing may be there the next time.
if(NOT HEARTH_NCCL_COMPILES)
  unset(HEARTH_NCCL_COMPILES CACHE)
  get_target_property(_torch hearth::libtorch INTERFACE_INCLUDE_DIRECTORIES)
  set(_include ${_torch} ${HEARTH_NCCL_INCLUDE} ${HEARTH_CUDA_RUNTIME_INCLUDE})
  file(WRITE ${CMAKE_BINARY_DIR}/nccl/check.cpp "#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>\n")
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  try_compile(HEARTH_NCCL_COMPILES ${CMAKE_BINARY_DIR}/nccl SOURCES ${CMAKE_BINARY_DIR}/nccl/check.cpp
    CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${_include}"
    COMPILE_DEFINITIONS -DUSE_C10D_NCCL OUTPUT_VARIABLE _output CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON)
  unset(CMAKE_TRY_COMPILE_TARGET_TYPE)
endif()
if(NOT HEARTH_NCCL_COMPILES)
  string(REGEX MATCH "[^\n/]*/?[^\n/]*: (fatal error|error): ([^\n]*)" _first "${_output}")
  set(_why "${CMAKE_MATCH_2}")
  set(HEARTH_NCCL_MISSING "the headers of NCCL and of the CUDA runtime do not compile (${_why}); to have it, install nvidia-cuda-crt and nvidia-cuda-cccl of their version beside torch, or a CUDA toolkit, then scripts/setup")
endif()
