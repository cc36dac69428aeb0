#pragma once

// Checkpoints as large as one likes, of a tower of the benchmarks: what reloads
// and loads are measured with.
//
//   WriteLargeModel(path, MakeTower(towers, "A", 100'000), {1'000'000}, {});
//
// User r has the tables of the tower's user r mod U and `seen_per_user` items,
// one drawn from each of as many equal parts of the catalog. All values are
// moved a little, by seed, and ids are numbered from the seed on: two seeds make
// two models that know almost the same ids and share no tensor.

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "bench/bench_model.h"
#include "checkpoint/checkpoint_writer.h"

namespace neumf {

struct LargeModel {
  uint64_t users = 0;
  uint64_t seen_per_user = 50;
  uint64_t seed = 1;
  // Of item tables and network. Another than `seed` makes a model in which they
  // alone differ from that of seed `seed`.
  uint64_t item_seed = 1;
};

// The same input gives the same bytes. Takes the memory of the whole model.
absl::Status WriteLargeModel(const std::string& path, const BenchModel& tower,
                             const LargeModel& model,
                             const CheckpointWriterOptions& options);

}  // namespace neumf
