#include "client/open_loop.h"

#include <array>
#include <chrono>
#include <ctime>
#include <thread>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "client/rpc.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"

namespace neumf {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// One call. Its memory is what the completion queue knows it by.
struct Call {
  SteadyTime due;
  bool counts = false;
  bool is_batch = false;
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
};

std::string MethodPath(absl::string_view method) {
  return absl::StrCat("/", v1::RecommendationService::service_full_name(), "/",
                      method);
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

absl::Status CheckOptions(const OpenLoop::Options& options) {
  if (options.target.empty()) {
    return absl::InvalidArgumentError("the target is empty");
  }
  if (options.connections < 1) {
    return absl::InvalidArgumentError("there must be a connection");
  }
  if (options.deadline <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("the deadline must be above 0");
  }
  return absl::OkStatus();
}

}  // namespace

grpc::ByteBuffer ToBytes(const google::protobuf::Message& request) {
  const grpc::Slice slice(request.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

// Takes what the completion queue brings, in a thread of its own.
class OpenLoop::Receiver {
 public:
  // `result` is written until Finish() returns.
  explicit Receiver(LoadResult* result)
      : result_(result), thread_([this] { Receive(); }) {}

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
    const absl::Duration latency = Since(call.due);
    result_->RecordCall(FromGrpcStatus(call.status), latency);
    if (call.is_batch && call.status.ok()) {
      result_->RecordFailedUsers(CountFailedUsers(call.response));
    }
  }

  LoadResult* const result_;  // of the thread
  grpc::CompletionQueue queue_;
  std::thread thread_;  // the last member: it uses the others
};

absl::StatusOr<std::unique_ptr<OpenLoop>> OpenLoop::Create(Options options) {
  NEUMF_RETURN_IF_ERROR(CheckOptions(options));
  auto loop = absl::WrapUnique(new OpenLoop(std::move(options)));
  NEUMF_RETURN_IF_ERROR(loop->Connect());
  return loop;
}

OpenLoop::OpenLoop(Options options) : options_(std::move(options)) {}

absl::Status OpenLoop::Connect() {
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

void OpenLoop::Run(absl::FunctionRef<std::optional<ScheduledCall>()> next,
                   LoadResult* result) {
  // By is_batch.
  const std::array<std::string, 2> methods = {MethodPath("Recommend"),
                                              MethodPath("BatchRecommend")};
  LatencyDistribution lags;  // of this thread, until the other one has ended
  Receiver receiver(result);
  const auto start = std::chrono::steady_clock::now();
  const absl::Time wall_start = absl::Now();
  uint64_t number = 0;
  while (const auto scheduled = next()) {
    auto call = std::make_unique<Call>();
    call->due = start + absl::ToChronoNanoseconds(scheduled->due);
    call->counts = scheduled->counts;
    call->is_batch = scheduled->is_batch;
    call->context.set_deadline(
        absl::ToChronoTime(wall_start + scheduled->due + options_.deadline));
    std::this_thread::sleep_until(call->due);
    if (call->counts) lags.Record(Since(call->due));
    call->reader = stubs_[number++ % stubs_.size()].PrepareUnaryCall(
        &call->context, methods[call->is_batch ? 1 : 0], scheduled->request,
        receiver.queue());
    call->reader->StartCall();
    // From here on the call is the receiver's.
    Call* const tag = call.release();
    tag->reader->Finish(&tag->response, &tag->status, tag);
  }
  receiver.Finish();
  result->AddLags(lags);
}

}  // namespace neumf
