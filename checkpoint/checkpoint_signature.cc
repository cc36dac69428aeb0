#include "checkpoint/checkpoint_signature.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr uint64_t kMaxKeyFileBytes = 64 << 10;
constexpr uint64_t kMaxSignatureFileBytes = 1 << 10;

std::string SignedText(uint64_t version, absl::string_view digest) {
  return absl::StrCat("neumf checkpoint ", version, " ", digest, "\n");
}

absl::Status Refused(absl::string_view path, absl::string_view why) {
  return absl::PermissionDeniedError(absl::StrCat(path, ": ", why));
}

}  // namespace

std::string SignaturePath(absl::string_view checkpoint_path) {
  return absl::StrCat(checkpoint_path, ".sig");
}

std::string SignatureText(const Ed25519PrivateKey& key, uint64_t version,
                          absl::string_view digest) {
  return absl::StrCat(absl::Base64Escape(key.Sign(SignedText(version, digest))),
                      "\n");
}

absl::Status CheckSignature(FileSystem& files, absl::string_view path,
                            uint64_t version, absl::string_view digest,
                            absl::Span<const Ed25519PublicKey> keys) {
  const std::string signature_path = SignaturePath(path);
  absl::StatusOr<std::string> text =
      ReadWholeFile(files, signature_path, kMaxSignatureFileBytes);
  if (absl::IsNotFound(text.status())) {
    return Refused(path, "is not signed: there is no file .sig beside it");
  }
  if (absl::IsResourceExhausted(text.status())) {
    return Refused(signature_path, "is too large for a signature");
  }
  if (!text.ok()) return text.status();
  std::string signature;
  const absl::string_view encoded = absl::StripSuffix(*text, "\n");
  // Written in one way only: Abseil's reader lets the padding be left out.
  if (!absl::Base64Unescape(encoded, &signature) ||
      absl::Base64Escape(signature) != encoded) {
    return Refused(signature_path, "is no signature in base64");
  }
  const std::string signed_text = SignedText(version, digest);
  const bool is_known =
      std::any_of(keys.begin(), keys.end(), [&](const Ed25519PublicKey& key) {
        return key.Verify(signed_text, signature);
      });
  if (is_known) return absl::OkStatus();
  return Refused(signature_path,
                 absl::StrCat("is no signature of version ", version,
                              " by a key that is known here"));
}

absl::StatusOr<Ed25519PrivateKey> ReadSigningKey(FileSystem& files,
                                                 absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const std::string pem,
                         ReadWholeFile(files, path, kMaxKeyFileBytes));
  absl::StatusOr<Ed25519PrivateKey> key = Ed25519PrivateKey::FromPem(pem);
  if (!key.ok()) return Annotate(key.status(), path);
  return key;
}

absl::StatusOr<std::vector<Ed25519PublicKey>> ReadPublicKeys(
    FileSystem& files, absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const std::string pem,
                         ReadWholeFile(files, path, kMaxKeyFileBytes));
  absl::StatusOr<std::vector<Ed25519PublicKey>> keys =
      Ed25519PublicKey::AllFromPem(pem);
  if (!keys.ok()) return Annotate(keys.status(), path);
  return keys;
}

}  // namespace neumf
