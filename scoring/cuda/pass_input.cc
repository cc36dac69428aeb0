#include "scoring/cuda/pass_input.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/logging.h"
#include "scoring/eligibility.h"

namespace neumf::cuda {
namespace {

constexpr uint32_t kWordBits = 32;

uint64_t Aligned(uint64_t bytes) {
  return (bytes + kInputAlignment - 1) / kInputAlignment * kInputAlignment;
}

uint64_t FloatBytes(uint64_t count) { return count * sizeof(float); }

// The vectors of all users, one after the other.
void WriteVectors(absl::Span<const RankQuery> queries,
                  const float* RankQuery::*vector, uint32_t width,
                  std::byte* to) {
  if (width == 0) return;
  for (const RankQuery& query : queries) {
    std::memcpy(to, query.*vector, FloatBytes(width));
    to += FloatBytes(width);
  }
}

void WriteList(absl::Span<const uint32_t> rows, uint32_t begin, std::byte* to) {
  if (rows.empty()) return;
  std::memcpy(to + uint64_t{begin} * sizeof(uint32_t), rows.data(),
              rows.size() * sizeof(uint32_t));
}

void WriteRows(const RankQuery& query, const PassQuery& planned,
               std::byte* to) {
  if (planned.kind == QueryKind::kIdle) return;
  WriteList(query.seen, planned.seen_begin, to);
  WriteList(query.excluded, planned.excluded_begin, to);
  if (planned.kind == QueryKind::kList) {
    WriteList(*query.allow_rows, planned.list_begin, to);
  }
}

}  // namespace

uint64_t InputBytes(const RankQuery& query, const ModelShape& shape) {
  const uint64_t num_listed = query.allow_rows ? query.allow_rows->size() : 0;
  const bool may_have_mask = query.allow_mask != nullptr || query.allow_rows;
  return Aligned(sizeof(PassHeader)) + Aligned(sizeof(PassQuery)) +
         Aligned(FloatBytes(shape.gmf_width)) +
         Aligned(FloatBytes(shape.tower_width())) +
         Aligned((query.seen.size() + query.excluded.size() + num_listed) *
                 sizeof(uint32_t)) +
         (may_have_mask ? Aligned((shape.num_items + 63) / 64 * 8) : 0);
}

void PassInput::Plan(absl::Span<const RankQuery> queries,
                     const ModelShape& shape, uint32_t capacity) {
  queries_ = queries;
  num_items_ = shape.num_items;
  gmf_width_ = shape.gmf_width;
  tower_width_ = shape.tower_width();
  header_ = PassHeader();
  header_.num_users = static_cast<uint32_t>(queries.size());
  planned_.clear();
  cancelled_.clear();
  masks_.clear();
  num_rows_ = 0;
  for (const RankQuery& query : queries) PlanQuery(query, capacity);
  PlaceParts();
}

void PassInput::PlanQuery(const RankQuery& query, uint32_t capacity) {
  PassQuery& planned = planned_.emplace_back();
  cancelled_.push_back(IsCancelled(query));
  if (query.k == 0 || cancelled_.back()) return;
  planned.k = static_cast<uint32_t>(std::min<uint64_t>(query.k, num_items_));
  header_.result_stride = std::max(header_.result_stride, planned.k);

  planned.seen_count = static_cast<uint32_t>(query.seen.size());
  planned.seen_begin = AddRows(query.seen.size());
  planned.excluded_count = static_cast<uint32_t>(query.excluded.size());
  planned.excluded_begin = AddRows(query.excluded.size());
  Mask mask;
  mask.mask = query.allow_mask;
  planned.kind = QueryKind::kScan;
  if (query.allow_rows && query.allow_rows->size() > capacity) {
    mask.rows = *query.allow_rows;
    mask.has_rows = true;
  } else if (query.allow_rows) {
    planned.kind = QueryKind::kList;
    planned.list_count = static_cast<uint32_t>(query.allow_rows->size());
    planned.list_begin = AddRows(query.allow_rows->size());
  }
  if (mask.mask != nullptr || mask.has_rows) planned.mask_begin = PlaceOf(mask);
}

uint32_t PassInput::PlaceOf(const Mask& mask) {
  const auto same =
      std::find_if(masks_.begin(), masks_.end(), [&mask](const Mask& other) {
        return other.mask == mask.mask && other.has_rows == mask.has_rows &&
               other.rows.data() == mask.rows.data() &&
               other.rows.size() == mask.rows.size();
      });
  const uint64_t place = (same - masks_.begin()) * mask_words();
  NEUMF_CHECK(place + mask_words() <= kNone);
  if (same == masks_.end()) masks_.push_back(mask);
  return static_cast<uint32_t>(place);
}

uint32_t PassInput::AddRows(size_t count) {
  const uint64_t begin = num_rows_;
  num_rows_ += count;
  NEUMF_CHECK(num_rows_ <= std::numeric_limits<uint32_t>::max());
  return static_cast<uint32_t>(begin);
}

void PassInput::PlaceParts() {
  const uint64_t num_users = queries_.size();
  uint64_t end = Aligned(sizeof(PassHeader));
  const auto place = [&end](uint64_t bytes) {
    const uint64_t begin = end;
    end += Aligned(bytes);
    return begin;
  };
  // What comes before the rows is small: vectors of one pass.
  header_.queries = static_cast<uint32_t>(place(num_users * sizeof(PassQuery)));
  header_.user_gmf =
      static_cast<uint32_t>(place(FloatBytes(num_users * gmf_width_)));
  header_.user_tower =
      static_cast<uint32_t>(place(FloatBytes(num_users * tower_width_)));
  header_.rows = static_cast<uint32_t>(place(num_rows_ * sizeof(uint32_t)));
  header_.masks = place(masks_.size() * mask_words() * sizeof(uint32_t));
  size_bytes_ = end;
}

void PassInput::WriteTo(std::byte* to) const {
  std::memcpy(to, &header_, sizeof(header_));
  std::memcpy(to + header_.queries, planned_.data(),
              planned_.size() * sizeof(PassQuery));
  WriteVectors(queries_, &RankQuery::user_gmf, gmf_width_,
               to + header_.user_gmf);
  WriteVectors(queries_, &RankQuery::user_tower, tower_width_,
               to + header_.user_tower);
  for (size_t user = 0; user < queries_.size(); ++user) {
    WriteRows(queries_[user], planned_[user], to + header_.rows);
  }
  auto* words = reinterpret_cast<uint32_t*>(to + header_.masks);
  for (const Mask& mask : masks_) {
    WriteMask(mask, words);
    words += mask_words();
  }
}

// A 64-bit word of ItemMask is two of ours, the low half first, on the
// little-endian hosts that CUDA has.
void PassInput::WriteMask(const Mask& mask, uint32_t* words) const {
  const size_t bytes = mask_words() * sizeof(uint32_t);
  if (!mask.has_rows) {
    std::memcpy(words, mask.mask->words().data(), bytes);
    return;
  }
  std::memset(words, 0, bytes);
  for (const uint32_t row : mask.rows) {
    if (mask.mask != nullptr && !mask.mask->allows(row)) continue;
    words[row / kWordBits] |= uint32_t{1} << (row % kWordBits);
  }
}

}  // namespace neumf::cuda
