// The CPU backend as one side of a comparison between processes. bench/run
// starts it beside a peer and lets the two take turns, window by window.
//
// It writes the model and the users for the peer to --export and prints
// "ready". Then each line of stdin is a command, answered by a line of JSON:
//   rank            the 32 users' rankings: [{"rows": [...], "scores": [...]}]
//   run SECONDS B   answers B users at a time for that long:
//                   {"us": median of a batch, "cpu_over_wall": ...}

#include <iostream>
#include <sstream>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "base/logging.h"
#include "bench/bench_model.h"
#include "bench/interleaved.h"
#include "bench/model_export.h"
#include "bench/scoring_case.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(std::string, towers, "build/bench/towers",
          "Directory with the trained towers.");
ABSL_FLAG(std::string, tower, "A", "Which of them.");
ABSL_FLAG(uint64_t, items, 3706, "Size of the catalog.");
ABSL_FLAG(std::string, export, "", "Where the peer reads the model.");

namespace neumf {
namespace {

constexpr size_t kUsers = 32;

nlohmann::json RankAll(const Scorer& scorer, const QueryBatch& users) {
  std::vector<Ranking> rankings(kUsers);
  NEUMF_CHECK(scorer.Rank(users.queries(), absl::MakeSpan(rankings)).ok());
  nlohmann::json answer = nlohmann::json::array();
  for (const Ranking& ranking : rankings) {
    nlohmann::json rows = nlohmann::json::array();
    nlohmann::json scores = nlohmann::json::array();
    for (const ScoredRow& item : ranking.items) {
      rows.push_back(item.row);
      scores.push_back(item.score);
    }
    answer.push_back({{"rows", rows}, {"scores", scores}});
  }
  return answer;
}

nlohmann::json RunWindow(const Scorer& scorer, const QueryBatch& users,
                         double seconds, size_t batch) {
  RankLoop loop(scorer, users, batch);
  const Measured window = RunFor(seconds, [&] { loop.RunOnce(); });
  return {{"us", window.Median() * 1e6},
          {"cpu_over_wall", window.cpu_over_wall}};
}

int Main() {
  const BenchModel model =
      MakeTower(absl::GetFlag(FLAGS_towers), absl::GetFlag(FLAGS_tower),
                absl::GetFlag(FLAGS_items));
  const QueryBatch users(model, kUsers, kSeen, kBest);
  const absl::Status exported =
      ExportModel(model, users.queries(), absl::GetFlag(FLAGS_export));
  if (!exported.ok()) {
    std::cerr << exported.message() << std::endl;
    return 1;
  }
  const std::unique_ptr<Scorer> scorer = MakeScorer(model, 1);
  std::cout << "ready " << model.weights() << std::endl;

  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    double seconds = 0;
    size_t batch = 0;
    words >> command >> seconds >> batch;
    const nlohmann::json answer =
        command == "rank" ? RankAll(*scorer, users)
                          : RunWindow(*scorer, users, seconds, batch);
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
