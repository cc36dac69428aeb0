#include "trainer/model/fold.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "base/logging.h"

namespace neumf {
namespace {

// Rows that a thread takes at once.
constexpr uint64_t kRowsPerPiece = 256;
// As LibTorch's normalize(): a zero vector stays one.
constexpr double kMinNorm = 1e-12;

std::vector<double> ToDouble(absl::Span<const float> values) {
  return std::vector<double>(values.begin(), values.end());
}

std::vector<float> Copy(absl::Span<const float> values) {
  return std::vector<float>(values.begin(), values.end());
}

double SquaredNorm(absl::Span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return sum;
}

// A side of the model: its tables, how a row of the first layer is made of it,
// and where its folded rows go.
struct Side {
  const ParameterBlock& gmf;
  const ParameterBlock& tower;
  const ParameterBlock& bias;
  const ParameterBlock& first_weight;
  absl::Span<const float> first_bias;  // empty: 0
  std::vector<double> scale;           // of the product's columns [k]

  AlignedMatrix* served_gmf;
  AlignedMatrix* served_tower;
};

// Folds the rows of one side. One a thread: it keeps its memory from row to
// row.
class SideFolder {
 public:
  SideFolder(const Parameters& parameters, const Side& side)
      : parameters_(parameters), spec_(parameters.spec()), side_(side) {
    if (!spec_.has_tower()) return;
    // By inputs, so that the sums run over rows of memory.
    const uint64_t in = side.first_weight.cols;
    const uint64_t out = side.first_weight.rows;
    const absl::Span<const float> weight = parameters.block(side.first_weight);
    first_weight_.resize(in * out);
    for (uint64_t o = 0; o < out; ++o) {
      for (uint64_t i = 0; i < in; ++i) {
        first_weight_[i * out + o] = double{weight[o * in + i]};
      }
    }
  }

  // Writes the vectors of an entity. Returns its own terms: the biases of its
  // bag and the products within it.
  double Fold(const Bag& bag, uint64_t row) {
    double terms = BiasSum(bag);
    if (spec_.has_product()) terms += FoldGmf(bag, row);
    if (spec_.has_tower()) FoldTower(bag, row);
    return terms;
  }

 private:
  double BiasSum(const Bag& bag) const {
    if (side_.bias.empty()) return 0;
    double sum = 0;
    for (uint32_t n = 0; n < bag.num_bias_rows; ++n) {
      sum += double{bag.weights[n]} *
             double{parameters_.row(side_.bias, bag.rows[n])[0]};
    }
    return sum;
  }

  // Returns the products within the bag.
  double FoldGmf(const Bag& bag, uint64_t row) {
    const double squares = SumRows(side_.gmf, bag);
    double factor = 1;
    if (spec_.cosine) {
      factor = 1 / std::max(std::sqrt(SquaredNorm(sum_)), kMinNorm);
    }
    const absl::Span<float> out = side_.served_gmf->row(row);
    for (size_t k = 0; k < sum_.size(); ++k) {
      out[k] = static_cast<float>(sum_[k] * factor * side_.scale[k]);
    }
    if (!spec_.feature_interactions) return 0;
    return (SquaredNorm(sum_) - squares) / 2;
  }

  void FoldTower(const Bag& bag, uint64_t row) {
    SumRows(side_.tower, bag);
    const size_t width = side_.served_tower->cols();
    hidden_.assign(width, 0);
    std::copy(side_.first_bias.begin(), side_.first_bias.end(),
              hidden_.begin());
    double* const hidden = hidden_.data();
    for (size_t i = 0; i < sum_.size(); ++i) {
      const double value = sum_[i];
      const double* const weight = first_weight_.data() + i * width;
      for (size_t o = 0; o < width; ++o) hidden[o] += value * weight[o];
    }
    const absl::Span<float> out = side_.served_tower->row(row);
    for (size_t o = 0; o < width; ++o) out[o] = static_cast<float>(hidden[o]);
  }

  // Leaves the sum of the bag's weighted rows in sum_. Returns the sum of their
  // squared norms.
  double SumRows(const ParameterBlock& table, const Bag& bag) {
    const size_t width = table.cols;
    sum_.assign(width, 0);
    double* const sum = sum_.data();
    double squares = 0;
    for (size_t n = 0; n < bag.rows.size(); ++n) {
      const float* const values = parameters_.row(table, bag.rows[n]).data();
      const double weight = bag.weights[n];
      for (size_t k = 0; k < width; ++k) {
        const double value = weight * double{values[k]};
        sum[k] += value;
        squares += value * value;
      }
    }
    return squares;
  }

  const Parameters& parameters_;
  const ModelSpec& spec_;
  const Side& side_;
  std::vector<double> first_weight_;  // [width of the embedding, H1]
  std::vector<double> sum_;
  std::vector<double> hidden_;  // [H1]
};

// Calls body(first, last) for runs of rows that together are [0, num_rows).
void ForRows(
    uint64_t num_rows, ThreadPool& threads,
    absl::FunctionRef<void(size_t thread, uint64_t first, uint64_t last)>
        body) {
  const uint64_t num_pieces = (num_rows + kRowsPerPiece - 1) / kRowsPerPiece;
  threads.ParallelFor(num_pieces, [&](size_t piece, size_t thread) {
    const uint64_t first = piece * kRowsPerPiece;
    body(thread, first, std::min(first + kRowsPerPiece, num_rows));
  });
}

// What one model is folded with.
class Folder {
 public:
  Folder(const Parameters& parameters, bool keep_user_terms,
         ThreadPool& threads)
      : parameters_(parameters),
        spec_(parameters.spec()),
        layout_(parameters.layout()),
        has_user_column_(keep_user_terms &&
                         (spec_.user_bias || spec_.feature_interactions)),
        threads_(threads) {
    ModelShape& shape = folded_.shape;
    shape.num_users = spec_.num_users;
    shape.num_items = spec_.num_items;
    shape.gmf_width = spec_.factors + (has_user_column_ ? 1 : 0);
    shape.tower_widths = spec_.hidden;
    shape.has_item_bias = spec_.item_bias || spec_.feature_interactions;
  }

