#pragma once

// Named tensors of floats in a safetensors file of their own: what training
// leaves behind for itself, and what other programs trained. Checkpoints, which
// are served, have a reader that holds less of them in memory
// (checkpoint/checkpoint_reader.h).
//
// CONTRACT
// 1. ATOMIC. A reader meets the old or the new content of a file, never a part.
// 2. DIGESTED. What WriteTensors() writes carries a SHA-256 of everything in
//    it, and ReadTensors() refuses the file when one byte differs. Files of
//    other programs have none and are read without: who expects a digest asks
//    whether there was one.
// 3. BOUNDED. Nothing is allocated by a size that the file's real length does
//    not back.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file_system.h"

namespace neumf {

struct Tensor {
  std::vector<uint64_t> shape;
  std::vector<float> values;  // row-major
};

struct TensorFile {
  std::map<std::string, std::string> metadata;
  std::map<std::string, Tensor> tensors;
  bool is_digested = false;  // and is what was written
};

// F32 as it is; F64, F16 and BF16 to the nearest float. Errors name the file,
// the tensor and the reason. DATA_LOSS: the content is damaged, or holds a value
// that is not finite. INVALID_ARGUMENT: a tensor is of another type.
absl::StatusOr<TensorFile> ReadTensors(FileSystem& files,
                                       absl::string_view path);

// A tensor that belongs to somebody else.
struct TensorView {
  std::string name;
  std::vector<uint64_t> shape;
  absl::Span<const float> values;
};

// F32, in this order. Replaces `path`. INVALID_ARGUMENT when names and metadata
// do not fit the header of such a file. REQUIRES: names differ, values are as
// many as the shape says.
absl::Status WriteTensors(FileSystem& files, absl::string_view path,
                          const std::map<std::string, std::string>& metadata,
                          absl::Span<const TensorView> tensors);

}  // namespace neumf
