#pragma once

// Draws negatives: items that a user is taken not to want.

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "data/event_log.h"
#include "data/interactions.h"
#include "trainer/random.h"

namespace neumf {

// The sampler `pool` of "Dive into Deep Learning": uniform over the items that
// a user has neither a train event nor a held-out event with. Because it never
// pushes a held-out item down it leaks a little of the test set, which is small
// with one negative a positive; it is here to reproduce published numbers.
// Without held-out events it is uniform over all unseen items.
//
// Immutable after creation: any number of threads may draw, each with its own
// Random.
class PoolSampler {
 public:
  // INVALID_ARGUMENT when a user with a train event has every item.
  static absl::StatusOr<PoolSampler> Create(const Interactions& train,
                                            absl::Span<const Event> held_out);

  // REQUIRES: the user has a train event.
  uint32_t Draw(uint32_t user, Random& random) const;

 private:
  explicit PoolSampler(Interactions excluded)
      : excluded_(std::move(excluded)) {}

  Interactions excluded_;
};

}  // namespace neumf
