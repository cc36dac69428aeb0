#pragma once

// What is trained on and what is held out.

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "data/event_log.h"

namespace neumf {

enum class SplitKind {
  kNone,  // train on everything: what production does
  kD2l,   // hold out each user's last event
};

// "none" or "d2l"; INVALID_ARGUMENT names the choices.
absl::StatusOr<SplitKind> ParseSplitKind(absl::string_view text);

enum class HeldOut { kValidation, kTest };

struct Split {
  std::vector<Event> train;     // by user row, then by time, file order kept
  std::vector<Event> held_out;  // by user row
};

// kD2l is the split of "Dive into Deep Learning" ("seq-aware"): the test event
// of a user is the FIRST line in file order that has the user's largest time;
// train is the rest. kValidation applies the same rule once more to the train
// rows, and the test events are in neither part. Nothing is taken from a user
// who has one event left, so that every user has a train event.
// INVALID_ARGUMENT where kD2l is asked of events without times.
absl::StatusOr<Split> MakeSplit(const EventLog& log, SplitKind kind,
                                HeldOut held_out);

}  // namespace neumf
