#pragma once

// How a scan hands an item that passed its user's threshold to the user's list.
// Few items come here: what an answer leaves out is looked up now, not before.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/bits.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/eligible.h"
#include "scoring/cuda/kernels/rank_keys.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// By all lanes of a warp: appends item `row` to the list of `user` where
// `passes` and the item is eligible; beyond the list's capacity it only counts.
// Lanes whose bits are in `peers`, this lane's among them, have the same user,
// so that one atomic operation makes room for all of them. `row` may be beyond
// the catalog and `user` beyond the pass where `passes` is false.
template <typename Thread>
NEUMF_DEVICE void Offer(Thread& thread, const Pass& pass, uint32_t peers,
                        uint32_t user, uint32_t row, float score, bool passes) {
  const bool keeps = passes && IsEligible(pass, pass.queries()[user], row);
  const uint32_t keepers = thread.Ballot(keeps) & peers;
  const uint32_t leader = keepers == 0 ? 0 : LowestBit(keepers);
  uint32_t place = 0;
  if (keeps && thread.lane() == leader) {
    place = thread.AtomicAdd(&pass.count[user], CountBits(keepers));
  }
  place = thread.Shuffle(place, leader) +
          CountBits(keepers & LanesBelow(thread.lane()));
  if (keeps && place < pass.capacity) {
    pass.candidates[uint64_t{user} * pass.capacity + place] =
        RankKeyOf(score, row);
  }
}

}  // namespace neumf::cuda
