#pragma once

// The gradient of a batch: forward and backward of its pairs in one kernel, so
// that of a pair only its embeddings are read and their gradients written.
//
// A block works on tiles (tile.h) in turns, and adds up its part of the dense
// parameters' gradient. The user's half of the tower's first layer, and its
// gradient, are computed once a group. Gradients of embeddings are added to
// global memory pair by pair, those of the dense parameters once a block, all in
// fixed point (fixed_point.h): so the bits do not depend on which block runs
// when.
//
// Numbers are float32, and products are summed in a fixed order with fused
// multiply-adds. Tensor cores are left idle: the tower of the NCF recipe takes 16
// kFLOP a pair, so 60M pairs a second are 1 TFLOP/s, a sixtieth of what an H200
// does in float32. (256-128-64 takes 640 kFLOP: that is its limit.)

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "trainer/cuda/fixed_point.h"
#include "trainer/cuda/kernels/embeddings.h"
#include "trainer/cuda/kernels/products.h"
#include "trainer/cuda/kernels/softplus.h"
#include "trainer/cuda/kernels/step_views.h"
#include "trainer/cuda/kernels/tile.h"

namespace neumf::cuda {

// kPlace is the layout's.
template <DensePlace kPlace>
struct TrainTiles {
  // Of a large tower's blocks one fits on a multiprocessor.
  static constexpr uint32_t kThreads =
      kPlace == DensePlace::kShared ? 256 : 512;
  static constexpr uint32_t kMinBlocks = kPlace == DensePlace::kShared ? 3 : 1;

  ModelView model;
  TileLayout layout;
  BatchView batch;
  GradientView gradient;
  const float* parameters = nullptr;
  float negative_weight = 1;
  float* block_gradients = nullptr;  // kGlobal: [blocks, num_dense]

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    Block<Thread>(*this, thread).Run();
  }

 private:
  // A block at work, as one of its threads sees it. Steps that read what another
  // one wrote have a SyncBlock() between them.
  template <typename Thread>
  class Block {
   public:
    NEUMF_DEVICE Block(const TrainTiles& step, Thread& thread)
        : step_(step),
          model_(step.model),
          layout_(step.layout),
          thread_(thread),
          shared_(reinterpret_cast<float*>(thread.shared())) {}

    NEUMF_DEVICE void Run() {
      for (uint32_t i = thread_.thread(); i < model_.num_dense; i += kThreads) {
        if constexpr (kPlace == DensePlace::kShared) {
          shared_[layout_.dense + i] = step_.parameters[model_.dense_begin + i];
        }
        d_dense()[i] = 0;
      }
      const uint32_t tile_groups = layout_.num_groups;
      for (uint32_t first = thread_.block() * tile_groups;
           first < step_.batch.num_groups;
           first += thread_.num_blocks() * tile_groups) {
        const uint32_t left = step_.batch.num_groups - first;
        num_groups_ = left < tile_groups ? left : tile_groups;
        num_pairs_ = num_groups_ * step_.batch.group_size;
        thread_.SyncBlock();
        RunTile(first);
      }
      thread_.SyncBlock();
      FlushDense();
      FlushLoss();
    }

