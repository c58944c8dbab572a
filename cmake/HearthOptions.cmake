# One interface target with the settings every target of the project shares, so that precompiled headers can be shared too.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(HEARTH_FUZZ)   # Clang shares a precompiled header only among targets of one visibility, and the SDK's is this
  set(CMAKE_CXX_VISIBILITY_PRESET default)
  set(CMAKE_VISIBILITY_INLINES_HIDDEN OFF)
endif()
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_CXX_FLAGS_RELEASE "-O2")   # assertions of our own are exceptions; NDEBUG would buy nothing measurable

find_program(HEARTH_CCACHE ccache)
if(HEARTH_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${HEARTH_CCACHE})
endif()

# With CMAKE_UNITY_BUILD several sources of a target are compiled as one file: half of the time for each goes into LibTorch's
# precompiled header (docs/decisions/0007-unity-builds.md). Names of their anonymous namespaces must then differ.
set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)

add_library(hearth_options INTERFACE)
# -fPIC for executables too: with CMake's -fPIE they could not share the precompiled header.
target_compile_options(hearth_options INTERFACE -fPIC -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)   # lets ccache keep what a precompiled header was used for
if(CMAKE_UNITY_BUILD)   # a local variable of one file may be called as a constant of another
  target_compile_options(hearth_options INTERFACE -Wno-shadow)
endif()
if(HEARTH_WARNINGS_AS_ERRORS)
  target_compile_options(hearth_options INTERFACE -Werror)
endif()
if(HEARTH_SANITIZE)
  # -Wno-maybe-uninitialized: GCC 12 reports false ones inside <regex> under sanitizers.
  target_compile_options(hearth_options INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> -fsanitize=${HEARTH_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(hearth_options INTERFACE -fsanitize=${HEARTH_SANITIZE})
endif()
if(HEARTH_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "HEARTH_FUZZ: found ${CMAKE_CXX_COMPILER_ID}, expected Clang: cmake --preset fuzz")
  endif()
  # Whatever a sanitizer reports ends the program, so that libFuzzer keeps the input; standard containers check their indices.
  # vptr would need the type information of libraries that were built without it.
  target_compile_options(hearth_options INTERFACE -fsanitize=fuzzer-no-link -fno-sanitize-recover=all -fno-sanitize=vptr)
  target_compile_definitions(hearth_options INTERFACE _GLIBCXX_ASSERTIONS)
endif()
target_compile_definitions(hearth_options INTERFACE BOOST_DLL_USE_STD_FS)   # Boost.DLL without linking Boost.Filesystem

# hearth_module(NAME SOURCES ... [LINK ...]): one static library of the host, with the shared precompiled LibTorch header.
function(hearth_module name)
  cmake_parse_arguments(ARG "NO_PCH" "" "SOURCES;LINK" ${ARGN})
  add_library(hearth_${name} STATIC ${ARG_SOURCES})
  add_library(hearth::${name} ALIAS hearth_${name})
  target_include_directories(hearth_${name} PUBLIC ${PROJECT_SOURCE_DIR}/framework)
  target_link_libraries(hearth_${name} PUBLIC hearth::sdk ${ARG_LINK} PRIVATE hearth_options)
  if(NOT ARG_NO_PCH)
    target_precompile_headers(hearth_${name} REUSE_FROM hearth_sdk)
  endif()
endfunction()
