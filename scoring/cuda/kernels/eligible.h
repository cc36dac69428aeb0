#pragma once

// What an answer leaves out, asked about one item: the rule of scorer.h,
// ELIGIBLE, but for its lists of allowed rows, which nobody looks up: such a
// query scores the rows of its list and no others (kernels/rescore.h).

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// Whether `row` is among `rows`, which ascend.
NEUMF_DEVICE bool IsAmong(const uint32_t* rows, uint32_t count, uint32_t row) {
  while (count > 0) {
    const uint32_t half = count / 2;
    if (rows[half] == row) return true;
    if (rows[half] < row) {
      rows += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return false;
}

// REQUIRES: row < I, and `query` is one of the pass's.
NEUMF_DEVICE bool IsEligible(const Pass& pass, const PassQuery& query,
                             uint32_t row) {
  if (query.mask_begin != kNone) {
    const uint32_t word = pass.masks()[query.mask_begin + row / 32];
    if ((word >> (row % 32) & 1) == 0) return false;
  }
  const uint32_t* const rows = pass.rows();
  return !IsAmong(rows + query.seen_begin, query.seen_count, row) &&
         !IsAmong(rows + query.excluded_begin, query.excluded_count, row);
}

}  // namespace neumf::cuda
