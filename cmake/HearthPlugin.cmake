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
