#include "server/request_batcher.h"

#include <algorithm>
#include <utility>

#include "absl/types/span.h"
#include "base/logging.h"
#include "base/thread_pool.h"
#include "server/errors.h"
#include "server/fenced_rank.h"

namespace neumf {
namespace {

constexpr absl::Duration kRetryAfterFailure = absl::Seconds(1);
constexpr absl::Duration kRetryAfterShedding = QueueDelay::kCalm;

absl::Status RefusalStatus(ShedReason reason, absl::Duration retry_after) {
  switch (reason) {
    case ShedReason::kQueueFull:
      return Unavailable("QUEUE_FULL", "too many requests are waiting",
                         retry_after);
    case ShedReason::kWaitTooLong:
      return Unavailable("WAIT_TOO_LONG",
                         "the answer would come after the deadline",
                         retry_after);
    case ShedReason::kOverloaded:
      return Unavailable(
          "OVERLOADED", "more requests come than can be answered", retry_after);
    default:
      return Draining();
  }
}

absl::Status ScorerFailed() {
  return Unavailable("SCORER_FAILED", "scoring failed on this server",
                     kRetryAfterFailure);
}

absl::Status Expired() {
  return absl::DeadlineExceededError(
      "the deadline passed before the request was answered");
}

uint64_t NumRescored(absl::Span<const Ranking> rankings) {
  uint64_t num_items = 0;
  for (const Ranking& ranking : rankings) num_items += ranking.rescored_count;
  return num_items;
}

}  // namespace

RequestBatcher::RequestBatcher(const Options& options, const Clock* clock,
                               ScoringDevice* device, RecentQueries* recent,
                               ServerMetrics* metrics)
    : options_(options),
      clock_(clock),
      device_(device),
      recent_(recent),
      metrics_(metrics),
      load_(options.load),
      thread_([this] { Run(); }) {}

RequestBatcher::~RequestBatcher() { Stop(); }

absl::Status RequestBatcher::Submit(std::shared_ptr<PendingCall> call) {
  const LoadControl::Demand demand = {call->queries.size(),
                                      NumScored(call->queries)};
  std::optional<LoadControl::Refusal> refusal;
  {
    MutexLock lock(&mutex_);
    const absl::Duration now = clock_->MonotonicNow();
    refusal = Refuse(*call, demand, now);
    if (!refusal.has_value()) {
      call->enqueued = now;
      queue_.Push(std::move(call));
      QueueChanged();
    }
  }
  if (!refusal.has_value()) {
    wake_.Signal();
    return absl::OkStatus();
  }
  return Refused(*refusal);
}

absl::Status RequestBatcher::CheckRoom(const PendingCall& call,
                                       size_t num_users) {
  std::optional<LoadControl::Refusal> refusal;
  {
    MutexLock lock(&mutex_);
    // How many of them need the scorer is not known yet.
    refusal =
        Refuse(call, {num_users, /*num_scored=*/0}, clock_->MonotonicNow());
  }
  return refusal.has_value() ? Refused(*refusal) : absl::OkStatus();
}

std::optional<LoadControl::Refusal> RequestBatcher::Refuse(
    const PendingCall& call, const LoadControl::Demand& demand,
    absl::Duration now) {
  if (!stopping_) return load_.Refuse(call, demand, queue_, now);
  return LoadControl::Refusal{ShedReason::kDraining, absl::ZeroDuration()};
}

absl::Status RequestBatcher::Refused(const LoadControl::Refusal& refusal) {
  metrics_->RequestShed(refusal.reason);
  return RefusalStatus(refusal.reason, refusal.retry_after);
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
  if (!idle_) return heartbeat_;
  absl::Duration alive = clock_->MonotonicNow();
  // A thread that is awake leaves no call alone for longer than this.
  for (const auto c : {RequestClass::kSingle, RequestClass::kMany}) {
    const PendingCall* const first = queue_.front(c);
    if (first == nullptr) continue;
    alive = std::min(alive, first->enqueued + options_.max_queue_delay);
  }
  return alive;
}

void RequestBatcher::QueueChanged() {
  metrics_->SetQueueUsers(queue_.num_users());
  const PendingCall* const first = queue_.front(RequestClass::kSingle);
  is_behind_ = first != nullptr && queue_.num_users(RequestClass::kSingle) >
                                       load_.MaxBatchUsers(*first->snapshot);
}

void RequestBatcher::Run() {
  SetThreadName("batcher");
  for (Work work = WaitForWork(); !work.empty(); work = WaitForWork()) {
    Process(work);
  }
  AnswerRemaining();
}

RequestBatcher::Work RequestBatcher::WaitForWork() {
  Work work;
  MutexLock lock(&mutex_);
  idle_ = true;
  while (!stopping_) {
    const absl::Duration due = BatchDue();
    if (due <= clock_->MonotonicNow()) break;
    clock_->WaitUntil(&wake_, &mutex_, due);
  }
  if (stopping_) return work;
  idle_ = false;
  heartbeat_ = clock_->MonotonicNow();
  DropFinishedCalls(heartbeat_, &work);
  if (!queue_.empty()) {
    work.batch = queue_.TakeBatch(load_.MaxBatchUsers(queue_.next_snapshot()));
    load_.BatchStarts(work.batch, queue_, heartbeat_);
  }
  QueueChanged();
  return work;
}

absl::Duration RequestBatcher::BatchDue() const {
  if (queue_.empty()) return absl::InfiniteDuration();
  const PendingCall* const first = queue_.front(RequestClass::kSingle);
  if (queue_.num_users(RequestClass::kMany) > 0 ||
      queue_.num_users() >= load_.MaxBatchUsers(*first->snapshot)) {
    return -absl::InfiniteDuration();
  }
  return first->enqueued + options_.max_queue_delay;
}

void RequestBatcher::DropFinishedCalls(absl::Duration now, Work* work) {
  const absl::Duration oldest = now - load_.longest_wait();
  const auto expired = [&](const PendingCall& call) {
    return call.deadline <= now;
  };
  const auto finished = [&](const PendingCall& call) {
    const bool sheds =
        call.request_class == RequestClass::kSingle && call.enqueued < oldest;
    return sheds || expired(call) ||
           call.claimed.load(std::memory_order_acquire);
  };
  for (std::shared_ptr<PendingCall>& call : queue_.RemoveIf(finished)) {
    if (!call->Claim()) {
      CountLost(*call, Stage::kQueue, now);
      work->abandoned.push_back(std::move(call));
    } else if (expired(*call)) {
      metrics_->RequestExpired(Stage::kQueue);
      work->expired.push_back(std::move(call));
    } else {
      metrics_->RequestShed(ShedReason::kOverloaded);
      work->shed.push_back(std::move(call));
    }
  }
}

// Somebody else has finished the call: gRPC, which cancels calls whose deadline
// passed, the registry, or the caller.
void RequestBatcher::CountLost(const PendingCall& call, Stage stage,
                               absl::Duration now) {
  if (call.deadline <= now) {
    metrics_->RequestExpired(stage);
  } else {
    metrics_->RequestCancelled(stage);
  }
}

void RequestBatcher::Process(const Work& work) {
  for (const auto& call : work.expired) call->done(Expired());
  for (const auto& call : work.shed) {
    call->done(RefusalStatus(ShedReason::kOverloaded, kRetryAfterShedding));
  }
  for (const auto& call : work.abandoned) call->Release();
  if (!work.batch.empty()) ProcessBatch(work.batch);
}

void RequestBatcher::ProcessBatch(const Batch& batch) {
  const absl::Duration taken = clock_->MonotonicNow();
  GatherQueries(batch);
  const absl::Duration gathered = clock_->MonotonicNow();
  for (const CallPiece& piece : batch) {
    if (piece.first > 0) continue;
    piece.call->taken = taken;
    piece.call->gathered = gathered;
  }
  const absl::Status status = ScoreQueries(*batch.front().call->snapshot);
  if (!status.ok()) return ScoringFailed(batch, status);
  const absl::Duration scored = clock_->MonotonicNow();
  RankPopular(batch);
  Deliver(batch);
  MutexLock lock(&mutex_);
  heartbeat_ = clock_->MonotonicNow();
  load_.BatchAnswered(scored, heartbeat_);
}

void RequestBatcher::GatherQueries(const Batch& batch) {
  rank_queries_.clear();
  user_vectors_.clear();
  const auto blocked = batch.front().call->snapshot->blocked->Get();
  size_t num_users = 0;
  for (const CallPiece& piece : batch) {
    PendingCall& call = *piece.call;
    if (piece.first == 0) call.blocked = blocked;
    num_users += piece.count;
    for (size_t i = piece.first; i < piece.first + piece.count; ++i) {
      const ResolvedQuery& query = call.queries[i];
      if (!NeedsScorer(query)) continue;
      recent_->Add(query, *call.snapshot);
      user_vectors_.emplace_back(*call.snapshot->users, query.user_row);
      rank_queries_.push_back(
          MakeRankQuery(query, *call.snapshot, user_vectors_.back()));
      rank_queries_.back().allow_mask = call.blocked->mask();
      rank_queries_.back().cancelled = &call.claimed;
    }
  }
  // Never shrinks: the rankings keep their memory from batch to batch.
  if (rankings_.size() < num_users) rankings_.resize(num_users);
}

absl::Status RequestBatcher::ScoreQueries(const Snapshot& snapshot) {
  if (rank_queries_.empty()) return absl::OkStatus();
  if (device_->IsDead(snapshot)) return ScorerFailed();
  const absl::Span<Ranking> rankings =
      absl::MakeSpan(rankings_).first(rank_queries_.size());
  const absl::Status status =
      RankFenced(*snapshot.scorer, rank_queries_, rankings);
  if (!status.ok()) {
    ReportFailure(snapshot, status);
    return ScorerFailed();
  }
  metrics_->BatchScored(rankings.size());
  metrics_->ItemsRescored(NumRescored(rankings));
  scorer_failing_ = false;
  return absl::OkStatus();
}

// What was scored lies in front, packed. From the end on it moves to where it
// belongs, so that nothing is overwritten; once no popular one is left, the rest
// is in place: a batch without any costs one comparison.
void RequestBatcher::RankPopular(const Batch& batch) {
  size_t num_scored = rank_queries_.size();
  size_t slot = 0;
  for (const CallPiece& piece : batch) slot += piece.count;
  for (auto piece = batch.rbegin(); slot > num_scored; ++piece) {
    const PendingCall& call = *piece->call;
    const bool is_wanted = !call.claimed.load(std::memory_order_acquire);
    for (size_t i = piece->first + piece->count; i > piece->first; --i) {
      const ResolvedQuery& query = call.queries[i - 1];
      --slot;
      if (NeedsScorer(query)) {
        --num_scored;
        if (slot != num_scored)
          std::swap(rankings_[slot], rankings_[num_scored]);
      } else if (is_wanted) {
        rankings_[slot] =
            RankByPopularity(query, *call.snapshot, *call.blocked);
      }
    }
  }
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

void RequestBatcher::Deliver(const Batch& batch) {
  const absl::Duration ended = clock_->MonotonicNow();
  const auto blocked = batch.front().call->snapshot->blocked->Get();
  absl::Span<const Ranking> rankings = rankings_;
  Calls outdated;
  for (const CallPiece& piece : batch) {
    PendingCall& call = *piece.call;
    const auto ranked = rankings.first(piece.count);
    rankings.remove_prefix(piece.count);
    // What others have finished needs no answer.
    const bool is_wanted = !call.claimed.load(std::memory_order_acquire);
    if (is_wanted && piece.is_last && call.blocked != blocked) {
      outdated.push_back(piece.call);
      continue;
    }
    if (is_wanted) call.scored(piece.first, ranked);
    if (!piece.is_last) continue;
    call.ended = ended;
    EndCall(&call);
  }
  if (!outdated.empty()) ScoreAgain(outdated);
}

void RequestBatcher::ScoreAgain(const Calls& calls) {
  MutexLock lock(&mutex_);
  queue_.PutBack(calls);
  QueueChanged();
}

// All of the call is scored.
void RequestBatcher::EndCall(PendingCall* call) {
  metrics_->StageTook(Stage::kAdmission, call->enqueued - call->arrived);
  metrics_->StageTook(Stage::kQueue, call->taken - call->enqueued);
  metrics_->StageTook(Stage::kGather, call->gathered - call->taken);
  metrics_->StageTook(Stage::kScore, call->ended - call->gathered);
  const absl::Duration now = clock_->MonotonicNow();
  if (!call->Claim()) {
    CountLost(*call, Stage::kScore, now);
    call->Release();
  } else if (call->deadline <= now) {
    metrics_->RequestExpired(Stage::kEncode);
    call->done(Expired());
  } else {
    call->done(absl::OkStatus());
  }
}

void RequestBatcher::ScoringFailed(const Batch& batch,
                                   const absl::Status& status) {
  Batch failed;
  Batch popular;
  for (const CallPiece& piece : batch) {
    (piece.num_scored > 0 ? failed : popular).push_back(piece);
  }
  FailBatch(failed, status);
  if (popular.empty()) return;
  rank_queries_.clear();
  RankPopular(popular);
  Deliver(popular);
}

void RequestBatcher::FailBatch(const Batch& batch, const absl::Status& status) {
  const absl::Duration now = clock_->MonotonicNow();
  Calls unfinished;  // let go outside the lock
  {
    MutexLock lock(&mutex_);
    heartbeat_ = now;
    load_.BatchFailed();
    // What else of these calls waits goes with them.
    unfinished = queue_.RemoveIf([&](const PendingCall& call) {
      return &call == batch.back().call.get();
    });
    QueueChanged();
  }
  for (const CallPiece& piece : batch) {
    if (piece.call->Claim()) {
      piece.call->done(status);
    } else {
      CountLost(*piece.call, Stage::kScore, now);
      piece.call->Release();
    }
  }
}

void RequestBatcher::AnswerRemaining() {
  RequestQueue::Calls remaining;
  {
    MutexLock lock(&mutex_);
    remaining = queue_.RemoveAll();
    QueueChanged();
  }
  for (const auto& call : remaining) {
    if (!call->Claim()) continue;
    metrics_->RequestShed(ShedReason::kDraining);
    call->done(Draining());
  }
}

}  // namespace neumf
