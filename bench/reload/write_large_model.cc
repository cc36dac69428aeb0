// Writes a large checkpoint (bench/large_model.h).
//
//   write_large_model --towers=build/bench/towers --users=1000000
//                     --items=100000 --seed=2 --out=FILE
//
// and prints {"weights": "trained"}, or "random" where there is no trained tower.

#include <cstdint>
#include <iostream>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "bench/bench_model.h"
#include "bench/large_model.h"

ABSL_FLAG(std::string, towers, "build/bench/towers",
          "Directory with the trained towers.");
ABSL_FLAG(std::string, tower, "A", "A, B or C.");
ABSL_FLAG(uint64_t, users, 1'000'000, "Users of the checkpoint.");
ABSL_FLAG(uint64_t, items, 100'000, "Items of the catalog.");
ABSL_FLAG(uint64_t, seen, 50, "Items that each user has seen.");
ABSL_FLAG(uint64_t, seed, 1, "Another one makes another of every tensor.");
ABSL_FLAG(
    uint64_t, item_seed, 0,
    "Another one makes other item tables and another network; 0: --seed.");
ABSL_FLAG(std::string, out, "", "Required. File to write.");

namespace neumf {
namespace {

int Main() {
  const BenchModel tower =
      MakeTower(absl::GetFlag(FLAGS_towers), absl::GetFlag(FLAGS_tower),
                absl::GetFlag(FLAGS_items));
  LargeModel model;
  model.users = absl::GetFlag(FLAGS_users);
  model.seen_per_user = absl::GetFlag(FLAGS_seen);
  model.seed = absl::GetFlag(FLAGS_seed);
  const uint64_t item_seed = absl::GetFlag(FLAGS_item_seed);
  model.item_seed = item_seed == 0 ? model.seed : item_seed;
  const absl::Status written =
      WriteLargeModel(absl::GetFlag(FLAGS_out), tower, model, {});
  if (!written.ok()) {
    std::cerr << written.message() << std::endl;
    return 1;
  }
  std::cout << R"({"weights": ")" << tower.weights() << "\"}" << std::endl;
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("writes a large model; see bench/reload/");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
