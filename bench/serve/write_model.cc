// Writes a tower of the benchmarks as a checkpoint that servers load, and its
// users' ids beside it, one a line, for those who call them.
//
//   write_model --towers=build/bench/towers --tower=B --items=100000 --out=DIR
//
// makes DIR/1.safetensors and DIR/users, and prints {"weights": "trained"}, or
// "random" where there is no trained tower.

#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/logging.h"
#include "bench/bench_model.h"
#include "checkpoint/checkpoint_writer.h"

ABSL_FLAG(std::string, towers, "build/bench/towers",
          "Directory with the trained towers.");
ABSL_FLAG(std::string, tower, "A", "A, B or C.");
ABSL_FLAG(uint64_t, items, 3706, "Items of the catalog.");
ABSL_FLAG(std::string, out, "", "Required. Directory to write to.");

namespace neumf {
namespace {

IdTable Ids(absl::string_view prefix, uint64_t count) {
  std::vector<std::string> ids;
  ids.reserve(count);
  for (uint64_t i = 0; i < count; ++i) ids.push_back(absl::StrCat(prefix, i));
  auto table = IdTable::FromIds(ids);
  NEUMF_CHECK(table.ok());
  return *std::move(table);
}

// Rows of users stand in the order of the ids' hashes.
IdTable UserIds(uint64_t count) {
  std::vector<std::pair<uint64_t, std::string>> hashed;
  for (uint64_t i = 0; i < count; ++i) {
    std::string id = absl::StrCat("u", i);
    hashed.emplace_back(IdHash(id), std::move(id));
  }
  std::sort(hashed.begin(), hashed.end());
  std::vector<std::string> ids;
  ids.reserve(count);
  for (auto& [hash, id] : hashed) ids.push_back(std::move(id));
  auto table = IdTable::FromIdsByHash(ids);
  NEUMF_CHECK(table.ok());
  return *std::move(table);
}

bool WriteUsers(const std::string& path, const IdTable& ids) {
  std::ofstream file(path);
  for (uint64_t row = 0; row < ids.size(); ++row) file << ids.id(row) << '\n';
  return file.good();
}

int Main() {
  BenchModel bench =
      MakeTower(absl::GetFlag(FLAGS_towers), absl::GetFlag(FLAGS_tower),
                absl::GetFlag(FLAGS_items));
  const std::string out = absl::GetFlag(FLAGS_out);
  ServingModel model;
  model.shape = bench.shape;
  model.network = bench.network;
  model.users = std::move(bench.users);
  model.user_ids = UserIds(bench.shape.num_users);
  model.item_ids = Ids("i", bench.shape.num_items);
  model.seen = std::move(bench.seen);
  const auto published =
      PublishCheckpoint(*MakePosixFileSystem(), out, model, bench.items, {});
  if (!published.ok()) {
    std::cerr << published.status().message() << std::endl;
    return 1;
  }
  if (!WriteUsers(absl::StrCat(out, "/users"), model.user_ids)) return 1;
  std::cout << R"({"weights": ")" << bench.weights() << "\"}" << std::endl;
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("writes a model to serve; see bench/serve/");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
