# SPDX-License-Identifier: BSD-3-Clause
#
# man.cmake -- makes man pages of the Markdown in SOURCE, in OUTPUT, by TOOL
# (go-md2man or pandoc); VERSION and DATE go into them
#
# NAME.SECTION.md becomes manSECTION/NAME.SECTION. Each other name that its
# section NAME lists becomes a link page, so that man finds it. A name that
# differs only in case does not: some file systems take both for one file.

file(REMOVE_RECURSE ${OUTPUT})
file(GLOB pages ${SOURCE}/*.md)
foreach(page IN LISTS pages)
  get_filename_component(file ${page} NAME_WLE)
  string(REGEX REPLACE "\\.[0-9]$" "" name ${file})
  string(REGEX REPLACE "^.*\\." "" section ${file})
  set(folder ${OUTPUT}/man${section})

  if(TOOL MATCHES "pandoc")
    set(command ${TOOL} -f markdown-smart -t man --wrap=preserve ${page})
  else()
    set(command ${TOOL} -in ${page})
  endif()
  execute_process(COMMAND ${command}
    OUTPUT_VARIABLE text ERROR_VARIABLE errors RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${page}: ${TOOL}: ${result}\n${errors}")
  endif()

  # Code can be copied from the page: hyphens and quotes are those of ASCII (.tr).
  # A heading of our own, and what the tools do alike: code 2 columns further
  # in, in the font of the text; no empty lines or paragraphs before macros.
  string(REGEX REPLACE "^.*\n\\.TH [^\n]*\n" "" text "${text}")
  string(REGEX REPLACE "\n\n+\\." "\n." text "${text}")
  string(REGEX REPLACE "\\.IP\n\\.nf\n\\\\f\\[C\\]\n" ".RS\n.nf\n"
    text "${text}")
  string(REGEX REPLACE "\\\\f\\[R\\]\n\\.fi\n" ".fi\n.RE\n" text "${text}")
  string(REGEX REPLACE "(\\.PP\n)?\\.RS\n\\.nf\n" ".PP\n.RS 2\n.nf\n"
    text "${text}")
  string(REGEX REPLACE "(\\.S[HS] [^\n]*\n)\\.PP\n" "\\1" text "${text}")
  string(REPLACE "\t" "    " text "${text}")
  string(FIND "${text}" " - " at)
  if(NOT text MATCHES "^\n*\\.SH NAME\n" OR at EQUAL -1)
    message(FATAL_ERROR "${page}: does not begin with: # NAME\n\nname - what")
  endif()
  string(SUBSTRING "${text}" 0 ${at} names)
  math(EXPR at "${at} + 3")
  string(SUBSTRING "${text}" ${at} -1 text)
  string(REGEX REPLACE "^\n*\\.SH NAME\n" "" links "${names}")
  string(REPLACE "\\-" "-" links "${links}")
  string(REGEX REPLACE "[, \n]+" ";" links "${links}")
  string(PREPEND text "${names} \\- ")

  # The name is twice in the first line, and with the date in the last.
  set(title "${DATE} \"libminiasync ${VERSION}\" \"libminiasync\"")
  string(LENGTH ${name} length)
  if(length GREATER 28)
    set(title "\"\" \"libminiasync ${VERSION}, ${DATE}\" \"\"")
  endif()

  file(WRITE ${folder}/${file} ".\\\" Made from doc/man/${file}.md
.TH ${name} ${section} ${title}
.nh
.tr -\\-'\\(aq~\\(ti^\\(ha`\\(ga
.ad l
.ss 12 0
${text}")
  string(TOLOWER ${name} lower_name)
  foreach(link IN LISTS links)
    string(TOLOWER ${link} lower_link)
    if(lower_link STREQUAL lower_name)
      continue()
    endif()
    if(EXISTS ${folder}/${link}.${section})
      message(FATAL_ERROR "${page}: another page also has the name ${link}")
    endif()
    file(WRITE ${folder}/${link}.${section} ".so man${section}/${file}\n")
  endforeach()
endforeach()
