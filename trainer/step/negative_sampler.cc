#include "trainer/step/negative_sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/numeric/bits.h"
#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "trainer/step/draws.h"
#include "trainer/step/names.h"

namespace neumf {
namespace {

constexpr Named<SamplerKind> kSamplerKinds[] = {
    {"pool", SamplerKind::kPool},
    {"reject", SamplerKind::kReject},
    {"uniform", SamplerKind::kUniform},
    {"popularity", SamplerKind::kPopularity},
};

constexpr uint64_t kWordBits = 64;
// Above it the excluded items are looked up in sorted rows.
constexpr uint64_t kMaxBitsBytes = uint64_t{256} << 20;
constexpr double kMaxPower = 10;

// A hash as a number in (0, 1].
double UnitOf(uint64_t hash) {
  return static_cast<double>((hash >> 11) + 1) * 0x1p-53;
}

inline bool TestBit(const uint64_t* words, uint32_t item) {
  return (words[item / kWordBits] >> (item % kWordBits) & 1) != 0;
}

inline void SetBit(uint64_t* words, uint32_t item) {
  words[item / kWordBits] |= uint64_t{1} << (item % kWordBits);
}

uint32_t NthOutside(absl::Span<const uint32_t> excluded, uint32_t rank) {
  return neumf::NthOutside(excluded.data(),
                           static_cast<uint32_t>(excluded.size()), rank);
}

// All events, as far as the matrix is concerned.
std::vector<Event> EventsOf(const Interactions& interactions) {
  std::vector<Event> events;
  events.reserve(interactions.num_interactions());
  for (uint32_t user = 0; user < interactions.num_users(); ++user) {
    for (const uint32_t item : interactions.row(user)) {
      Event event;
      event.user = user;
      event.item = item;
      events.push_back(event);
    }
  }
  return events;
}

}  // namespace

const char* SamplerKindName(SamplerKind kind) {
  return NameOf<SamplerKind>(kind, kSamplerKinds);
}

struct NegativeSampler::UniformPick {
  uint64_t num_items;

  uint32_t operator()(uint64_t hash) const {
    return PickBelow(hash, num_items);
  }
};

// The low half is as uniform within the item's share: it serves as the second
// random number that an alias table wants.
struct NegativeSampler::PopularityPick {
  const AliasPlace* table;
  uint64_t num_items;

  uint32_t operator()(uint64_t hash) const {
    const absl::uint128 product = absl::uint128(hash) * num_items;
    const auto place = static_cast<uint32_t>(absl::Uint128High64(product));
    const auto rest = static_cast<uint32_t>(absl::Uint128Low64(product) >> 32);
    return rest < table[place].threshold ? place : table[place].alias;
  }
};

struct NegativeSampler::ExcludedBits {
  const uint64_t* bits;
  uint64_t words_per_user;

  struct OfUser {
    const uint64_t* words;
    bool Contains(uint32_t item) const { return TestBit(words, item); }
  };
  OfUser Of(uint32_t user) const { return {bits + user * words_per_user}; }
};

struct NegativeSampler::ExcludedRow {
  const Interactions* rows;

  struct OfUser {
    absl::Span<const uint32_t> row;
    bool Contains(uint32_t item) const {
      return std::binary_search(row.begin(), row.end(), item);
    }
  };
  OfUser Of(uint32_t user) const { return {rows->row(user)}; }
};

absl::StatusOr<NegativeSampler> NegativeSampler::Create(
    const SamplerOptions& options, const Interactions& train,
    absl::Span<const Event> held_out) {
  if (train.num_items() == 0) {
    return absl::InvalidArgumentError(
        "there are no items to draw negatives from");
  }
  if (!(options.popularity_power >= 0 &&
        options.popularity_power <= kMaxPower)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the power of popularity is ", options.popularity_power,
                     "; it has to be from 0 to ", kMaxPower));
  }
  NegativeSampler sampler;
  sampler.options_ = options;
  sampler.num_items_ = train.num_items();
  if (options.kind != SamplerKind::kUniform) {
    sampler.Exclude(train, held_out);
    if (const auto user = sampler.UserWithAllExcluded(train)) {
      return absl::InvalidArgumentError(
          absl::StrCat("user row ", *user, " has all ", train.num_items(),
                       " items: there is no negative to draw"));
    }
    sampler.FillBits();
  }
  if (options.kind == SamplerKind::kPopularity) {
    sampler.FillAliasTable(train);
  } else {
    const double log_items = std::log(static_cast<double>(train.num_items()));
    sampler.log_probability_.assign(train.num_items(),
                                    static_cast<float>(-log_items));
  }
  return sampler;
}