   private:
    NEUMF_DEVICE const float* dense() const {
      if constexpr (kPlace == DensePlace::kShared) {
        return shared_ + layout_.dense;
      } else {
        return step_.parameters + model_.dense_begin;
      }
    }
    NEUMF_DEVICE float* d_dense() const {
      if constexpr (kPlace == DensePlace::kShared) {
        return shared_ + layout_.d_dense;
      } else {
        return step_.block_gradients +
               uint64_t{thread_.block()} * model_.num_dense;
      }
    }
    NEUMF_DEVICE MatrixView View(const TileMatrix& matrix) const {
      return {shared_ + matrix.begin, matrix.stride};
    }
    NEUMF_DEVICE uint32_t* users() const {
      return reinterpret_cast<uint32_t*>(shared_ + layout_.users);
    }
    NEUMF_DEVICE uint32_t* items() const {
      return reinterpret_cast<uint32_t*>(shared_ + layout_.items);
    }
    NEUMF_DEVICE void RunTile(uint32_t first_group) {
      const uint32_t group_size = step_.batch.group_size;
      for (uint32_t i = thread_.thread(); i < num_pairs_; i += kThreads) {
        items()[i] = step_.batch.items[first_group * group_size + i];
        if (i < num_groups_) users()[i] = step_.batch.users[first_group + i];
      }
      thread_.SyncBlock();
      ForTables([this](const TableView& table, const uint32_t* rows,
                       uint32_t columns, const TileMatrix& to) {
        Gather<kThreads>(thread_, step_.parameters, table, rows, columns,
                         View(to));
      });
      thread_.SyncBlock();
      Forward();
      ComputeLosses();
      Backward();
      ForTables([this](const TableView& table, const uint32_t* rows,
                       uint32_t columns, const TileMatrix& from) {
        Scatter<kThreads>(thread_, step_.gradient, table, rows, columns,
                          View(from));
      });
    }

    // Calls visit(table, rows of the tile, columns, matrix).
    template <typename Visit>
    NEUMF_DEVICE void ForTables(const Visit& visit) {
      visit(model_.user_gmf, users(), num_groups_, layout_.user_gmf);
      visit(model_.item_gmf, items(), num_pairs_, layout_.item_gmf);
      visit(model_.user_tower, users(), num_groups_, layout_.user_tower);
      visit(model_.item_tower, items(), num_pairs_, layout_.item_tower);
    }

    // ---- Forward ----

    // A NaN stays, so that the loss becomes one.
    static NEUMF_DEVICE float Relu(float x) { return x <= 0 ? 0 : x; }

    NEUMF_DEVICE void Forward() {
      if (model_.first_width > 0) {
        ForwardFirstLayer();
        for (uint32_t l = 0; l < model_.num_layers; ++l) {
          const MatrixView values = View(layout_.values[l + 1]);
          Apply(model_.layers[l], View(layout_.values[l]), num_pairs_,
                [values](uint32_t row, uint32_t column, float y) {
                  values.at(row, column) = Relu(y);
                });
          thread_.SyncBlock();
        }
      }
      const MatrixView scores = View(layout_.scores);
      Apply(model_.head, View(layout_.values[model_.num_layers]), num_pairs_,
            [this, scores](uint32_t /*row*/, uint32_t column, float y) {
              scores.at(0, column) = y + Product(column);
            });
      thread_.SyncBlock();
    }

    NEUMF_DEVICE void ForwardFirstLayer() {
      const MatrixView half = View(layout_.user_half);
      Apply(model_.first_user, View(layout_.user_tower), num_groups_,
            [half](uint32_t row, uint32_t column, float y) {
              half.at(row, column) = y;
            });
      thread_.SyncBlock();
      const MatrixView values = View(layout_.values[0]);
      const uint32_t group_size = step_.batch.group_size;
      Apply(model_.first_item, View(layout_.item_tower), num_pairs_,
            [=](uint32_t row, uint32_t column, float y) {
              values.at(row, column) =
                  Relu(half.at(row, column / group_size) + y);
            });
      thread_.SyncBlock();
    }

    // Calls finish(row, column, y) with y = W x + b.
    template <typename Finish>
    NEUMF_DEVICE void Apply(const LayerView& layer, const MatrixView& x,
                            uint32_t columns, const Finish& finish) {
      const float* const bias =
          layer.bias == kNoBlock ? nullptr : dense() + layer.bias;
      Multiply<kThreads>(
          thread_, Straight(dense() + layer.weight, layer.out, layer.in), x,
          columns, [=](uint32_t row, uint32_t column, float sum) {
            finish(row, column, bias == nullptr ? sum : sum + bias[row]);
          });
    }

    NEUMF_DEVICE float HeadOf(uint32_t k) const {
      return model_.gmf_head == kNoBlock ? 1.0F : dense()[model_.gmf_head + k];
    }

