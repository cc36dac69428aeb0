#include "trainer/negative_sampler.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

// The `rank`-th (from 0) item row that is not in `excluded`, which ascends.
uint32_t NthOutside(absl::Span<const uint32_t> excluded, uint32_t rank) {
  // excluded[n] - n rows below excluded[n] are outside, so the answer has as
  // many excluded rows below it as there are n with excluded[n] - n <= rank.
  uint32_t low = 0;
  auto high = static_cast<uint32_t>(excluded.size());
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (excluded[middle] - middle <= rank) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return rank + low;
}

}  // namespace

absl::StatusOr<PoolSampler> PoolSampler::Create(
    const Interactions& train, absl::Span<const Event> held_out) {
  std::vector<Event> events(held_out.begin(), held_out.end());
  events.reserve(events.size() + train.num_interactions());
  for (uint32_t user = 0; user < train.num_users(); ++user) {
    for (uint32_t item : train.row(user)) {
      Event event;
      event.user = user;
      event.item = item;
      events.push_back(event);
    }
  }
  Interactions excluded(train.num_users(), train.num_items(), events);
  for (uint32_t user = 0; user < train.num_users(); ++user) {
    if (!train.row(user).empty() &&
        excluded.row(user).size() == train.num_items()) {
      return absl::InvalidArgumentError(
          absl::StrCat("user row ", user, " has all ", train.num_items(),
                       " items: there is no negative to draw"));
    }
  }
  return PoolSampler(std::move(excluded));
}

uint32_t PoolSampler::Draw(uint32_t user, Random& random) const {
  const absl::Span<const uint32_t> excluded = excluded_.row(user);
  const auto pool_size =
      static_cast<uint32_t>(excluded_.num_items() - excluded.size());
  return NthOutside(excluded, random.Below(pool_size));
}

}  // namespace neumf
