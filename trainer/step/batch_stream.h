#pragma once

// The batches of an epoch in their order, made by a thread of its own while the
// training thread works on the one before.
//
//   BatchStream stream(&maker);
//   stream.StartEpoch(1);
//   while (const Batch* batch = stream.Next()) Train(*batch);

#include <cstdint>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "trainer/step/batch_maker.h"

namespace neumf {

// Belongs to one thread.
class BatchStream {
 public:
  explicit BatchStream(BatchMaker* maker);
  ~BatchStream();
  BatchStream(const BatchStream&) = delete;
  BatchStream& operator=(const BatchStream&) = delete;

  // REQUIRES: Next() has returned null since the last call, or there was none.
  void StartEpoch(uint32_t epoch);

  // The next batch, valid until the next call; null at the end of the epoch.
  const Batch* Next();

 private:
  static constexpr uint64_t kDepth = 4;  // batches made ahead

  void Produce();

  BatchMaker* const maker_;

  Mutex mutex_;
  CondVar changed_;
  uint64_t num_batches_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t num_made_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t num_taken_ ABSL_GUARDED_BY(mutex_) = 0;  // and done with
  bool holds_one_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;

  // Slot n % kDepth belongs to the producer until batch n counts as made, then
  // to the consumer until it counts as taken.
  std::vector<Batch> slots_;
  std::thread producer_;
};

}  // namespace neumf
