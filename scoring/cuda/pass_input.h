#pragma once

// Queries as the kernels of a pass read them: a PassHeader and its arrays
// (kernels/views.h), in one run of bytes that a single copy takes to the device.
//
//   PassInput input;                      // reused: its memory stays
//   input.Plan(queries, shape, capacity);
//   input.WriteTo(pinned_memory);         // of at least input.size_bytes()
//
// No device is needed here. For one thread at a time.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "model/serving_model.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/scorer.h"

namespace neumf::cuda {

// What each part of an input is aligned to.
constexpr size_t kInputAlignment = 16;

// Of an input of this query alone, at most: inputs of several take no more than
// the sum.
uint64_t InputBytes(const RankQuery& query, const ModelShape& shape);

class PassInput {
 public:
  // Lays out `queries`, which must outlive WriteTo(). Those with nothing to
  // answer, or that nobody waits for, become idle; lists of more than `capacity`
  // rows become masks; masks that queries share are taken once. REQUIRES:
  // CheckQuery() of each; places of all rows and mask words fit 32 bits.
  void Plan(absl::Span<const RankQuery> queries, const ModelShape& shape,
            uint32_t capacity);

  size_t size_bytes() const { return size_bytes_; }
  uint32_t num_users() const { return header_.num_users; }
  // The largest k of a query that is not idle.
  uint32_t max_k() const { return header_.result_stride; }
  // Whether no query has anything to answer.
  bool is_idle() const { return header_.result_stride == 0; }
  // As planned: a flag that is raised later is not seen any more.
  bool is_cancelled(size_t user) const { return cancelled_[user]; }
  const PassQuery& query(size_t user) const { return planned_[user]; }

  // All size_bytes(). REQUIRES: `to` is aligned to kInputAlignment.
  void WriteTo(std::byte* to) const;

 private:
  // Bits to write: of a mask, of a list, or of both.
  struct Mask {
    const ItemMask* mask = nullptr;
    absl::Span<const uint32_t> rows;
    bool has_rows = false;
  };

  void PlanQuery(const RankQuery& query, uint32_t capacity);
  // The place of the mask, in words; one that is alike is used again.
  uint32_t PlaceOf(const Mask& mask);
  uint32_t AddRows(size_t count);
  void PlaceParts();
  void WriteMask(const Mask& mask, uint32_t* words) const;
  uint64_t mask_words() const { return (num_items_ + 63) / 64 * 2; }

  absl::Span<const RankQuery> queries_;
  uint64_t num_items_ = 0;
  uint32_t gmf_width_ = 0;
  uint32_t tower_width_ = 0;
  PassHeader header_;
  std::vector<PassQuery> planned_;
  std::vector<bool> cancelled_;
  std::vector<Mask> masks_;
  uint64_t num_rows_ = 0;
  size_t size_bytes_ = 0;
};

}  // namespace neumf::cuda
