#include "bench/serve/flood.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <utility>

#include "base/logging.h"

namespace neumf {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr char kRecommend[] = "/neumf.v1.RecommendationService/Recommend";
// A call that takes so long has failed.
constexpr char kTimeout[] = "30S";

double MicrosSince(SteadyClock::time_point begin) {
  return std::chrono::duration<double, std::micro>(SteadyClock::now() - begin)
      .count();
}

// The callers of one connection.
class Lane {
 public:
  Lane(Http2Connection* connection, const std::vector<std::string>* requests,
       std::mt19937_64* random, FloodResult* result)
      : connection_(connection),
        requests_(requests),
        random_(random),
        result_(result) {}

  void Start() {
    const std::string& request = (*requests_)[(*random_)() % requests_->size()];
    begins_.emplace(connection_->Start(request), SteadyClock::now());
  }

  // Takes answers; each is followed by another call while `go_on`.
  void Receive(bool go_on) {
    connection_->Receive([&](uint32_t call, const absl::string_view* message) {
      const auto begin = begins_.find(call);
      NEUMF_CHECK(begin != begins_.end());
      result_->micros.push_back(MicrosSince(begin->second));
      begins_.erase(begin);
      if (message != nullptr) ++result_->answered;
      if (go_on) Start();
    });
    connection_->Flush();
  }

  bool idle() const { return begins_.empty(); }
  Http2Connection* connection() const { return connection_; }

 private:
  Http2Connection* const connection_;
  const std::vector<std::string>* const requests_;
  std::mt19937_64* const random_;
  FloodResult* const result_;
  std::unordered_map<uint32_t, SteadyClock::time_point> begins_;
};

bool AllIdle(const std::vector<Lane>& lanes) {
  return std::all_of(lanes.begin(), lanes.end(),
                     [](const Lane& lane) { return lane.idle(); });
}

}  // namespace

Flood::Flood(const std::vector<std::string>& addresses,
             std::vector<std::string> requests)
    : requests_(std::move(requests)) {
  for (const std::string& address : addresses) {
    connections_.push_back(
        std::make_unique<Http2Connection>(address, kRecommend, kTimeout));
  }
}

FloodResult Flood::Run(size_t callers, double seconds) {
  FloodResult result;
  std::vector<Lane> lanes;
  std::vector<pollfd> descriptors;
  for (const auto& connection : connections_) {
    lanes.emplace_back(connection.get(), &requests_, &random_, &result);
    descriptors.push_back({connection->descriptor(), POLLIN, 0});
  }
  const auto begin = SteadyClock::now();
  for (size_t i = 0; i < callers; ++i) lanes[i % lanes.size()].Start();
  for (const Lane& lane : lanes) lane.connection()->Flush();
  while (!AllIdle(lanes)) {
    NEUMF_CHECK(poll(descriptors.data(), descriptors.size(), -1) > 0);
    const bool go_on = MicrosSince(begin) < 1e6 * seconds;
    for (size_t i = 0; i < lanes.size(); ++i) {
      if (descriptors[i].revents != 0) lanes[i].Receive(go_on);
    }
  }
  return result;
}

}  // namespace neumf