std::optional<uint32_t> NegativeSampler::UserWithoutNegatives(
    SamplerKind kind, const Interactions& train,
    absl::Span<const Event> held_out) {
  if (kind == SamplerKind::kUniform) return std::nullopt;
  NegativeSampler sampler;
  sampler.options_.kind = kind;
  sampler.num_items_ = train.num_items();
  sampler.Exclude(train, held_out);
  return sampler.UserWithAllExcluded(train);
}

void NegativeSampler::Exclude(const Interactions& train,
                              absl::Span<const Event> held_out) {
  excluded_ = &train;
  if (options_.kind == SamplerKind::kPool) {
    std::vector<Event> events = EventsOf(train);
    events.insert(events.end(), held_out.begin(), held_out.end());
    merged_ = std::make_unique<const Interactions>(train.num_users(),
                                                   num_items_, events);
    excluded_ = merged_.get();
  }
}

std::optional<uint32_t> NegativeSampler::UserWithAllExcluded(
    const Interactions& train) const {
  for (uint32_t user = 0; user < train.num_users(); ++user) {
    if (!train.row(user).empty() && excluded_->row(user).size() == num_items_) {
      return user;
    }
  }
  return std::nullopt;
}

void NegativeSampler::FillBits() {
  const uint64_t num_users = excluded_->num_users();
  words_per_user_ = (num_items_ + kWordBits - 1) / kWordBits;
  if (num_users * words_per_user_ > kMaxBitsBytes / sizeof(uint64_t)) return;
  excluded_bits_.resize(num_users * words_per_user_);
  for (uint64_t user = 0; user < num_users; ++user) {
    uint64_t* const words = excluded_bits_.data() + user * words_per_user_;
    for (const uint32_t item : excluded_->row(user)) SetBit(words, item);
  }
}

void NegativeSampler::FillAliasTable(const Interactions& train) {
  std::vector<double> share(num_items_);  // of its place, 1 on average
  const std::vector<uint32_t> counts = train.ItemCounts();
  for (uint64_t i = 0; i < num_items_; ++i) {
    share[i] = std::pow(std::max(counts[i], 1U), options_.popularity_power);
  }
  const double total = std::accumulate(share.begin(), share.end(), 0.0);
  log_probability_.resize(num_items_);
  alias_table_.resize(num_items_);
  std::vector<uint32_t> small;
  std::vector<uint32_t> large;
  for (uint32_t i = 0; i < num_items_; ++i) {
    log_probability_[i] = static_cast<float>(std::log(share[i] / total));
    share[i] *= static_cast<double>(num_items_) / total;
    alias_table_[i].alias = i;  // what rounding leaves over is a whole place
    (share[i] < 1 ? small : large).push_back(i);
  }
  // Each item with less than a place of its own fills it up with one that has
  // more.
  while (!small.empty() && !large.empty()) {
    const uint32_t filled = small.back();
    const uint32_t giver = large.back();
    small.pop_back();
    alias_table_[filled] = {static_cast<uint32_t>(share[filled] * 0x1p32),
                            giver};
    share[giver] -= 1 - share[filled];
    if (share[giver] >= 1) continue;
    large.pop_back();
    small.push_back(giver);
  }
}

void NegativeSampler::Draw(uint64_t stream, absl::Span<const uint32_t> users,
                           uint32_t n, size_t stride, uint32_t* items,
                           uint64_t first_group) const {
  const UniformPick uniform{num_items_};
  const PopularityPick popularity{alias_table_.data(), num_items_};
  const ExcludedBits bits{excluded_bits_.data(), words_per_user_};
  const ExcludedRow rows{excluded_};
  const bool by_popularity = options_.kind == SamplerKind::kPopularity;
  if (options_.kind == SamplerKind::kUniform) {
    const uint64_t base = StreamBase(options_.seed, stream, DrawUse::kGroups);
    for (size_t g = 0; g < users.size(); ++g) {
      uint32_t* const row = items + g * stride + 1;
      for (uint32_t j = 0; j < n; ++j)
        row[j] = uniform(DrawHash(base, (first_group + g) * n + j));
    }
  } else if (excluded_bits_.empty()) {
    if (by_popularity) {
      DrawWith(popularity, rows, stream, users, n, stride, items, first_group);
    } else {
      DrawWith(uniform, rows, stream, users, n, stride, items, first_group);
    }
  } else if (by_popularity) {
    DrawWith(popularity, bits, stream, users, n, stride, items, first_group);
  } else {
    DrawWith(uniform, bits, stream, users, n, stride, items, first_group);
  }
}

