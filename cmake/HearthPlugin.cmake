# hearth_add_plugin(KIND NAME SOURCES ... [LINK ...])
#   Builds libhearth_<KIND>_<NAME>.so: the one exported symbol is hearth_plugin, everything else stays hidden. Used by Hearth's own
#   plugins and, after find_package(Hearth), by third parties alike. KIND is augment, backbone, head or loss. A file NAME.test.toml
#   beside the sources tells `hearth plugins test` about the plugin and goes where the library goes.
set(_hearth_plugin_script ${CMAKE_CURRENT_LIST_DIR}/plugin.map)
function(hearth_add_plugin kind name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  if(NOT kind MATCHES "^(augment|backbone|head|loss)$")
    message(FATAL_ERROR "hearth_add_plugin: kind '${kind}', expected augment, backbone, head or loss")
  endif()
  set(target hearth_${kind}_${name})
  add_library(${target} MODULE ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE hearth::sdk ${ARG_LINK})
  if(TARGET hearth_options)
    target_link_libraries(${target} PRIVATE hearth_options)
    target_precompile_headers(${target} REUSE_FROM hearth_sdk)
  else()
    _hearth_share_precompiled(${target})
  endif()
  target_link_options(${target} PRIVATE -Wl,--version-script=${_hearth_plugin_script} -Wl,--no-undefined)
  set_target_properties(${target} PROPERTIES
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON CXX_STANDARD 20 CXX_EXTENSIONS OFF
    LINK_DEPENDS ${_hearth_plugin_script}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/hearth/plugins
    INSTALL_RPATH "$ORIGIN/../..")
  if(TARGET hearth_app)
    add_dependencies(hearth_app ${target})
  endif()
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${name}.test.toml)
    set(settings ${CMAKE_BINARY_DIR}/lib/hearth/plugins/lib${target}.test.toml)
    configure_file(${name}.test.toml ${settings} COPYONLY)
    install(FILES ${settings} DESTINATION lib/hearth/plugins)
  endif()
  install(TARGETS ${target} LIBRARY DESTINATION lib/hearth/plugins)
endfunction()

# hearth_test_plugin(KIND NAME SOURCES ... [RECIPES ...] [LINK ...])
#   For third parties, after hearth_add_plugin(KIND NAME ..). The SOURCES are a test program that opens the built library, whose path
#   is in HEARTH_PLUGIN_FILE (hearth/testing.hpp). With it ctest runs `hearth plugins check` and `plugins test` of the library, and
#   `hearth check`, one step, of each recipe, and trains the first for an epoch. Tests are called NAME/test, NAME/accepted,
#   NAME/conforms, NAME/<recipe>, NAME/trains.
function(hearth_test_plugin kind name)
  cmake_parse_arguments(ARG "" "" "SOURCES;RECIPES;LINK" ${ARGN})
  set(plugin hearth_${kind}_${name})
  if(NOT TARGET ${plugin})
    message(FATAL_ERROR "hearth_test_plugin: found no plugin ${kind} '${name}', expected hearth_add_plugin(${kind} ${name} ..) before it")
  endif()
  set(target test_${kind}_${name})
  add_executable(${target} ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE hearth::sdk ${CMAKE_DL_LIBS} ${ARG_LINK})
  target_compile_definitions(${target} PRIVATE HEARTH_PLUGIN_FILE="$<TARGET_FILE:${plugin}>")
  set_target_properties(${target} PROPERTIES CXX_STANDARD 20 CXX_EXTENSIONS OFF)
  add_dependencies(${target} ${plugin})
  _hearth_share_precompiled(${target})
  add_test(NAME ${name}/test COMMAND ${target})
  if(NOT Hearth_EXECUTABLE)
    message(STATUS "${name}: without the tests that need the hearth command, which was not found beside its SDK")
    return()
  endif()
  add_test(NAME ${name}/accepted COMMAND ${Hearth_EXECUTABLE} plugins check $<TARGET_FILE:${plugin}>)
  add_test(NAME ${name}/conforms COMMAND ${Hearth_EXECUTABLE} plugins test $<TARGET_FILE:${plugin}>)
  foreach(recipe IN LISTS ARG_RECIPES)
    get_filename_component(stem ${recipe} NAME_WE)
    get_filename_component(file ${recipe} ABSOLUTE)
    add_test(NAME ${name}/${stem} COMMAND ${Hearth_EXECUTABLE} --plugin-path $<TARGET_FILE_DIR:${plugin}> check ${file})
    if(NOT TEST ${name}/trains)
      add_test(NAME ${name}/trains COMMAND ${Hearth_EXECUTABLE} --plugin-path $<TARGET_FILE_DIR:${plugin}> train ${file}
        train.epochs=1 --out ${CMAKE_CURRENT_BINARY_DIR}/runs/${stem} --overwrite)
    endif()
  endforeach()
endfunction()

# LibTorch's headers, compiled once for all plugins and tests of a project: they are most of what a source file costs.
# -DHEARTH_PRECOMPILE=OFF does without.
option(HEARTH_PRECOMPILE "Share a precompiled header of LibTorch among the plugins of a project" ON)
mark_as_advanced(HEARTH_PRECOMPILE)
function(_hearth_share_precompiled target)
  if(NOT HEARTH_PRECOMPILE)
    return()
  endif()
  if(NOT TARGET hearth_precompiled)
    set(source ${CMAKE_BINARY_DIR}/hearth_precompiled.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "// Nothing: the header that goes before it is what is compiled.\n")
    add_library(hearth_precompiled OBJECT EXCLUDE_FROM_ALL ${source})
    target_link_libraries(hearth_precompiled PRIVATE hearth::sdk)
    target_precompile_headers(hearth_precompiled PRIVATE <ATen/ATen.h> <torch/nn/module.h>)
    _hearth_compile_alike(hearth_precompiled)
  endif()
  _hearth_compile_alike(${target})
  target_precompile_headers(${target} REUSE_FROM hearth_precompiled)
endfunction()

# What a precompiled header needs to be the same where it is used. -fPIC also for programs: with -fPIE they could not share it.
# -fpch-preprocess lets ccache keep what was compiled with it.
function(_hearth_compile_alike target)
  target_compile_options(${target} PRIVATE -fPIC $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
  set_target_properties(${target} PROPERTIES CXX_STANDARD 20 CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()
