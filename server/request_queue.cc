#include "server/request_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/types/span.h"

namespace neumf {

void RequestQueue::Push(std::shared_ptr<PendingCall> call) {
  Lane& lane = this->lane(call->request_class);
  lane.entries.push_back(Enter(std::move(call), &lane));
}

void RequestQueue::PutBack(const Calls& calls) {
  for (auto call = calls.rbegin(); call != calls.rend(); ++call) {
    Lane& lane = this->lane((*call)->request_class);
    lane.entries.push_front(Enter(*call, &lane));
  }
}

RequestQueue::Entry RequestQueue::Enter(std::shared_ptr<PendingCall> call,
                                        Lane* lane) {
  Entry entry;
  entry.num_left = call->queries.size();
  entry.num_scored = NumScored(call->queries);
  entry.call = std::move(call);
  lane->num_users += entry.num_left;
  lane->num_scored += entry.num_scored;
  return entry;
}

const PendingCall* RequestQueue::front(RequestClass c) const {
  const Lane& lane = this->lane(c);
  return lane.entries.empty() ? nullptr : lane.entries.front().call.get();
}

RequestQueue::Calls RequestQueue::RemoveIf(Predicate leaves) {
  Calls removed;
  for (Lane& lane : lanes_) {
    const auto end = std::remove_if(lane.entries.begin(), lane.entries.end(),
                                    [&](Entry& entry) {
                                      if (!leaves(*entry.call)) return false;
                                      lane.num_users -= entry.num_left;
                                      lane.num_scored -= entry.num_scored;
                                      removed.push_back(std::move(entry.call));
                                      return true;
                                    });
    lane.entries.erase(end, lane.entries.end());
  }
  return removed;
}

RequestQueue::Calls RequestQueue::RemoveAll() {
  return RemoveIf([](const PendingCall&) { return true; });
}

RequestClass RequestQueue::next_class() const {
  const RequestClass other = last_ == RequestClass::kSingle
                                 ? RequestClass::kMany
                                 : RequestClass::kSingle;
  return num_users(other) > 0 ? other : last_;
}

const Snapshot& RequestQueue::next_snapshot() const {
  return *lane(next_class()).entries.front().call->snapshot;
}

std::vector<CallPiece> RequestQueue::TakeBatch(size_t most_users) {
  const Snapshot* const snapshot = &next_snapshot();
  last_ = next_class();
  Lane& lane = this->lane(last_);
  std::vector<CallPiece> batch;
  std::vector<Entry> passed;  // of another snapshot
  while (most_users > 0 && !lane.entries.empty() &&
         passed.size() < kMostPassed) {
    if (lane.entries.front().call->snapshot.get() == snapshot) {
      batch.push_back(TakePiece(most_users, &lane));
      most_users -= batch.back().count;
    } else {
      passed.push_back(std::move(lane.entries.front()));
      lane.entries.pop_front();
    }
  }
  lane.entries.insert(lane.entries.begin(),
                      std::make_move_iterator(passed.begin()),
                      std::make_move_iterator(passed.end()));
  return batch;
}

CallPiece RequestQueue::TakePiece(size_t most, Lane* lane) {
  Entry& entry = lane->entries.front();
  CallPiece piece;
  piece.call = entry.call;
  piece.first = entry.num_taken;
  piece.count = std::min(most, entry.num_left);
  entry.num_taken += piece.count;
  entry.num_left -= piece.count;
  lane->num_users -= piece.count;
  piece.num_scored = NumScored(absl::MakeConstSpan(piece.call->queries)
                                   .subspan(piece.first, piece.count));
  entry.num_scored -= piece.num_scored;
  lane->num_scored -= piece.num_scored;
  piece.is_last = entry.num_left == 0;
  if (piece.is_last) lane->entries.pop_front();
  return piece;
}

}  // namespace neumf
