#pragma once

// What do tensor cores make of sums? The error bound of the coarse scan
// (scoring/cuda/kernels/error_bound.h) rests on an answer that no manual gives.
// Here are products made to show a wrong one, and what they come to exactly:
//
//   RoundingTrials trials = MakeRoundingTrials(kMma16Form, 1000, seed);
//   // ... run them: trials.acc += trials.a x trials.b
//   const double worst = WorstRounding(trials);
//   // ... must be at most AllowedRounding(kMma16Form)
//
// Plain values; no device is needed here.

#include <cstdint>
#include <vector>

namespace neumf::cuda {

// A product's shape, and in what order its numbers lie (probe_kernels.h): tiles
// of 16 rows, of each its columns in eights.
struct ProductForm {
  const char* name = "";
  uint32_t k = 16;
  uint32_t tiles = 1;
  uint32_t outs = 1;
  bool b_in_fragments = true;  // else core matrices
};

constexpr ProductForm kMma16Form = {"mma.m16n8k16", 16, 1, 1, true};
constexpr ProductForm kMma8Form = {"mma.m16n8k8", 8, 1, 1, true};
constexpr ProductForm kWideForm = {"wgmma.m64n16k16", 16, 4, 2, false};

struct RoundingTrials {
  ProductForm form;
  uint32_t count = 0;
  std::vector<uint32_t> a;  // halves
  std::vector<uint32_t> b;  // halves
  std::vector<float> acc;   // what is added to; the sums when it has run
  // Of each of acc: the exact sum, and the magnitude of its k + 1 terms.
  std::vector<double> exact;
  std::vector<double> magnitude;
  std::vector<bool> stays;  // all products are 0
};

// Of each kind, numbers drawn by `seed`: terms far apart, just within and just
// beyond what 24 bits hold; great ones that cancel; all of one sign; sums that
// are all there is.
RoundingTrials MakeRoundingTrials(const ProductForm& form, uint32_t count,
                                  uint64_t seed);

// The largest error of a sum in units of 2^-22 of its magnitude; infinity where
// nothing was to be added and the sum changed, and for a NaN.
double WorstRounding(const RoundingTrials& trials);

// What error_bound.h takes for granted, in the same units.
double AllowedRounding(const ProductForm& form);

}  // namespace neumf::cuda
