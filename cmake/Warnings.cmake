# neumf_warnings: every target of ours links it. Warnings are errors; code that
# protoc generated does not link it.
add_library(neumf_warnings INTERFACE)
target_compile_options(neumf_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  -Wcast-qual -Wformat=2 -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(neumf_warnings INTERFACE -Wthread-safety)
endif()
