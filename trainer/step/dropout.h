#pragma once

// Dropout (Srivastava et al. 2014) by a mask that is a function of a seed and a
// place, so that forward and backward need not keep it and threads do not
// matter.

#include <cstddef>
#include <cstdint>

namespace neumf {

// Sets a share `rate` of x[0] .. x[count) to 0 and multiplies the others by
// 1 / (1 - rate); x[0] has place `first`. Does nothing when rate is 0.
void ApplyDropout(double rate, uint64_t seed, uint64_t first, size_t count,
                  float* x);

}  // namespace neumf
