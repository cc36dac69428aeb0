#include "server/version_requests.h"

#include <utility>

#include "server/errors.h"

namespace neumf {
namespace {

absl::Status TooMany() {
  return Unavailable("TOO_MANY_REQUESTS",
                     "too many requests wait for a load to end",
                     absl::Seconds(1));
}

}  // namespace

VersionRequests::VersionRequests(std::function<void()> on_request)
    : on_request_(std::move(on_request)) {}

// Answers finish calls, which gRPC may continue at once: outside of the lock.
void VersionRequests::Add(VersionRequest request) {
  absl::Status refused;
  {
    MutexLock lock(&mutex_);
    if (closed_) {
      refused = Draining();
    } else if (waiting_.size() + put_off_.size() >= kMaxWaiting) {
      refused = TooMany();
    } else {
      waiting_.push_back(std::move(request));
    }
  }
  if (refused.ok()) {
    on_request_();
  } else {
    request.answer(refused);
  }
}

std::optional<VersionRequest> VersionRequests::Take() {
  for (;;) {
    std::optional<VersionRequest> request;
    {
      MutexLock lock(&mutex_);
      if (waiting_.empty()) return std::nullopt;
      request = std::move(waiting_.front());
      waiting_.pop_front();
    }
    if (request->is_wanted()) return request;
    request->answer(absl::CancelledError("nobody waits for it"));
  }
}

void VersionRequests::PutOff(VersionRequest request) {
  {
    MutexLock lock(&mutex_);
    if (!closed_) {
      put_off_.push_back(std::move(request));
      return;
    }
  }
  request.answer(Draining());
}

void VersionRequests::Resume() {
  MutexLock lock(&mutex_);
  for (; !put_off_.empty(); put_off_.pop_back()) {
    waiting_.push_front(std::move(put_off_.back()));
  }
}

void VersionRequests::Close() {
  std::deque<VersionRequest> put_off;
  std::deque<VersionRequest> waiting;
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    put_off.swap(put_off_);
    waiting.swap(waiting_);
  }
  for (const VersionRequest& request : put_off) request.answer(Draining());
  for (const VersionRequest& request : waiting) request.answer(Draining());
}

}  // namespace neumf
