#pragma once

// A model in halves as the coarse scans read it, made here from its definition
// and device/fragments.h alone, without the backend's own packing; the users of
// a pass; and what every score should come to.

#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

struct CoarseCatalogOptions {
  uint32_t num_items = 1;
  uint32_t num_users = 1;
  uint32_t max_users = 8;          // U'
  uint32_t gmf_width = 8;          // a multiple of 8; 0 without
  uint32_t widths[3] = {0, 0, 0};  // a tower's of towers.h
  uint32_t capacity = 0;           // 0: I
  uint32_t seed = 1;
};

class CoarseCatalog {
 public:
  explicit CoarseCatalog(const CoarseCatalogOptions& options);

  // Leaves `rows`, ascending, out for `user`; before pass().
  void SetSeen(uint32_t user, std::vector<uint32_t> rows);
  void SetThreshold(uint32_t user, float threshold) {
    threshold_[user] = threshold;
  }

  const CoarseModel& model() const { return model_; }
  // Valid until the catalog is changed.
  const Pass& pass();

  // The coarse score of a pair, by its definition: each activation rounded to a
  // half, sums in double.
  double Score(uint32_t user, uint32_t item) const;

  // What a scan has pushed.
  uint32_t num_pushed(uint32_t user) const { return count_[user]; }
  // Fails when a score is not Score()'s to 1 in 100, as activations round to
  // either half, or a row is there twice.
  std::set<uint32_t> CheckedRows(uint32_t user) const;

 private:
  using Matrix = std::vector<float>;  // of values that are halves, row-major

  Matrix Draw(size_t count, float scale);
  void PackItems();
  void PackLayers();
  void PackUsers();
  uint32_t tower_width() const { return options_.widths[0]; }

  const CoarseCatalogOptions options_;
  std::mt19937 random_;
  std::vector<uint32_t> widths_;  // without zeros
  Matrix item_tower_, item_gmf_, user_tower_, user_gmf_, head_;
  std::vector<Matrix> weights_;  // of layer 2, 3: [out, in]
  std::vector<Matrix> biases_;
  std::vector<float> start_;

  // As kernels see it.
  CoarseModel model_;
  std::vector<Words4> tower_fragments_;
  std::vector<Words2> gmf_fragments_;
  std::vector<std::vector<Words2>> weight_fragments_;
  std::vector<Words2> head_words_;
  std::vector<uint32_t> user_tower_words_, user_gmf_words_;
  std::vector<std::vector<uint32_t>> seen_;
  std::vector<float> threshold_;
  std::vector<Words4> input_;
  std::vector<uint32_t> count_;
  std::vector<uint64_t> candidates_;
  Pass pass_;
};

}  // namespace neumf::cuda
