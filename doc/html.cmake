# SPDX-License-Identifier: BSD-3-Clause
#
# html.cmake -- makes the site in OUTPUT of the documents and examples of the
# repository SOURCE, by PANDOC; it says VERSION
#
# One flat folder: index.html is README.md, examples.html its like in examples,
# x.3.html a man page, x.c.html an example. Nothing is loaded from elsewhere.

file(REMOVE_RECURSE ${OUTPUT})
file(MAKE_DIRECTORY ${OUTPUT})

file(GLOB man_pages ${SOURCE}/doc/man/*.md)
file(GLOB examples ${SOURCE}/examples/*.c ${SOURCE}/examples/*.cpp
  ${SOURCE}/examples/*.h)
file(GLOB documents ${SOURCE}/doc/*.md)
file(GLOB figures ${SOURCE}/doc/figures/*.svg)
file(COPY ${figures} ${SOURCE}/doc/html/style.css DESTINATION ${OUTPUT})

# What can be linked to by its name: pages, by each name that they list in
# NAME, and examples.
set(pages "")
set(list "")
foreach(page IN LISTS man_pages)
  get_filename_component(file ${page} NAME_WLE)
  string(REGEX REPLACE "^.*\\." "" section ${file})
  file(READ ${page} text)
  string(REGEX MATCH "# NAME\n\n([^\n]*) - ([^\n]*)\n" match "${text}")
  set(what "${CMAKE_MATCH_2}") # gone after the next REGEX
  string(REGEX REPLACE ", *" ";" names "${CMAKE_MATCH_1}")
  string(APPEND list${section} "\n- [")
  string(JOIN "](${file}.md), [" shown ${names})
  string(APPEND list${section} "${shown}](${file}.md): ${what}")
  foreach(name IN LISTS names)
    string(APPEND pages " ${name}.${section}=${file}.html")
  endforeach()
endforeach()
foreach(example IN LISTS examples)
  get_filename_component(file ${example} NAME)
  string(APPEND pages " ${file}=${file}.html")
endforeach()

# page INPUT OUTPUT TITLE [OPTION...]
function(page input output title)
  execute_process(
    COMMAND ${PANDOC} --from markdown-smart-implicit_figures --to html5
      --standalone --template ${SOURCE}/doc/html/template.html
      --lua-filter ${SOURCE}/doc/html/links.lua
      --metadata "pages=${pages}" --metadata "pagetitle=${title}"
      --variable "version=${VERSION}" ${ARGN}
      --output ${OUTPUT}/${output}.html ${input}
    ERROR_VARIABLE errors RESULT_VARIABLE result)
  if(NOT result EQUAL 0 OR errors)
    message(FATAL_ERROR "${input}: ${PANDOC}: ${result}\n${errors}")
  endif()
endfunction()

page(${SOURCE}/README.md index "libminiasync")
page(${SOURCE}/examples/README.md examples "Examples - libminiasync")
page(${SOURCE}/LICENSE license "Licence - libminiasync" --from markdown-smart
  --variable "heading=Licence")
foreach(document IN LISTS documents)
  get_filename_component(name ${document} NAME_WLE)
  file(STRINGS ${document} heading REGEX "^# " LIMIT_COUNT 1)
  string(REGEX REPLACE "^# " "" heading "${heading}")
  page(${document} ${name} "${heading} - libminiasync")
endforeach()

foreach(man_page IN LISTS man_pages)
  get_filename_component(file ${man_page} NAME_WLE)
  string(REGEX REPLACE "\\.([0-9])$" "(\\1)" heading ${file})
  page(${man_page} ${file} "${heading} - libminiasync"
    --shift-heading-level-by=1 --variable "heading=${heading}")
endforeach()

# An example is its own page.
foreach(example IN LISTS examples)
  get_filename_component(file ${example} NAME)
  set(language c)
  if(file MATCHES "cpp$")
    set(language cpp)
  endif()
  file(READ ${example} text)
  file(WRITE ${OUTPUT}/page.md "````${language}\n${text}````\n")
  page(${OUTPUT}/page.md ${file} "${file} - libminiasync"
    --variable "heading=${file}")
endforeach()

file(WRITE ${OUTPUT}/page.md "# Man pages

## Ideas, and the library as a whole
${list7}

## Functions and macros
${list3}
")
page(${OUTPUT}/page.md pages "Man pages - libminiasync")
file(REMOVE ${OUTPUT}/page.md)
