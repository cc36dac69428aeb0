#include "trainer/step/side_vectors.h"

#include <algorithm>
#include <utility>

#include "trainer/step/row_kernels.h"

namespace neumf {
namespace {

// out = sum of weight * row over the bag.
void SumBag(const Parameters& parameters, const ParameterBlock& table,
            const Bag& bag, float* out) {
  const size_t width = table.cols;
  const float* const values = parameters.block(table).data();
  const float* const first = values + bag.rows[0] * width;
  std::copy(first, first + width, out);
  if (bag.weights[0] != 1) {
    for (size_t c = 0; c < width; ++c) out[c] *= bag.weights[0];
  }
  for (size_t n = 1; n < bag.rows.size(); ++n) {
    AddScaled(bag.weights[n], values + bag.rows[n] * width, width, out);
  }
}

// Asks for the bag's rows ahead of their use: tables are larger than caches.
void PrefetchBag(const Parameters& parameters, const ParameterBlock& table,
                 const Bag& bag) {
  constexpr size_t kFloatsALine = 16;
  const float* const values = parameters.block(table).data();
  for (const uint32_t row : bag.rows) {
    const float* const first = values + row * table.cols;
    for (size_t c = 0; c < table.cols; c += kFloatsALine) {
      __builtin_prefetch(first + c);
    }
  }
}

float SquaredNorm(const float* x, size_t width) {
  float sum = 0;
  for (size_t c = 0; c < width; ++c) sum += x[c] * x[c];
  return sum;
}

}  // namespace

SideTables UserTablesOf(const ParameterLayout& layout) {
  return {layout.user_gmf, layout.user_tower, layout.user_bias};
}

SideTables ItemTablesOf(const ParameterLayout& layout) {
  return {layout.item_gmf, layout.item_tower, layout.item_bias};
}

SideVectors::SideVectors(const Parameters* parameters, SideTables tables)
    : parameters_(parameters), tables_(std::move(tables)) {}

void SideVectors::Resize(size_t rows) {
  rows_ = rows;
  if (terms_.size() >= rows) return;
  gmf_.resize(rows * tables_.gmf.cols);
  d_gmf_.resize(gmf_.size());
  tower_.resize(rows * tables_.tower.cols);
  d_tower_.resize(tower_.size());
  terms_.resize(rows);
  d_terms_.resize(rows);
  norms_.resize(rows);
}

void SideVectors::GatherTerm(size_t row, const Bag& bag) {
  float term = 0;
  if (!tables_.bias.empty()) {
    const float* const values = parameters_->block(tables_.bias).data();
    for (uint32_t n = 0; n < bag.num_bias_rows; ++n) {
      term += bag.weights[n] * values[bag.rows[n]];
    }
  }
  if (parameters_->spec().feature_interactions) {
    float within = SquaredNorm(gmf(row), tables_.gmf.cols);
    for (size_t n = 0; n < bag.rows.size(); ++n) {
      within -= bag.weights[n] * bag.weights[n] *
                SquaredNorm(parameters_->row(tables_.gmf, bag.rows[n]).data(),
                            tables_.gmf.cols);
    }
    term += within / 2;
  }
  terms_[row] = term;
}

void SideVectors::Gather(size_t begin, size_t end, BagOf bag_of) {
  constexpr size_t kAhead = 8;
  for (size_t row = begin; row < end; ++row) {
    if (row + kAhead < end) {
      const Bag later = bag_of(row + kAhead);
      PrefetchBag(*parameters_, tables_.gmf, later);
      PrefetchBag(*parameters_, tables_.tower, later);
    }
    const Bag bag = bag_of(row);
    if (!tables_.gmf.empty()) SumBag(*parameters_, tables_.gmf, bag, gmf(row));
    if (!tables_.tower.empty()) {
      SumBag(*parameters_, tables_.tower, bag, tower(row));
    }
    GatherTerm(row, bag);
  }
  if (parameters_->spec().cosine && !tables_.gmf.empty()) {
    NormalizeRows(end - begin, tables_.gmf.cols, gmf(begin),
                  norms_.data() + begin);
  }
}

void SideVectors::FinishGradient(size_t begin, size_t end) {
  if (tables_.gmf.empty()) return;
  const ModelSpec& spec = parameters_->spec();
  if (spec.cosine) {
    NormalizeGradient(gmf(begin), norms_.data() + begin, end - begin,
                      tables_.gmf.cols, d_gmf(begin));
  }
  if (!spec.feature_interactions) return;
  for (size_t row = begin; row < end; ++row) {
    AddScaled(d_terms_[row], gmf(row), tables_.gmf.cols, d_gmf(row));
  }
}

bool SideVectors::Has(const ParameterBlock& table) const {
  return table.name == tables_.gmf.name || table.name == tables_.tower.name ||
         table.name == tables_.bias.name;
}

namespace {

// Rows to add to a table, collected so that one call adds many.
class RowAdder {
 public:
  RowAdder(const float* rows, size_t width, float* table)
      : rows_(rows), width_(width), table_(table) {}

  // Adds factor * row `from` to row `to` of the table, by the next Flush().
  void Add(uint32_t from, float factor, uint32_t to) {
    if (count_ == kCapacity) Flush();
    from_[count_] = from;
    factors_[count_] = factor;
    to_[count_++] = to;
  }

  void Flush() {
    AddRowsTo(rows_, from_, factors_, to_, count_, width_, table_);
    count_ = 0;
  }

 private:
  static constexpr size_t kCapacity = 256;

  const float* const rows_;
  const size_t width_;
  float* const table_;
  size_t count_ = 0;
  uint32_t from_[kCapacity];
  float factors_[kCapacity];
  uint32_t to_[kCapacity];
};

}  // namespace

void SideVectors::Scatter(const ParameterBlock& table, size_t table_index,
                          BagOf bag_of,
                          absl::FunctionRef<float(size_t row)> penalty,
                          Gradient* gradient) const {
  const bool is_bias = table.name == tables_.bias.name;
  const bool is_gmf = table.name == tables_.gmf.name;
  const bool has_within = is_gmf && parameters_->spec().feature_interactions;
  const float* const d = is_bias  ? d_terms_.data()
                         : is_gmf ? d_gmf_.data()
                                  : d_tower_.data();
  float* const sums = gradient->block(table);
  RowAdder gradients(d, table.cols, sums);
  // What is added of the rows themselves.
  RowAdder own_rows(parameters_->block(table).data(), table.cols, sums);
  for (uint32_t row = 0; row < rows_; ++row) {
    const Bag bag = bag_of(row);
    const float l2 = penalty(row);
    const size_t count = is_bias ? bag.num_bias_rows : bag.rows.size();
    for (size_t n = 0; n < count; ++n) {
      const uint32_t at = bag.rows[n];
      const float weight = bag.weights[n];
      gradient->Touch(table_index, at);
      gradients.Add(row, weight, at);
      float own = l2 * weight;
      if (has_within) own -= weight * weight * d_terms_[row];
      if (own != 0) own_rows.Add(at, own, at);
    }
  }
  gradients.Flush();
  own_rows.Flush();
}

}  // namespace neumf
