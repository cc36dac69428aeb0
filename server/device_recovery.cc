#include "server/device_recovery.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/logging.h"

namespace neumf {

DeviceRecovery::DeviceRecovery(Options options, const Clock* clock,
                               ScoringDevice* device)
    : options_(std::move(options)), clock_(clock), device_(device) {}

DeviceRecovery::Step DeviceRecovery::Next(const Snapshot* served) {
  if (!InTrouble(served)) return Step::kNone;
  const absl::Duration now = clock_->MonotonicNow();
  if (!in_trouble_) Begin(now, served);
  if (now < next_try_) return Step::kWait;
  if (MayGiveUp(served)) {
    LogEvent("device_given_up").WithNumber("tries", tries_);
    next_try_ = absl::InfiniteDuration();
    options_.give_up();
    return Step::kWait;
  }
  ++tries_;
  last_try_ = now;
  if (!device_->lost()) return Step::kReload;
  const absl::Status renewed = device_->Renew();
  if (renewed.ok()) return Step::kReload;
  Failed(renewed.message(), served);
  return Step::kWait;
}

void DeviceRecovery::Reloaded(const Snapshot* served) {
  if (InTrouble(served)) {
    return Failed("the model could not be loaded again", served);
  }
  in_trouble_ = false;
  next_try_ = absl::InfiniteDuration();
  LogEvent("device_recovered")
      .WithNumber("tries", tries_)
      .WithNumber("seconds",
                  absl::ToDoubleSeconds(clock_->MonotonicNow() - began_));
}

bool DeviceRecovery::InTrouble(const Snapshot* served) const {
  return device_->lost() || (served != nullptr && device_->IsDead(*served));
}

bool DeviceRecovery::MayGiveUp(const Snapshot* served) const {
  const bool serves = served != nullptr && !device_->IsDead(*served);
  return tries_ >= options_.max_tries && !serves;
}

void DeviceRecovery::Begin(absl::Duration now, const Snapshot* served) {
  in_trouble_ = true;
  began_ = now;
  next_try_ = now;
  if (now - last_try_ < options_.steady_after) return Wait(served);
  tries_ = 0;
  wait_ = absl::ZeroDuration();
}

void DeviceRecovery::Failed(absl::string_view reason, const Snapshot* served) {
  LogEvent("device_not_recovered")
      .WithNumber("tries", tries_)
      .With("reason", reason);
  Wait(served);
}

void DeviceRecovery::Wait(const Snapshot* served) {
  wait_ = std::clamp(wait_ * 2, options_.first_wait, options_.longest_wait);
  next_try_ = clock_->MonotonicNow();
  if (!MayGiveUp(served)) next_try_ += wait_;
}

void DeviceRecovery::EndProcess() {
  constexpr int kExitDied = 3;
  _exit(kExitDied);
}

}  // namespace neumf
