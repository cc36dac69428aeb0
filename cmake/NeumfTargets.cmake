# One function a kind of target, so that a folder's list file only names files
# and what they use.
include(GoogleTest)

function(_neumf_common target)
  target_compile_features(${target} PUBLIC cxx_std_17)
  target_link_libraries(${target} PRIVATE neumf_warnings)
  # Kernels call constexpr functions that the host has too.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>)
  if(NEUMF_TIDY)
    set_target_properties(${target} PROPERTIES CXX_CLANG_TIDY "clang-tidy-14;--quiet")
  endif()
endfunction()

# neumf_library(NAME name SRCS ... [HDRS ...] [DEPS ...] [PRIVATE_DEPS ...])
# makes the static library neumf::name. Includes start at the repository's root.
function(neumf_library)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;HDRS;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(neumf_${ARG_NAME} STATIC ${ARG_SRCS} ${ARG_HDRS})
  add_library(neumf::${ARG_NAME} ALIAS neumf_${ARG_NAME})
  target_include_directories(neumf_${ARG_NAME} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(neumf_${ARG_NAME} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  _neumf_common(neumf_${ARG_NAME})
endfunction()

# neumf_program(NAME neumf-server SRCS ... DEPS ...) puts a program into bin/.
function(neumf_program)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS})
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  # At addresses that nobody knows, and with tables of functions that nobody can
  # write once it runs. SECURITY.md says why there is no more.
  target_link_options(${ARG_NAME} PRIVATE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
  _neumf_common(${ARG_NAME})
  add_dependencies(programs ${ARG_NAME})
endfunction()

# neumf_test(NAME base_test SRCS ... DEPS ... [LABELS ...] [TIMEOUT s]): one
# GoogleTest binary, one ctest entry. The label grpc marks what tsan leaves out.
function(neumf_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} neumf::test_support GTest::gmock_main)
  # The tests' own code is not what has to be fast: compile it in half the time.
  target_compile_options(${ARG_NAME} PRIVATE $<$<CONFIG:Release>:-O1>)
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  _neumf_common(${ARG_NAME})
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "${NEUMF_TEST_ENVIRONMENT}")
endfunction()

# neumf_python_test(NAME recommend_test SCRIPT file.py [LABELS ...] [TIMEOUT s])
# runs a script with Debian's Python, which is the one that has Debian's modules.
# With -v unittest says why it skips a test, which scripts/skipped_tests lists.
function(neumf_python_test)
  cmake_parse_arguments(ARG "" "NAME;SCRIPT;TIMEOUT" "LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_test(NAME ${ARG_NAME} COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SCRIPT} -v)
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "python;${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
    SKIP_RETURN_CODE 77 ENVIRONMENT "${NEUMF_TEST_ENVIRONMENT}")
endfunction()

# neumf_fuzzer(NAME x_fuzz CORPUS folder SRCS ... DEPS ...) with SRCS that define
# LLVMFuzzerTestOneInput. With clang and NEUMF_SANITIZE libFuzzer looks for new
# inputs from tests/fuzz/corpus/<folder>; elsewhere, and under ThreadSanitizer,
# a small main runs that folder alone.
function(neumf_fuzzer)
  cmake_parse_arguments(ARG "" "NAME;CORPUS" "SRCS;DEPS" ${ARGN})
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${ARG_CORPUS})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND NEUMF_SANITIZE MATCHES "address")
    add_executable(${ARG_NAME} ${ARG_SRCS})
    target_link_options(${ARG_NAME} PRIVATE -fsanitize=fuzzer)
    set(found ${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}.found)
    file(MAKE_DIRECTORY ${found})
    # What is found stays in the build tree, so that the next run goes on there.
    set(arguments -max_total_time=10 -rss_limit_mb=512 -timeout=10 ${found} ${corpus})
  else()
    add_executable(${ARG_NAME} ${ARG_SRCS} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus_main.cc)
    set(arguments ${corpus})
  endif()
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS})
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  _neumf_common(${ARG_NAME})
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME} ${arguments})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "fuzz" TIMEOUT 120
    ENVIRONMENT "${NEUMF_TEST_ENVIRONMENT}")
endfunction()
