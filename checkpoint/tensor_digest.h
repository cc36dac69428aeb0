#pragma once

// Digests of tensors as the manifest gives them: of the whole, or of each
// chunk.

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/sha256.h"
#include "checkpoint/manifest.h"

namespace neumf {

// What DigestOf() gives for so many bytes, but for the values, which are 0.
TensorDigest BlankDigest(uint64_t num_bytes, uint64_t chunk_bytes);

// Of `bytes`; in chunks when they are more than `chunk_bytes`, which is > 0.
TensorDigest DigestOf(absl::string_view bytes, uint64_t chunk_bytes);

// Whether `digest` has as many parts as a tensor of `num_bytes` needs.
bool DigestFits(const TensorDigest& digest, uint64_t num_bytes);

// DATA_LOSS when `found` is not what `digest` has for chunk `chunk`; a digest
// of the whole has one. REQUIRES: there is such a chunk.
absl::Status CheckChunk(const TensorDigest& digest, uint64_t chunk,
                        const Sha256Digest& found);

}  // namespace neumf
