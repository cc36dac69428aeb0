#pragma once

// One side of a batch's pairs, users or items: the sums over their bags and the
// gradients by them. Gathered from the tables before a step, scattered into the
// gradient after it.
//
// Distinct ranges of rows may be gathered, and distinct tables scattered, by
// several threads at once.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "trainer/model/bags.h"
#include "trainer/model/parameters.h"
#include "trainer/step/gradient.h"

namespace neumf {

// The tables of a side.
struct SideTables {
  ParameterBlock gmf;
  ParameterBlock tower;
  ParameterBlock bias;
};

SideTables UserTablesOf(const ParameterLayout& layout);
SideTables ItemTablesOf(const ParameterLayout& layout);

using BagOf = absl::FunctionRef<Bag(size_t row)>;

class SideVectors {
 public:
  SideVectors(const Parameters* parameters, SideTables tables);

  // Makes room for `rows` entities. Keeps no values.
  void Resize(size_t rows);

  // Fills rows begin .. end of the vectors from the bags.
  void Gather(size_t begin, size_t end, BagOf bag_of);

  // Adds to `gradient`, for every row of every bag of `table` (a block of this
  // side's tables that is not empty, number `table_index` of the gradient), the
  // entity's gradient times the weight, plus penalty(entity) times the weight
  // times the row. With `feature_interactions` also what within() gives.
  void Scatter(const ParameterBlock& table, size_t table_index, BagOf bag_of,
               absl::FunctionRef<float(size_t row)> penalty,
               Gradient* gradient) const;

  // Whether the block is one of this side's.
  bool Has(const ParameterBlock& table) const;

  // [rows, k], [rows, tower width]; with `cosine` gmf is normalized.
  float* gmf(size_t row) { return gmf_.data() + row * tables_.gmf.cols; }
  float* tower(size_t row) { return tower_.data() + row * tables_.tower.cols; }
  float* d_gmf(size_t row) { return d_gmf_.data() + row * tables_.gmf.cols; }
  float* d_tower(size_t row) {
    return d_tower_.data() + row * tables_.tower.cols;
  }
  // What the side alone adds to a score: the bias, and within(). [rows]
  float* term(size_t row) { return terms_.data() + row; }
  // The gradient by it, for the caller to fill. [rows]
  float* d_term(size_t row) { return d_terms_.data() + row; }

  // Turns d_gmf of the rows into the gradient by the sums over the bags: undoes
  // the normalization, adds what within() gives. After d_term is filled.
  void FinishGradient(size_t begin, size_t end);

 private:
  void GatherTerm(size_t row, const Bag& bag);

  const Parameters* const parameters_;
  const SideTables tables_;
  size_t rows_ = 0;
  std::vector<float> gmf_, tower_, d_gmf_, d_tower_;
  std::vector<float> terms_, d_terms_, norms_;
};

}  // namespace neumf
