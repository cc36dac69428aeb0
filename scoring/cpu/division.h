#pragma once

// How a scan of the catalog is shared between threads.

#include <cstddef>
#include <cstdint>

namespace neumf {

// Each share is a piece of the catalog for a part of what scans it: share s is
// piece s / num_parts for every num_parts-th scan from s % num_parts on.
struct Division {
  uint64_t piece_blocks = 0;
  size_t num_pieces = 0;
  size_t num_parts = 1;
};

// For a catalog of `num_blocks` that `num_scans` users or groups of users go
// through. Pieces fit a core's cache and are whole words of a mask.
Division Divide(uint64_t num_blocks, size_t block_floats, size_t num_scans,
                size_t num_threads);

}  // namespace neumf
