#pragma once

// The callers that a file of --auth_tokens_file allows, one entry a line:
//
//   # credential                    name       rights
//   sha256:9f86d081884c7d65...      web        recommend
//   sha256:60303ae22b998861...      analytics  recommend,recommend.seen
//   san:ops.example.com             ops        models.read
//
// `sha256:` is the hash of a bearer token in hexadecimal digits. It is neither
// salted nor slow, so tokens have to be random: 32 bytes of them, not a word
// that somebody made up. `san:` is a subject alternative name of a client
// certificate that --tls_client_ca has verified. A name may stand in several
// entries: a token that goes and the one that comes are valid side by side.
// '#' starts a comment, blank lines are skipped.
//
// Immutable: any thread may read it.

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/sha256.h"
#include "server/caller.h"

namespace neumf {

class TokenTable {
 public:
  // Bounds the work of a look-up, which passes over all entries.
  static constexpr size_t kMaxEntries = 1024;

  // INVALID_ARGUMENT gives the number of the line and what is wrong with it, but
  // none of its text: a token may have been pasted there.
  static absl::StatusOr<TokenTable> Parse(absl::string_view text);

  // Null when there is no such entry; valid as long as the table. The time that
  // FindToken() takes says nothing about the tokens of the table.
  const Caller* FindToken(absl::string_view token) const;
  const Caller* FindSan(absl::string_view san) const;

  size_t size() const { return tokens_.size() + sans_.size(); }

 private:
  struct TokenEntry {
    Sha256Digest digest;
    Caller caller;
  };
  struct SanEntry {
    std::string san;
    Caller caller;
  };

  absl::Status AddLine(absl::string_view line);
  absl::Status AddToken(absl::string_view digits, Caller caller);
  absl::Status AddSan(absl::string_view san, Caller caller);

  std::vector<TokenEntry> tokens_;
  std::vector<SanEntry> sans_;
};

}  // namespace neumf