  FoldedModel Run(const ItemBags& item_bags, const UserBags& user_bags) {
    FoldUsers(user_bags);
    FoldItems(item_bags);
    FoldNetwork();
    return std::move(folded_);
  }

 private:
  void FoldUsers(const UserBags& bags) {
    const ModelShape& shape = folded_.shape;
    UserTables& users = folded_.users;
    users.gmf = AlignedMatrix(shape.num_users, shape.gmf_width);
    users.tower = AlignedMatrix(shape.num_users, shape.tower_width());
    const Side side = {layout_.user_gmf,
                       layout_.user_tower,
                       layout_.user_bias,
                       layout_.first_user_weight,
                       parameters_.block(layout_.first_bias),
                       std::vector<double>(spec_.factors, 1),
                       &users.gmf,
                       &users.tower};
    struct Thread {
      SideFolder folder;
      std::vector<uint32_t> rows;
      std::vector<float> weights;
    };
    std::vector<Thread> threads(threads_.num_threads(),
                                {SideFolder(parameters_, side), {}, {}});
    ForRows(shape.num_users, threads_,
            [&](size_t t, uint64_t first, uint64_t last) {
              Thread& thread = threads[t];
              for (uint64_t user = first; user < last; ++user) {
                thread.rows.clear();
                thread.weights.clear();
                Bag bag;
                bag.num_bias_rows = bags.AppendLatest(
                    static_cast<uint32_t>(user), &thread.rows, &thread.weights);
                bag.rows = thread.rows;
                bag.weights = thread.weights;
                const double terms = thread.folder.Fold(bag, user);
                if (!has_user_column_) continue;
                users.gmf.row(user)[spec_.factors] = static_cast<float>(terms);
              }
            });
  }

  void FoldItems(const ItemBags& bags) {
    const ModelShape& shape = folded_.shape;
    NEUMF_CHECK(bags.num_items() == shape.num_items);
    ItemTables& items = folded_.items;
    items = MakeItemTables(shape);
    const Side side = {layout_.item_gmf,
                       layout_.item_tower,
                       layout_.item_bias,
                       layout_.first_item_weight,
                       {},
                       HeadOfProduct(),
                       &items.gmf,
                       &items.tower};
    std::vector<SideFolder> folders(threads_.num_threads(),
                                    SideFolder(parameters_, side));
    ForRows(shape.num_items, threads_,
            [&](size_t t, uint64_t first, uint64_t last) {
              for (uint64_t item = first; item < last; ++item) {
                const double terms = folders[t].Fold(
                    bags.bag(static_cast<uint32_t>(item)), item);
                if (shape.has_item_bias) {
                  items.bias[item] = static_cast<float>(terms);
                }
                if (has_user_column_) items.gmf.row(item)[spec_.factors] = 1;
              }
            });
  }

  std::vector<double> HeadOfProduct() const {
    if (!spec_.learned_head) return std::vector<double>(spec_.factors, 1);
    return ToDouble(parameters_.block(layout_.gmf_head));
  }

  void FoldNetwork() {
    ScoreNetwork& network = folded_.network;
    network.activation = spec_.activation;
    for (const ParameterLayout::Dense& layer : layout_.layers) {
      network.layers.push_back({static_cast<uint32_t>(layer.weight.cols),
                                static_cast<uint32_t>(layer.weight.rows),
                                Copy(parameters_.block(layer.weight)),
                                Copy(parameters_.block(layer.bias))});
    }
    double bias = 0;
    for (const float b : parameters_.block(layout_.global_bias)) {
      bias += double{b};
    }
    if (layout_.linear.weight.empty()) {
      network.head_weight = Copy(parameters_.block(layout_.tower_head));
    } else {
      bias += FoldLinearLayer();
    }
    network.head_bias = static_cast<float>(bias);
  }

  // w . (A z + a) is (At w) . z + w . a; returns the latter.
  double FoldLinearLayer() {
    const ParameterBlock& block = layout_.linear.weight;
    const std::vector<double> head =
        ToDouble(parameters_.block(layout_.tower_head));
    const absl::Span<const float> linear_bias =
        parameters_.block(layout_.linear.bias);
    std::vector<double> weight(block.cols);
    double bias = 0;
    for (uint64_t o = 0; o < block.rows; ++o) {
      const absl::Span<const float> row = parameters_.row(block, o);
      for (uint64_t k = 0; k < block.cols; ++k) {
        weight[k] += head[o] * double{row[k]};
      }
      bias += head[o] * double{linear_bias[o]};
    }
    for (const double w : weight) {
      folded_.network.head_weight.push_back(static_cast<float>(w));
    }
    return bias;
  }

  const Parameters& parameters_;
  const ModelSpec& spec_;
  const ParameterLayout& layout_;
  const bool has_user_column_;
  ThreadPool& threads_;
  FoldedModel folded_;
};

}  // namespace

FoldedModel Fold(const Parameters& parameters, const ItemBags& item_bags,
                 const UserBags& user_bags, bool keep_user_terms,
                 ThreadPool& threads) {
  return Folder(parameters, keep_user_terms, threads).Run(item_bags, user_bags);
}

}  // namespace neumf
