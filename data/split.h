#pragma once

// What is trained on and what is held out.
//
//   SplitOptions options;
//   options.kind = SplitKind::kLatest;
//   NEUMF_ASSIGN_OR_RETURN(const Split split, MakeSplit(log, options));
//
// The same log and options give the same split, on any machine. What is drawn
// for a user depends on the seed, the user's id and the user's own events.

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "data/event_log.h"

namespace neumf {

enum class SplitKind {
  kNone,    // train on everything: what production does
  kD2l,     // hold out each user's last event, of a tie the first line
  kLatest,  // hold out each user's last event, of a tie the last line
  kRatio,   // hold out a share of each user's events, drawn at random
  kGiven,   // hold out what the data set itself holds out
};

// "none", "d2l", "latest", "ratio" or "given"; INVALID_ARGUMENT names the
// choices.
absl::StatusOr<SplitKind> ParseSplitKind(absl::string_view text);

enum class HeldOut { kValidation, kTest };

struct SplitOptions {
  SplitKind kind = SplitKind::kNone;
  // What is held out. kValidation is for choosing settings: the test events
  // are set aside, in no part of the split, and others are held out of what is
  // left. Default: the test events.
  HeldOut held_out = HeldOut::kTest;
  // Of everything that is drawn. Default: 0.
  uint64_t seed = 0;
  // kRatio: the share of each user's events that is for testing, above 0 and
  // below 1. Default: a tenth.
  double ratio = 0.1;
  // Events with a lower rating are no positives: see Split::low_rated.
  // Default: every event is a positive.
  std::optional<float> min_rating;
};

struct Split {
  // By user row, then by time, file order kept among equal times: a user's
  // events are a sequence.
  std::vector<Event> train;
  // By user row, then like `train`; the given ones in file order instead.
  std::vector<Event> held_out;
  // By place in `held_out`: the items to rank it among, as listed or drawn.
  // Empty where the protocol ranks the whole catalog.
  std::vector<std::vector<uint32_t>> negatives;
  // What was known of at the time of training but rated below `min_rating`, in
  // the order of `train`. Such events of the test part are in no part.
  std::vector<Event> low_rated;
  // Of the user and item rows of all four, so that two runs can be seen to have
  // had the same split.
  uint64_t hash = 0;
};

// Test events:
//  - kD2l, the "seq-aware" split of "Dive into Deep Learning": the FIRST line in
//    file order that has the user's largest time. kLatest: the LAST such line.
//  - kRatio: the share, to the nearest whole event.
//  - kGiven: log.given_test, with log.given_negatives.
// Validation events:
//  - kD2l, kLatest: the same rule once more on what is left.
//  - kGiven with listed negatives: the user's last event, the last line of a
//    tie, with 99 items (or as many as there are) drawn from those which the
//    user has no event with in log.events. The test part is not looked at.
//  - kGiven without, kRatio: a tenth of what is left, drawn at random.
// Only kGiven minds what the data set holds out: to the others it is events
// like all others, behind them in file order.
//
// Nothing but given test events takes a user's last train event. A user has no
// train event only if all of them were rated low or given for testing. With
// kD2l and kLatest, low-rated events behind the user's held-out event are in no
// part either.
//
// INVALID_ARGUMENT where kD2l or kLatest is asked of events without times,
// kGiven of a log without a test part, a ratio is out of bounds, or min_rating
// leaves no positive to train on.
absl::StatusOr<Split> MakeSplit(const EventLog& log,
                                const SplitOptions& options);

// With the defaults of the other options.
absl::StatusOr<Split> MakeSplit(const EventLog& log, SplitKind kind,
                                HeldOut held_out);

}  // namespace neumf
