# Whose fmt formats our texts. The LibTorch wheel carries headers newer than Debian's libfmt.so, so that library cannot be linked. Of fmt
# 12 framework/base/fmt.cpp is the library; another is used header-only, which costs every file a third of its compile time.
set(version "")
if(EXISTS ${LibTorch_INCLUDE_DIR}/fmt/base.h)
  file(STRINGS ${LibTorch_INCLUDE_DIR}/fmt/base.h version REGEX "define FMT_VERSION 12[0-9][0-9][0-9][0-9]$")
endif()
if(version)
  add_library(hearth_fmt STATIC framework/base/fmt.cpp)
  target_include_directories(hearth_fmt SYSTEM PRIVATE ${LibTorch_INCLUDE_DIR})
  set_target_properties(hearth_fmt PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(hearth_options INTERFACE hearth_fmt)
else()
  target_compile_definitions(hearth_options INTERFACE FMT_HEADER_ONLY=1)
endif()
