#pragma once

// Draws negatives: items that a user is taken not to want.
//
//   pool        uniform over the items the user has neither in train nor held
//               out: the protocol of "Dive into Deep Learning". It leaks: a
//               held-out item is never pushed down. For parity alone
//   reject      uniform over the items without a train event of the user
//   uniform     uniform over all items: may draw the user's own
//   popularity  proportional to (number of train events)^power, without the
//               user's train items. An item without any counts as one with one:
//               what is never drawn is never pushed down
//
// Draws are a function of the seed and the stream, whatever the thread: batch
// number b of an epoch has a stream of its own. Draw number i of a stream is a
// hash of the three (Salmon et al. 2011), so that none waits for the one before
// it. Immutable: any number of threads may draw.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
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

const char* SamplerKindName(SamplerKind kind);

class NegativeSampler {
 public:
  // `held_out` is what pool leaves out too. INVALID_ARGUMENT when a user with a
  // train event has no item left to draw, when there is no item at all, or when
  // the power is not from 0 to 10. `train` must outlive the sampler.
  static absl::StatusOr<NegativeSampler> Create(
      const SamplerOptions& options, const Interactions& train,
      absl::Span<const Event> held_out);

  // The first user with a train event who has no item left to draw; none when
  // Create() finds no fault with the users.
  static std::optional<uint32_t> UserWithoutNegatives(
      SamplerKind kind, const Interactions& train,
      absl::Span<const Event> held_out);

  // Fills items[g * stride + 1 .. g * stride + n] with negatives of users[g],
  // for every group g: the places after the positive in Batch::items. What a
  // group gets depends on its user and on its place in the stream, which is
  // first_group + g.
  // REQUIRES: every user has an item left, as those with train events have.
  void Draw(uint64_t stream, absl::Span<const uint32_t> users, uint32_t n,
            size_t stride, uint32_t* items, uint64_t first_group = 0) const;

  // `n` distinct items, ascending, drawn without regard to a user: the shared
  // candidates of a batch. popularity draws them by popularity, one after
  // another without those drawn before; the others uniformly. All items when
  // n >= I.
  void DrawShared(uint64_t stream, uint32_t n,
                  std::vector<uint32_t>* items) const;

  // log of the probability of each item in one draw that rejects nothing, [I].
  absl::Span<const float> log_probability() const { return log_probability_; }

 private:
  // A place of the alias table (Walker 1977, Vose 1991): the item itself when a
  // draw of 32 bits is below the threshold, else the alias.
  struct AliasPlace {
    uint32_t threshold = 0;
    uint32_t alias = 0;
  };

  NegativeSampler() = default;
  void Exclude(const Interactions& train, absl::Span<const Event> held_out);
  std::optional<uint32_t> UserWithAllExcluded(const Interactions& train) const;
  void FillBits();
  void FillAliasTable(const Interactions& train);

  // How a hash becomes an item, and which items a user does not get.
  struct UniformPick;
  struct PopularityPick;
  struct ExcludedBits;
  struct ExcludedRow;

  template <class Pick, class Excluded>
  void DrawWith(const Pick& pick, const Excluded& excluded, uint64_t stream,
                absl::Span<const uint32_t> users, uint32_t n, size_t stride,
                uint32_t* items, uint64_t first_group) const;
  template <class Pick, class OfUser>
  uint32_t Redraw(const Pick& pick, const OfUser& of_user, uint32_t user,
                  uint64_t hash) const;
  uint32_t DrawAmongTheRest(uint32_t user, uint64_t hash) const;
  template <class Pick>
  void DrawSharedWith(const Pick& pick, uint64_t stream, uint32_t n,
                      std::vector<uint64_t>* taken) const;
  void TakeFromTheRest(uint64_t stream, uint32_t n,
                       std::vector<uint64_t>* taken) const;

  SamplerOptions options_;
  uint64_t num_items_ = 0;
  // The items never drawn for a user, null for uniform: train itself, or
  // `merged_`.
  const Interactions* excluded_ = nullptr;
  std::unique_ptr<const Interactions> merged_;
  // The same as a bit each, [U, words_per_user_]; empty when that is too much
  // memory.
  std::vector<uint64_t> excluded_bits_;
  uint64_t words_per_user_ = 0;
  std::vector<AliasPlace> alias_table_;  // [I], of popularity
  std::vector<float> log_probability_;
};

}  // namespace neumf
