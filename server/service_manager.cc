#include "server/service_manager.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

constexpr absl::Duration kLongestTurn = absl::Seconds(1);
// Turns and feedings in the time after which the watchdog bites: a late one is
// no death.
constexpr int kFeedings = 4;
// A manager that does not read must not stop us for good.
constexpr timeval kPatience = {/*tv_sec=*/5, /*tv_usec=*/0};

absl::string_view Environment(const char* name) {
  // Nobody writes it: NOLINTNEXTLINE(concurrency-mt-unsafe)
  const char* const value = std::getenv(name);
  return value == nullptr ? absl::string_view() : value;
}

// Empty for what is no path and no name.
std::string SocketAddress(absl::string_view socket) {
  sockaddr_un address = {};
  if (socket.size() < 2 || (socket[0] != '/' && socket[0] != '@') ||
      socket.size() >= sizeof(address.sun_path)) {
    return "";
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket.data(), socket.size());
  const bool abstract = socket[0] == '@';
  if (abstract) address.sun_path[0] = '\0';
  // Every byte counts in an abstract name; a path ends with a null.
  const size_t size = offsetof(sockaddr_un, sun_path) + socket.size() +
                      static_cast<size_t>(!abstract);
  return {reinterpret_cast<const char*>(&address), size};
}

// Kept open: when descriptors run out is when there is something to say.
UniqueFd MakeSocket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
  return fd;
}

}  // namespace

std::unique_ptr<ServiceManager> ServiceManager::FromEnvironment(
    const Clock* clock) {
  int64_t micros = 0;
  int64_t pid = 0;
  if (!absl::SimpleAtoi(Environment("WATCHDOG_USEC"), &micros)) micros = 0;
  // It may be meant for the shell that has started us.
  if (absl::SimpleAtoi(Environment("WATCHDOG_PID"), &pid) && pid != getpid()) {
    micros = 0;
  }
  return std::make_unique<ServiceManager>(
      Environment("NOTIFY_SOCKET"),
      absl::Microseconds(std::max<int64_t>(micros, 0)), clock);
}

ServiceManager::ServiceManager(absl::string_view socket,
                               absl::Duration watchdog, const Clock* clock)
    : clock_(clock),
      address_(SocketAddress(socket)),
      watchdog_(watchdog > absl::ZeroDuration() ? watchdog
                                                : absl::InfiniteDuration()),
      socket_(address_.empty() ? UniqueFd() : MakeSocket()) {}

void ServiceManager::KeepInformed(std::function<Report()> report) {
  if (!socket_.valid()) return;
  turns_ = std::make_unique<PeriodicTask>(
      "service_manager", std::min(kLongestTurn, watchdog_ / kFeedings), clock_,
      [this, report = std::move(report)] { Turn(report()); });
}

void ServiceManager::Turn(const Report& report) {
  if (report.status != told_status_) {
    told_status_ = report.status;
    Send(absl::StrCat("STATUS=", report.status));
  }
  const absl::Duration now = clock_->MonotonicNow();
  if (watchdog_ == absl::InfiniteDuration() || !report.live ||
      now < next_feeding_) {
    return;
  }
  next_feeding_ = now + watchdog_ / kFeedings;
  Send("WATCHDOG=1");
}

void ServiceManager::Send(absl::string_view state) const {
  if (!socket_.valid()) return;
  // One that is lost is a manager that is gone, or too busy to care.
  [[maybe_unused]] const ssize_t sent =
      sendto(socket_.get(), state.data(), state.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(address_.data()),
             static_cast<socklen_t>(address_.size()));
}

}  // namespace neumf
