# SPDX-License-Identifier: BSD-3-Clause
#
# Debian packages by CPack, included by CMakeLists.txt if MINIASYNC_PACKAGES is
# ON. The preset "packages" sets all options that this file asks for.
#
# A component is a package of the same name. Shared libraries have packages of
# their own, so that libminiasync0 needs the C library alone. This file writes
# what Debian has in debian/control and beside it, to the folder control, and
# packages/build.cmake makes the packages. CPack's own generator DEB has no
# Multi-Arch before CMake 3.31, makes scripts that call ldconfig, and writes
# the sizes of folders to the packages, which depend on the file system.

if(NOT BUILD_SHARED_LIBS OR NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr"
    OR CMAKE_VERSION VERSION_LESS 3.21)
  message(FATAL_ERROR "MINIASYNC_PACKAGES needs CMake 3.21 or later. Run cmake "
    "--preset packages, which sets the other options that it needs.")
endif()
foreach(tool dpkg-deb dpkg-shlibdeps pandoc)
  find_program(MINIASYNC_TOOL_${tool} ${tool})
  if(NOT MINIASYNC_TOOL_${tool})
    message(FATAL_ERROR "MINIASYNC_PACKAGES is ON, but ${tool} is not found. "
      "Install it (Debian packages dpkg-dev and pandoc).")
  endif()
endforeach()
# Debian has no DML, so a package could not name what it needs.
if(TARGET miniasync-vdm-dml)
  message(FATAL_ERROR "MINIASYNC_PACKAGES is ON. Set MINIASYNC_DML to OFF.")
endif()

# A package of Debian itself, of revision 1, is newer.
set(MINIASYNC_PACKAGE_REVISION 0upstream1
  CACHE STRING "Debian revision of the packages")
set(MINIASYNC_PACKAGE_MAINTAINER
  "libminiasync maintainers <maintainers@users.noreply.r-seed-4953d8bd.example>"
  CACHE STRING "Maintainer of the packages")
set(package_version ${PROJECT_VERSION}-${MINIASYNC_PACKAGE_REVISION})
set(same "(= ${package_version})")

# The version of the first package whose library has a node.
set(since_LIBMINIASYNC_1.0 1.0.0)
set(since_LIBMINIASYNC_1.1 1.0.0)
set(since_LIBMINIASYNC_VDM_FABRIC_1.0 1.0.0)

set(control ${PROJECT_BINARY_DIR}/control)
file(REMOVE_RECURSE ${control})
set(CPACK_COMPONENTS_ALL)

