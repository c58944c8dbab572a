# Finds LibTorch without needing the CUDA toolkit: Torch's own TorchConfig.cmake refuses to configure a CUDA build of
# LibTorch where nvcc is missing, and a laptop that only trains on the CPU has no nvcc. See docs/decisions/0002-libtorch.md.
#
# Input   HEARTH_LIBTORCH (a variable, or of the environment): a folder with lib/libtorch.so and include/torch/, and no other is
#         looked at. Else _hearth_own_libtorch (of HearthConfig.cmake), CMAKE_PREFIX_PATH, the environment of scripts/setup, the
#         active Python environment, and what python3 would import.
# Output  target hearth::libtorch; where there is CUDA hearth::libtorch_cuda, for what refers to its symbols; LibTorch_VERSION;
#         LibTorch_ROOT; LibTorch_CUDA (whether libtorch_cuda is there).
set(_hearth_torch_hints ${HEARTH_LIBTORCH})
if(NOT _hearth_torch_hints)
  set(_hearth_torch_hints $ENV{HEARTH_LIBTORCH})
endif()
if(NOT _hearth_torch_hints)
  # Beside Hearth's own wheel is that of torch.
  list(APPEND _hearth_torch_hints ${_hearth_own_libtorch} ${CMAKE_CURRENT_LIST_DIR}/../../../../../torch)
  foreach(_prefix IN LISTS CMAKE_PREFIX_PATH)
    list(APPEND _hearth_torch_hints ${_prefix} ${_prefix}/../..)   # wheels point at torch/share/cmake
  endforeach()
  foreach(_environment ${CMAKE_SOURCE_DIR}/.deps/venv $ENV{VIRTUAL_ENV} $ENV{CONDA_PREFIX})
    file(GLOB _hearth_venv ${_environment}/lib/python3*/site-packages/torch)
    list(APPEND _hearth_torch_hints ${_hearth_venv})
  endforeach()
  if(NOT LibTorch_INCLUDE_DIR)   # not from the current folder, where something else may be called torch
    execute_process(COMMAND python3 -c "import importlib.util; print(importlib.util.find_spec('torch').submodule_search_locations[0])"
      WORKING_DIRECTORY / OUTPUT_VARIABLE _hearth_of_python OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    list(APPEND _hearth_torch_hints ${_hearth_of_python})
  endif()
endif()

find_path(LibTorch_INCLUDE_DIR torch/headeronly/version.h PATHS ${_hearth_torch_hints} PATH_SUFFIXES include NO_DEFAULT_PATH)
if(LibTorch_INCLUDE_DIR)
  get_filename_component(LibTorch_ROOT ${LibTorch_INCLUDE_DIR} DIRECTORY)
  file(STRINGS ${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h _hearth_versions REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX MATCHALL "[0-9]+" _hearth_numbers "${_hearth_versions}")
  list(JOIN _hearth_numbers "." LibTorch_VERSION)
endif()
foreach(_lib torch_cpu c10 torch_cuda c10_cuda)   # not libtorch.so, which is these together
  find_library(LibTorch_${_lib} ${_lib} PATHS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_torch_cpu LibTorch_c10 LibTorch_INCLUDE_DIR VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run scripts/setup, or activate a Python environment with torch, or pass -DHEARTH_LIBTORCH=<folder with lib/ and include/>")

if(LibTorch_FOUND AND NOT TARGET hearth::libtorch)
  add_library(hearth::libtorch INTERFACE IMPORTED)
  target_include_directories(hearth::libtorch SYSTEM INTERFACE
    ${LibTorch_INCLUDE_DIR} ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include)
  # The wheel exports parts of std::filesystem of its own, whose remove_all() jumps to null: with libstdc++ named first, every
  # executable uses the system's.
  target_link_libraries(hearth::libtorch INTERFACE
    "-Wl,--push-state,--no-as-needed" stdc++ "-Wl,--pop-state" ${LibTorch_torch_cpu} ${LibTorch_c10})
  # at::RecordFunction and others of its headers have fewer members with NDEBUG, as LibTorch is built: without it a caller's
  # layout would not be the library's.
  target_compile_definitions(hearth::libtorch INTERFACE NDEBUG)
  # at::parallel_for is made in the file that calls it: compiled without OpenMP it runs on one thread, and nobody is told.
  file(STRINGS ${LibTorch_INCLUDE_DIR}/ATen/Config.h _hearth_openmp REGEX "define AT_PARALLEL_OPENMP 1")
  if(_hearth_openmp)
    find_package(OpenMP REQUIRED COMPONENTS CXX)
    # One process must hold one OpenMP: that of the wheel where it brings its own, beside which the compiler's could not be found safely.
    set(_hearth_gomp ${LibTorch_ROOT}/lib/libgomp.so.1)
    if(EXISTS ${_hearth_gomp})
      target_compile_options(hearth::libtorch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${OpenMP_CXX_FLAGS}>)
      target_link_libraries(hearth::libtorch INTERFACE ${_hearth_gomp})
    else()
      target_link_libraries(hearth::libtorch INTERFACE OpenMP::OpenMP_CXX)
    endif()
  endif()
  set(LibTorch_CUDA FALSE)
  if(LibTorch_torch_cuda)
    set(LibTorch_CUDA TRUE)
    # Not part of hearth::libtorch: only a machine with a GPU loads it (framework/host/cuda.hpp).
    add_library(hearth::libtorch_cuda INTERFACE IMPORTED)
    target_link_libraries(hearth::libtorch_cuda INTERFACE ${LibTorch_torch_cuda} ${LibTorch_c10_cuda})
  endif()
endif()
mark_as_advanced(LibTorch_INCLUDE_DIR LibTorch_torch_cpu LibTorch_c10 LibTorch_torch_cuda LibTorch_c10_cuda)
