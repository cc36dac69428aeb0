# neumf_warnings: every target of ours links it. Warnings are errors; code that
# protoc generated does not link it.
add_library(neumf_warnings INTERFACE)
set(_warnings -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
              -Wcast-qual -Wformat=2 -Werror)
target_compile_options(neumf_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${_warnings}>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(neumf_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wthread-safety>)
endif()
# nvcc warns of the GPU's code itself, and hands the host's to g++ with lines that
# -Wpedantic does not like, and pragmas that are its own.
if(NEUMF_CUDA)
  list(REMOVE_ITEM _warnings -Wpedantic)
  list(APPEND _warnings -Wno-unknown-pragmas)
  list(JOIN _warnings "," _warnings)
  target_compile_options(neumf_warnings INTERFACE
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${_warnings};-Werror=all-warnings>")
endif()
