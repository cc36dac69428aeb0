#pragma once

// The trained function (model_spec.h) in LibTorch: forward in float32 with
// gradients by autograd, and in float64 as the truth that an export is held to.
//
//   TorchModel model(&parameters, &item_bags);
//   const double loss = model.ComputeGradient(batch, options, &gradient);
//
// No LibTorch type is in this header: what includes it compiles in a second
// instead of in ten. LibTorch throws std::exception's children; they are caught
// at the top of the program.
//
// Belongs to one thread; LibTorch may use more of its own, see SetTorchThreads.

#include <memory>
#include <string>
#include <vector>

#include "trainer/model/bags.h"
#include "trainer/model/parameters.h"
#include "trainer/step/batch.h"
#include "trainer/step/gradient.h"
#include "trainer/step/step_options.h"

namespace neumf {

class TorchNetwork;

class TorchModel {
 public:
  // Works on `parameters` in place; both must outlive this.
  TorchModel(Parameters* parameters, const ItemBags* items);
  // Computes float32 on a device of LibTorch's, "cuda" or "cpu", with a copy of
  // the parameters that every call makes anew. Dropout drops the same there.
  TorchModel(Parameters* parameters, const ItemBags* items,
             const std::string& device);
  ~TorchModel();

  // "cuda" where this LibTorch has CUDA, and finds a GPU; else empty.
  static std::string GpuName();

  // The loss of the batch, without the penalty: GroupLoss of pairs, CatalogLoss
  // of a catalog. `gradient` becomes that of loss and penalty, with the rows of
  // the bags that took part marked as touched.
  //
  // Dropout is drawn from batch.dropout_seed, a mask for each vector: for the
  // tower's input once a user of a group and once an item of the batch, for the
  // hidden values once a pair. So the pairs of a group share the user's mask.
  double ComputeGradient(const Batch& batch, const StepOptions& options,
                         Gradient* gradient);

  // Without dropout: [B, 1 + n] of pairs, [B, C] of a catalog, masked ones too.
  void Score(const Batch& batch, std::vector<float>* scores) const;

  // The scores of all items for a user, [I], computed in float64.
  std::vector<double> ScoreAllItems(const Bag& user) const;

 private:
  class Pass;

  Parameters* const parameters_;
  const ItemBags* const items_;
  // Over the parameters, with gradients.
  std::unique_ptr<TorchNetwork> network_;
  const bool copies_ = false;  // onto a device
};

}  // namespace neumf
