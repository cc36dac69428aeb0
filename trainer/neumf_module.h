#pragma once

// NeuMF in LibTorch: the forward pass, the loss and their gradients.
//
//   NeuMfModule module(&parameters);
//   const double loss = module.ComputeBprGradient(batch);
//   adam.Step(module.gradient(), parameters.values());
//
// No LibTorch type is in this header: what includes it compiles in a second
// instead of in ten. LibTorch throws std::exception's children; they are caught
// at the top of the program.
//
// Belongs to one thread; LibTorch may use more of its own, see SetTorchThreads.

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "trainer/neumf_parameters.h"

namespace neumf {

// B training examples: user, an item that the user has, an item that it has
// not.
struct PairBatch {
  std::vector<int64_t> users;      // [B]
  std::vector<int64_t> positives;  // [B]
  std::vector<int64_t> negatives;  // [B]
};

class NeuMfModule {
 public:
  // Works on `parameters` in place; they must outlive this.
  explicit NeuMfModule(NeuMfParameters* parameters);
  ~NeuMfModule();

  // The BPR loss of the batch, the SUM over its examples of
  //   softplus(score(user, negative) - score(user, positive)),
  // with its gradient by every parameter left in gradient().
  double ComputeBprGradient(const PairBatch& batch);

  // In the layout of the parameters; valid until the next call above.
  absl::Span<const float> gradient() const { return gradient_; }

  // The scores of all items for one user, [I], computed in float64.
  std::vector<double> ScoreAllItems(uint32_t user) const;

 private:
  struct Tensors;

  NeuMfParameters* const parameters_;
  std::vector<float> gradient_;
  std::unique_ptr<Tensors> tensors_;
};

// Sets how many threads LibTorch uses, process-wide, and keeps the BLAS below
// it to one. Call it before any module works.
void SetTorchThreads(int num_threads);

}  // namespace neumf
