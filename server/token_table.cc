#include "server/token_table.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(what);
}

absl::StatusOr<Rights> ParseRights(absl::string_view text) {
  Rights rights;
  for (const absl::string_view name : absl::StrSplit(text, ',')) {
    const std::optional<Right> right = FindRight(name);
    if (!right.has_value()) return Wrong("there is no right of that name");
    rights.Add(*right);
  }
  return rights;
}

// Looks at every byte, whatever the first ones say.
bool SameDigest(const Sha256Digest& a, const Sha256Digest& b) {
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == 0;
}

}  // namespace

absl::StatusOr<TokenTable> TokenTable::Parse(absl::string_view text) {
  TokenTable table;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    absl::Status added =
        table.size() < kMaxEntries
            ? table.AddLine(line)
            : Wrong(absl::StrCat("more than ", kMaxEntries, " entries"));
    if (!added.ok()) {
      return Wrong(absl::StrCat("line ", number, ": ", added.message()));
    }
  }
  // Not what anybody wants, but what a file looks like while it is written.
  if (table.size() == 0) return Wrong("there is no entry");
  return table;
}

absl::Status TokenTable::AddLine(absl::string_view line) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (words.size() != 3) return Wrong("is not CREDENTIAL NAME RIGHT,...");
  if (!IsCallerName(words[1])) {
    return Wrong(absl::StrCat("the name is longer than ", kMaxCallerNameBytes,
                              " bytes, or not of letters, digits, '-', '_' "
                              "and '.'"));
  }
  NEUMF_ASSIGN_OR_RETURN(const Rights rights, ParseRights(words[2]));
  Caller caller{std::string(words[1]), rights};
  absl::string_view credential = words[0];
  if (absl::ConsumePrefix(&credential, "sha256:")) {
    return AddToken(credential, std::move(caller));
  }
  if (absl::ConsumePrefix(&credential, "san:")) {
    return AddSan(credential, std::move(caller));
  }
  return Wrong("the credential is neither sha256:HEX nor san:NAME");
}

absl::Status TokenTable::AddToken(absl::string_view digits, Caller caller) {
  TokenEntry entry{{}, std::move(caller)};
  if (digits.size() != 2 * entry.digest.size() ||
      !std::all_of(digits.begin(), digits.end(),
                   [](unsigned char c) { return absl::ascii_isxdigit(c); })) {
    return Wrong("sha256: is not followed by 64 hexadecimal digits");
  }
  const std::string bytes = absl::HexStringToBytes(digits);
  std::memcpy(entry.digest.data(), bytes.data(), entry.digest.size());
  for (const TokenEntry& other : tokens_) {
    if (SameDigest(other.digest, entry.digest)) {
      return Wrong("an earlier line has the same token");
    }
  }
  tokens_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status TokenTable::AddSan(absl::string_view san, Caller caller) {
  if (san.empty()) return Wrong("san: is not followed by a name");
  if (FindSan(san) != nullptr) {
    return Wrong("an earlier line has the same subject alternative name");
  }
  sans_.push_back({std::string(san), std::move(caller)});
  return absl::OkStatus();
}

const Caller* TokenTable::FindToken(absl::string_view token) const {
  const Sha256Digest digest = Sha256Of(token);
  const Caller* found = nullptr;
  for (const TokenEntry& entry : tokens_) {
    if (SameDigest(entry.digest, digest)) found = &entry.caller;
  }
  return found;
}

const Caller* TokenTable::FindSan(absl::string_view san) const {
  for (const SanEntry& entry : sans_) {
    if (entry.san == san) return &entry.caller;
  }
  return nullptr;
}

}  // namespace neumf
