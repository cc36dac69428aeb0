#pragma once

// Makes a batch on the device: the events that are next in the epoch's order,
// each with negatives of its own. What is drawn is what NegativeSampler draws
// for the same seed, epoch and batch (step/draws.h), so a run on a GPU learns
// from the same examples as one on the CPU.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "trainer/cuda/kernels/step_views.h"
#include "trainer/step/draws.h"

namespace neumf::cuda {

// Whether `row` [count], which ascends, has the item.
NEUMF_DEVICE bool HasItem(const uint32_t* row, uint32_t count, uint32_t item) {
  uint32_t low = 0;
  uint32_t high = count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (row[middle] < item) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < count && row[low] == item;
}

struct DrawBatch {
  static constexpr uint32_t kThreads = 256;
  static constexpr uint32_t kMinBlocks = 4;

  EventsView events;
  BatchView batch;
  uint64_t first_event = 0;  // of the batch, in the epoch's order
  uint64_t base = 0;         // StreamBase() of the batch

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const uint32_t stride = thread.num_blocks() * kThreads;
    const uint32_t num_pairs = batch.num_groups * batch.group_size;
    for (uint32_t pair = thread.block() * kThreads + thread.thread();
         pair < num_pairs; pair += stride) {
      const uint32_t group = pair / batch.group_size;
      const uint32_t place = pair % batch.group_size;
      const uint32_t event = events.order[first_event + group];
      const uint32_t user = events.users[event];
      if (place == 0) {
        batch.users[group] = user;
        batch.items[pair] = events.items[event];
      } else {
        const uint64_t counter =
            uint64_t{group} * (batch.group_size - 1) + place - 1;
        batch.items[pair] = Draw(user, DrawHash(base, counter));
      }
    }
  }

 private:
  NEUMF_DEVICE uint32_t Draw(uint32_t user, uint64_t hash) const {
    const uint32_t item = PickBelow(hash, events.num_items);
    if (events.excluded == nullptr) return item;
    const uint64_t begin = events.excluded_offsets[user];
    const uint32_t* const row = events.excluded + begin;
    const auto count =
        static_cast<uint32_t>(events.excluded_offsets[user + 1] - begin);
    if (!HasItem(row, count, item)) return item;
    for (uint64_t attempt = 0; attempt < kMaxRedraws; ++attempt) {
      const uint32_t other =
          PickBelow(DrawHash(hash, attempt), events.num_items);
      if (!HasItem(row, count, other)) return other;
    }
    const uint32_t rank =
        PickBelow(DrawHash(hash, kMaxRedraws), events.num_items - count);
    return NthOutside(row, count, rank);
  }
};

}  // namespace neumf::cuda
