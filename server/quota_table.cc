#include "server/quota_table.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "server/caller.h"

namespace neumf {
namespace {

constexpr absl::string_view kEverybodyElse = "*";
constexpr absl::string_view kUnlimited = "unlimited";

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(what);
}

absl::StatusOr<double> ParseNumber(absl::string_view text,
                                   absl::string_view name, double least) {
  double number = 0;
  // No comparison is true of what is not a number.
  if (absl::SimpleAtod(text, &number) && number >= least &&
      number <= QuotaTable::kMost) {
    return number;
  }
  return Wrong(absl::StrCat(name, " is not a number from ", least, " to ",
                            QuotaTable::kMost));
}

}  // namespace

absl::StatusOr<QuotaTable> QuotaTable::Parse(absl::string_view text) {
  QuotaTable table;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const absl::Status added = table.AddLine(line);
    if (!added.ok()) {
      return Wrong(absl::StrCat("line ", number, ": ", added.message()));
    }
  }
  // Not what anybody wants, but what a file looks like while it is written.
  if (table.quotas_.empty()) {
    return Wrong("there is no entry; '* unlimited' is one that limits nobody");
  }
  return table;
}

absl::Status QuotaTable::AddLine(absl::string_view line) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  const bool is_unlimited = words.size() == 2 && words[1] == kUnlimited;
  if (words.size() != 3 && !is_unlimited) {
    return Wrong("is neither CALLER RATE BURST nor CALLER unlimited");
  }
  if (words[0] != kEverybodyElse && !IsCallerName(words[0])) {
    return Wrong("the caller is neither '*' nor a name that callers can have");
  }
  std::optional<Quota> quota;
  if (!is_unlimited) {
    quota.emplace();
    NEUMF_ASSIGN_OR_RETURN(quota->users_per_second,
                           ParseNumber(words[1], "the rate", kLeastRate));
    NEUMF_ASSIGN_OR_RETURN(quota->burst_users,
                           ParseNumber(words[2], "the burst", kLeastBurst));
  }
  if (!quotas_.try_emplace(std::string(words[0]), quota).second) {
    return Wrong("an earlier line is for the same caller");
  }
  return absl::OkStatus();
}

const Quota* QuotaTable::Find(absl::string_view caller) const {
  auto found = quotas_.find(caller);
  if (found == quotas_.end()) found = quotas_.find(kEverybodyElse);
  if (found == quotas_.end() || !found->second.has_value()) return nullptr;
  return &*found->second;
}

}  // namespace neumf
