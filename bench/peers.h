#pragma once

// What the CPU backend is compared with, behind the interface that it has
// itself. A peer whose library was not there when the benchmark was built is
// UNIMPLEMENTED, with a line that says how to have it.
//
// A comparison is worth nothing when the peer runs on a slow BLAS or on more
// threads than ours: CheckBlas() first.

#include <memory>

#include "absl/status/statusor.h"
#include "bench/bench_model.h"
#include "scoring/scorer.h"

namespace neumf {

// LibTorch with the folded first layer, and over expanded pairs.
absl::StatusOr<std::unique_ptr<Scorer>> MakeTorchSplit(const BenchModel& model,
                                                       size_t num_threads);
absl::StatusOr<std::unique_ptr<Scorer>> MakeTorchEager(const BenchModel& model,
                                                       size_t num_threads);

// FAISS IndexFlatIP over `model`'s product vectors; knows no seen items.
// REQUIRES: a model of dot products alone.
absl::StatusOr<std::unique_ptr<Scorer>> MakeFaissFlat(const BenchModel& model,
                                                      size_t num_threads);

// FAILED_PRECONDITION unless this process has loaded OpenBLAS and its
// environment binds OpenBLAS and OpenMP to `num_threads`, which they read when
// they are loaded.
absl::Status CheckBlas(size_t num_threads);

}  // namespace neumf
