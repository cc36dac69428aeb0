#include "server/request_batcher.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "absl/types/span.h"
#include "base/logging.h"
#include "base/thread_pool.h"
#include "server/errors.h"

namespace neumf {
namespace {

constexpr absl::Duration kRetryAfterFailure = absl::Seconds(1);
constexpr absl::Duration kShortestRetry = absl::Milliseconds(10);
constexpr absl::Duration kLongestRetry = absl::Seconds(1);

absl::Status QueueFull(absl::Duration retry_after) {
  return Unavailable("QUEUE_FULL", "too many requests are waiting",
                     retry_after);
}

absl::Status ScorerFailed() {
  return Unavailable("SCORER_FAILED", "scoring failed on this server",
                     kRetryAfterFailure);
}

absl::Status Expired() {
  return absl::DeadlineExceededError(
      "the deadline passed before the request was answered");
}

// Exceptions of a backend, memory above all, become its failure; not
// UNAVAILABLE, which would mean that its device is lost.
absl::Status RankFenced(const Scorer& scorer,
                        absl::Span<const RankQuery> queries,
                        absl::Span<Ranking> rankings) {
  try {
    return scorer.Rank(queries, rankings);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

uint64_t NumRescored(absl::Span<const Ranking> rankings) {
  uint64_t num_items = 0;
  for (const Ranking& ranking : rankings) num_items += ranking.rescored_count;
  return num_items;
}

}  // namespace

RequestBatcher::RequestBatcher(const Options& options, const Clock* clock,
                               ScoringDevice* device, ServerMetrics* metrics)
    : options_(options),
      clock_(clock),
      device_(device),
      metrics_(metrics),
      thread_([this] { Run(); }) {}

RequestBatcher::~RequestBatcher() { Stop(); }

absl::Status RequestBatcher::Submit(std::shared_ptr<PendingCall> call) {
  const size_t num_users = call->queries.size();
  std::optional<ShedReason> refusal;
  absl::Duration retry_after;
  {
    MutexLock lock(&mutex_);
    if (stopping_) {
      refusal = ShedReason::kDraining;
    } else if (!HasRoomFor(num_users)) {
      refusal = ShedReason::kQueueFull;
      retry_after = RetryAfter();
    } else {
      call->enqueued = clock_->MonotonicNow();
      queue_.push_back(std::move(call));
      queued_users_ += num_users;
      metrics_->SetQueueUsers(queued_users_);
    }
  }
  if (!refusal.has_value()) {
    wake_.Signal();
    return absl::OkStatus();
  }
  metrics_->RequestShed(*refusal);
  return *refusal == ShedReason::kDraining ? Draining()
                                           : QueueFull(retry_after);
}

void RequestBatcher::Stop() {
  std::call_once(stopped_, [this] {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
    }
    wake_.SignalAll();
    thread_.join();
  });
}

absl::Duration RequestBatcher::last_heartbeat() const {
  MutexLock lock(&mutex_);
  return idle_ ? clock_->MonotonicNow() : heartbeat_;
}

void RequestBatcher::Run() {
  SetThreadName("batcher");
  for (;;) {
    const Work work = WaitForWork();
    if (work.batch.empty() && work.expired.empty() && work.abandoned.empty()) {
      break;
    }
    Process(work);
  }
  AnswerRemaining();
}

size_t RequestBatcher::MaxBatchUsers(const Snapshot& snapshot) const {
  if (options_.max_batch_users > 0) return options_.max_batch_users;
  return snapshot.device_life.has_value() ? kGpuBatchUsers : kCpuBatchUsers;
}

bool RequestBatcher::HasRoomFor(size_t num_users) const {
  // A call larger than the whole queue could never be taken otherwise.
  return queued_users_ == 0 ||
         queued_users_ + num_users <= options_.max_queue_users;
}

absl::Duration RequestBatcher::RetryAfter() {
  // Until half of the queue is worked off; spread, so that callers who were
  // refused together do not come back together.
  const absl::Duration half =
      time_per_user_ * static_cast<double>(queued_users_) / 2;
  std::uniform_real_distribution<double> spread(0.5, 1.5);
  return std::clamp(half * spread(jitter_), kShortestRetry, kLongestRetry);
}

RequestBatcher::Work RequestBatcher::WaitForWork() {
  Work work;
  MutexLock lock(&mutex_);
  idle_ = true;
  while (!stopping_) {
    const absl::Duration now = clock_->MonotonicNow();
    absl::Duration due = absl::InfiniteDuration();
    if (!queue_.empty()) {
      const PendingCall& first = *queue_.front();
      due = first.enqueued + options_.max_queue_delay;
      if (due <= now || queued_users_ >= MaxBatchUsers(*first.snapshot)) break;
    }
    clock_->WaitUntil(&wake_, &mutex_, due);
  }
  if (stopping_) return work;
  idle_ = false;
  heartbeat_ = clock_->MonotonicNow();
  DropFinishedCalls(heartbeat_, &work);
  TakeBatch(&work.batch);
  metrics_->SetQueueUsers(queued_users_);
  return work;
}

void RequestBatcher::DropFinishedCalls(absl::Duration now, Work* work) {
  std::deque<std::shared_ptr<PendingCall>> waiting;
  for (std::shared_ptr<PendingCall>& call : queue_) {
    const bool expired = call->deadline <= now;
    const bool ours = expired && call->Claim();
    if (!ours && !call->claimed.load(std::memory_order_acquire)) {
      waiting.push_back(std::move(call));
      continue;
    }
    queued_users_ -= call->queries.size();
    // gRPC cancels calls whose deadline passed, and may have been faster.
    if (expired) {
      metrics_->RequestExpired(Stage::kQueue);
    } else {
      metrics_->RequestCancelled(Stage::kQueue);
    }
    (ours ? work->expired : work->abandoned).push_back(std::move(call));
  }
  queue_ = std::move(waiting);
}

void RequestBatcher::TakeBatch(Calls* batch) {
  size_t num_users = 0;
  while (!queue_.empty()) {
    const PendingCall& next = *queue_.front();
    const size_t with_next = num_users + next.queries.size();
    if (!batch->empty() && (with_next > MaxBatchUsers(*next.snapshot) ||
                            next.snapshot != batch->front()->snapshot)) {
      break;
    }
    num_users = with_next;
    batch->push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queued_users_ -= num_users;
}

void RequestBatcher::Process(const Work& work) {
  for (const auto& call : work.expired) call->done(Expired(), {});
  for (const auto& call : work.abandoned) call->Release();
  if (work.batch.empty()) return;
  const absl::Duration taken = clock_->MonotonicNow();
  GatherQueries(work.batch);
  const absl::Duration gathered = clock_->MonotonicNow();
  const absl::Status status = ScoreQueries(*work.batch.front()->snapshot);
  const absl::Duration scored = clock_->MonotonicNow();
  if (status.ok()) RecordScoring(scored - gathered, rank_queries_.size());
  for (const auto& call : work.batch) {
    call->scored = scored;
    metrics_->StageTook(Stage::kQueue, taken - call->enqueued);
    metrics_->StageTook(Stage::kGather, gathered - taken);
    metrics_->StageTook(Stage::kScore, scored - gathered);
  }
  AnswerBatch(work.batch, status);
}

void RequestBatcher::GatherQueries(const Calls& batch) {
  rank_queries_.clear();
  for (const auto& call : batch) {
    for (const ResolvedQuery& query : call->queries) {
      rank_queries_.push_back(MakeRankQuery(query, *call->snapshot));
      rank_queries_.back().cancelled = &call->claimed;
    }
  }
  // Never shrinks: the rankings keep their memory from batch to batch.
  if (rankings_.size() < rank_queries_.size()) {
    rankings_.resize(rank_queries_.size());
  }
}

absl::Status RequestBatcher::ScoreQueries(const Snapshot& snapshot) {
  if (device_->IsDead(snapshot)) return ScorerFailed();
  const absl::Span<const RankQuery> queries = rank_queries_;
  const absl::Span<Ranking> rankings = absl::MakeSpan(rankings_);
  size_t begin = 0;
  while (begin < queries.size()) {
    const size_t count =
        std::min(MaxBatchUsers(snapshot), queries.size() - begin);
    const absl::Status status =
        RankFenced(*snapshot.scorer, queries.subspan(begin, count),
                   rankings.subspan(begin, count));
    if (!status.ok()) {
      ReportFailure(snapshot, status);
      return ScorerFailed();
    }
    metrics_->BatchScored(count);
    metrics_->ItemsRescored(NumRescored(rankings.subspan(begin, count)));
    begin += count;
    MutexLock lock(&mutex_);
    heartbeat_ = clock_->MonotonicNow();
  }
  scorer_failing_ = false;
  return absl::OkStatus();
}

void RequestBatcher::ReportFailure(const Snapshot& snapshot,
                                   const absl::Status& status) {
  if (snapshot.device_life.has_value() && absl::IsUnavailable(status)) {
    return device_->ReportError(*snapshot.device_life, status);
  }
  if (!scorer_failing_) {
    LogEvent("scorer_failed").With("reason", status.ToString());
  }
  scorer_failing_ = true;
}

void RequestBatcher::RecordScoring(absl::Duration took, size_t num_users) {
  constexpr double kWeightOfNew = 0.1;
  const absl::Duration per_user = took / static_cast<double>(num_users);
  MutexLock lock(&mutex_);
  time_per_user_ += (per_user - time_per_user_) * kWeightOfNew;
}

void RequestBatcher::AnswerBatch(const Calls& batch,
                                 const absl::Status& status) {
  const absl::Duration now = clock_->MonotonicNow();
  const absl::Span<const Ranking> rankings = rankings_;
  size_t begin = 0;
  for (const auto& call : batch) {
    const size_t count = call->queries.size();
    const bool expired = call->deadline <= now;
    if (!call->Claim()) {
      // Whoever was faster has answered: the registry, or the caller's end.
      if (expired) {
        metrics_->RequestExpired(Stage::kScore);
      } else {
        metrics_->RequestCancelled(Stage::kScore);
      }
      call->Release();
    } else if (!status.ok()) {
      call->done(status, {});
    } else if (expired) {
      metrics_->RequestExpired(Stage::kEncode);
      call->done(Expired(), {});
    } else {
      call->done(status, rankings.subspan(begin, count));
    }
    begin += count;
  }
}

void RequestBatcher::AnswerRemaining() {
  std::deque<std::shared_ptr<PendingCall>> remaining;
  {
    MutexLock lock(&mutex_);
    remaining.swap(queue_);
    queued_users_ = 0;
  }
  metrics_->SetQueueUsers(0);
  for (const auto& call : remaining) {
    if (!call->Claim()) continue;
    metrics_->RequestShed(ShedReason::kDraining);
    call->done(Draining(), {});
  }
}

}  // namespace neumf
