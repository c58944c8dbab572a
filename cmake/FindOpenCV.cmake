# OpenCV from its own CMake package where there is one, else from headers and libraries: Debian puts OpenCVConfig.cmake into
# libopencv-dev, which pulls in some 400 packages, while core, imgproc and imgcodecs need a handful.
# Output: targets opencv_core, opencv_imgproc, opencv_imgcodecs.
find_package(OpenCV ${OpenCV_FIND_VERSION} QUIET CONFIG COMPONENTS core imgproc imgcodecs)
if(OpenCV_FOUND)
  return()
endif()

find_path(OpenCV_INCLUDE_DIR opencv2/core.hpp PATH_SUFFIXES opencv4)
set(_hearth_opencv_required OpenCV_INCLUDE_DIR)
foreach(_module core imgproc imgcodecs)
  find_library(OpenCV_${_module}_LIBRARY opencv_${_module})
  list(APPEND _hearth_opencv_required OpenCV_${_module}_LIBRARY)
endforeach()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenCV REQUIRED_VARS ${_hearth_opencv_required}
  REASON_FAILURE_MESSAGE "install libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev, or set OpenCV_DIR")
if(OpenCV_FOUND AND NOT TARGET opencv_core)
  foreach(_module core imgproc imgcodecs)
    add_library(opencv_${_module} UNKNOWN IMPORTED)
    set_target_properties(opencv_${_module} PROPERTIES
      IMPORTED_LOCATION ${OpenCV_${_module}_LIBRARY} INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${OpenCV_INCLUDE_DIR}"
      INTERFACE_INCLUDE_DIRECTORIES "${OpenCV_INCLUDE_DIR}")
  endforeach()
endif()
mark_as_advanced(${_hearth_opencv_required})
