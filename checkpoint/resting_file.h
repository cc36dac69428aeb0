#pragma once

// A file whose readers rest: what they do with the bytes leaves the processors,
// and the memory behind them, to others. Low priority alone does not: a thread
// that works without a pause still takes caches and memory from its neighbours,
// and makes who wakes on its processor wait for a moment. Where others are
// behind with their work, that moment is what they lack: then readers rest for
// longer.
//
// A reader that takes only leftovers of the processors (thread_scheduling.h)
// and finds none can be told to try with more: DEADLINE_EXCEEDED.

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/file_system.h"
#include "base/thread_scheduling.h"

namespace neumf {

// How long one thread has to rest. Belongs to that thread.
class RestPace {
 public:
  // At work for at most `share` of the time; 0 < share <= 1.
  explicit RestPace(double share) : rest_per_work_(1 / share - 1) {}

  // It has worked for so long in all: how long it has to rest now. The first
  // moments are free, so that who has little to do is done at once; and no rest
  // is long, so that whoever wants the thread to end need not wait for long.
  absl::Duration RestAfter(absl::Duration worked);

 private:
  double rest_per_work_;
  absl::Duration rested_for_ = absl::Milliseconds(20);  // that work is paid for
};

// Whether one thread gets next to nothing of the processors that it wants.
// Belongs to that thread.
class StarvationWatch {
 public:
  // Less than kLeastShare of kWindow, rests and other waits left out.
  static constexpr absl::Duration kWindow = absl::Seconds(5);
  static constexpr double kLeastShare = 1.0 / 32;

  explicit StarvationWatch(const ProcessorTime& now) : begin_(now) {}
  bool IsStarving(const ProcessorTime& now);

 private:
  ProcessorTime begin_;  // of the window
};

class RestingFile : public ReadableFile {
 public:
  // A rest is made again while others are behind, so many times in all (.8 s at
  // most): a load whose neighbours always are ends late, but ends.
  static constexpr int kMostRests = 8;

  // Each thread that reads it works for `share` of the time. All of them ask
  // `others_are_behind`, unless it is null.
  RestingFile(std::unique_ptr<ReadableFile> file, double share,
              std::function<bool()> others_are_behind, bool ends_when_starved);

  const FileInfo& info() const override { return file_->info(); }
  // The calling thread may rest before it reads.
  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                absl::Span<char> buffer) override;

 private:
  void Rest(absl::Duration rest) const;

  const uint64_t id_;  // of no other, even of one at the same address before
  const std::unique_ptr<ReadableFile> file_;
  const double share_;
  const std::function<bool()> others_are_behind_;
  const bool ends_when_starved_;
};

}  // namespace neumf
