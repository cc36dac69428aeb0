#include "base/pseudonyms.h"

#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

constexpr size_t kDigits = 32;

}  // namespace

absl::Status Pseudonyms::CheckSalt(absl::string_view salt) {
  if (salt.size() >= kMinSaltBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the salt is shorter than ", kMinSaltBytes, " bytes"));
}

std::string Pseudonyms::Of(absl::string_view id) const {
  Sha256 hash;
  hash.Update(salt_.data(), salt_.size());
  hash.Update(id.data(), id.size());
  return ToHex(hash.Finish()).substr(0, kDigits);
}

}  // namespace neumf
