#include "bench/reload/paced_calls.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>

#include "absl/strings/numbers.h"
#include "base/logging.h"
#include "neumf/v1/recommendation_service.pb.h"

namespace neumf {
namespace {

constexpr char kRecommend[] = "/neumf.v1.RecommendationService/Recommend";
// So many wait for the server while answers are learned: none is refused.
constexpr size_t kLearners = 4;
// Where no call is due: how often it is looked whether all have ended.
constexpr double kPatience = 0.01;

double Now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

timespec ToTimespec(double seconds) {
  const double rest = std::max(seconds, 0.0);
  timespec time = {};
  time.tv_sec = static_cast<time_t>(rest);
  time.tv_nsec =
      static_cast<int64_t>(1e9 * (rest - static_cast<double>(time.tv_sec)));
  return time;
}

// The parity of the version that answered, and the rest of its answer.
std::pair<size_t, std::string> Split(absl::string_view message) {
  v1::RecommendResponse response;
  uint64_t version = 0;
  NEUMF_CHECK(response.ParseFromArray(message.data(),
                                      static_cast<int>(message.size())));
  NEUMF_CHECK(absl::SimpleAtoi(response.model_version(), &version));
  response.clear_model_version();
  return {version % 2, response.SerializeAsString()};
}

}  // namespace

PacedCalls::PacedCalls(const std::vector<std::string>& addresses,
                       const std::vector<std::string>& users, int32_t k) {
  for (const std::string& user : users) {
    v1::RecommendRequest request;
    request.set_user_id(user);
    request.set_k(k);
    requests_.push_back(request.SerializeAsString());
  }
  for (const std::string& address : addresses) {
    connections_.push_back(
        std::make_unique<Http2Connection>(address, kRecommend));
  }
}

bool PacedCalls::Learn() {
  bool all_answered = true;
  size_t next = 0;
  for (; next < std::min(kLearners, requests_.size()); ++next) Start({next, 0});
  while (!running_.empty()) {
    ReceiveUntil(Now() + 1,
                 [&](const Call& call, const absl::string_view* message) {
                   if (message == nullptr) {
                     all_answered = false;
                   } else {
                     auto [parity, answer] = Split(*message);
                     learned_[parity].resize(requests_.size());
                     learned_[parity][call.user] = std::move(answer);
                   }
                   if (next < requests_.size()) Start({next++, 0});
                 });
  }
  return all_answered;
}

PacedResult PacedCalls::Run(double rate, absl::FunctionRef<bool()> stop) {
  PacedResult result;
  std::exponential_distribution<double> gap(rate);
  const auto ended = [&](const Call& call, const absl::string_view* message) {
    result.ended[call.number] = Now();
    if (message == nullptr) {
      result.failed.push_back(call.number);
    } else if (!IsConsistent(call.user, *message)) {
      ++result.inconsistent;
    }
  };
  double due = Now();
  while (!stop()) {
    due += gap(random_);
    ReceiveUntil(due, ended);
    const size_t number = result.due.size();
    result.due.push_back(due);
    result.sent.push_back(Now());
    result.ended.push_back(0);
    Start({random_() % requests_.size(), number});
  }
  while (!running_.empty()) ReceiveUntil(Now() + kPatience, ended);
  return result;
}

void PacedCalls::Start(const Call& call) {
  const size_t connection = next_connection_++ % connections_.size();
  const uint32_t number = connections_[connection]->Start(requests_[call.user]);
  running_.emplace(std::make_pair(connection, number), call);
  connections_[connection]->Flush();
}

void PacedCalls::ReceiveUntil(double until, Ended ended) {
  std::vector<pollfd> descriptors;
  for (const auto& connection : connections_) {
    descriptors.push_back({connection->descriptor(), POLLIN, 0});
  }
  for (;;) {
    const timespec rest = ToTimespec(until - Now());
    const int ready =
        ppoll(descriptors.data(), descriptors.size(), &rest, nullptr);
    NEUMF_CHECK(ready >= 0);
    if (ready == 0) return;
    for (size_t i = 0; i < descriptors.size(); ++i) {
      if (descriptors[i].revents == 0) continue;
      connections_[i]->Receive(
          [&](uint32_t number, const absl::string_view* message) {
            const auto found = running_.find({i, number});
            NEUMF_CHECK(found != running_.end());
            const Call call = found->second;
            running_.erase(found);
            ended(call, message);
          });
      connections_[i]->Flush();
    }
    if (Now() >= until) return;
  }
}

bool PacedCalls::IsConsistent(size_t user, absl::string_view message) const {
  const auto [parity, answer] = Split(message);
  return user < learned_[parity].size() && learned_[parity][user] == answer;
}

}  // namespace neumf
