#pragma once

// Who published a checkpoint: an ed25519 signature in a file beside it,
// `<version>.safetensors.sig`.
//
// Signed is the text "neumf checkpoint <version> <digest>\n", digest being the
// SHA-256 of the header in hex. The header holds the digests of all tensors, so
// the text stands for the whole file; and a file under the name of another
// version is not what was signed. The file beside it holds the 64 bytes of the
// signature in base64 and a newline.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/ed25519.h"
#include "base/file_system.h"

namespace neumf {

// "PATH.sig".
std::string SignaturePath(absl::string_view checkpoint_path);

// What the file holds for a version with that digest.
std::string SignatureText(const Ed25519PrivateKey& key, uint64_t version,
                          absl::string_view digest);

// OK when one of `keys` signed the checkpoint at `path`. PERMISSION_DENIED when
// it is not signed, or by nobody of them; else the file's own errors.
absl::Status CheckSignature(FileSystem& files, absl::string_view path,
                            uint64_t version, absl::string_view digest,
                            absl::Span<const Ed25519PublicKey> keys);

// Keys from files; errors name the file, never what is in it.
absl::StatusOr<Ed25519PrivateKey> ReadSigningKey(FileSystem& files,
                                                 absl::string_view path);
absl::StatusOr<std::vector<Ed25519PublicKey>> ReadPublicKeys(
    FileSystem& files, absl::string_view path);

}  // namespace neumf
