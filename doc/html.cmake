# SPDX-License-Identifier: BSD-3-Clause
#
# html.cmake -- makes the site in OUTPUT of the documents and examples of the
# repository SOURCE, by PANDOC; it says VERSION
#
# One flat folder: index.html is README.md, examples.html its like in examples,
# x.3.html a man page, x.c.html an example. Nothing is loaded from elsewhere.
# search_index.js has the text of all pages, for the search box.

file(REMOVE_RECURSE ${OUTPUT})
file(MAKE_DIRECTORY ${OUTPUT})

file(GLOB man_pages ${SOURCE}/doc/man/*.md)
file(GLOB examples ${SOURCE}/examples/*.c ${SOURCE}/examples/*.cpp
  ${SOURCE}/examples/*.h)
file(GLOB documents ${SOURCE}/doc/*.md)
file(GLOB figures ${SOURCE}/doc/figures/*.svg)
file(COPY ${figures} ${SOURCE}/doc/html/style.css ${SOURCE}/doc/html/search.js
  DESTINATION ${OUTPUT})
set(search_index ${OUTPUT}/search_index.js)
file(WRITE ${search_index} "window.search_index = [\n")

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
  list(APPEND order${section} ${file})
  foreach(name IN LISTS names)
    string(APPEND pages " ${name}.${section}=${file}.html")
  endforeach()
endforeach()
foreach(example IN LISTS examples)
  get_filename_component(file ${example} NAME)
  string(APPEND pages " ${file}=${file}.html")
endforeach()

# The pages in the bar on top.
set(top "index|libminiasync <small>${VERSION}</small>" "guide|Guide"
  "pages|Man pages" "writing_a_mover|Writing a mover" "examples|Examples"
  "performance|Performance" "testing|Testing" "design|Design"
  "CHANGELOG|Changes")

# bar PAGE VARIABLE: its links; the one to PAGE, or to its group, is marked
function(bar page variable)
  set(links "")
  foreach(entry IN LISTS top)
    string(REGEX MATCH "^(.*)\\|(.*)$" match "${entry}")
    set(name ${CMAKE_MATCH_1})
    set(text ${CMAKE_MATCH_2})
    set(marks "")
    if(name STREQUAL page)
      set(marks " aria-current=\"page\"")
    elseif((name MATCHES "^pages$" AND page MATCHES "\\.[0-9]$") OR
        (name MATCHES "^examples$" AND page MATCHES "\\.(c|cpp|h)$"))
      set(marks " aria-current=\"true\"")
    endif()
    if(name MATCHES "^index$")
      string(APPEND marks " class=\"home\"")
    endif()
    string(APPEND links "<a href=\"${name}.html\"${marks}>${text}</a>\n")
  endforeach()
  set(${variable} "${links}" PARENT_SCOPE)
endfunction()

# page INPUT OUTPUT TITLE [OPTION...]
function(page input output title)
  bar(${output} links)
  execute_process(
    COMMAND ${PANDOC} --from markdown-smart-implicit_figures --to html5
      --standalone --template ${SOURCE}/doc/html/template.html
      --lua-filter ${SOURCE}/doc/html/links.lua
      --lua-filter ${SOURCE}/doc/html/tables.lua
      --lua-filter ${SOURCE}/doc/html/contents.lua
      --metadata "file=${output}.html" --metadata "index=${search_index}"
      --metadata "pages=${pages}" --metadata "pagetitle=${title}"
      --variable "nav=${links}" ${ARGN}
      --output ${OUTPUT}/${output}.html ${input}
    ERROR_VARIABLE errors RESULT_VARIABLE result)
  if(NOT result EQUAL 0 OR errors)
    message(FATAL_ERROR "${input}: ${PANDOC}: ${result}\n${errors}")
  endif()
endfunction()

# manual_name FILE VARIABLE: name.3 becomes name(3)
function(manual_name file variable)
  string(REGEX REPLACE "\\.([0-9])$" "(\\1)" name ${file})
  set(${variable} "${name}" PARENT_SCOPE)
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

# In the order of the list of man pages; each leads to the ones beside it.
set(order ${order7} ${order3} ${order1})
list(LENGTH order last)
math(EXPR last "${last} - 1")
foreach(i RANGE ${last})
  list(GET order ${i} file)
  set(beside "")
  if(i GREATER 0)
    math(EXPR at "${i} - 1")
    list(GET order ${at} other)
    manual_name(${other} name)
    string(APPEND beside
      "<a rel=\"prev\" href=\"${other}.html\">Previous: ${name}</a>\n")
  endif()
  if(i LESS last)
    math(EXPR at "${i} + 1")
    list(GET order ${at} other)
    manual_name(${other} name)
    string(APPEND beside
      "<a rel=\"next\" href=\"${other}.html\">Next: ${name}</a>\n")
  endif()
  manual_name(${file} heading)
  page(${SOURCE}/doc/man/${file}.md ${file} "${heading} - libminiasync"
    --shift-heading-level-by=1 --variable "heading=${heading}"
    --variable "neighbours=${beside}")
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

## Programs
${list1}
")
page(${OUTPUT}/page.md pages "Man pages - libminiasync")
file(REMOVE ${OUTPUT}/page.md)
file(APPEND ${search_index} "];\n")
