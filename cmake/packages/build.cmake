# SPDX-License-Identifier: BSD-3-Clause
#
# build.cmake -- makes Debian packages of what cpack has installed to folders
#
# Each component is a folder, with usr below. Debian's policy asks for the rest:
# copyright and change logs are added, manual pages compressed, their links made
# symbolic ones, and binaries stripped. A package depends on the sources and the
# tools alone: not on folder, time, umask, locale or file system of the build.

# run COMMAND...
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# output VARIABLE FOLDER COMMAND...: what the command prints
function(output variable folder)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${folder}
    OUTPUT_VARIABLE text OUTPUT_STRIP_TRAILING_WHITESPACE
    COMMAND_ERROR_IS_FATAL ANY)
  set(${variable} "${text}" PARENT_SCOPE)
endfunction()

# The time of all files: SOURCE_DATE_EPOCH of the environment, else that of the
# last commit, else, without a repository, that of the change log.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  execute_process(COMMAND git -C ${CPACK_MIA_SOURCE} log -1 --format=%ct
    OUTPUT_VARIABLE seconds OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT seconds MATCHES "^[0-9]+$")
    file(TIMESTAMP ${CPACK_MIA_SOURCE}/doc/CHANGELOG.md seconds "%s" UTC)
  endif()
  set(ENV{SOURCE_DATE_EPOCH} ${seconds})
endif()
set(ENV{LC_ALL} C.UTF-8)

string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
set(changelog "libminiasync (${CPACK_MIA_VERSION}) unstable; urgency=medium

  * Version ${CPACK_PACKAGE_VERSION}: see changelog.gz.

 -- ${CPACK_MIA_MAINTAINER}  ${date}
")

# The licence, as a field of the copyright file.
file(READ ${CPACK_MIA_SOURCE}/LICENSE text)
if(NOT text MATCHES
    "^BSD 3-Clause License\n\nCopyright \\(c\\) ([^\n]*)\n\n(.*)$")
  message(FATAL_ERROR "LICENSE: the first lines are not its name and one copyright")
endif()
set(holder "${CMAKE_MATCH_1}")
string(STRIP "${CMAKE_MATCH_2}" text)
string(REGEX REPLACE "\n\n" "\n.\n" text "${text}")
string(REPLACE "\n" "\n " text "${text}")
set(copyright
  "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: libminiasync

Files: *
Copyright: ${holder}
License: BSD-3-clause
 ${text}
")

# Documentation of HTML is found through doc-base.
set(doc_base "Document: libminiasync
Title: libminiasync
Author: the libminiasync authors
Abstract: Guide, manual pages and examples of a library that moves memory
 asynchronously
Section: Programming

Format: HTML
Index: /usr/share/doc/libminiasync-doc/html/index.html
Files: /usr/share/doc/libminiasync-doc/html/*.html
")

# add_documents(root package)
function(add_documents root package)
  set(folder ${root}/usr/share/doc/${package})
  file(WRITE ${folder}/copyright "${copyright}")
  file(WRITE ${folder}/changelog.Debian "${changelog}")
  configure_file(${CPACK_MIA_SOURCE}/doc/CHANGELOG.md ${folder}/changelog
    COPYONLY)
  run(gzip -9n ${folder}/changelog ${folder}/changelog.Debian)
  # The README has a link to it.
  if(EXISTS ${folder}/LICENSE)
    file(REMOVE ${folder}/LICENSE)
    file(CREATE_LINK copyright ${folder}/LICENSE SYMBOLIC)
  endif()
  if(EXISTS ${folder}/html)
    file(WRITE ${root}/usr/share/doc-base/${package}.libminiasync
      "${doc_base}")
  endif()
endfunction()

# compress_pages(root)
function(compress_pages root)
  file(GLOB pages ${root}/usr/share/man/man?/*)
  foreach(page IN LISTS pages)
    file(STRINGS ${page} first LIMIT_COUNT 1)
    if(first MATCHES "^\\.so man./(.*)$")
      file(REMOVE ${page})
      file(CREATE_LINK ${CMAKE_MATCH_1}.gz ${page}.gz SYMBOLIC)
    else()
      run(gzip -9n ${page})
    endif()
  endforeach()
endfunction()

# strip_binaries(root): sets depends to the packages of libraries that they need
function(strip_binaries root)
  set(strip ${CPACK_MIA_STRIP} -D --remove-section=.comment)
  file(GLOB_RECURSE archives ${root}/usr/lib/*.a)
  file(GLOB_RECURSE libraries ${root}/usr/lib/*.so.${CPACK_PACKAGE_VERSION})
  file(GLOB programs ${root}/usr/bin/*)
  foreach(archive IN LISTS archives)
    run(${strip} --strip-debug ${archive})
  endforeach()
  foreach(file IN LISTS libraries programs)
    run(${strip} --strip-unneeded ${file})
  endforeach()
  foreach(library IN LISTS libraries)
    run(chmod 644 ${library})
  endforeach()
  set(depends)
  if(libraries OR programs)
    # It wants a folder debian, and does not need what is in it.
    set(folder ${CPACK_MIA_CONTROL}/shlibdeps)
    file(WRITE ${folder}/debian/control "")
    output(depends ${folder} dpkg-shlibdeps -O ${libraries} ${programs})
    string(REGEX REPLACE "^shlibs:Depends=" "" depends "${depends}")
  endif()
  set(depends "${depends}" PARENT_SCOPE)
endfunction()

# write_control(root package): in the folder DEBIAN
function(write_control root package)
  file(READ ${root}/DEBIAN/control text)
  string(REPLACE "\${shlibs:Depends}" "${depends}" text "${text}")
  output(architecture . dpkg-architecture -qDEB_HOST_ARCH)
  string(REPLACE "Architecture: any" "Architecture: ${architecture}"
    text "${text}")

  # As dpkg-gencontrol counts: a folder is one KiB, a file is rounded up.
  file(GLOB_RECURSE entries LIST_DIRECTORIES true RELATIVE ${root}
    ${root}/usr/*)
  list(LENGTH entries size)
  math(EXPR size "${size} + 1")
  set(files)
  foreach(entry IN LISTS entries)
    if(NOT IS_SYMLINK ${root}/${entry} AND NOT IS_DIRECTORY ${root}/${entry})
      file(SIZE ${root}/${entry} bytes)
      math(EXPR size "${size} - 1 + (${bytes} + 1023) / 1024")
      list(APPEND files ${entry})
    endif()
  endforeach()
  string(REPLACE "\nPriority:" "\nInstalled-Size: ${size}\nPriority:"
    text "${text}")
  file(WRITE ${root}/DEBIAN/control "${text}")

  output(sums ${root} md5sum ${files})
  file(WRITE ${root}/DEBIAN/md5sums "${sums}\n")
endfunction()

file(REMOVE_RECURSE ${CPACK_MIA_OUTPUT})
file(MAKE_DIRECTORY ${CPACK_MIA_OUTPUT})
foreach(package IN LISTS CPACK_COMPONENTS_ALL)
  set(root ${CPACK_TEMPORARY_DIRECTORY}/${package})
  file(COPY ${CPACK_MIA_CONTROL}/${package}/ DESTINATION ${root}/DEBIAN)
  add_documents(${root} ${package})
  compress_pages(${root})
  strip_binaries(${root})
  write_control(${root} ${package})
  run(chmod -R u=rwX,go=rX ${root})
  run(find ${root} -exec touch -h -d @$ENV{SOURCE_DATE_EPOCH} {} +)
  run(dpkg-deb --root-owner-group -Zxz --build ${root} ${CPACK_MIA_OUTPUT})
endforeach()
