#pragma once

// The random numbers of a training run: initial weights, the order of the
// examples, negatives. The generator and the distributions are our own, so that
// a seed gives the same run with any standard library.
//
// Belongs to one thread.

#include <cstdint>

namespace neumf {

// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
// Generators", 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next();
  // Uniform in [0, bound), without bias. REQUIRES: bound > 0.
  uint32_t Below(uint32_t bound);
  // Uniform in [low, high).
  double Uniform(double low, double high);
  // Mean 0, standard deviation 1.
  double Normal();

 private:
  uint64_t state_;
};

}  // namespace neumf
