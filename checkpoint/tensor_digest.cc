#include "checkpoint/tensor_digest.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"

namespace neumf {

TensorDigest DigestOf(absl::string_view bytes, uint64_t chunk_bytes) {
  TensorDigest digest;
  if (bytes.size() <= chunk_bytes) {
    digest.sha256 = {Sha256Of(bytes)};
    return digest;
  }
  digest.chunk_bytes = chunk_bytes;
  for (uint64_t begin = 0; begin < bytes.size(); begin += chunk_bytes) {
    digest.sha256.push_back(Sha256Of(bytes.substr(begin, chunk_bytes)));
  }
  return digest;
}

bool DigestFits(const TensorDigest& digest, uint64_t num_bytes) {
  if (digest.chunk_bytes == 0) return digest.sha256.size() == 1;
  const uint64_t full = num_bytes / digest.chunk_bytes;
  const uint64_t rest = num_bytes % digest.chunk_bytes == 0 ? 0 : 1;
  return digest.sha256.size() == full + rest;
}

absl::Status DigestChecker::Update(absl::string_view bytes) {
  if (digest_->chunk_bytes == 0) {
    sha256_.Update(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  while (!bytes.empty()) {
    const size_t taken =
        std::min<uint64_t>(bytes.size(), digest_->chunk_bytes - part_bytes_);
    sha256_.Update(bytes.data(), taken);
    part_bytes_ += taken;
    bytes.remove_prefix(taken);
    if (part_bytes_ == digest_->chunk_bytes) {
      NEUMF_RETURN_IF_ERROR(FinishPart());
    }
  }
  return absl::OkStatus();
}

absl::Status DigestChecker::Finish() {
  if (part_ == digest_->sha256.size()) return absl::OkStatus();
  return FinishPart();
}

absl::Status DigestChecker::FinishPart() {
  NEUMF_CHECK(part_ < digest_->sha256.size());
  const bool same = sha256_.Finish() == digest_->sha256[part_];
  ++part_;
  part_bytes_ = 0;
  if (same) return absl::OkStatus();
  return absl::DataLossError(
      digest_->chunk_bytes == 0
          ? "the bytes do not have the manifest's SHA-256"
          : absl::StrCat("the bytes of chunk ", part_ - 1,
                         " do not have the manifest's SHA-256"));
}

}  // namespace neumf
