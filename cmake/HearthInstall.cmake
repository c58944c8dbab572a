# Package Hearth: find_package(Hearth) gives hearth::sdk and hearth_add_plugin(), from an install tree
# (-DCMAKE_PREFIX_PATH=<prefix>) and from this build tree (-DHearth_DIR=<build folder>). Included after hearth_sdk exists.
include(CMakePackageConfigHelpers)
target_compile_features(hearth_sdk INTERFACE cxx_std_20)
set_target_properties(hearth_sdk PROPERTIES EXPORT_NAME sdk)
install(TARGETS hearth_sdk EXPORT HearthTargets LIBRARY DESTINATION lib)
install(EXPORT HearthTargets NAMESPACE hearth:: DESTINATION lib/cmake/Hearth)
export(EXPORT HearthTargets NAMESPACE hearth:: FILE ${CMAKE_BINARY_DIR}/HearthTargets.cmake)

set(hearth_config ${CMAKE_CURRENT_LIST_DIR}/HearthConfig.cmake.in)
set(hearth_module_dir ${CMAKE_CURRENT_LIST_DIR})   # build tree: the modules stay where they are
set(hearth_binary_dir ${CMAKE_BINARY_DIR}/bin)
set(hearth_libtorch ${LibTorch_ROOT})
configure_file(${hearth_config} ${CMAKE_BINARY_DIR}/HearthConfig.cmake @ONLY)
set(hearth_module_dir [[${CMAKE_CURRENT_LIST_DIR}]])
set(hearth_binary_dir [[${CMAKE_CURRENT_LIST_DIR}/../../../bin]])
set(hearth_libtorch [[${CMAKE_CURRENT_LIST_DIR}/../../hearth/libtorch]])
configure_file(${hearth_config} ${CMAKE_BINARY_DIR}/install/HearthConfig.cmake @ONLY)

# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/HearthConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/install/HearthConfig.cmake ${CMAKE_BINARY_DIR}/HearthConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FindLibTorch.cmake ${CMAKE_CURRENT_LIST_DIR}/HearthPlugin.cmake
              ${CMAKE_CURRENT_LIST_DIR}/plugin.map
  DESTINATION lib/cmake/Hearth)

# The command, and what a user reads: bin/hearth runs libexec/hearth (docs/install.md has the folders).
configure_file(${CMAKE_CURRENT_LIST_DIR}/package/hearth.sh.in ${CMAKE_BINARY_DIR}/install/hearth @ONLY)
install(PROGRAMS ${CMAKE_BINARY_DIR}/install/hearth DESTINATION bin)
install(DIRECTORY recipes docs DESTINATION share/hearth)
install(FILES LICENSE README.md CHANGELOG.md CONTRIBUTING.md DESTINATION share/hearth)
# An installation on this machine uses the LibTorch that it was built with; scripts/package takes the link out again.
install(CODE "set(libtorch [[${LibTorch_ROOT}]])")
install(CODE [[
  set(folder "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/lib/hearth")
  file(MAKE_DIRECTORY "${folder}")
  file(REMOVE "${folder}/libtorch")
  file(CREATE_LINK "${libtorch}" "${folder}/libtorch" SYMBOLIC)
]])
