#include "scoring/cuda/self_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "base/split_mix64.h"
#include "base/status_macros.h"
#include "scoring/cuda/drain.h"
#include "scoring/cuda/pass_input.h"
#include "scoring/rank_key.h"

namespace neumf::cuda {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr uint32_t kUsers = kGroupUsers;

// Numbers in [0, 1), the same ones each time.
class Draws {
 public:
  float Next() {
    state_ += kSplitMix64Step;
    return static_cast<float>(SplitMix64(state_) >> 40) * 0x1p-24F;
  }

 private:
  uint64_t state_ = 0;
};

std::vector<float> DrawUsers(const std::vector<ColumnRange>& ranges,
                             Draws* draws) {
  std::vector<float> users;
  for (uint32_t user = 0; user < kUsers; ++user) {
    for (const ColumnRange& range : ranges) {
      const float at = draws->Next();
      users.push_back((1 - at) * range.low + at * range.high);
    }
  }
  return users;
}

// What a scan of one level left, on the host.
struct Scanned {
  uint32_t capacity = 0;
  Memory margin;  // [kUsers], and so on as in Pass
  Memory count;
  Memory outcome;
  Memory coarse;  // [kUsers, capacity] rank keys of coarse scores
  Memory exact;   // the same of exact ones, in the same order

  static absl::StatusOr<Scanned> Make(Device& device, uint32_t capacity) {
    Scanned scanned;
    scanned.capacity = capacity;
    const std::pair<Memory*, size_t> parts[] = {
        {&scanned.margin, kUsers * sizeof(float)},
        {&scanned.count, kUsers * sizeof(uint32_t)},
        {&scanned.outcome, kUsers * sizeof(Outcome)},
        {&scanned.coarse, scanned.num_keys() * sizeof(uint64_t)},
        {&scanned.exact, scanned.num_keys() * sizeof(uint64_t)}};
    for (const auto& [memory, bytes] : parts) {
      NEUMF_ASSIGN_OR_RETURN(
          *memory, Memory::Allocate(device, Memory::Place::kPinned, bytes));
    }
    return scanned;
  }

  uint64_t num_keys() const { return uint64_t{kUsers} * capacity; }
};

absl::Status CopyBack(const Pass& pass, Stream& stream, const Memory& keys) {
  return stream.Copy(keys.as<uint64_t>(), pass.candidates, keys.size_bytes());
}

// Scans `level` for the users of `input`, and scores what was found.
absl::Status Scan(const PassKernels& kernels, Workspace& workspace,
                  const PassInput& input, const Level& level,
                  const Scanned& to) {
  Stream& stream = workspace.stream();
  const PassMemory& memory = workspace.memory();
  const Pass pass = memory.MakePass(kUsers, to.capacity);
  input.WriteTo(memory.input());
  NEUMF_RETURN_IF_ERROR(memory.CopyInput(stream, input.size_bytes()));
  NEUMF_RETURN_IF_ERROR(kernels.QueueStart(stream, pass));
  NEUMF_RETURN_IF_ERROR(
      kernels.QueueScan(stream, pass, memory.scratch(), level));
  NEUMF_RETURN_IF_ERROR(CopyBack(pass, stream, to.coarse));
  NEUMF_RETURN_IF_ERROR(kernels.QueueRescore(stream, pass, memory.scratch()));
  NEUMF_RETURN_IF_ERROR(CopyBack(pass, stream, to.exact));
  NEUMF_RETURN_IF_ERROR(
      stream.Copy(to.margin.as<float>(), pass.margin, to.margin.size_bytes()));
  NEUMF_RETURN_IF_ERROR(
      stream.Copy(to.count.as<uint32_t>(), pass.count, to.count.size_bytes()));
  NEUMF_RETURN_IF_ERROR(stream.Copy(to.outcome.as<Outcome>(), pass.outcome,
                                    to.outcome.size_bytes()));
  return stream.Synchronize();
}

std::vector<uint32_t> RowsOf(const Level& level, uint32_t num_items) {
  const uint32_t num_chunks = (num_items - 1) / kChunkItems + 1;
  std::vector<uint32_t> rows;
  for (uint32_t i = 0; i < level.NumChunks(num_chunks); ++i) {
    const uint32_t first = level.Chunk(i) * kChunkItems;
    const uint32_t count = std::min(num_items - first, kChunkItems);
    for (uint32_t r = 0; r < count; ++r) rows.push_back(first + r);
  }
  return rows;
}

// What is wrong with all scores alike costs a user nothing
// (kernels/error_bound.h), so what counts is how far their errors are apart.
double SpreadOfUser(const Scanned& scanned, uint32_t user,
                    const std::vector<uint32_t>& rows, float score_scale) {
  const uint32_t count = scanned.count.as<uint32_t>()[user];
  if (count != rows.size()) return kInfinity;
  const uint64_t begin = uint64_t{user} * scanned.capacity;
  std::vector<uint32_t> found;
  double least = kInfinity;
  double most = -kInfinity;
  for (uint64_t i = begin; i < begin + count; ++i) {
    const ScoredRow coarse = FromRankKey(scanned.coarse.as<uint64_t>()[i]);
    const ScoredRow exact = FromRankKey(scanned.exact.as<uint64_t>()[i]);
    const double error =
        double{coarse.score} - double{score_scale} * exact.score;
    if (coarse.row != exact.row || !std::isfinite(error)) return kInfinity;
    least = std::min(least, error);
    most = std::max(most, error);
    found.push_back(coarse.row);
  }
  std::sort(found.begin(), found.end());
  if (found != rows) return kInfinity;
  const double spread = most - least;
  if (spread == 0) return 0;
  const double ratio = spread / double{scanned.margin.as<float>()[user]};
  if (!std::isfinite(ratio)) return kInfinity;  // also of a NaN
  return ratio;
}

// Of all users that have a bound.
double WorstOf(const Scanned& scanned, const std::vector<uint32_t>& rows,
               float score_scale) {
  double worst = -1;
  for (uint32_t user = 0; user < kUsers; ++user) {
    if (scanned.outcome.as<Outcome>()[user] != Outcome::kReady) continue;
    worst = std::max(worst, SpreadOfUser(scanned, user, rows, score_scale));
  }
  if (worst < 0) return kInfinity;
  return worst;
}

// Levels that have the first and the last chunk, and the first and one or more
// from the middle on.
std::vector<Level> SampleLevels(uint32_t num_items) {
  const uint32_t last = (num_items - 1) / kChunkItems;
  std::vector<Level> levels = {{std::max<uint32_t>(last, 1), 0}};
  if (last >= 2) levels.push_back({(last + 1) / 2, 0});
  return levels;
}

// Some chunks for each multiprocessor, spread over the catalog.
Level TimedLevel(const Device& device, uint64_t num_items) {
  constexpr uint64_t kChunksEach = 4;
  const uint64_t chunks = (num_items - 1) / kChunkItems + 1;
  const uint64_t timed = kChunksEach * device.num_multiprocessors();
  return {static_cast<uint32_t>((chunks - 1) / timed + 1), 0};
}

}  // namespace

