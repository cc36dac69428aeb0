#pragma once

// The bytes of one tensor on their way from a file into memory: read in blocks,
// hashed as they pass.
//
//   TensorStream stream(file, header, tensor, &digest, block_bytes);
//   NEUMF_RETURN_IF_ERROR(stream.Read(AsBytes(absl::MakeSpan(values))));
//   NEUMF_RETURN_IF_ERROR(stream.Finish());  // now `values` is what was hashed
//
// Errors are DATA_LOSS or the file's own and do not name the tensor; the caller
// does.

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/file_system.h"
#include "checkpoint/manifest.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_digest.h"

namespace neumf {

// Reads from the tensor's first byte to its last. Belongs to one thread.
class TensorStream {
 public:
  // `file` and `digest` must outlive this. `block_bytes` > 0 is the largest
  // piece read at once. REQUIRES: DigestFits() the tensor.
  TensorStream(ReadableFile* file, const SafetensorsHeader& header,
               const TensorInfo& tensor, const TensorDigest* digest,
               size_t block_bytes);

  // The next bytes, as many as `destination` holds. REQUIRES: as many are left.
  absl::Status Read(absl::Span<char> destination);
  // Hashes what is left and drops it.
  absl::Status SkipRest();
  // Call it when all has been read: is it what the digest says?
  absl::Status Finish();

 private:
  absl::Status ReadBlock(absl::Span<char> block);

  ReadableFile* const file_;
  const size_t block_bytes_;
  DigestChecker checker_;
  uint64_t offset_;  // in the file
  const uint64_t end_;
};

// Numbers as the bytes that they are in a file: files and hosts are
// little-endian.
template <typename T>
absl::Span<char> AsBytes(absl::Span<T> values) {
  return absl::MakeSpan(reinterpret_cast<char*>(values.data()),
                        values.size() * sizeof(T));
}

}  // namespace neumf
