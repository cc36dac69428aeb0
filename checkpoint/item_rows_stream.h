#pragma once

// The rows of one item table on their way from a file to a packer.

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "checkpoint/tensor_stream.h"
#include "model/serving_model.h"

namespace neumf {

// Feeds all rows of `table` [num_rows, width] from `stream`, which is at its
// start, to `sink`, and checks that they are finite and have their digest. One
// block of at most `block_bytes`, but at least a row, is taken by the sink
// while the next one is read: one call at a time, on any of the stream's
// threads. Errors name the tensor, except for those of the sink.
absl::Status StreamItemRows(ItemTable table, uint64_t num_rows, uint32_t width,
                            size_t block_bytes, TensorStream* stream,
                            ItemRowsSink sink);

}  // namespace neumf
