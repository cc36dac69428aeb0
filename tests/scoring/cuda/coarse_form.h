#pragma once

// A model's coarse form as the backend's own functions and kernels make it, on
// the emulator, read back from its fragments; and the coarse scores of users, by
// their definition.

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "scoring/cuda/coarse_network.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/scorer.h"
#include "tests/scoring/cuda/emulated_pass.h"
#include "tests/support/gpu_emulator/run_grid.h"
#include "tests/support/tiny_model.h"

namespace neumf::cuda {

// How the sums of a multiplication are rounded.
enum class CoarseSums {
  kNearest,
  kAligned,  // as MmaSums::kAligned
  kUp,       // as far up as kTensorCoreRounding allows
  kDown,
};
constexpr CoarseSums kAllCoarseSums[] = {CoarseSums::kNearest,
                                         CoarseSums::kAligned, CoarseSums::kUp,
                                         CoarseSums::kDown};

// A matrix of halves as numbers, row-major.
struct HalfMatrix {
  HalfMatrix() = default;
  HalfMatrix(uint64_t num_rows, uint32_t num_columns)
      : rows(num_rows), columns(num_columns), values(num_rows * num_columns) {}

  float& at(uint64_t row, uint32_t column) {
    return values[row * columns + column];
  }
  float at(uint64_t row, uint32_t column) const {
    return values[row * columns + column];
  }

  const float* row(uint64_t index) const {
    return values.data() + index * columns;
  }

  uint64_t rows = 0;
  uint32_t columns = 0;
  std::vector<float> values;
};

class CoarseForm {
 public:
  // `tiny` must outlive it.
  explicit CoarseForm(const TinyModel& tiny,
                      const EmulationOptions& options = {});
  CoarseForm(const CoarseForm&) = delete;
  CoarseForm& operator=(const CoarseForm&) = delete;

  // As MeasureColumns found them.
  const ItemRanges& ranges() const { return ranges_; }
  // False where CoarseNetwork::Make() gave none; then there is nothing else.
  bool exists() const { return network_.has_value(); }
  const CoarseNetwork& network() const { return *network_; }
  const CoarseModel& model() const { return model_; }

  // Padded: [tiles * 16, Hp] and [tiles * 16, Gp].
  const HalfMatrix& item_tower() const { return item_tower_; }
  const HalfMatrix& item_gmf() const { return item_gmf_; }
  // Of a layer, [out, in], and of the head, [1, HL].
  const HalfMatrix& weights(uint32_t layer) const { return weights_[layer]; }
  const HalfMatrix& head() const { return head_; }

  // Runs PrepareUsers for a pass whose lists hold all items.
  void Prepare(absl::Span<const RankQuery> queries);
  EmulatedPass& pass() { return *pass_; }
  // As kernels take it, with the users in halves.
  Pass kernel_pass();
  uint32_t max_users() const { return pass_->pass().max_users; }
  // Padded: [U', Hp] and [U', Gp].
  const HalfMatrix& user_tower() const { return user_tower_; }
  const HalfMatrix& user_gmf() const { return user_gmf_; }

  float Score(uint32_t user, uint32_t item, CoarseSums sums) const;

 private:
  std::vector<ColumnRange> Measure(const float* values, uint32_t width) const;
  void MeasureItems();
  void PackItems();
  void Unpack();
  void UnpackUsers();

  const TinyModel& tiny_;
  const EmulationOptions options_;
  ItemRanges ranges_;
  std::optional<CoarseNetwork> network_;
  CoarseModel model_;

  // The device's.
  std::vector<Words4> image_;
  std::vector<Words4> tower_words_;
  std::vector<Words2> gmf_words_;
  std::vector<float> starts_;
  std::vector<uint32_t> user_tower_words_;
  std::vector<uint32_t> user_gmf_words_;
  std::optional<EmulatedPass> pass_;

  HalfMatrix item_tower_, item_gmf_, head_, user_tower_, user_gmf_;
  std::vector<HalfMatrix> weights_;
};

// score_scale is not in it: [I] in float32.
std::vector<float> ExactScores(const TinyModel& tiny, const RankQuery& query);

}  // namespace neumf::cuda
