#pragma once

// The model as LibTorch's tensors over its parameters: vectors of users and
// items, and the scores of pairs of them. Private to torch_model.cc.
//
// Belongs to one thread. Includes the type of a tensor, and no operation.

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <c10/core/TensorOptions.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "trainer/model/bags.h"
#include "trainer/model/model_spec.h"
#include "trainer/model/parameters.h"
#include "trainer/step/gradient.h"

namespace neumf {

// A view of values that must outlive it.
at::Tensor ViewOf(const std::vector<float>& values);

// Bags one behind the other: row rows[n] counts weights[n] times for entity
// owners[n].
struct WeightedRows {
  void Add(const Bag& bag, size_t num_rows, int64_t owner) {
    rows.insert(rows.end(), bag.rows.begin(), bag.rows.begin() + num_rows);
    weights.insert(weights.end(), bag.weights.begin(),
                   bag.weights.begin() + num_rows);
    owners.insert(owners.end(), num_rows, owner);
    is_identity = is_identity && num_rows == 1 && bag.weights[0] == 1;
  }

  std::vector<int64_t> rows;
  std::vector<float> weights;
  std::vector<int64_t> owners;
  // Every entity has one row, with weight 1.
  bool is_identity = true;
};

// The bags of some users or items.
struct BagList {
  void Add(const Bag& bag) {
    all.Add(bag, bag.rows.size(), size);
    biases.Add(bag, bag.num_bias_rows, size);
    ++size;
  }

  int64_t size = 0;
  WeightedRows all;
  WeightedRows biases;  // without history
};

// Zeroes a share `rate` of what it is given, with a generator of its own.
class Dropout {
 public:
  Dropout(double rate, uint64_t seed);

  at::Tensor operator()(const at::Tensor& x) const;

 private:
  const double rate_;
  const at::Generator generator_;
};

// What scores need of N users or N items. Undefined where the model has no such
// part.
struct SideTensors {
  at::Tensor gmf;      // p or q [N, k], normalized with `cosine`
  at::Tensor hidden;   // the side's half of the first layer [N, H1]
  at::Tensor terms;    // biases and products within the bag [N]
  at::Tensor squares;  // sums of weight * |row|^2 [N], where asked for
};

// The tables and the tower.
class TorchNetwork {
 public:
  // Computes in float32, with gradients.
  static std::unique_ptr<TorchNetwork> WithGradient(Parameters* parameters);
  // The same over copies on a device, which Refresh() fills.
  static std::unique_ptr<TorchNetwork> WithGradientOn(const at::Device& device,
                                                      Parameters* parameters);
  // Computes in float64. Rows of tables are widened when they are taken.
  static std::unique_ptr<TorchNetwork> InFloat64(Parameters* parameters);

  // backward() adds to `gradient` from now on; null: to nothing that lasts.
  void SetGradient(Gradient* gradient);
  // The parameters as they are now, onto the device.
  void Refresh(Parameters* parameters);
  // What backward() has left there since.
  void TakeGradient(Gradient* gradient) const;

  // `bags` must outlive what is computed of the result, backward() included.
  SideTensors Users(const BagList& bags, const Dropout& dropout,
                    bool with_squares) const;
  SideTensors Items(const BagList& bags, const Dropout& dropout,
                    bool with_squares) const;

  // Scores of B users: [B, N]. `items` are N of each user, one user behind the
  // other; with `shared` they are the same N for all.
  at::Tensor Score(const SideTensors& users, const SideTensors& items,
                   int64_t num_users, int64_t num_items, bool shared,
                   const Dropout& dropout) const;

 private:
  struct Dense {
    at::Tensor weight, bias;
  };
  struct SideTables {
    at::Tensor gmf, tower, bias, first_weight;
  };
  struct Leaf {
    ParameterBlock block;
    at::Tensor tensor;
  };

  using MakeTensor = absl::FunctionRef<at::Tensor(const ParameterBlock&)>;
  TorchNetwork(const Parameters& parameters, at::ScalarType dtype,
               const at::Device& device, MakeTensor make_tensor);

  SideTensors Gather(const SideTables& tables, const BagList& bags,
                     const Dropout& dropout, bool with_squares) const;

  // What lies in the host's memory, on the device.
  at::Tensor Here(const at::Tensor& view) const;
  at::Tensor Rows(const at::Tensor& table, const WeightedRows& rows) const;
  at::Tensor Weigh(const at::Tensor& parts, const WeightedRows& rows) const;
  // The sum of what belongs to each of `size` entities.
  at::Tensor SumByOwner(const at::Tensor& parts, const WeightedRows& rows,
                        int64_t size) const;
  // The weighted sums of rows, [size, cols]. Adds the weighted sums of |row|^2 to
  // `squares`, if it is not null.
  at::Tensor SumBags(const at::Tensor& table, const WeightedRows& rows,
                     int64_t size, at::Tensor* squares) const;
  // The products within each bag, whose sum is `sum`. [N]
  at::Tensor Within(const at::Tensor& table, const BagList& bags,
                    const at::Tensor& sum) const;

  at::Tensor Activate(const at::Tensor& x) const;
  // From what the first layer's activation is applied to, [B, N, H1], to its
  // share in the scores, [B, N].
  at::Tensor Tower(const at::Tensor& first, const Dropout& dropout) const;

  const ModelSpec spec_;
  const at::ScalarType dtype_;
  const at::TensorOptions options_;
  std::vector<Leaf> leaves_;
  SideTables user_, item_;
  at::Tensor first_bias_;
  std::vector<Dense> layers_;
  Dense linear_;
  at::Tensor gmf_head_, tower_head_, global_bias_;
};

}  // namespace neumf
