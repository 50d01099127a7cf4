# SPDX-License-Identifier: BSD-3-Clause
#
# libminiasync-vdm-dml, the mover over DML; included by CMakeLists.txt

list(INSERT CMAKE_MODULE_PATH 0 ${PROJECT_SOURCE_DIR}/cmake)
find_package(DML QUIET)
list(REMOVE_AT CMAKE_MODULE_PATH 0)
if(NOT DML_FOUND)
  if(NOT MINIASYNC_DML STREQUAL "AUTO")
    message(FATAL_ERROR "MINIASYNC_DML is ${MINIASYNC_DML}, but DML is not "
      "found. Set DML_ROOT to the folder in which DML is installed.")
  endif()
  message(STATUS "DML not found: the mover over DML is left out")
  return()
endif()
message(STATUS "DML found: ${DML_LIBRARY}")

# DML is an archive in most systems. A shared library can take it in only if
# it is position independent.
set(mia_dml_kind STATIC)
if(BUILD_SHARED_LIBS)
  set(probe ${CMAKE_CURRENT_BINARY_DIR}/dml_probe.c)
  file(WRITE ${probe} "#include <dml/dml.h>\n"
    "void *const f[] = {(void *)dml_get_job_size, (void *)dml_init_job,\n"
    "(void *)dml_submit_job, (void *)dml_check_job, (void *)dml_finalize_job};"
    "\n")
  try_compile(MINIASYNC_DML_CAN_BE_SHARED
    ${CMAKE_CURRENT_BINARY_DIR}/dml_probe ${probe}
    COMPILE_DEFINITIONS -fPIC
    LINK_OPTIONS -shared -Wl,-Bsymbolic,-z,text
    LINK_LIBRARIES DML::dml Threads::Threads)
  if(MINIASYNC_DML_CAN_BE_SHARED)
    set(mia_dml_kind SHARED)
  else()
    message(STATUS "DML is not position independent: libminiasync-vdm-dml is "
      "a static archive")
  endif()
endif()

add_library(miniasync-vdm-dml ${mia_dml_kind}
  src/movers/data_mover_dml.c src/movers/dml_work.c
  $<TARGET_OBJECTS:mia_common>)
add_library(miniasync::vdm-dml ALIAS miniasync-vdm-dml)
mia_compile_options(miniasync-vdm-dml)
mia_shared_library(miniasync-vdm-dml)
target_include_directories(miniasync-vdm-dml
  PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
if(mia_dml_kind STREQUAL "SHARED")
  target_link_libraries(miniasync-vdm-dml
    PRIVATE DML::dml Threads::Threads INTERFACE miniasync)
  target_include_directories(miniasync-vdm-dml SYSTEM
    INTERFACE $<BUILD_INTERFACE:${DML_INCLUDE_DIR}>)
else()
  target_link_libraries(miniasync-vdm-dml PUBLIC miniasync DML::dml)
endif()
set_target_properties(miniasync-vdm-dml PROPERTIES EXPORT_NAME vdm-dml)

# In a file of its own: who has no DML can use the rest of the package.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME libminiasync-vdm-dml-dev)
install(TARGETS miniasync-vdm-dml EXPORT miniasync-vdm-dml-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT libminiasync-vdm-dml0
    NAMELINK_COMPONENT libminiasync-vdm-dml-dev)
install(EXPORT miniasync-vdm-dml-targets NAMESPACE miniasync::
  DESTINATION ${package_dir})
install(FILES cmake/FindDML.cmake DESTINATION ${package_dir})
install(FILES include/libminiasync-vdm-dml.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/libminiasync-vdm-dml
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(pc_dml_libs -ldml)
get_filename_component(dml_dir ${DML_LIBRARY} DIRECTORY)
if(NOT dml_dir IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
  set(pc_dml_libs "-L${dml_dir} ${pc_dml_libs}")
endif()
if(DML_LIBRARY MATCHES "\\.a$")
  set(pc_dml_libs "${pc_dml_libs} -lstdc++ -l${CMAKE_DL_LIBS}")
endif()
if(mia_dml_kind STREQUAL "SHARED")
  set(pc_dml_libs_private ${pc_dml_libs})
  set(pc_dml_libs)
endif()
if(NOT DML_INCLUDE_DIR IN_LIST CMAKE_C_IMPLICIT_INCLUDE_DIRECTORIES)
  set(pc_dml_cflags -I${DML_INCLUDE_DIR})
endif()
configure_file(cmake/libminiasync-vdm-dml.pc.in libminiasync-vdm-dml.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libminiasync-vdm-dml.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME libminiasync-dev)
