# Kernels for GPUs: nvcc is called by hand, since CMake 3.25 knows no flag of C++20 for it and would say so to nobody.
#   HEARTH_CUDA                AUTO builds libhearth_cuda.so where it can, ON insists, OFF does without
#   HEARTH_CUDA_ARCHITECTURES  compute capabilities that it has code for; newer GPUs compile what the last one has as PTX
# Output: HEARTH_NVCC, HEARTH_NVCC_FLAGS; HEARTH_CUDA_MISSING, why libhearth_cuda.so is not built: empty where it is.
set(HEARTH_CUDA AUTO CACHE STRING "Build libhearth_cuda.so, the fused kernels for GPUs: AUTO, ON or OFF")
set_property(CACHE HEARTH_CUDA PROPERTY STRINGS AUTO ON OFF)
set(HEARTH_CUDA_ARCHITECTURES 80 86 89 90 100 120 CACHE STRING "Compute capabilities of libhearth_cuda.so, without the point")
find_program(HEARTH_NVCC nvcc PATHS /usr/local/cuda/bin)
mark_as_advanced(HEARTH_NVCC HEARTH_CUDA_ARCHITECTURES)

set(HEARTH_CUDA_MISSING "")
if(HEARTH_NVCC)
  execute_process(COMMAND ${HEARTH_NVCC} --version OUTPUT_VARIABLE _version ERROR_QUIET)
  string(REGEX MATCH "release ([0-9]+)" _ "${_version}")
  set(_toolkit "${CMAKE_MATCH_1}")
  get_filename_component(_nvcc ${HEARTH_NVCC} REALPATH)
  get_filename_component(_bin ${_nvcc} DIRECTORY)
  find_library(HEARTH_CUDART cudart HINTS ${_bin}/../lib64 ${_bin}/../lib ${_bin}/../targets/x86_64-linux/lib)
  mark_as_advanced(HEARTH_CUDART)
endif()
if(HEARTH_CUDA STREQUAL "OFF")
  set(HEARTH_CUDA_MISSING "HEARTH_CUDA is OFF")
elseif(NOT HEARTH_NVCC OR NOT HEARTH_CUDART)
  set(HEARTH_CUDA_MISSING "no nvcc or no libcudart.so was found; to have it, install a CUDA toolkit")
elseif(NOT LibTorch_CUDA)
  set(HEARTH_CUDA_MISSING "LibTorch has no CUDA; to have it, set up with a CUDA build of LibTorch")
else()
  # One process must hold one CUDA runtime, LibTorch's.
  file(STRINGS ${LibTorch_c10_cuda} _runtime REGEX "^libcudart[.]so[.][0-9]+")
  string(REGEX MATCH "libcudart[.]so[.]([0-9]+)" _ "${_runtime}")
  if(CMAKE_MATCH_1 AND NOT CMAKE_MATCH_1 STREQUAL _toolkit)
    set(HEARTH_CUDA_MISSING "nvcc is of CUDA ${_toolkit} and LibTorch of CUDA ${CMAKE_MATCH_1}; to have it, install a toolkit of CUDA ${CMAKE_MATCH_1}")
  endif()
endif()
if(HEARTH_CUDA_MISSING AND HEARTH_CUDA STREQUAL "ON")
  message(FATAL_ERROR "HEARTH_CUDA is ON, but libhearth_cuda.so cannot be built: ${HEARTH_CUDA_MISSING}")
endif()

# A kernel that keeps its numbers in memory for want of registers is a mistake of its source: the test cuda/compiles refuses it, a
# build by another toolkit than ours does not end for it.
set(HEARTH_NVCC_STRICT -Werror=all-warnings -Xptxas=--warn-on-spills -Xptxas=--warning-as-error)
set(HEARTH_NVCC_FLAGS -std=c++20 -O3
  -Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra -I${PROJECT_SOURCE_DIR}/framework
  -I${PROJECT_SOURCE_DIR}/framework/sdk/include)
get_target_property(_torch hearth::libtorch INTERFACE_INCLUDE_DIRECTORIES)
foreach(_folder IN LISTS _torch)
  list(APPEND HEARTH_NVCC_FLAGS -isystem ${_folder})
endforeach()
foreach(_architecture IN LISTS HEARTH_CUDA_ARCHITECTURES)
  list(APPEND HEARTH_NVCC_FLAGS -gencode arch=compute_${_architecture},code=sm_${_architecture})
endforeach()
list(GET HEARTH_CUDA_ARCHITECTURES -1 _newest)
list(APPEND HEARTH_NVCC_FLAGS -gencode arch=compute_${_newest},code=compute_${_newest})

# hearth_cuda_sources(TARGET FILE.cu ...): compiles them into the target.
function(hearth_cuda_sources target)
  foreach(source IN LISTS ARGN)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${source}.o)
    add_custom_command(OUTPUT ${object} DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source} DEPFILE ${object}.d
      COMMAND ${HEARTH_NVCC} ${HEARTH_NVCC_FLAGS} -ccbin ${CMAKE_CXX_COMPILER} -MD -MF ${object}.d
              -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      COMMENT "Compiling ${source} for GPUs" VERBATIM)
    target_sources(${target} PRIVATE ${object})
    set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  endforeach()
endfunction()
