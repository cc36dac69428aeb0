# neumf_harden(TARGET ...): compiles what strangers' bytes reach so that a write
# past the end of an array ends the process instead of running something. With
# sanitizers, which look for the same, and without optimization, which
# _FORTIFY_SOURCE takes, it does nothing.
add_library(neumf_hardening INTERFACE)
if(NOT NEUMF_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(_hardening -fstack-protector-strong -fstack-clash-protection
                 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND _hardening -fcf-protection=full)
  endif()
  target_compile_options(neumf_hardening INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${_hardening}>)
endif()

function(neumf_harden)
  foreach(target IN LISTS ARGN)
    target_link_libraries(${target} PRIVATE neumf_hardening)
  endforeach()
endfunction()
