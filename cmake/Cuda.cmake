# NEUMF_CUDA: whether scorer and trainer for NVIDIA GPUs are built. That takes the
# toolkit's compiler, no GPU; programs that have them start on any machine.
set(NEUMF_WITH_CUDA AUTO CACHE STRING "Build what needs the CUDA toolkit: AUTO (where nvcc is), ON or OFF")
set_property(CACHE NEUMF_WITH_CUDA PROPERTY STRINGS AUTO ON OFF)

set(NEUMF_CUDA OFF)
if(NEUMF_WITH_CUDA)
  find_program(NEUMF_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
  if(NEUMF_NVCC)
    set(NEUMF_CUDA ON)
  elseif(NOT NEUMF_WITH_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "NEUMF_WITH_CUDA is ${NEUMF_WITH_CUDA}, but there is no nvcc on the PATH or in /usr/local/cuda/bin")
  else()
    message(STATUS "nvcc is not there: no CUDA backend")
  endif()
endif()
if(NOT NEUMF_CUDA)
  return()
endif()

set(CMAKE_CUDA_COMPILER ${NEUMF_NVCC} CACHE FILEPATH "The CUDA compiler")
# Machine code for Ampere and its relatives and for Hopper, and what the driver
# of a later GPU translates.
set(CMAKE_CUDA_ARCHITECTURES "80-real;90a-real;90-virtual" CACHE STRING "GPUs to compile for")
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
# No library of CUDA's has to be there where programs run: this one is linked
# into them, and it looks for the driver when it is first used.
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)  # the runtime, for host code
if(NEUMF_CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${NEUMF_CCACHE})
endif()
