// Callers who each wait for their answer before they call again, all on one
// thread of this process.
//
//   closed_loop --target=ADDRESS[,...] --users=FILE [--connections=1] [--k=10]
//
// Each line of stdin is a window, answered by a line of JSON:
//   recommend CALLERS SECONDS      Recommend, users at random
//   health CALLERS SECONDS         Check of grpc.health.v1, which asks for
//                                  nothing but a server
//   flood CALLERS SECONDS          as recommend, by callers who cost less
//   batch USERS SECONDS            BatchRecommend, one caller
//   burst CALLS MILLIS             so many Recommend at once, with a deadline
//   answers COUNT                  {"answers": [[[item, score], ...], ...]} for
//                                  the first COUNT users
// All but the last give {"calls", "ok", "seconds", "cpu_seconds", "p50_us"}: all
// calls of the window, the last of which may end a little after it; CPU time is
// that of this process.

#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "base/logging.h"
#include "bench/interleaved.h"
#include "bench/serve/flood.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(std::vector<std::string>, target, {},
          "Required. The server's address, or those of several, by commas.");
ABSL_FLAG(std::string, users, "", "Required. Ids of users, one a line.");
ABSL_FLAG(size_t, connections, 1,
          "Connections to each address; the callers are spread over all.");
ABSL_FLAG(int32_t, k, 10, "Items a user.");

namespace neumf {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr char kRecommend[] = "/neumf.v1.RecommendationService/Recommend";
constexpr char kBatchRecommend[] =
    "/neumf.v1.RecommendationService/BatchRecommend";
constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
// A call that takes so long has failed.
constexpr std::chrono::seconds kCallTimeout(30);

double ProcessCpuSeconds() {
  timespec now{};
  NEUMF_CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec);
}

double SecondsSince(SteadyClock::time_point begin) {
  return std::chrono::duration<double>(SteadyClock::now() - begin).count();
}

