#include "server/last_known_good.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/logging.h"

namespace neumf {

LastKnownGood::LastKnownGood(const std::string& directory, FileSystem* files,
                             const Clock* clock)
    : clock_(clock),
      file_(directory, "last_known_good", files),
      good_(Parse(file_.Read())) {}

LastKnownGood::Identity LastKnownGood::Parse(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> fields =
      absl::StrSplit(text, absl::MaxSplits(' ', 1));
  Identity identity;
  identity.digest = std::string(absl::StripAsciiWhitespace(fields.second));
  const bool is_whole = absl::SimpleAtoi(fields.first, &identity.version) &&
                        !identity.digest.empty();
  return is_whole ? identity : Identity{};
}

void LastKnownGood::Look(const Snapshot* served) {
  const Identity now_served = served == nullptr
                                  ? Identity{}
                                  : Identity{served->version, served->digest};
  const absl::Duration now = clock_->MonotonicNow();
  if (!(now_served == served_)) {
    served_ = now_served;
    served_since_ = now;
    is_written_ = false;
  }
  if (served == nullptr || is_written_ || now - served_since_ < kProbation) {
    return;
  }
  good_ = served_;
  served_since_ = now;  // a disk that is full is tried again after as long
  is_written_ =
      file_.Write(absl::StrCat(good_.version, " ", good_.digest, "\n"));
  if (!is_written_) return;
  LogEvent("last_known_good")
      .WithNumber("version", good_.version)
      .With("digest", good_.digest);
}

}  // namespace neumf
