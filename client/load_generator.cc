#include "client/load_generator.h"

#include <chrono>
#include <ctime>
#include <thread>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/split_mix64.h"
#include "base/status_macros.h"
#include "client/rpc.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"

namespace neumf {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// One call. Its memory is what the completion queue knows it by.
struct Call {
  SteadyTime due;
  bool counts = false;  // not one of the warm-up
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
};

std::string MethodPath(bool is_batch) {
  return absl::StrCat("/", v1::RecommendationService::service_full_name(),
                      is_batch ? "/BatchRecommend" : "/Recommend");
}

absl::Duration Since(SteadyTime start) {
  return absl::FromChrono(std::chrono::steady_clock::now() - start);
}

// Processor time of the calling thread.
absl::Duration ThreadCpuTime() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

int64_t CountFailedUsers(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  if (!bytes.Dump(&slices).ok()) return 0;
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  v1::BatchRecommendResponse response;
  if (!response.ParseFromString(text)) return 0;
  int64_t count = 0;
  for (const v1::RecommendResult& result : response.results()) {
    if (!result.has_response()) ++count;
  }
  return count;
}

absl::Status CheckOptions(const LoadGenerator::Options& options) {
  if (options.target.empty()) {
    return absl::InvalidArgumentError("the target is empty");
  }
  if (options.user_ids.empty()) {
    return absl::InvalidArgumentError("there are no users to ask for");
  }
  if (options.connections < 1 || options.k < 0 || options.batch_size < 0) {
    return absl::InvalidArgumentError(
        "there must be a connection, and k and the batch size may not be "
        "negative");
  }
  if (options.duration <= absl::ZeroDuration() ||
      options.deadline <= absl::ZeroDuration() ||
      options.warmup < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        "the duration and the deadline must be above 0");
  }
  return absl::OkStatus();
}

}  // namespace

// Takes what the completion queue brings, in a thread of its own.
class LoadGenerator::Receiver {
 public:
  // `result` is written until Finish() returns.
  Receiver(bool counts_users, LoadResult* result)
      : counts_users_(counts_users),
        result_(result),
        thread_([this] { Receive(); }) {}

  ~Receiver() {
    if (thread_.joinable()) Finish();
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  grpc::CompletionQueue* queue() { return &queue_; }

  // Waits for the last answer. REQUIRES: no further call is started.
  void Finish() {
    queue_.Shutdown();
    thread_.join();
  }

 private:
  void Receive() {
    const auto start = std::chrono::steady_clock::now();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      if (call->counts) Record(*call);
    }
    result_->set_receiver_load(
        absl::FDivDuration(ThreadCpuTime(), Since(start)));
  }

  void Record(const Call& call) {
    // gRPC and Abseil number their codes alike.
    const auto code = static_cast<absl::StatusCode>(call.status.error_code());
    result_->RecordCall(code, Since(call.due));
    if (counts_users_ && code == absl::StatusCode::kOk) {
      result_->RecordFailedUsers(CountFailedUsers(call.response));
    }
  }

  const bool counts_users_;
  LoadResult* const result_;  // of the thread
  grpc::CompletionQueue queue_;
  std::thread thread_;  // the last member: it uses the others
};

absl::StatusOr<std::unique_ptr<LoadGenerator>> LoadGenerator::Create(
    Options options) {
  NEUMF_RETURN_IF_ERROR(CheckOptions(options));
  auto generator = absl::WrapUnique(new LoadGenerator(std::move(options)));
  NEUMF_RETURN_IF_ERROR(generator->Connect());
  return generator;
}

LoadGenerator::LoadGenerator(Options options)
    : options_(std::move(options)),
      method_(MethodPath(options_.batch_size > 0)) {}

absl::Status LoadGenerator::Connect() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Without it equal channels would share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const absl::Time until = absl::Now() + options_.connect_timeout;
  for (int i = 0; i < options_.connections; ++i) {
    const auto channel =
        MakeChannel(options_.target, arguments, options_.security);
    if (!channel->WaitForConnected(absl::ToChronoTime(until))) {
      return absl::UnavailableError(
          absl::StrCat("no connection to ", options_.target));
    }
    stubs_.emplace_back(channel);
  }
  return absl::OkStatus();
}

grpc::ByteBuffer LoadGenerator::MakeRequest(uint64_t call_number) const {
  // A draw depends on its number alone, not on how many came before it.
  uint64_t draw = SplitMix64(options_.seed ^ SplitMix64(call_number));
  const auto fill = [&](v1::RecommendRequest* request) {
    draw += kSplitMix64Step;
    request->set_user_id(
        options_.user_ids[SplitMix64(draw) % options_.user_ids.size()]);
    request->set_k(options_.k);
  };
  std::string bytes;
  if (options_.batch_size > 0) {
    v1::BatchRecommendRequest batch;
    for (int i = 0; i < options_.batch_size; ++i) fill(batch.add_requests());
    bytes = batch.SerializeAsString();
  } else {
    v1::RecommendRequest request;
    fill(&request);
    bytes = request.SerializeAsString();
  }
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

LoadResult LoadGenerator::Run(double rate) {
  LoadResult result(rate, options_.duration, options_.deadline);
  LatencyDistribution lags;  // of this thread, until the other one has ended
  Receiver receiver(options_.batch_size > 0, &result);
  ArrivalSchedule schedule(options_.arrivals, rate, options_.seed);
  const auto start = std::chrono::steady_clock::now();
  const absl::Time wall_start = absl::Now();
  const absl::Duration end = options_.warmup + options_.duration;
  absl::Duration due = schedule.Next();
  for (uint64_t number = 0; due < end; ++number, due = schedule.Next()) {
    auto call = std::make_unique<Call>();
    call->due = start + absl::ToChronoNanoseconds(due);
    call->counts = due >= options_.warmup;
    call->context.set_deadline(
        absl::ToChronoTime(wall_start + due + options_.deadline));
    const grpc::ByteBuffer request = MakeRequest(number);
    std::this_thread::sleep_until(call->due);
    if (call->counts) lags.Record(Since(call->due));
    call->reader = stubs_[number % stubs_.size()].PrepareUnaryCall(
        &call->context, method_, request, receiver.queue());
    call->reader->StartCall();
    // From here on the call is the receiver's.
    Call* const tag = call.release();
    tag->reader->Finish(&tag->response, &tag->status, tag);
  }
  receiver.Finish();
  result.AddLags(lags);
  return result;
}

}  // namespace neumf
