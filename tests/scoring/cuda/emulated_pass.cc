#include "tests/scoring/cuda/emulated_pass.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "scoring/rank_key.h"

namespace neumf::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint64_t kNonsense = 0xABABABABABABABAB;

}  // namespace

std::vector<std::pair<uint32_t, uint32_t>> RowsAndBits(
    const std::vector<ScoredRow>& items) {
  std::vector<std::pair<uint32_t, uint32_t>> all;
  for (const ScoredRow& item : items) {
    uint32_t bits;
    std::memcpy(&bits, &item.score, sizeof bits);
    all.emplace_back(item.row, bits);
  }
  return all;
}

EmulatedPass::EmulatedPass(absl::Span<const RankQuery> queries,
                           const ModelShape& shape, uint32_t capacity) {
  PassInput input;
  input.Plan(queries, shape, capacity);
  input_.resize(input.size_bytes() / sizeof(Words4) + 1);
  input.WriteTo(reinterpret_cast<std::byte*>(input_.data()));
  const auto num_users = static_cast<uint32_t>(queries.size());
  // At least one who is absent.
  const uint32_t max_users = (num_users / kGroupUsers + 1) * kGroupUsers;
  thresholds_.assign(max_users, -kInfinity);
  margins_.assign(max_users, 0);
  counts_.assign(max_users, 0);
  outcomes_.assign(max_users, Outcome::kReady);
  candidates_.assign(size_t{max_users} * capacity, kNonsense);
  results_.resize(max_users);
  entries_.resize(size_t{max_users} * input.max_k());

  pass_.max_users = max_users;
  pass_.capacity = capacity;
  pass_.input = reinterpret_cast<const std::byte*>(input_.data());
  pass_.threshold = thresholds_.data();
  pass_.margin = margins_.data();
  pass_.count = counts_.data();
  pass_.outcome = outcomes_.data();
  pass_.candidates = candidates_.data();
  pass_.results = results_.data();
  pass_.entries = entries_.data();
}

void EmulatedPass::Push(uint32_t user, absl::Span<const ScoredRow> candidates) {
  for (const ScoredRow& candidate : candidates) {
    const uint32_t place = counts_[user]++;
    if (place >= pass_.capacity) continue;
    candidates_[size_t{user} * pass_.capacity + place] = RankKey(candidate);
  }
}

std::vector<ScoredRow> EmulatedPass::Candidates(uint32_t user) const {
  const uint64_t* const keys =
      candidates_.data() + size_t{user} * pass_.capacity;
  const uint32_t count = std::min(counts_[user], pass_.capacity);
  std::vector<ScoredRow> candidates(count);
  std::transform(keys, keys + count, candidates.begin(), FromRankKey);
  std::sort(candidates.begin(), candidates.end());
  return candidates;
}

std::vector<ScoredRow> EmulatedPass::Answer(uint32_t user) const {
  const PassEntry* const entries =
      entries_.data() + size_t{user} * pass_.header().result_stride;
  std::vector<ScoredRow> answer;
  for (uint32_t i = 0; i < results_[user].count; ++i) {
    answer.push_back({entries[i].score, entries[i].row});
  }
  return answer;
}

}  // namespace neumf::cuda
