// Ranks users of a checkpoint inside this process, as the server's scorer does
// and with nothing around it.
//
//   rank_alone --checkpoint_dir=DIR [--threads=2] [--k=10]
//
// Each line of stdin is a window, answered by a line of JSON:
//   BATCH SECONDS    {"users", "cpu_seconds", "p50_us"}, p50 of one Rank()
//                    of BATCH users, CPU time of all threads

#include <chrono>
#include <ctime>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "base/logging.h"
#include "bench/bench_model.h"
#include "bench/interleaved.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(std::string, checkpoint_dir, "", "Required. Where the model is.");
ABSL_FLAG(size_t, threads, 2, "Threads of the scorer.");
ABSL_FLAG(uint32_t, k, 10, "Items a user.");

namespace neumf {
namespace {

double ProcessCpuSeconds() {
  timespec now{};
  NEUMF_CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec);
}

class RankAlone {
 public:
  explicit RankAlone(const BenchModel& model)
      : model_(model),
        scorer_(MakeScorer(model, absl::GetFlag(FLAGS_threads))) {}

  nlohmann::ordered_json RunWindow(size_t batch, double seconds) {
    using Clock = std::chrono::steady_clock;
    RankOnce(batch);  // memory of rankings and caches
    const double cpu_before = ProcessCpuSeconds();
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    std::vector<double> micros;
    do {
      const auto begin = Clock::now();
      RankOnce(batch);
      micros.push_back(
          std::chrono::duration<double, std::micro>(Clock::now() - begin)
              .count());
    } while (Clock::now() < end);
    return {{"users", micros.size() * batch},
            {"cpu_seconds", ProcessCpuSeconds() - cpu_before},
            {"p50_us", Median(micros)}};
  }

 private:
  // Users at random, as callers come.
  void RankOnce(size_t batch) {
    queries_.clear();
    for (size_t b = 0; b < batch; ++b) {
      const uint64_t user = random_() % model_.shape.num_users;
      RankQuery& query = queries_.emplace_back();
      query.user_gmf = model_.users.gmf.row(user).data();
      query.user_tower = model_.users.tower.row(user).data();
      if (!model_.seen.empty()) query.seen = model_.seen.row(user);
      query.k = absl::GetFlag(FLAGS_k);
    }
    rankings_.resize(batch);
    NEUMF_CHECK(scorer_->Rank(queries_, absl::MakeSpan(rankings_)).ok());
  }

  const BenchModel& model_;
  const std::unique_ptr<Scorer> scorer_;
  std::mt19937_64 random_{1};
  std::vector<RankQuery> queries_;
  std::vector<Ranking> rankings_;
};

int Main() {
  const auto model = LoadTrainedModel(absl::GetFlag(FLAGS_checkpoint_dir));
  if (!model.ok()) {
    std::cerr << model.status().message() << std::endl;
    return 1;
  }
  RankAlone rank(*model);
  size_t batch = 0;
  double seconds = 0;
  while (std::cin >> batch >> seconds && batch > 0) {
    std::cout << rank.RunWindow(batch, seconds).dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("ranks in this process; see bench/serve/");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
