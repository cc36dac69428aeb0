#include "scoring/cuda/pass_size.h"

#include <algorithm>

#include "base/logging.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/pass_input.h"

namespace neumf::cuda {
namespace {

// A level leaves about K times the ratio of two levels (levels.h), so a list
// that holds as many candidates rarely overflows.
constexpr uint64_t kCandidatesPerResult = kLevelRatio;
constexpr uint64_t kLeastBucket = 512;
constexpr uint64_t kUsualCapacity = kLeastBucket * 2 * kCandidatesPerResult;
// The first level keeps all it scans: half of a list.
constexpr uint64_t kFirstItemsPerResult = kCandidatesPerResult / 2;
// What Finish (kernels/finish.h) asks for.
constexpr uint64_t kLeastCandidatesPerResult = 4;
// Results of a user for which there is always room.
constexpr uint64_t kUsualResults = 2 * kLeastBucket;
// Input bytes that a pass of several users takes at most: they lie in pinned
// memory, which is dear.
constexpr uint64_t kMaxInputBytes = uint64_t{256} << 20;
// Seen rows and the like of a user for which there is room from the start.
constexpr uint64_t kUsualRows = 1024;

uint64_t RoundUp(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

uint64_t BucketOf(uint64_t k) {
  uint64_t bucket = kLeastBucket;
  while (bucket < k) bucket *= 2;
  return bucket;
}

}  // namespace

Levels PassSize::MakeLevelsOf(uint64_t num_items) const {
  const auto num_chunks =
      static_cast<uint32_t>(RoundUp(num_items, kChunkItems) / kChunkItems);
  // With room to spare one level is all it takes.
  const bool is_small = num_items <= capacity / 4;
  return MakeLevels(num_chunks, is_small ? num_chunks : first_chunks);
}

PassSizes::PassSizes(uint64_t num_items, uint32_t max_users)
    : num_items_(num_items),
      max_users_(static_cast<uint32_t>(
          RoundUp(std::min(max_users, kMaxPassUsers), kGroupUsers))) {
  NEUMF_CHECK(max_users > 0);
}

PassSize PassSizes::Of(uint32_t k) const {
  const uint64_t bucket = BucketOf(k);
  const uint64_t wanted =
      std::min(RoundUp(num_items_, kChunkItems),
               std::max(kUsualCapacity, kCandidatesPerResult * bucket));
  const uint64_t least = kLeastCandidatesPerResult * bucket;
  PassSize size;
  size.bucket_k = static_cast<uint32_t>(std::min<uint64_t>(bucket, kNone));
  size.capacity = std::max(wanted, least);
  // One user alone takes less rather than memory that is not there yet.
  if (size.capacity > num_candidates()) {
    size.capacity = std::max(least, num_candidates());
  }
  size.users = static_cast<uint32_t>(std::max<uint64_t>(
      1, std::min({uint64_t{max_users_}, num_candidates() / size.capacity,
                   num_results() / std::max<uint32_t>(k, 1)})));
  size.first_chunks = static_cast<uint32_t>(
      std::min(kFirstItemsPerResult * bucket, size.capacity) / kChunkItems);
  return size;
}

size_t PassSizes::Take(absl::Span<const RankQuery> queries,
                       const ModelShape& shape) const {
  uint64_t bytes = 0;
  uint32_t max_k = 1;
  size_t count = 0;
  for (const RankQuery& query : queries) {
    const auto k =
        static_cast<uint32_t>(std::min<uint64_t>(query.k, num_items_));
    max_k = std::max(max_k, k);
    bytes += cuda::InputBytes(query, shape);
    const bool fits = count < Of(max_k).users && bytes <= kMaxInputBytes;
    if (count > 0 && !fits) break;
    ++count;
  }
  return count;
}

uint64_t PassSizes::num_candidates() const {
  const uint64_t usual =
      std::min(RoundUp(num_items_, kChunkItems), kUsualCapacity);
  return max_users_ * std::max(usual, kLeastCandidatesPerResult * kLeastBucket);
}

uint64_t PassSizes::num_results() const {
  return max_users_ * std::min(num_items_, kUsualResults);
}

uint64_t PassSizes::InputBytes(const ModelShape& shape) const {
  const std::vector<uint32_t> rows(kUsualRows);
  RankQuery query;
  query.seen = rows;
  return max_users_ * cuda::InputBytes(query, shape);
}

}  // namespace neumf::cuda
