# NEUMF_SANITIZE: a -fsanitize= list for everything in this build tree.
set(NEUMF_SANITIZE "" CACHE STRING "Sanitizers for every target, as -fsanitize= takes them")
if(NEUMF_SANITIZE)
  add_compile_options(-fsanitize=${NEUMF_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${NEUMF_SANITIZE})
  # Fuzz targets steer by the coverage of the libraries that they link.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND NEUMF_SANITIZE MATCHES "address")
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
endif()
