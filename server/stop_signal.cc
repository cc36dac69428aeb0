#include "server/stop_signal.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
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

}  // namespace

absl::StatusOr<std::unique_ptr<StopSignal>> StopSignal::Create(
    absl::Duration grace) {
  UniqueFd signals(BlockAndOpen());
  if (!signals.valid()) return ErrnoStatus(errno, "signalfd");
  UniqueFd end(eventfd(0, EFD_CLOEXEC));
  if (!end.valid()) return ErrnoStatus(errno, "eventfd");
  UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  if (!timer.valid()) return ErrnoStatus(errno, "timerfd_create");
  return absl::WrapUnique(new StopSignal(grace, std::move(signals),
                                         std::move(end), std::move(timer)));
}

StopSignal::StopSignal(absl::Duration grace, UniqueFd signals, UniqueFd end,
                       UniqueFd timer)
    : grace_(grace),
      signals_(std::move(signals)),
      end_(std::move(end)),
      timer_(std::move(timer)),
      thread_([this] { Run(); }) {}

StopSignal::~StopSignal() {
  {
    MutexLock lock(&mutex_);
    WaitIfEndingEarly();
  }
  const uint64_t one = 1;
  NEUMF_CHECK(write(end_.get(), &one, sizeof(one)) == sizeof(one));
  thread_.join();
}

void StopSignal::WhenStoppedEarly(std::function<void()> act) {
  MutexLock lock(&mutex_);
  WaitIfEndingEarly();
  when_early_ = std::move(act);
}

void StopSignal::Arm() {
  MutexLock lock(&mutex_);
  WaitIfEndingEarly();
  armed_ = true;
}

void StopSignal::Wait() {
  MutexLock lock(&mutex_);
  while (!stopping_) received_.Wait(&mutex_);
}

void StopSignal::DrainBegins() {
  itimerspec timer = {};
  timer.it_value = absl::ToTimespec(grace_);
  MutexLock lock(&mutex_);
  if (std::exchange(draining_, true)) return;
  NEUMF_CHECK(timerfd_settime(timer_.get(), 0, &timer, nullptr) == 0);
}

void StopSignal::Run() {
  SetThreadName("signals");
  Event event = Await();
  if (event == Event::kSignal) {
    TakeFirstSignal();
    event = Await();
  }
  if (event == Event::kEnd) return;
  LogEvent("drain_abandoned")
      .With("reason",
            event == Event::kSignal ? "a second signal" : "it took too long");
  _exit(kExitDied);
}

StopSignal::Event StopSignal::Await() {
  std::array<pollfd, 3> sources = {{{end_.get(), POLLIN, 0},
                                    {signals_.get(), POLLIN, 0},
                                    {timer_.get(), POLLIN, 0}}};
  while (true) {
    // When it fails, it has found nothing.
    poll(sources.data(), sources.size(), -1);
    if (sources[0].revents != 0) return Event::kEnd;
    if (sources[1].revents != 0) break;
    if (sources[2].revents != 0) return Event::kTimeout;
  }
  signalfd_siginfo info;
  NEUMF_CHECK(read(signals_.get(), &info, sizeof(info)) == sizeof(info));
  return Event::kSignal;
}

void StopSignal::TakeFirstSignal() {
  DrainBegins();
  MutexLock lock(&mutex_);
  stopping_ = true;
  received_.SignalAll();
  if (armed_) return;
  // In a thread of its own, as it may wait for a disk: this one goes on to look
  // for a second signal and the deadline. Whoever comes here meanwhile waits
  // for the end of the process.
  std::thread([act = when_early_] {
    if (act) act();
    _exit(0);
  }).detach();
}

void StopSignal::WaitIfEndingEarly() {
  while (stopping_ && !armed_) received_.Wait(&mutex_);
}

}  // namespace neumf
