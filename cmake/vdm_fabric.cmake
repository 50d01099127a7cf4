# SPDX-License-Identifier: BSD-3-Clause
#
# libminiasync-vdm-fabric, the mover over libfabric; included by CMakeLists.txt
#
# Only the headers of libfabric are needed here: the library is loaded at run
# time.

find_path(MINIASYNC_FABRIC_INCLUDE_DIR rdma/fi_rma.h)
if(NOT MINIASYNC_FABRIC_INCLUDE_DIR OR NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  if(NOT MINIASYNC_FABRIC STREQUAL "AUTO")
    message(FATAL_ERROR "MINIASYNC_FABRIC is ${MINIASYNC_FABRIC}, but that "
      "needs Linux and the headers of libfabric. Install libfabric-dev, or set "
      "MINIASYNC_FABRIC_INCLUDE_DIR to their folder.")
  endif()
  message(STATUS "libfabric not found: the mover over libfabric is left out")
  return()
endif()
message(STATUS "libfabric found: ${MINIASYNC_FABRIC_INCLUDE_DIR}")

add_library(miniasync-vdm-fabric
  src/movers/data_mover_fabric.c
  src/movers/data_mover_region.c
  src/movers/fabric_buffers.c
  src/movers/fabric_end.c
  src/movers/fabric_flush.c
  src/movers/fabric_library.c
  src/movers/fabric_parts.c
  src/movers/fabric_plan.c
  src/movers/fabric_request.c
  src/movers/fabric_token.c
  src/movers/fabric_work.c
  src/system/dynamic.c
  src/system/event_fd.c
  src/system/lasting.c
  src/system/sockets.c
  src/system/tcp.c
  src/system/window.c
  $<TARGET_OBJECTS:mia_common>)
add_library(miniasync::vdm-fabric ALIAS miniasync-vdm-fabric)
mia_compile_options(miniasync-vdm-fabric)
mia_shared_library(miniasync-vdm-fabric)
target_include_directories(miniasync-vdm-fabric
  PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_include_directories(miniasync-vdm-fabric SYSTEM
  PRIVATE ${MINIASYNC_FABRIC_INCLUDE_DIR})
# The shared library holds what it needs of miniasync.
if(BUILD_SHARED_LIBS)
  target_link_libraries(miniasync-vdm-fabric
    PRIVATE ${CMAKE_DL_LIBS} Threads::Threads INTERFACE miniasync)
else()
  target_link_libraries(miniasync-vdm-fabric
    PUBLIC miniasync PRIVATE ${CMAKE_DL_LIBS})
endif()
set_target_properties(miniasync-vdm-fabric PROPERTIES EXPORT_NAME vdm-fabric)

# In a file of its own, as that of DML.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME libminiasync-vdm-fabric-dev)
install(TARGETS miniasync-vdm-fabric EXPORT miniasync-vdm-fabric-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT libminiasync-vdm-fabric0
    NAMELINK_COMPONENT libminiasync-vdm-fabric-dev)
install(EXPORT miniasync-vdm-fabric-targets NAMESPACE miniasync::
  DESTINATION ${package_dir})
install(FILES include/libminiasync-vdm-fabric.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/libminiasync-vdm-fabric
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

list(TRANSFORM CMAKE_DL_LIBS PREPEND -l OUTPUT_VARIABLE pc_fabric_libs)
if(BUILD_SHARED_LIBS)
  set(pc_fabric_libs_private ${pc_fabric_libs})
  set(pc_fabric_libs)
endif()
configure_file(cmake/libminiasync-vdm-fabric.pc.in
  libminiasync-vdm-fabric.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libminiasync-vdm-fabric.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME libminiasync-dev)