grpc::ByteBuffer Serialized(const google::protobuf::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

Json WindowJson(std::vector<double> micros, size_t ok_calls,
                SteadyClock::time_point begin, double cpu_before) {
  return {{"calls", micros.size()},
          {"ok", ok_calls},
          {"seconds", SecondsSince(begin)},
          {"cpu_seconds", ProcessCpuSeconds() - cpu_before},
          {"p50_us", Median(std::move(micros))}};
}

// What is asked for: a method and as many requests as there are users to draw.
struct Workload {
  const char* method = nullptr;
  std::vector<grpc::ByteBuffer> requests;
};

// One call; its memory is what the completion queue knows it by.
struct Call {
  size_t caller = 0;
  SteadyClock::time_point begin;
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
};

class ClosedLoop {
 public:
  explicit ClosedLoop(std::vector<std::string> users)
      : users_(std::move(users)) {
    for (const std::string& user : users_) {
      v1::RecommendRequest request;
      request.set_user_id(user);
      request.set_k(absl::GetFlag(FLAGS_k));
      messages_.push_back(request.SerializeAsString());
      recommend_.requests.push_back(Serialized(request));
    }
    recommend_.method = kRecommend;
    health_ = {kCheck, {Serialized(grpc::health::v1::HealthCheckRequest())}};
    for (size_t i = 0; i < absl::GetFlag(FLAGS_connections); ++i) {
      for (const std::string& address : absl::GetFlag(FLAGS_target)) {
        Connect(address);
      }
    }
  }

  Json Recommend(size_t callers, double seconds) {
    return RunWindow(recommend_, callers, seconds);
  }

  Json Flooded(size_t callers, double seconds) {
    // Only who asks for it has further connections.
    if (flood_ == nullptr) {
      flood_ = std::make_unique<Flood>(absl::GetFlag(FLAGS_target), messages_);
    }
    const double cpu_before = ProcessCpuSeconds();
    const auto begin = SteadyClock::now();
    FloodResult result = flood_->Run(callers, seconds);
    return WindowJson(std::move(result.micros), result.answered, begin,
                      cpu_before);
  }

  Json Health(size_t callers, double seconds) {
    return RunWindow(health_, callers, seconds);
  }

  Json Batch(size_t num_users, double seconds) {
    constexpr int kDifferentBatches = 8;
    Workload batches{kBatchRecommend, {}};
    for (int i = 0; i < kDifferentBatches; ++i) {
      v1::BatchRecommendRequest batch;
      for (size_t u = 0; u < num_users; ++u) {
        v1::RecommendRequest* const request = batch.add_requests();
        request->set_user_id(users_[random_() % users_.size()]);
        request->set_k(absl::GetFlag(FLAGS_k));
      }
      batches.requests.push_back(Serialized(batch));
    }
    return RunWindow(batches, 1, seconds);
  }

  // No call is made a second time: the window is over when the last has ended.
  Json Burst(size_t calls, double deadline_millis) {
    timeout_ =
        std::chrono::microseconds(static_cast<int64_t>(deadline_millis * 1000));
    Json window = RunWindow(recommend_, calls, 0);
    timeout_ = kCallTimeout;
    return window;
  }

  Json Answers(size_t count) {
    Json answers = Json::array();
    for (size_t i = 0; i < std::min(count, users_.size()); ++i) {
      answers.push_back(Answer(users_[i]));
    }
    return {{"answers", answers}};
  }

 private:
  void Connect(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    // Without it channels to one address would share their connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channels_.push_back(grpc::CreateCustomChannel(
        address, grpc::InsecureChannelCredentials(), arguments));
    NEUMF_CHECK(channels_.back()->WaitForConnected(
        std::chrono::system_clock::now() + kCallTimeout));
    stubs_.emplace_back(channels_.back());
  }

  void Start(const Workload& work, size_t caller) {
    auto call = std::make_unique<Call>();
    call->caller = caller;
    call->context.set_deadline(std::chrono::system_clock::now() + timeout_);
    call->begin = SteadyClock::now();
    call->reader = stubs_[caller % stubs_.size()].PrepareUnaryCall(
        &call->context, work.method,
        work.requests[random_() % work.requests.size()], &queue_);
    call->reader->StartCall();
    Call* const tag = call.release();  // the queue gives it back
    tag->reader->Finish(&tag->response, &tag->status, tag);
  }

  Json RunWindow(const Workload& work, size_t callers, double seconds) {
    const double cpu_before = ProcessCpuSeconds();
    const auto begin = SteadyClock::now();
    for (size_t caller = 0; caller < callers; ++caller) Start(work, caller);
    size_t running = callers;
    size_t ok_calls = 0;
    std::vector<double> micros;
    void* tag = nullptr;
    bool ok = false;
    while (running > 0 && queue_.Next(&tag, &ok)) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      micros.push_back(1e6 * SecondsSince(call->begin));
      if (call->status.ok()) ++ok_calls;
      if (SecondsSince(begin) < seconds) {
        Start(work, call->caller);
      } else {
        --running;
      }
    }
    return WindowJson(std::move(micros), ok_calls, begin, cpu_before);
  }

  Json Answer(const std::string& user) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
    v1::RecommendRequest request;
    request.set_user_id(user);
    request.set_k(absl::GetFlag(FLAGS_k));
    v1::RecommendResponse response;
    const grpc::Status status =
        v1::RecommendationService::NewStub(channels_.front())
            ->Recommend(&context, request, &response);
    Json items = Json::array();
    if (!status.ok()) return items;
    for (const v1::ScoredItem& item : response.items()) {
      items.push_back({item.item_id(), item.score()});
    }
    return items;
  }

  const std::vector<std::string> users_;
  std::vector<std::string> messages_;  // of recommend_
  Workload recommend_;
  Workload health_;
  std::unique_ptr<Flood> flood_;
  std::chrono::microseconds timeout_ = kCallTimeout;
  std::mt19937_64 random_{1};
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<grpc::GenericStub> stubs_;
  grpc::CompletionQueue queue_;
};

std::optional<Json> Obey(ClosedLoop& loop, const std::string& command,
                         size_t count) {
  if (command == "answers") return loop.Answers(count);
  double length = 0;
  if (!(std::cin >> length)) return std::nullopt;
  if (command == "recommend") return loop.Recommend(count, length);
  if (command == "flood") return loop.Flooded(count, length);
  if (command == "health") return loop.Health(count, length);
  if (command == "batch") return loop.Batch(count, length);
  if (command == "burst") return loop.Burst(count, length);
  return std::nullopt;
}

int Main() {
  std::ifstream file(absl::GetFlag(FLAGS_users));
  std::vector<std::string> users;
  for (std::string line; std::getline(file, line);) users.push_back(line);
  NEUMF_CHECK(!users.empty());
  ClosedLoop loop(std::move(users));
  std::string command;
  size_t count = 0;
  while (std::cin >> command >> count && count > 0) {
    const std::optional<Json> answer = Obey(loop, command, count);
    if (!answer.has_value()) {
      std::cerr << command << ": unknown, or incomplete" << std::endl;
      return 1;
    }
    std::cout << answer->dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("calls a server; see bench/serve/");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
