#pragma once

// Digests of tensors as the manifest gives them: of the whole, or of each
// chunk.

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/sha256.h"
#include "checkpoint/manifest.h"

namespace neumf {

// Of `bytes`; in chunks when they are more than `chunk_bytes`, which is > 0.
TensorDigest DigestOf(absl::string_view bytes, uint64_t chunk_bytes);

// Whether `digest` has as many parts as a tensor of `num_bytes` needs.
bool DigestFits(const TensorDigest& digest, uint64_t num_bytes);

// Compares bytes that come in pieces with a digest. Belongs to one thread.
class DigestChecker {
 public:
  // `digest` must outlive this. REQUIRES: DigestFits() the bytes to come.
  explicit DigestChecker(const TensorDigest* digest) : digest_(digest) {}

  // DATA_LOSS when a chunk that `bytes` completes is not the digest's.
  absl::Status Update(absl::string_view bytes);
  // DATA_LOSS when the rest is not the digest's. Call it once, at the end.
  absl::Status Finish();

 private:
  absl::Status FinishPart();

  const TensorDigest* const digest_;
  Sha256 sha256_;
  size_t part_ = 0;
  uint64_t part_bytes_ = 0;  // of the current part so far
};

}  // namespace neumf
