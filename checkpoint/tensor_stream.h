#pragma once

// The bytes of one tensor on their way from a file into memory, hashed as they
// pass.
//
//   TensorStream stream(file, header, tensor, &digest, block_bytes, &threads);
//   NEUMF_RETURN_IF_ERROR(stream.Read(AsBytes(absl::MakeSpan(values))));
//   NEUMF_RETURN_IF_ERROR(stream.Finish());  // now `values` is what was hashed
//
// A tensor with a digest for each chunk is read by all threads, a chunk each.
// One with a single digest is read by one thread: SHA-256 has one order.
//
// Errors are DATA_LOSS or the file's own and do not name the tensor; the caller
// does.

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file_system.h"
#include "base/sha256.h"
#include "base/thread_pool.h"
#include "checkpoint/manifest.h"
#include "checkpoint/safetensors.h"

namespace neumf {

// Reads from the tensor's first byte to its last. Belongs to one thread.
class TensorStream {
 public:
  // `file`, `digest` and `threads` must outlive this. `block_bytes` > 0 is the
  // largest piece read at once. REQUIRES: DigestFits() the tensor.
  TensorStream(ReadableFile* file, const SafetensorsHeader& header,
               const TensorInfo& tensor, const TensorDigest* digest,
               size_t block_bytes, ThreadPool* threads);

  // The next bytes, as many as `destination` holds. REQUIRES: as many are left.
  absl::Status Read(absl::Span<char> destination);
  // Likewise, and calls `meanwhile` once, on one of the threads.
  absl::Status Read(absl::Span<char> destination,
                    absl::FunctionRef<void()> meanwhile);
  // Hashes what is left and drops it.
  absl::Status SkipRest();
  // Call it when all has been read: is it what the digest says?
  absl::Status Finish();

 private:
  // The part of `destination`, the next bytes of the tensor, that lies in chunk
  // `chunk`. The hash of a chunk that stays unfinished is left in `unfinished`.
  absl::Status ReadChunk(uint64_t chunk, absl::Span<char> destination,
                         Sha256* unfinished);
  absl::Status ReadAndHash(uint64_t begin, absl::Span<char> destination,
                           Sha256* hash);

  ReadableFile* const file_;
  const size_t block_bytes_;
  const TensorDigest* const digest_;
  ThreadPool* const threads_;
  const uint64_t offset_;       // of the tensor, in the file
  const uint64_t size_;         // of the tensor
  const uint64_t chunk_bytes_;  // > 0; at least size_ with one digest
  uint64_t position_ = 0;       // in the tensor
  Sha256 begun_;                // of the chunk that `position_` is inside of
};

// Numbers as the bytes that they are in a file: files and hosts are
// little-endian.
template <typename T>
absl::Span<char> AsBytes(absl::Span<T> values) {
  return absl::MakeSpan(reinterpret_cast<char*>(values.data()),
                        values.size() * sizeof(T));
}

// What is an invalid argument to a function of model/ is damage in a file.
absl::Status AsDataLoss(const absl::Status& status);

// Says that `status` is about the tensor `name`.
absl::Status AnnotateTensor(const absl::Status& status, absl::string_view name);

}  // namespace neumf
