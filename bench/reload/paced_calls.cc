#include "bench/reload/paced_calls.h"

#include <chrono>
#include <utility>

#include "absl/strings/numbers.h"
#include "base/logging.h"
#include "neumf/v1/recommendation_service.pb.h"

namespace neumf {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr char kRecommend[] = "/neumf.v1.RecommendationService/Recommend";
// So many wait for the server while answers are learned: none is refused.
constexpr size_t kLearners = 4;
// A call that takes so long has failed.
constexpr char kTimeout[] = "30S";

double Seconds(SteadyClock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
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
                       const std::vector<std::string>& users, int32_t k)
    : connections_(addresses, kRecommend, kTimeout) {
  for (const std::string& user : users) {
    v1::RecommendRequest request;
    request.set_user_id(user);
    request.set_k(k);
    requests_.push_back(request.SerializeAsString());
  }
}

bool PacedCalls::Learn() {
  bool all_answered = true;
  size_t next = 0;
  const auto ask_next = [&] {
    if (next == requests_.size()) return;
    connections_.Start(next, requests_[next]);
    ++next;
  };
  for (size_t i = 0; i < kLearners; ++i) ask_next();
  connections_.ReceiveAll([&](size_t user, const absl::string_view* message) {
    if (message == nullptr) {
      all_answered = false;
    } else {
      auto [parity, answer] = Split(*message);
      learned_[parity].resize(requests_.size());
      learned_[parity][user] = std::move(answer);
    }
    ask_next();
  });
  return all_answered;
}

PacedResult PacedCalls::Run(double rate, absl::FunctionRef<bool()> stop) {
  PacedResult result;
  std::vector<size_t> users;  // by call
  std::exponential_distribution<double> gap(rate);
  const auto ended = [&](size_t call, const absl::string_view* message) {
    result.ended[call] = Seconds(SteadyClock::now());
    if (message == nullptr) {
      result.failed.push_back(call);
    } else if (!IsConsistent(users[call], *message)) {
      ++result.inconsistent;
    }
  };
  auto due = SteadyClock::now();
  while (!stop()) {
    due += std::chrono::duration_cast<SteadyClock::duration>(
        std::chrono::duration<double>(gap(random_)));
    connections_.ReceiveUntil(due, ended);
    users.push_back(random_() % requests_.size());
    result.due.push_back(Seconds(due));
    result.sent.push_back(Seconds(SteadyClock::now()));
    result.ended.push_back(0);
    connections_.Start(users.size() - 1, requests_[users.back()]);
  }
  connections_.ReceiveAll(ended);
  return result;
}

bool PacedCalls::IsConsistent(size_t user, absl::string_view message) const {
  const auto [parity, answer] = Split(message);
  return user < learned_[parity].size() && learned_[parity][user] == answer;
}

}  // namespace neumf