absl::StatusOr<double> MeasureCoarseError(
    const PassKernels& kernels, Workspace& workspace, const ModelShape& shape,
    const PassSizes& sizes, const ItemRanges& ranges, float score_scale) {
  Draws draws;
  const std::vector<float> tower = DrawUsers(ranges.tower, &draws);
  const std::vector<float> gmf = DrawUsers(ranges.gmf, &draws);
  std::vector<RankQuery> queries(kUsers);
  for (uint32_t user = 0; user < kUsers; ++user) {
    queries[user].user_tower = tower.data() + user * ranges.tower.size();
    queries[user].user_gmf = gmf.data() + user * ranges.gmf.size();
    queries[user].k = 1;
  }
  const auto capacity = static_cast<uint32_t>(sizes.Of(1).capacity);
  PassInput input;
  input.Plan(queries, shape, capacity);

  NEUMF_ASSIGN_OR_RETURN(const Scanned scanned,
                         Scanned::Make(workspace.stream().device(), capacity));
  Drain drain(workspace.stream());
  double worst = 0;
  const auto num_items = static_cast<uint32_t>(shape.num_items);
  for (const Level& level : SampleLevels(num_items)) {
    NEUMF_RETURN_IF_ERROR(Scan(kernels, workspace, input, level, scanned));
    worst = std::max(worst,
                     WorstOf(scanned, RowsOf(level, num_items), score_scale));
  }
  drain.Dismiss();
  return worst;
}

absl::StatusOr<double> MeasureScanSeconds(const PassKernels& kernels,
                                          Workspace& workspace,
                                          const ModelShape& shape) {
  constexpr int kRounds = 4;  // the first warms up
  const std::vector<float> vector(
      std::max(shape.tower_width(), shape.gmf_width));
  RankQuery query;  // of k 0, so that nothing passes
  query.user_tower = vector.data();
  query.user_gmf = vector.data();
  const std::vector<RankQuery> queries(kTimedUsers, query);
  PassInput input;
  input.Plan(queries, shape, 1);
  Stream& stream = workspace.stream();
  const PassMemory& memory = workspace.memory();
  const Pass pass = memory.MakePass(kTimedUsers, 1);
  const Level level = TimedLevel(stream.device(), shape.num_items);
  input.WriteTo(memory.input());
  NEUMF_RETURN_IF_ERROR(memory.CopyInput(stream, input.size_bytes()));
  NEUMF_RETURN_IF_ERROR(kernels.QueueStart(stream, pass));
  double best = kInfinity;
  for (int round = 0; round < kRounds; ++round) {
    NEUMF_RETURN_IF_ERROR(stream.Mark());
    NEUMF_RETURN_IF_ERROR(
        kernels.QueueScan(stream, pass, memory.scratch(), level));
    NEUMF_RETURN_IF_ERROR(stream.Mark());
    NEUMF_RETURN_IF_ERROR(stream.Synchronize());
    NEUMF_ASSIGN_OR_RETURN(const double seconds, stream.SecondsBetweenMarks());
    if (round > 0) best = std::min(best, seconds);
  }
  return best;
}

}  // namespace neumf::cuda
