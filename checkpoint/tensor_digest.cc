#include "checkpoint/tensor_digest.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace neumf {

TensorDigest BlankDigest(uint64_t num_bytes, uint64_t chunk_bytes) {
  TensorDigest digest;
  digest.sha256.resize(1);
  if (num_bytes <= chunk_bytes) return digest;
  digest.chunk_bytes = chunk_bytes;
  digest.sha256.resize((num_bytes - 1) / chunk_bytes + 1);
  return digest;
}

TensorDigest DigestOf(absl::string_view bytes, uint64_t chunk_bytes) {
  TensorDigest digest = BlankDigest(bytes.size(), chunk_bytes);
  for (size_t chunk = 0; chunk < digest.sha256.size(); ++chunk) {
    digest.sha256[chunk] =
        Sha256Of(bytes.substr(chunk * chunk_bytes, chunk_bytes));
  }
  return digest;
}

bool DigestFits(const TensorDigest& digest, uint64_t num_bytes) {
  if (digest.chunk_bytes == 0) return digest.sha256.size() == 1;
  const uint64_t full = num_bytes / digest.chunk_bytes;
  const uint64_t rest = num_bytes % digest.chunk_bytes == 0 ? 0 : 1;
  return digest.sha256.size() == full + rest;
}

absl::Status CheckChunk(const TensorDigest& digest, uint64_t chunk,
                        const Sha256Digest& found) {
  NEUMF_CHECK(chunk < digest.sha256.size());
  if (found == digest.sha256[chunk]) return absl::OkStatus();
  return absl::DataLossError(
      digest.chunk_bytes == 0
          ? "the bytes do not have the manifest's SHA-256"
          : absl::StrCat("the bytes of chunk ", chunk,
                         " do not have the manifest's SHA-256"));
}

}  // namespace neumf
