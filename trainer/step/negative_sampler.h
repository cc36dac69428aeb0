#pragma once

// Draws negatives: items that a user is taken not to want.
//
//   pool        uniform over the items the user has neither in train nor held
//               out: the protocol of "Dive into Deep Learning". It leaks: a
//               held-out item is never pushed down. For parity alone
//   reject      uniform over the items without a train event of the user
//   uniform     uniform over all items: may draw the user's own
//   popularity  proportional to (number of train events)^power, without the
//               user's train items
//
// Draws are a function of the seed and the stream, whatever the thread: batch
// number b of an epoch has a stream of its own. Immutable: any number of
// threads may draw.

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "data/event_log.h"
#include "data/interactions.h"

namespace neumf {

enum class SamplerKind { kPool, kReject, kUniform, kPopularity };

struct SamplerOptions {
  SamplerKind kind = SamplerKind::kReject;
  double popularity_power = 0.75;
  uint64_t seed = 1;
};

class NegativeSampler {
 public:
  // `held_out` is what pool leaves out too. INVALID_ARGUMENT when a user with a
  // train event has no item left to draw. `train` must outlive the sampler.
  static absl::StatusOr<NegativeSampler> Create(
      const SamplerOptions& options, const Interactions& train,
      absl::Span<const Event> held_out);

  // Fills items[g * stride + 1 .. g * stride + n] with negatives of users[g],
  // for every group g: the places after the positive in Batch::items.
  void Draw(uint64_t stream, absl::Span<const uint32_t> users, uint32_t n,
            size_t stride, uint32_t* items) const;

  // `n` distinct items, ascending, drawn without regard to a user: the shared
  // candidates of a batch. All items when n >= I.
  void DrawShared(uint64_t stream, uint32_t n,
                  std::vector<uint32_t>* items) const;

  // log of the probability of each item in one draw that rejects nothing, [I].
  absl::Span<const float> log_probability() const { return log_probability_; }

 private:
  NegativeSampler() = default;

  SamplerOptions options_;
  uint64_t num_items_ = 0;
  // The items never drawn for a user: a bit each, [U, words]; above a size that
  // memory allows, sorted rows instead.
  std::vector<uint64_t> excluded_bits_;
  uint64_t words_per_user_ = 0;
  const Interactions* excluded_rows_ = nullptr;
  // Alias table (Walker 1977; Vose 1991) of popularity.
  std::vector<float> alias_threshold_;  // [I]
  std::vector<uint32_t> alias_;         // [I]
  std::vector<float> log_probability_;
};

}  // namespace neumf
