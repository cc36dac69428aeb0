#include "server/quarantine.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace neumf {

void Quarantine::Add(uint64_t version, const LoadOutcome& outcome) {
  const bool is_of_content = outcome.result == ReloadResult::kProbeFailed ||
                             outcome.result == ReloadResult::kGateFailed;
  if (!is_of_content || outcome.was_known) return;
  Remove(outcome.digest);
  MutexLock lock(&mutex_);
  contents_.push_back(
      {outcome.digest,
       {outcome.result, absl::StrCat("refused before as version ", version,
                                     ": ", outcome.reason)}});
  if (contents_.size() > kMaxContents) contents_.pop_front();
}

std::optional<KnownRefusal> Quarantine::Find(absl::string_view digest,
                                             bool is_judged) const {
  MutexLock lock(&mutex_);
  for (const Content& content : contents_) {
    if (content.digest != digest) continue;
    const bool counts =
        is_judged || content.refusal.result != ReloadResult::kGateFailed;
    if (counts) return content.refusal;
  }
  return std::nullopt;
}

void Quarantine::Remove(absl::string_view digest) {
  MutexLock lock(&mutex_);
  contents_.erase(std::remove_if(contents_.begin(), contents_.end(),
                                 [&](const Content& content) {
                                   return content.digest == digest;
                                 }),
                  contents_.end());
}

}  // namespace neumf
