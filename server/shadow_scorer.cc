#include "server/shadow_scorer.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "server/fenced_rank.h"

namespace neumf {
namespace {

// Low, but not the lowest: what is nearly done soon ends, although the machine
// is busy.
constexpr int kShadowNice = 10;
// A quarter of the time at most.
constexpr int kPausePerWork = 3;

}  // namespace

Agreement CompareAnswers(const v1::RecommendResponse& served,
                         const v1::RecommendResponse& candidate) {
  absl::flat_hash_map<absl::string_view, float> scores;
  for (const v1::ScoredItem& item : served.items()) {
    scores.emplace(item.item_id(), item.score());
  }
  int common = 0;
  double drift = 0;
  for (const v1::ScoredItem& item : candidate.items()) {
    const auto in_served = scores.find(item.item_id());
    if (in_served == scores.end()) continue;
    ++common;
    drift += std::abs(static_cast<double>(item.score()) - in_served->second);
  }
  const int longest = std::max(served.items_size(), candidate.items_size());
  if (longest == 0) return {1, std::nullopt};
  Agreement agreement{static_cast<double>(common) / longest, std::nullopt};
  if (common > 0) agreement.drift = drift / common;
  return agreement;
}

ShadowScorer::ShadowScorer(const RequestLimits& limits, Parts parts)
    : limits_(limits), parts_(std::move(parts)), thread_([this] { Run(); }) {}

ShadowScorer::~ShadowScorer() { Stop(); }

void ShadowScorer::Add(Sample sample) {
  bool is_taken = false;
  {
    MutexLock lock(&mutex_);
    is_taken = !stopping_ && waiting_.size() < kMaxWaiting;
    if (is_taken) waiting_.push_back(std::move(sample));
  }
  if (!is_taken) return sample.trial->Dropped();
  wake_.Signal();
}

void ShadowScorer::Stop() {
  std::call_once(stopped_, [this] {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      waiting_.clear();
    }
    wake_.SignalAll();
    thread_.join();
  });
}

void ShadowScorer::Run() {
  SetThreadName("shadow");
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kShadowNice);
  while (const std::optional<Sample> sample = Take()) {
    const absl::Duration begin = parts_.clock->MonotonicNow();
    Score(*sample);
    const absl::Duration took = parts_.clock->MonotonicNow() - begin;
    if (!Pause(kPausePerWork * took)) return;
  }
}

std::optional<ShadowScorer::Sample> ShadowScorer::Take() {
  MutexLock lock(&mutex_);
  while (!stopping_ && waiting_.empty()) wake_.Wait(&mutex_);
  if (stopping_) return std::nullopt;
  Sample sample = std::move(waiting_.front());
  waiting_.pop_front();
  return sample;
}

bool ShadowScorer::Pause(absl::Duration time) {
  MutexLock lock(&mutex_);
  const absl::Duration end = parts_.clock->MonotonicNow() + time;
  while (!stopping_ && parts_.clock->MonotonicNow() < end) {
    parts_.clock->WaitUntil(&wake_, &mutex_, end);
  }
  return !stopping_;
}

void ShadowScorer::Score(const Sample& sample) const {
  const auto candidate = sample.trial->candidate();
  if (candidate == nullptr || parts_.is_busy()) return sample.trial->Dropped();
  v1::RecommendResponse answer;
  const absl::Status status = ScoreBy(*candidate, sample.request, &answer);
  if (!status.ok() && !absl::IsNotFound(status)) {
    return sample.trial->NotScored();
  }
  const Agreement agreement = CompareAnswers(sample.answer, answer);
  sample.trial->Compared(agreement.overlap, agreement.drift);
}

// NOT_FOUND: it does not know the user.
absl::Status ShadowScorer::ScoreBy(const Snapshot& candidate,
                                   const v1::RecommendRequest& request,
                                   v1::RecommendResponse* answer) const {
  const auto blocked = candidate.blocked->Get();
  NEUMF_ASSIGN_OR_RETURN(const ResolvedQuery query,
                         Resolve(request, limits_, candidate, *blocked));
  Ranking ranking;
  if (query.served_from == v1::SERVED_FROM_POPULAR) {
    ranking = RankByPopularity(query, candidate, *blocked);
  } else {
    const UserVectors user(*candidate.users, query.user_row);
    RankQuery rank_query = MakeRankQuery(query, candidate, user);
    rank_query.allow_mask = blocked->mask();
    const absl::Status ranked = RankFenced(*candidate.scorer, {&rank_query, 1},
                                           absl::MakeSpan(&ranking, 1));
    if (absl::IsUnavailable(ranked) && candidate.device_life.has_value()) {
      parts_.device->ReportError(*candidate.device_life, ranked);
    }
    NEUMF_RETURN_IF_ERROR(ranked);
  }
  FillResponse(query, ranking, candidate, answer);
  return absl::OkStatus();
}

}  // namespace neumf