# mia_package(name line...): the package, and lines of its file control
function(mia_package name)
  set(CPACK_COMPONENTS_ALL ${CPACK_COMPONENTS_ALL} ${name} PARENT_SCOPE)
  list(JOIN ARGN "\n" lines)
  file(WRITE ${control}/${name}/control "Package: ${name}
Source: libminiasync
Version: ${package_version}
Maintainer: ${MINIASYNC_PACKAGE_MAINTAINER}
Priority: optional
${lines}
")
endfunction()

# mia_package_library(name target): control files of a shared library. The
# symbols are those of its version script.
function(mia_package_library name target)
  set(map ${PROJECT_SOURCE_DIR}/src/lib${target}.map)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${map})
  file(READ ${map} text)
  string(REPLACE ";" "!" text "${text}")
  string(REGEX MATCHALL "LIB[A-Z0-9_.]+ {|[a-z][a-z0-9_]*!" words "${text}")
  set(symbols)
  foreach(word IN LISTS words)
    string(REGEX REPLACE "[ {!]" "" symbol ${word})
    if(word MATCHES "^LIB")
      set(node ${symbol})
      if(NOT since_${node})
        message(FATAL_ERROR "cmake/packages.cmake: set since_${node} to the "
          "version of the first package whose library has ${node}.")
      endif()
    endif()
    list(APPEND symbols "${symbol}@${node} ${since_${node}}")
  endforeach()
  list(SORT symbols)
  list(JOIN symbols "\n " symbols)
  string(REGEX REPLACE "[0-9]+$" "" stem ${name})
  file(WRITE ${control}/${name}/symbols "lib${target}.so.0 ${name} #MINVER#
* Build-Depends-Package: ${stem}-dev
 ${symbols}
")
  file(WRITE ${control}/${name}/shlibs
    "lib${target} 0 ${name} (>= ${PROJECT_VERSION})\n")
  file(WRITE ${control}/${name}/triggers "activate-noawait ldconfig\n")
endfunction()

# Static archives beside the shared libraries. Their code may be unloaded.
function(mia_static_twin target kind)
  set(BUILD_SHARED_LIBS OFF)
  get_target_property(sources ${target} SOURCES)
  list(TRANSFORM sources
    REPLACE "TARGET_OBJECTS:([a-z_]+)" "TARGET_OBJECTS:\\1_static")
  add_library(${target}_static ${kind} ${sources})
  mia_compile_options(${target}_static)
  target_include_directories(${target}_static PRIVATE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_include_directories(${target}_static SYSTEM PRIVATE ${ARGN})
  set_target_properties(${target}_static PROPERTIES
    OUTPUT_NAME ${target} LINKER_LANGUAGE C)
endfunction()

mia_static_twin(mia_common OBJECT)
mia_static_twin(mia_core OBJECT)
mia_static_twin(miniasync STATIC)
install(TARGETS miniasync_static
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT libminiasync-dev)

# The site.
add_custom_target(packages_html ALL)
add_dependencies(packages_html doc-html)
install(DIRECTORY ${PROJECT_BINARY_DIR}/doc/html
  DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT libminiasync-doc)

set(what
  " libminiasync copies, moves and fills memory in the background."
  " A program starts an operation and gets a future. The program polls the"
  " future, or waits for many futures at once. Worker threads do the work,"
  " or the thread that waits."
  " .")
mia_package(libminiasync0
  "Architecture: any"
  "Multi-Arch: same"
  "Section: libs"
  "Depends: \${shlibs:Depends}"
  "Description: library that moves memory asynchronously"
  ${what}
  " This package contains the shared library.")
mia_package_library(libminiasync0 miniasync)

mia_package(libminiasync-dev
  "Architecture: any"
  "Multi-Arch: same"
  "Section: libdevel"
  "Depends: libminiasync0 ${same}"
  "Suggests: libminiasync-doc"
  "Description: library that moves memory asynchronously - development files"
  ${what}
  " This package contains the headers, the static library, the manual pages,"
  " and the files for pkg-config and CMake.")

mia_package(libminiasync-doc
  "Architecture: all"
  "Multi-Arch: foreign"
  "Section: doc"
  "Suggests: libminiasync-dev"
  "Description: library that moves memory asynchronously - documentation"
  ${what}
  " This package contains the guide, the manual pages as HTML, and examples.")

if(TARGET miniasync-vdm-fabric)
  mia_static_twin(miniasync-vdm-fabric STATIC ${MINIASYNC_FABRIC_INCLUDE_DIR})
  install(TARGETS miniasync-vdm-fabric_static
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    COMPONENT libminiasync-vdm-fabric-dev)

  set(what
    " libminiasync copies, moves and fills memory in the background."
    " Its mover over libfabric does so in the memory of another process, which"
    " may be on another machine."
    " .")
  # libfabric1 is loaded at run time, so dpkg-shlibdeps does not see it.
  mia_package(libminiasync-vdm-fabric0
    "Architecture: any"
    "Multi-Arch: same"
    "Section: libs"
    "Depends: libfabric1, \${shlibs:Depends}"
    "Description: libminiasync's mover over libfabric"
    ${what}
    " This package contains the shared library.")
  mia_package_library(libminiasync-vdm-fabric0 miniasync-vdm-fabric)

  mia_package(libminiasync-vdm-fabric-dev
    "Architecture: any"
    "Multi-Arch: same"
    "Section: libdevel"
    "Depends: libminiasync-vdm-fabric0 ${same}, libminiasync-dev ${same}"
    "Description: libminiasync's mover over libfabric - development files"
    ${what}
    " This package contains the headers, the static library, and the files for"
    " pkg-config and CMake. The manual pages are in libminiasync-dev.")
endif()

if(TARGET miniasync-info)
  mia_package(miniasync-tools
    "Architecture: any"
    "Multi-Arch: foreign"
    "Section: utils"
    "Depends: \${shlibs:Depends}"
    "Description: show how libminiasync uses this machine"
    " libminiasync copies, moves and fills memory in the background."
    " ."
    " This package contains miniasync-info. The program prints what the library"
    " finds on a machine: CPUs, their instructions, limits and devices. If the"
    " library would not use a device, the program prints the reasons.")
endif()

set(CPACK_GENERATOR External)
set(CPACK_EXTERNAL_ENABLE_STAGING ON)
set(CPACK_EXTERNAL_PACKAGE_SCRIPT
  ${PROJECT_SOURCE_DIR}/cmake/packages/build.cmake)
set(CPACK_PACKAGE_NAME libminiasync)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_MIA_SOURCE ${PROJECT_SOURCE_DIR})
set(CPACK_MIA_STRIP ${CMAKE_STRIP})
set(CPACK_MIA_CONTROL ${control})
set(CPACK_MIA_OUTPUT ${PROJECT_BINARY_DIR}/packages)
set(CPACK_MIA_VERSION ${package_version})
set(CPACK_MIA_MAINTAINER ${MINIASYNC_PACKAGE_MAINTAINER})
include(CPack)
