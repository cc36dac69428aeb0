#pragma once

// What this machine can do at this moment: the yardsticks that a kernel is
// measured against, run in windows beside it.
//
// A probe owns its threads and belongs to one thread.

#include <cstddef>
#include <vector>

#include "base/aligned_matrix.h"
#include "base/thread_pool.h"

namespace neumf {

// A loop of multiply-adds, compiled once for each instruction set.
struct FmaLoop {
  const char* target = nullptr;
  size_t macs_per_step = 0;
  float (*run)(size_t steps, float factor, float term) = nullptr;
};

// Fused multiply-adds on registers alone, with the vectors of the instruction
// set that the CPU backend of scoring/ would choose here. One fused multiply-add
// of one lane is one MAC.
class FmaProbe {
 public:
  explicit FmaProbe(size_t num_threads);

  // Some milliseconds of work on every thread.
  void Run();
  // Exactly what Run() computes.
  double macs_per_run() const;

  // Of the instruction set.
  static const char* target();

 private:
  ThreadPool threads_;
  std::vector<float> results_;  // so that nothing is optimized away
};

// Copies memory that fits no cache.
class CopyProbe {
 public:
  explicit CopyProbe(size_t num_threads);

  void Run();
  // Read and written.
  double bytes_per_run() const;

 private:
  ThreadPool threads_;
  AlignedBuffer from_;
  AlignedBuffer to_;
};

}  // namespace neumf
