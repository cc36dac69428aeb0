#pragma once

// What marks the code of a kernel. The bodies of all kernels are templates over
// the thread that runs them (thread.h), and plain C++: nvcc compiles them for
// the GPU, any compiler for the emulator that tests them without one.

#ifdef __CUDACC__
#define NEUMF_DEVICE __device__ __forceinline__
#define NEUMF_HOST_DEVICE __host__ __device__ __forceinline__
#define NEUMF_UNROLL _Pragma("unroll")
#define NEUMF_UNROLL_4 _Pragma("unroll 4")
#define NEUMF_NO_UNROLL _Pragma("unroll 1")
#else
#define NEUMF_DEVICE inline
#define NEUMF_HOST_DEVICE inline
#define NEUMF_UNROLL
#define NEUMF_UNROLL_4
#define NEUMF_NO_UNROLL
#endif