    // h . (p * q) of a pair.
    NEUMF_DEVICE float Product(uint32_t pair) const {
      const MatrixView user = View(layout_.user_gmf);
      const MatrixView item = View(layout_.item_gmf);
      const uint32_t group = pair / step_.batch.group_size;
      float sum = 0;
      for (uint32_t k = 0; k < model_.user_gmf.width; ++k) {
        sum = thread_.Fma(HeadOf(k) * user.at(k, group), item.at(k, pair), sum);
      }
      return sum;
    }

    // ---- Loss ----

    // Writes the gradient of each score over it: of the log loss of its group,
    // (softplus(-s) + w sum softplus(t)) / (1 + n).
    NEUMF_DEVICE void ComputeLosses() {
      const uint32_t pair = thread_.thread();
      const uint32_t group_size = step_.batch.group_size;
      if (pair < num_pairs_) {
        float& score = View(layout_.scores).at(0, pair);
        const bool is_positive = pair % group_size == 0;
        const float x = is_positive ? -score : score;
        const float weight = (is_positive ? 1 : step_.negative_weight) /
                             static_cast<float>(group_size);
        const Softplus loss = SoftplusAt(x);
        loss_ += static_cast<double>(weight) * loss.value;
        score = (is_positive ? -weight : weight) * loss.slope;
      }
      thread_.SyncBlock();
    }

    // ---- Backward ----

    NEUMF_DEVICE void Backward() {
      const MatrixView d_scores = View(layout_.scores);
      AddGradient(model_.head, d_scores,
                  View(layout_.values[model_.num_layers]), num_pairs_);
      BackwardProduct();
      thread_.SyncBlock();
      BackwardHead();
      if (model_.first_width == 0) {
        thread_.SyncBlock();
        return;
      }
      PropagateMasked(model_.head, d_scores, layout_.values[model_.num_layers]);
      thread_.SyncBlock();
      for (uint32_t l = model_.num_layers; l-- > 0;) {
        const MatrixView d = View(layout_.values[l + 1]);
        AddGradient(model_.layers[l], d, View(layout_.values[l]), num_pairs_);
        thread_.SyncBlock();
        PropagateMasked(model_.layers[l], d, layout_.values[l]);
        thread_.SyncBlock();
      }
      BackwardFirstLayer();
    }

    NEUMF_DEVICE void BackwardFirstLayer() {
      const MatrixView d_values = View(layout_.values[0]);
      const MatrixView d_half = View(layout_.user_half);
      const MatrixView user = View(layout_.user_tower);
      const MatrixView item = View(layout_.item_tower);
      AddGradient(model_.first_item, d_values, item, num_pairs_);
      SumGroups(d_values, model_.first_width, d_half);
      thread_.SyncBlock();
      AddGradient(model_.first_user, d_half, user, num_groups_);
      Propagate(model_.first_item, d_values, num_pairs_, item);
      thread_.SyncBlock();
      Propagate(model_.first_user, d_half, num_groups_, user);
      thread_.SyncBlock();
    }

    NEUMF_DEVICE void AddGradient(const LayerView& layer, const MatrixView& d,
                                  const MatrixView& x, uint32_t columns) {
      AddOuter<kThreads>(thread_, d, layer.out, x, layer.in, columns,
                         d_dense() + layer.weight);
      if (layer.bias == kNoBlock) return;
      AddRowSums<kThreads>(thread_, d, layer.out, columns,
                           d_dense() + layer.bias);
    }

    // The gradient by the layer's inputs.
    NEUMF_DEVICE void Propagate(const LayerView& layer, const MatrixView& d,
                                uint32_t columns, const MatrixView& to) {
      Multiply<kThreads>(
          thread_, Transposed(dense() + layer.weight, layer.out, layer.in), d,
          columns, [to](uint32_t row, uint32_t column, float sum) {
            to.at(row, column) = sum;
          });
    }

    // The same through the ReLU that made them, over the values.
    NEUMF_DEVICE void PropagateMasked(const LayerView& layer,
                                      const MatrixView& d,
                                      const TileMatrix& values) {
      const MatrixView to = View(values);
      Multiply<kThreads>(
          thread_, Transposed(dense() + layer.weight, layer.out, layer.in), d,
          num_pairs_, [to](uint32_t row, uint32_t column, float sum) {
            float& value = to.at(row, column);
            value = value > 0 ? sum : 0;
          });
    }

