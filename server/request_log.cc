#include "server/request_log.h"

#include <cmath>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/logging.h"
#include "base/split_mix64.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "google/protobuf/util/json_util.h"

namespace neumf {
namespace {

constexpr uint64_t kMaxSaltBytes = 4096;
constexpr absl::Duration kFailureInterval = absl::Minutes(1);

std::string RandomSalt() {
  std::random_device random;
  std::string salt;
  while (salt.size() < 2 * Pseudonyms::kMinSaltBytes) {
    salt.push_back(static_cast<char>(random()));
  }
  return salt;
}

absl::StatusOr<std::string> ReadSalt(FileSystem& files,
                                     const std::string& path) {
  if (path.empty()) return RandomSalt();
  NEUMF_ASSIGN_OR_RETURN(const std::string text,
                         ReadWholeFile(files, path, kMaxSaltBytes));
  const std::string salt(absl::StripSuffix(text, "\n"));
  NEUMF_RETURN_IF_ERROR(Pseudonyms::CheckSalt(salt));
  return salt;
}

void Replace(const Pseudonyms& pseudonyms, v1::RecommendRequest* request) {
  request->set_user_id(pseudonyms.Of(request->user_id()));
}

void HashUsers(const Pseudonyms& pseudonyms, v1::LoggedCall* call) {
  call->set_users_hashed(true);
  if (call->has_recommend()) {
    Replace(pseudonyms, call->mutable_recommend());
  } else {
    for (auto& request : *call->mutable_batch_recommend()->mutable_requests()) {
      Replace(pseudonyms, &request);
    }
  }
}

// Parts of a call are a caller's choice, and protobuf does not print all that
// its types can hold.
absl::StatusOr<std::string> ToLine(const v1::LoggedCall& call) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string line;
  const auto printed =
      google::protobuf::util::MessageToJsonString(call, &line, options);
  if (printed.ok()) return line;
  return absl::InternalError(
      absl::StrCat("a call cannot be written as JSON: ", printed.ToString()));
}

}  // namespace

RequestLog::RequestLog(Options options, FileSystem* files, const Clock* clock,
                       ServerMetrics* metrics)
    : options_(std::move(options)),
      files_(files),
      clock_(clock),
      metrics_(metrics),
      file_(options_.path),
      failures_(kFailureInterval) {}

RequestLog::~RequestLog() { Stop(); }

absl::Status RequestLog::Start() {
  if (options_.path.empty()) return absl::OkStatus();
  if (!options_.plain_users) {
    NEUMF_ASSIGN_OR_RETURN(const std::string salt,
                           ReadSalt(*files_, options_.salt_file));
    pseudonyms_.emplace(salt);
  }
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

bool RequestLog::Samples() {
  if (options_.path.empty()) return false;
  const uint64_t number = num_calls_.fetch_add(1, std::memory_order_relaxed);
  // A number in [0, 1) for each call, from the bits that a double can hold.
  const uint64_t bits = SplitMix64((number + 1) * kSplitMix64Step) >> 11;
  return std::ldexp(static_cast<double>(bits), -53) < options_.sample;
}

void RequestLog::Add(std::unique_ptr<v1::LoggedCall> call) {
  const size_t num_bytes = call->ByteSizeLong();
  {
    MutexLock lock(&mutex_);
    if (!stopping_ && queue_.size() < kMaxQueuedCalls &&
        queued_bytes_ + num_bytes <= kMaxQueuedBytes) {
      queue_.push_back(std::move(call));
      queued_bytes_ += num_bytes;
      wake_.Signal();
      return;
    }
  }
  metrics_->RequestLogged(LogResult::kDropped);
}

void RequestLog::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.SignalAll();
  if (thread_.joinable()) thread_.join();
}

void RequestLog::Run() {
  SetThreadName("request-log");
  while (true) {
    std::vector<std::unique_ptr<v1::LoggedCall>> calls;
    {
      MutexLock lock(&mutex_);
      while (queue_.empty() && !stopping_) wake_.Wait(&mutex_);
      if (queue_.empty()) return;
      calls.swap(queue_);
      queued_bytes_ = 0;
    }
    for (const auto& call : calls) Write(call.get());
  }
}

void RequestLog::Write(v1::LoggedCall* call) {
  if (pseudonyms_.has_value()) HashUsers(*pseudonyms_, call);
  const absl::StatusOr<std::string> line = ToLine(*call);
  const absl::Status written = line.ok() ? file_.Append(*line) : line.status();
  metrics_->RequestLogged(written.ok() ? LogResult::kWritten
                                       : LogResult::kFailed);
  if (written.ok()) return;
  const auto left_out = failures_.Admit(clock_->MonotonicNow());
  if (!left_out.has_value()) return;
  LogEvent("request_log_failed")
      .With("reason", written.message())
      .WithNumber("left_out", *left_out);
}

}  // namespace neumf