template <class Pick, class Excluded>
void NegativeSampler::DrawWith(const Pick& pick, const Excluded& excluded,
                               uint64_t stream,
                               absl::Span<const uint32_t> users, uint32_t n,
                               size_t stride, uint32_t* items,
                               uint64_t first_group) const {
  const uint64_t base = StreamBase(options_.seed, stream, DrawUse::kGroups);
  const uint32_t* const user_rows = users.data();
  const size_t num_groups = users.size();
  for (size_t g = 0; g < num_groups; ++g) {
    const auto of_user = excluded.Of(user_rows[g]);
    uint32_t* const row = items + g * stride + 1;
    for (uint32_t j = 0; j < n; ++j) {
      const uint64_t hash = DrawHash(base, (first_group + g) * n + j);
      uint32_t item = pick(hash);
      if (of_user.Contains(item)) {
        item = Redraw(pick, of_user, user_rows[g], hash);
      }
      row[j] = item;
    }
  }
}

// The second counter: the rejected hash begins a stream.
template <class Pick, class OfUser>
uint32_t NegativeSampler::Redraw(const Pick& pick, const OfUser& of_user,
                                 uint32_t user, uint64_t hash) const {
  for (uint64_t attempt = 0; attempt < kMaxRedraws; ++attempt) {
    const uint32_t item = pick(DrawHash(hash, attempt));
    if (!of_user.Contains(item)) return item;
  }
  return DrawAmongTheRest(user, DrawHash(hash, kMaxRedraws));
}

uint32_t NegativeSampler::DrawAmongTheRest(uint32_t user, uint64_t hash) const {
  const absl::Span<const uint32_t> excluded = excluded_->row(user);
  NEUMF_CHECK(excluded.size() < num_items_);
  const auto num_free = static_cast<uint32_t>(num_items_ - excluded.size());
  if (options_.kind != SamplerKind::kPopularity) {
    return NthOutside(excluded, UniformPick{num_free}(hash));
  }
  const auto probability = [&](uint32_t item) {
    return std::exp(static_cast<double>(log_probability_[item]));
  };
  double total = 0;
  for (uint32_t rank = 0; rank < num_free; ++rank) {
    total += probability(NthOutside(excluded, rank));
  }
  double left = total * UnitOf(hash);
  uint32_t item = 0;
  for (uint32_t rank = 0; rank < num_free; ++rank) {
    item = NthOutside(excluded, rank);
    left -= probability(item);
    if (left <= 0) break;
  }
  return item;  // the last one where rounding leaves a little
}

void NegativeSampler::DrawShared(uint64_t stream, uint32_t n,
                                 std::vector<uint32_t>* items) const {
  if (n >= num_items_) {
    items->resize(num_items_);
    std::iota(items->begin(), items->end(), 0U);
    return;
  }
  // Bits come out in order.
  std::vector<uint64_t> taken((num_items_ + kWordBits - 1) / kWordBits);
  if (options_.kind == SamplerKind::kPopularity) {
    DrawSharedWith(PopularityPick{alias_table_.data(), num_items_}, stream, n,
                   &taken);
  } else {
    DrawSharedWith(UniformPick{num_items_}, stream, n, &taken);
  }
  items->clear();
  items->reserve(n);
  for (size_t w = 0; w < taken.size(); ++w) {
    for (uint64_t word = taken[w]; word != 0; word &= word - 1) {
      items->push_back(static_cast<uint32_t>(
          w * kWordBits + static_cast<uint64_t>(absl::countr_zero(word))));
    }
  }
}

template <class Pick>
void NegativeSampler::DrawSharedWith(const Pick& pick, uint64_t stream,
                                     uint32_t n,
                                     std::vector<uint64_t>* taken) const {
  const uint64_t base = StreamBase(options_.seed, stream, DrawUse::kShared);
  // As many draws as uniform ones need for up to four fifths of all items.
  const uint64_t max_draws = 2 * uint64_t{n};
  uint32_t num_taken = 0;
  for (uint64_t draw = 0; draw < max_draws && num_taken < n; ++draw) {
    const uint32_t item = pick(DrawHash(base, draw));
    if (TestBit(taken->data(), item)) continue;
    SetBit(taken->data(), item);
    ++num_taken;
  }
  if (num_taken < n) TakeFromTheRest(stream, n - num_taken, taken);
}

// Draws one after another without those drawn before take what rings first when
// each item has a clock that rings after an exponential time of its rate
// (Efraimidis and Spirakis 2006).
void NegativeSampler::TakeFromTheRest(uint64_t stream, uint32_t n,
                                      std::vector<uint64_t>* taken) const {
  const uint64_t base = StreamBase(options_.seed, stream, DrawUse::kSharedRest);
  std::vector<std::pair<double, uint32_t>> clocks;
  for (uint32_t item = 0; item < num_items_; ++item) {
    if (TestBit(taken->data(), item)) continue;
    const double rate = std::exp(static_cast<double>(log_probability_[item]));
    clocks.emplace_back(-std::log(UnitOf(DrawHash(base, item))) / rate, item);
  }
  std::nth_element(clocks.begin(), clocks.begin() + n, clocks.end());
  for (uint32_t i = 0; i < n; ++i) SetBit(taken->data(), clocks[i].second);
}

}  // namespace neumf
