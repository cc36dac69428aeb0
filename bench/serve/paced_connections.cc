#include "bench/serve/paced_connections.h"

#include <poll.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/logging.h"

namespace neumf {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Where no call is due: how often it is looked whether all have ended.
constexpr std::chrono::milliseconds kPatience(10);
// At once on a connection; neumf-server allows 256.
constexpr size_t kMostCalls = 250;

timespec ToTimespec(SteadyClock::duration time) {
  const auto rest = std::max(time, SteadyClock::duration::zero());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(rest);
  timespec result = {};
  result.tv_sec = static_cast<time_t>(seconds.count());
  result.tv_nsec = std::chrono::nanoseconds(rest - seconds).count();
  return result;
}

}  // namespace

PacedConnections::PacedConnections(const std::vector<std::string>& addresses,
                                   absl::string_view path,
                                   absl::string_view timeout) {
  for (const std::string& address : addresses) {
    lanes_.push_back(
        {std::make_unique<Http2Connection>(address, path, timeout), {}});
  }
}

void PacedConnections::Start(size_t call, std::string message) {
  waiting_.push_back({call, std::move(message)});
  Send();
}

void PacedConnections::Send() {
  for (size_t full = 0; !waiting_.empty() && full < lanes_.size();) {
    Lane& lane = lanes_[next_lane_++ % lanes_.size()];
    if (lane.calls.size() == kMostCalls) {
      ++full;
      continue;
    }
    const Call& call = waiting_.front();
    lane.calls.emplace(lane.connection->Start(call.message), call.number);
    lane.connection->Flush();
    waiting_.pop_front();
  }
}

void PacedConnections::ReceiveUntil(SteadyTime until, Ended ended) {
  std::vector<pollfd> descriptors;
  for (const Lane& lane : lanes_) {
    descriptors.push_back({lane.connection->descriptor(), POLLIN, 0});
  }
  do {
    const timespec rest = ToTimespec(until - SteadyClock::now());
    const int ready =
        ppoll(descriptors.data(), descriptors.size(), &rest, nullptr);
    NEUMF_CHECK(ready >= 0);
    if (ready == 0) return;
    for (size_t i = 0; i < descriptors.size(); ++i) {
      if (descriptors[i].revents != 0) Receive(&lanes_[i], ended);
    }
  } while (SteadyClock::now() < until);
}

void PacedConnections::ReceiveAll(Ended ended) {
  while (!idle()) ReceiveUntil(SteadyClock::now() + kPatience, ended);
}

void PacedConnections::Receive(Lane* lane, Ended ended) {
  lane->connection->Receive(
      [&](uint32_t number, const absl::string_view* message) {
        const auto found = lane->calls.find(number);
        NEUMF_CHECK(found != lane->calls.end());
        const size_t call = found->second;
        lane->calls.erase(found);
        ended(call, message);
      });
  lane->connection->Flush();
  Send();
}

bool PacedConnections::idle() const {
  return waiting_.empty() &&
         std::all_of(lanes_.begin(), lanes_.end(),
                     [](const Lane& lane) { return lane.calls.empty(); });
}

}  // namespace neumf