    // Of each group's pairs.
    NEUMF_DEVICE void SumGroups(const MatrixView& from, uint32_t rows,
                                const MatrixView& to) {
      const uint32_t group_size = step_.batch.group_size;
      for (uint32_t i = thread_.thread(); i < rows * num_groups_;
           i += kThreads) {
        const uint32_t row = i / num_groups_;
        const uint32_t group = i % num_groups_;
        float sum = 0;
        for (uint32_t n = 0; n < group_size; ++n) {
          sum += from.at(row, group * group_size + n);
        }
        to.at(row, group) = sum;
      }
    }

    // Leaves the gradient of q over q, and that of h * p in d_product.
    NEUMF_DEVICE void BackwardProduct() {
      const MatrixView user = View(layout_.user_gmf);
      const MatrixView item = View(layout_.item_gmf);
      const MatrixView d_scores = View(layout_.scores);
      const uint32_t group_size = step_.batch.group_size;
      for (uint32_t i = thread_.thread();
           i < model_.user_gmf.width * num_groups_; i += kThreads) {
        const uint32_t k = i / num_groups_;
        const uint32_t group = i % num_groups_;
        const float scaled = HeadOf(k) * user.at(k, group);
        float sum = 0;
        for (uint32_t n = 0; n < group_size; ++n) {
          const uint32_t pair = group * group_size + n;
          float& value = item.at(k, pair);
          const float d = d_scores.at(0, pair);
          sum = thread_.Fma(d, value, sum);
          value = d * scaled;
        }
        View(layout_.d_product).at(k, group) = sum;
      }
    }

    // Of h * p, the gradient of p over p and that of h.
    NEUMF_DEVICE void BackwardHead() {
      const MatrixView user = View(layout_.user_gmf);
      const MatrixView d_product = View(layout_.d_product);
      for (uint32_t k = thread_.thread(); k < model_.user_gmf.width;
           k += kThreads) {
        float d_head_sum = 0;
        for (uint32_t group = 0; group < num_groups_; ++group) {
          float& value = user.at(k, group);
          const float d = d_product.at(k, group);
          d_head_sum = thread_.Fma(d, value, d_head_sum);
          value = d * HeadOf(k);
        }
        if (model_.gmf_head != kNoBlock) {
          d_dense()[model_.gmf_head + k] += d_head_sum;
        }
      }
    }

    // ---- What the block has added up ----

    NEUMF_DEVICE void FlushDense() {
      const GradientView& gradient = step_.gradient;
      uint64_t* const cells = gradient.cells + model_.dense_begin;
      for (uint32_t i = thread_.thread(); i < model_.num_dense; i += kThreads) {
        AddTerm(thread_, gradient.fixed, d_dense()[i],
                gradient.fixed.block_limit, cells + i, gradient.out_of_bounds);
      }
    }

    NEUMF_DEVICE void FlushLoss() {
      auto* const losses = reinterpret_cast<double*>(shared_ + layout_.losses);
      if (thread_.thread() < kMaxTilePairs) losses[thread_.thread()] = loss_;
      thread_.SyncBlock();
      if (thread_.thread() != 0) return;
      double sum = 0;
      for (uint32_t i = 0; i < kMaxTilePairs; ++i) sum += losses[i];
      const GradientView& gradient = step_.gradient;
      AddTerm(thread_, gradient.fixed, static_cast<float>(sum),
              gradient.fixed.block_limit,
              gradient.cells + model_.num_parameters, gradient.out_of_bounds);
    }

    const TrainTiles& step_;
    const ModelView& model_;
    const TileLayout& layout_;
    Thread& thread_;
    float* const shared_;
    uint32_t num_groups_ = 0;  // of the tile
    uint32_t num_pairs_ = 0;
    double loss_ = 0;  // of the pairs that were this thread's
  };
};

}  // namespace neumf::cuda
