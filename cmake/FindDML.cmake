# SPDX-License-Identifier: BSD-3-Clause
#
# FindDML -- Intel's Data Mover Library, as target DML::dml, for C programs
#
# By DML's own package file, where there is one; else by its header and its
# library. DML_ROOT, DML_DIR and CMAKE_PREFIX_PATH say where to look. DML is a
# static library in C++: its target says C++ too, but not that a C program has
# to link the C++ library.

find_package(DML CONFIG QUIET)
if(TARGET DML::dml)
  get_target_property(DML_LIBRARY DML::dml LOCATION)
  get_target_property(DML_INCLUDE_DIR DML::dml INTERFACE_INCLUDE_DIRECTORIES)
else()
  find_path(DML_INCLUDE_DIR dml/dml.h)
  find_library(DML_LIBRARY dml)
  mark_as_advanced(DML_INCLUDE_DIR DML_LIBRARY)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(DML
  REQUIRED_VARS DML_LIBRARY DML_INCLUDE_DIR)

if(DML_FOUND)
  if(NOT TARGET DML::dml)
    add_library(DML::dml UNKNOWN IMPORTED)
    set_target_properties(DML::dml PROPERTIES
      IMPORTED_LOCATION ${DML_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${DML_INCLUDE_DIR})
  endif()
  if(DML_LIBRARY MATCHES "\\.a$")
    set_property(TARGET DML::dml APPEND PROPERTY
      INTERFACE_LINK_LIBRARIES stdc++ ${CMAKE_DL_LIBS})
  endif()
endif()
