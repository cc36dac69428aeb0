#include "server/stop_signal.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>

#include "absl/memory/memory.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"

namespace neumf {
namespace {

constexpr int kExitDied = 3;

int BlockAndOpen() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  NEUMF_CHECK(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

void Notify(const UniqueFd& event) {
  const uint64_t one = 1;
  NEUMF_CHECK(write(event.get(), &one, sizeof(one)) == sizeof(one));
}

}  // namespace

absl::StatusOr<std::unique_ptr<StopSignal>> StopSignal::Create(
    absl::Duration grace) {
  UniqueFd signals(BlockAndOpen());
  if (!signals.valid()) return ErrnoStatus(errno, "signalfd");
  UniqueFd end(eventfd(0, EFD_CLOEXEC));
  if (!end.valid()) return ErrnoStatus(errno, "eventfd");
  UniqueFd drain(eventfd(0, EFD_CLOEXEC));
  if (!drain.valid()) return ErrnoStatus(errno, "eventfd");
  return absl::WrapUnique(new StopSignal(grace, std::move(signals),
                                         std::move(end), std::move(drain)));
}

StopSignal::StopSignal(absl::Duration grace, UniqueFd signals, UniqueFd end,
                       UniqueFd drain)
    : grace_(grace),
      signals_(std::move(signals)),
      end_(std::move(end)),
      drain_(std::move(drain)),
      thread_([this] { Run(); }) {}

StopSignal::~StopSignal() {
  Notify(end_);
  thread_.join();
}

void StopSignal::WhenStoppedEarly(std::function<void()> act) {
  MutexLock lock(&mutex_);
  when_early_ = std::move(act);
}

void StopSignal::Arm() {
  MutexLock lock(&mutex_);
  armed_ = true;
}

void StopSignal::Wait() {
  MutexLock lock(&mutex_);
  while (!stopping_) received_.Wait(&mutex_);
}

void StopSignal::DrainBegins() { Notify(drain_); }

void StopSignal::Run() {
  SetThreadName("signals");
  Outcome outcome = AwaitFirst();
  if (outcome == Outcome::kSignal) {
    TakeFirstSignal();
    do {
      outcome = Await(grace_);
    } while (outcome == Outcome::kDrain);  // the one that the signal asked for
  }
  switch (outcome) {
    case Outcome::kEnd:
    case Outcome::kDrain:
      return;
    case Outcome::kSignal:
      LogEvent("drain_abandoned").With("reason", "a second signal");
      break;
    case Outcome::kTimeout:
      LogEvent("drain_abandoned").With("reason", "it took too long");
      break;
  }
  _exit(kExitDied);
}

StopSignal::Outcome StopSignal::AwaitFirst() {
  const Outcome outcome = Await(absl::InfiniteDuration());
  return outcome == Outcome::kDrain ? Await(grace_) : outcome;
}

StopSignal::Outcome StopSignal::Await(absl::Duration timeout) {
  std::array<pollfd, 3> sources = {{{end_.get(), POLLIN, 0},
                                    {signals_.get(), POLLIN, 0},
                                    {drain_.get(), POLLIN, 0}}};
  const int millis = timeout == absl::InfiniteDuration()
                         ? -1
                         : static_cast<int>(absl::ToInt64Milliseconds(timeout));
  // No handler is installed, so nothing interrupts this.
  if (poll(sources.data(), sources.size(), millis) == 0) {
    return Outcome::kTimeout;
  }
  if (sources[0].revents != 0) return Outcome::kEnd;
  if (sources[1].revents == 0) {
    uint64_t count = 0;
    NEUMF_CHECK(read(drain_.get(), &count, sizeof(count)) == sizeof(count));
    return Outcome::kDrain;
  }
  signalfd_siginfo info;
  NEUMF_CHECK(read(signals_.get(), &info, sizeof(info)) == sizeof(info));
  return Outcome::kSignal;
}

void StopSignal::TakeFirstSignal() {
  MutexLock lock(&mutex_);
  stopping_ = true;
  received_.SignalAll();
  if (armed_) return;
  if (when_early_) when_early_();
  _exit(0);
}

}  // namespace neumf
