# NEUMF_SANITIZE: a -fsanitize= list for everything in this build tree.
set(NEUMF_SANITIZE "" CACHE STRING "Sanitizers for every target, as -fsanitize= takes them")
if(NEUMF_SANITIZE)
  add_compile_options(-fsanitize=${NEUMF_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${NEUMF_SANITIZE})
endif()
