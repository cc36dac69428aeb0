#pragma once

// How large a pass may be. Candidate lists are what takes memory: a few times K
// for each user, so users give way where K is large.
//
// Plain arithmetic.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "model/serving_model.h"
#include "scoring/cuda/levels.h"
#include "scoring/scorer.h"

namespace neumf::cuda {

// Users that a pass may have at all.
constexpr uint32_t kMaxPassUsers = 256;

// For passes whose largest k is of one kind.
struct PassSize {
  uint32_t bucket_k = 0;      // its k is at most this: a power of two
  uint32_t users = 0;         // a pass may have
  uint64_t capacity = 0;      // candidates a user
  uint32_t first_chunks = 0;  // of the first level

  Levels MakeLevelsOf(uint64_t num_items) const;
};

class PassSizes {
 public:
  // REQUIRES: `max_users` is above 0.
  PassSizes(uint64_t num_items, uint32_t max_users);

  // Of passes whose largest k, at most I, is `k`.
  PassSize Of(uint32_t k) const;

  // How many of `queries`, from the first on, one pass takes: at least one, and
  // then as many as have room with the largest k of them.
  size_t Take(absl::Span<const RankQuery> queries,
              const ModelShape& shape) const;

  uint32_t max_users() const { return max_users_; }
  // Entries of the memory that all passes share; one of a single user whose k is
  // very large may need more.
  uint64_t num_candidates() const;
  uint64_t num_results() const;
  // Bytes of input for which memory is there from the start.
  uint64_t InputBytes(const ModelShape& shape) const;

 private:
  const uint64_t num_items_;
  const uint32_t max_users_;
};

}  // namespace neumf::cuda
