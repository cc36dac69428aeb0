#include "server/load_control.h"

#include <algorithm>

namespace neumf {
namespace {

constexpr absl::Duration kShortestRetry = absl::Milliseconds(10);
constexpr absl::Duration kLongestRetry = absl::Seconds(1);
// Of an answer from popularity, before the first one was measured.
constexpr absl::Duration kFirstPopularTime = absl::Microseconds(20);
// An idle scorer tries what by its measurements takes too long once in this
// time: measurements grow old, and nothing else would renew them. What needs no
// scorer is tried whenever nothing else is to be done.
constexpr absl::Duration kMeasurementLife = absl::Seconds(1);
// Of what is expected, since some batches take longer than most: an answer that
// is late has cost as much as one in time.
constexpr double kSafety = 1.5;

}  // namespace

// A stall that meets the first answer from popularity counts little: nothing but
// others of them would correct it.
LoadControl::LoadControl(const Options& options) : options_(options) {
  popular_pace_.Observe(1, kFirstPopularTime);
}

size_t LoadControl::MaxBatchUsers(const Snapshot& snapshot) const {
  if (options_.max_batch_users > 0) return options_.max_batch_users;
  if (snapshot.device_life.has_value()) return kGpuBatchUsers;
  return cpu_pace_.known()
             ? cpu_pace_.UsersWithin(kCpuBatchTime, kMostCpuBatchUsers)
             : kFirstCpuBatchUsers;
}

std::optional<LoadControl::Refusal> LoadControl::Refuse(
    const PendingCall& call, const Demand& demand, const RequestQueue& queue,
    absl::Duration now) {
  const ScoringPace& pace = PaceOf(*call.snapshot);
  const auto refusal = [&](ShedReason reason) {
    return Refusal{reason, RetryAfter(pace, queue)};
  };
  if (!HasRoom(call, demand.num_users, queue)) {
    return refusal(ShedReason::kQueueFull);
  }
  const absl::Duration wait = WaitFor(call, demand, queue, now);
  const absl::Duration answer =
      wait + TimeFor(pace, demand) + TimeForCompany(call, demand, queue, wait);
  if (now + answer * kSafety > call.deadline && !MayTry(demand, queue, now)) {
    return refusal(ShedReason::kWaitTooLong);
  }
  if (call.request_class == RequestClass::kSingle &&
      delay_.Refuses(wait, now)) {
    return refusal(ShedReason::kOverloaded);
  }
  return std::nullopt;
}

bool LoadControl::MayTry(const Demand& demand, const RequestQueue& queue,
                         absl::Duration now) const {
  if (demand.num_scored == 0) return queue.empty() && !batch_.has_value();
  return queue.num_scored() == 0 &&
         (!batch_.has_value() || batch_->demand.num_scored == 0) &&
         now >= last_measured_ + kMeasurementLife;
}

bool LoadControl::HasRoom(const PendingCall& call, size_t num_users,
                          const RequestQueue& queue) const {
  // A call larger than the whole queue could never be taken otherwise.
  const size_t waiting = queue.num_users(call.request_class);
  if (waiting == 0) return true;
  const ScoringPace& pace = PaceOf(*call.snapshot);
  size_t room = options_.max_queue_users;
  if (room == 0) {
    room = pace.known()
               ? std::max(pace.UsersWithin(kQueueTime, kMostQueueUsers),
                          kFewestQueueUsers)
               : kFirstQueueUsers;
  }
  if (call.request_class == RequestClass::kMany) room *= kManyQueueFactor;
  return waiting + num_users <= room;
}

absl::Duration LoadControl::WaitFor(const PendingCall& call,
                                    const Demand& demand,
                                    const RequestQueue& queue,
                                    absl::Duration now) const {
  const RequestClass own = call.request_class;
  const Demand ahead = {queue.num_users(own), queue.num_scored(own)};
  const Demand others = {queue.num_users() - ahead.num_users,
                         queue.num_scored() - ahead.num_scored};
  const size_t batch = MaxBatchUsers(*call.snapshot);
  size_t in_turn = 0;
  if (own == RequestClass::kSingle) {
    in_turn = std::min(others.num_users, ahead.num_users + batch);
  } else {
    // Single calls keep coming: a turn before each batch, as large as now.
    const size_t own_users = ahead.num_users + demand.num_users;
    const size_t num_turns = (own_users + batch - 1) / batch;
    in_turn = num_turns * std::min(others.num_users, batch);
  }
  const size_t scored_in_turn =
      in_turn == 0 ? 0 : in_turn * others.num_scored / others.num_users;
  return RestOfBatch(now) +
         TimeFor(PaceOf(*call.snapshot), {ahead.num_users + in_turn,
                                          ahead.num_scored + scored_in_turn});
}

// As many come as are scored meanwhile, at most: else the queue grows, and later
// ones are refused.
absl::Duration LoadControl::TimeForCompany(const PendingCall& call,
                                           const Demand& demand,
                                           const RequestQueue& queue,
                                           absl::Duration wait) const {
  const ScoringPace& pace = PaceOf(*call.snapshot);
  const size_t batch = MaxBatchUsers(*call.snapshot);
  const size_t num_known =
      queue.num_scored(call.request_class) + demand.num_scored;
  const size_t whole_batches = (num_known + batch - 1) / batch * batch;
  return std::min(pace.TimeFor(whole_batches) - pace.TimeFor(num_known), wait);
}

absl::Duration LoadControl::TimeFor(const ScoringPace& pace,
                                    const Demand& demand) const {
  return pace.TimeFor(demand.num_scored) +
         popular_pace_.TimeFor(demand.num_users - demand.num_scored);
}

absl::Duration LoadControl::RestOfBatch(absl::Duration now) const {
  if (!batch_.has_value()) return absl::ZeroDuration();
  const ScoringPace& pace = batch_->on_gpu ? gpu_pace_ : cpu_pace_;
  return std::max(batch_->started + TimeFor(pace, batch_->demand) - now,
                  absl::ZeroDuration());
}

absl::Duration LoadControl::RetryAfter(const ScoringPace& pace,
                                       const RequestQueue& queue) {
  const Demand waiting = {queue.num_users(), queue.num_scored()};
  const absl::Duration half = TimeFor(pace, waiting) / 2;
  std::uniform_real_distribution<double> spread(0.5, 1.5);
  return std::clamp(half * spread(jitter_), kShortestRetry, kLongestRetry);
}

void LoadControl::BatchStarts(const std::vector<CallPiece>& batch,
                              const RequestQueue& queue, absl::Duration now) {
  const PendingCall& first = *batch.front().call;
  const Snapshot& snapshot = *first.snapshot;
  Demand demand = {};
  for (const CallPiece& piece : batch) {
    demand.num_users += piece.count;
    demand.num_scored += piece.num_scored;
  }
  batch_ = Batch{snapshot.device_life.has_value(), demand, now};
  if (first.request_class != RequestClass::kSingle) return;
  delay_.Observe(now - first.enqueued,
                 PaceOf(snapshot).TimeFor(MaxBatchUsers(snapshot)), now);
  if (queue.num_users(RequestClass::kSingle) == 0) delay_.Emptied();
}

void LoadControl::BatchAnswered(absl::Duration scored, absl::Duration now) {
  // Answers from popularity say nothing about the scorer, and have their share
  // of the time in which all are answered.
  const auto [num_users, num_scored] = batch_->demand;
  const double share =
      static_cast<double>(num_scored) / static_cast<double>(num_users);
  const size_t num_popular = num_users - num_scored;
  if (num_popular > 0) {
    popular_pace_.Observe(num_popular, (now - scored) * (1 - share));
  }
  if (num_scored > 0) {
    ScoringPace& pace = batch_->on_gpu ? gpu_pace_ : cpu_pace_;
    pace.Observe(num_scored, scored - batch_->started + (now - scored) * share);
    last_measured_ = now;
  }
  batch_.reset();
}

}  // namespace neumf
