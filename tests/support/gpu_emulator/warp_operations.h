#pragma once

// What a warp does together, from its definition over all 32 lanes.

#include "tests/support/gpu_emulator/emulated_thread.h"

namespace neumf::cuda {

// How the sums of a product of matrices are rounded. The products of two halves
// are exact in all.
enum class MmaSums {
  // Exact in all but name (float64), rounded once.
  kRoundedOnce,
  // One term after the other, each sum cut towards zero to a float.
  kCut,
  // As tensor cores are known to do it (Fasi, Higham, Mikaitis, Pranesh:
  // "Numerical behavior of NVIDIA tensor cores", 2021): all terms are cut to the
  // last place of the greatest one, then summed, then cut to a float.
  kAligned,
};

// The operation of 32 lanes, in the order of the lanes, which all ask for the
// same one: of Operation's kinds those of a warp. False when a lane's operands
// are not allowed: a shuffle from a lane that there is not.
bool Execute(Operation* const (&lanes)[kLanes], MmaSums sums);

// E.g. "Ballot".
const char* NameOf(Operation::Kind kind);

}  // namespace neumf::cuda
