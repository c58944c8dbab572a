# cmake -DHEARTH=<the command> -DFOLDER=<folder> -P new_plugins.cmake: writes a project of each kind, and one around them, so that
# they share a precompiled header.
set(folders "")
foreach(kind loss head augment backbone)
  file(REMOVE_RECURSE ${FOLDER}/my-${kind})
  execute_process(COMMAND ${HEARTH} plugins new ${kind} my-${kind} --out ${FOLDER}/my-${kind} --quiet COMMAND_ERROR_IS_FATAL ANY)
  string(APPEND folders "add_subdirectory(my-${kind})\n")
endforeach()
file(CONFIGURE OUTPUT ${FOLDER}/CMakeLists.txt CONTENT "cmake_minimum_required(VERSION 3.25)
project(new-plugins LANGUAGES CXX)
enable_testing()
@folders@" @ONLY)
