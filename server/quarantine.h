#pragma once

// Content that was found to be unfit, by the digest of its header: another file
// with that content, or the same one renamed or touched, need not be loaded
// again to be refused.
//
// The header holds the digests of all tensors, so its own names the content of a
// file that was held to it; a file that is damaged names what it was to be, and
// must not have the good one refused. So only those are here that were verified
// and then failed their probes or the quality gate. What is corrupt is read
// again wherever it turns up, as far as the damage, and what the header alone
// rules out costs no more than a look at it.
//
// It lasts as long as the process. Any thread may call any method.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "server/checkpoint_loader.h"

namespace neumf {

class Quarantine {
 public:
  // The oldest are forgotten: they are loaded once more.
  static constexpr size_t kMaxContents = 1000;

  // Nothing happens where `outcome` says nothing about verified content, or
  // repeats what is known.
  void Add(uint64_t version, const LoadOutcome& outcome);
  // What a load of that content ends with; none: nothing is known. Where it is
  // not judged, what the gate found does not count.
  std::optional<KnownRefusal> Find(absl::string_view digest,
                                   bool is_judged) const;
  // It was fit after all.
  void Remove(absl::string_view digest);

 private:
  struct Content {
    std::string digest;
    KnownRefusal refusal;
  };

  mutable Mutex mutex_;
  std::deque<Content> contents_ ABSL_GUARDED_BY(mutex_);  // oldest first
};

}  // namespace neumf
