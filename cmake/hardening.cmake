# SPDX-License-Identifier: BSD-3-Clause
#
# What the preset "release" adds against the exploitation of memory errors, as
# far as the compiler can: -fcf-protection is for x86 alone, and level 3 of
# _FORTIFY_SOURCE wants a recent compiler and C library, which warn if it is too
# high. Some compilers define that by themselves.

include(CheckCCompilerFlag)
foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection
  "-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
  string(MAKE_C_IDENTIFIER "MIA_HAS${flag}" has_flag)
  check_c_compiler_flag("-Werror -O2 -include stdlib.h ${flag}" ${has_flag})
  if(${has_flag})
    add_compile_options("SHELL:${flag}")
  endif()
endforeach()
add_link_options(-Wl,-z,relro,-z,now)
