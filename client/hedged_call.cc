#include "client/hedged_call.h"

#include <array>
#include <memory>
#include <optional>

#include "absl/time/clock.h"

namespace neumf {
namespace {

struct Attempt {
  grpc::ClientContext context;
  v1::RecommendResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::RecommendResponse>>
      reader;
};

// The attempts of one call, on a queue of their own: the caller waits anyway.
class HedgedCall {
 public:
  HedgedCall(v1::RecommendationService::Stub& stub,
             const v1::RecommendRequest& request, absl::Time deadline)
      : stub_(stub), request_(request), deadline_(deadline) {}

  // What has no answer is cancelled, which makes it end at once.
  ~HedgedCall() {
    for (size_t i = 0; i < num_sent_; ++i) attempts_[i].context.TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) continue;
  }
  HedgedCall(const HedgedCall&) = delete;
  HedgedCall& operator=(const HedgedCall&) = delete;

  void Send() {
    Attempt& attempt = attempts_[num_sent_++];
    attempt.context.set_deadline(absl::ToChronoTime(deadline_));
    attempt.reader = stub_.AsyncRecommend(&attempt.context, request_, &queue_);
    attempt.reader->Finish(&attempt.response, &attempt.status, &attempt);
  }

  // The attempt that ended first since the last one; null at `until`.
  Attempt* WaitUntil(absl::Time until) {
    void* tag = nullptr;
    bool ok = false;
    const auto event = queue_.AsyncNext(&tag, &ok, absl::ToChronoTime(until));
    return event == grpc::CompletionQueue::GOT_EVENT
               ? static_cast<Attempt*>(tag)
               : nullptr;
  }

  Attempt* first() { return &attempts_[0]; }

 private:
  v1::RecommendationService::Stub& stub_;
  const v1::RecommendRequest& request_;
  const absl::Time deadline_;
  // The queue goes before what lies on it.
  std::array<Attempt, 2> attempts_;
  size_t num_sent_ = 0;
  grpc::CompletionQueue queue_;
};

}  // namespace

grpc::Status HedgedRecommend(v1::RecommendationService::Stub& stub,
                             const v1::RecommendRequest& request,
                             absl::Duration timeout, HedgePolicy& policy,
                             v1::RecommendResponse* response) {
  const absl::Time start = absl::Now();
  HedgedCall call(stub, request, start + timeout);
  call.Send();
  const std::optional<absl::Duration> delay = policy.Delay();
  Attempt* ended =
      call.WaitUntil(delay ? start + *delay : absl::InfiniteFuture());
  if (ended == nullptr) {
    const bool hedged = policy.TryHedge();
    if (hedged) call.Send();
    // Deadlines end all attempts.
    ended = call.WaitUntil(absl::InfiniteFuture());
    // An error may be of one server alone: its quota, its version. Sending a
    // call again must not make an error of what would have been an answer.
    if (hedged && !ended->status.ok()) {
      Attempt* const other = call.WaitUntil(absl::InfiniteFuture());
      ended = other->status.ok() ? other : call.first();
    }
  }
  if (ended->status.ok()) policy.RecordCall(absl::Now() - start);
  response->Swap(&ended->response);
  return ended->status;
}

}  // namespace neumf
