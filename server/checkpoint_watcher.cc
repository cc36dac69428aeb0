#include "server/checkpoint_watcher.h"

#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "server/directory_hint.h"
#include "server/version_chooser.h"

namespace neumf {

CheckpointWatcher::CheckpointWatcher(Options options, const Parts& parts)
    : options_(std::move(options)),
      parts_(parts),
      switch_({options_.directory, options_.keep_versions, options_.may_unload,
               options_.trial, options_.poll_interval},
              {parts.files, parts.clock, parts.loader, parts.device,
               parts.holder, parts.reaper, parts.history, parts.metrics,
               parts.crash_guard, parts.trials}),
      requests_([this] {
        Wake();
        switch_.Wake();
      }),
      policy_(options_.directory, parts.files, parts.metrics) {}

CheckpointWatcher::~CheckpointWatcher() { Stop(); }

absl::Status CheckpointWatcher::LoadFirst() {
  absl::Status listed = Look();
  while (parts_.holder->Get() == nullptr && parts_.device->lost() &&
         WaitForNextLook()) {
    listed = Look();
  }
  if (parts_.holder->Get() != nullptr) return absl::OkStatus();
  const std::string where =
      absl::StrCat("no servable checkpoint in ", options_.directory, ": ");
  if (!policy_.is_known() && !policy_.met().ok()) {
    return absl::NotFoundError(absl::StrCat(
        where, policy_.met().message(),
        "; until it can be read, nothing is served but a last known good "
        "version in --state_dir"));
  }
  if (!listed.ok()) {
    return absl::NotFoundError(absl::StrCat(where, listed.message()));
  }
  const Refusals& refusals = switch_.refusals();
  return absl::NotFoundError(absl::StrCat(
      where, refusals.empty() ? "no file is named <version>.safetensors"
                              : refusals.ToString()));
}

void CheckpointWatcher::Start() {
  thread_ = std::thread([this] { Run(); });
}

void CheckpointWatcher::RequestStop() {
  switch_.RequestStop();
  requests_.Close();
  Wake();
}

void CheckpointWatcher::Wake() {
  MutexLock lock(&mutex_);
  woken_ = true;
  wake_.Signal();
}

void CheckpointWatcher::Stop() {
  RequestStop();
  if (thread_.joinable()) thread_.join();
}

void CheckpointWatcher::PollOnce() {
  const absl::Status status = Look();
  if (!status.ok() && directory_readable_) {
    LogEvent("checkpoint_directory_unreadable")
        .With("reason", status.message());
  }
  directory_readable_ = status.ok();
}

void CheckpointWatcher::Run() {
  SetThreadName("ckpt-watcher");
  DirectoryHint hint(options_.directory, [this] { Wake(); });
  hint.Watch();
  while (WaitForNextLook()) {
    hint.Watch();
    PollOnce();
  }
}

bool CheckpointWatcher::WaitForNextLook() {
  MutexLock lock(&mutex_);
  const absl::Duration now = parts_.clock->MonotonicNow();
  absl::Duration next =
      std::min(now + options_.poll_interval, parts_.recovery->next_try());
  // What is due and was not loaded has met something that takes time.
  if (load_at_ > now) next = std::min(next, load_at_);
  while (!switch_.IsStopping() && !woken_ &&
         parts_.clock->WaitUntil(&wake_, &mutex_, next)) {
  }
  woken_ = false;
  return !switch_.IsStopping();
}

absl::Status CheckpointWatcher::Look() {
  ServeRequests();
  switch_.EndTrialOnLostDevice();
  absl::Status listed;
  // Nothing here keeps the served version: it may have to go for the next one.
  switch (parts_.recovery->Next(parts_.holder->Get().get())) {
    case DeviceRecovery::Step::kWait:
      return listed;
    case DeviceRecovery::Step::kNone:
      listed = ServeByPolicy();
      break;
    case DeviceRecovery::Step::kReload:
      ServeAgainIfDead();
      listed = ServeByPolicy();
      parts_.recovery->Reloaded(parts_.holder->Get().get());
      break;
  }
  switch_.EndLook();
  const auto now_served = parts_.holder->Get();
  parts_.device->ReportMemory(now_served.get());
  if (parts_.last_good != nullptr) parts_.last_good->Look(now_served.get());
  return listed;
}

// What an earlier try met says nothing about this one: the device is another.
void CheckpointWatcher::ServeAgainIfDead() {
  uint64_t version = 0;
  {
    const auto served = parts_.holder->Get();
    if (served == nullptr || !parts_.device->IsDead(*served)) return;
    version = served->version;
  }
  switch_.refusals().Forget(version);
  Load(FileOf(version)).IgnoreError();  // said already; more tries follow
}

absl::Status CheckpointWatcher::ServeByPolicy() {
  std::set<uint64_t> unfit;
  const uint64_t last_good =
      parts_.last_good == nullptr ? 0 : parts_.last_good->version();
  bool may_load = false;
  const bool is_start = switch_.served_version() == 0;
  while (!switch_.IsStopping() && !parts_.device->lost()) {
    NEUMF_ASSIGN_OR_RETURN(const std::vector<CheckpointFile> found,
                           ListCheckpoints(*parts_.files, options_.directory));
    PollPolicy();
    LeaveRefused();
    switch_.refusals().ForgetMissing(found);
    JudgeTrial(found);
    const CheckpointFile* next =
        policy_.is_known()
            ? NextVersion(found, policy_.policy(), switch_.served_version(),
                          unfit, last_good)
            : SafeVersion(found, switch_.served_version(), unfit, last_good);
    if (next != nullptr && TriesFirst() && switch_.IsOnTrial(*next)) break;
    if ((!may_load && MustWait(next)) || next == nullptr) break;
    may_load = true;
    // One that was given up for a request may be due again after that.
    const bool given_up = absl::IsCancelled(Load(*next));
    if (!given_up && !switch_.IsOnTrial(*next)) unfit.insert(next->version);
    ServeRequests();
    // Larger ones than the last known good come with the next poll.
    if (is_start && switch_.served_version() != 0) break;
  }
  return absl::OkStatus();
}

void CheckpointWatcher::PollPolicy() {
  policy_.Poll();
  switch_.DropRefused(policy_.policy());
}

absl::Status CheckpointWatcher::Change(PolicyChange change,
                                       const std::string& caller) {
  const absl::Status written = policy_.Change(change, caller);
  switch_.DropRefused(policy_.policy());
  return written;
}

bool CheckpointWatcher::IsServedRefused() const {
  return policy_.policy().Refuses(switch_.served_version());
}

// What is on trial and pinned is due itself, and as warm.
void CheckpointWatcher::LeaveRefused() {
  if (!IsServedRefused()) return;
  const auto trial = switch_.trial();
  const bool is_due =
      trial != nullptr && policy_.policy().pinned == trial->version();
  if (!is_due) switch_.LeaveRefused();
}

// All that is found meanwhile is loaded in the same turn, and counts as one
// wait: who publishes more often than that is obeyed, too.
bool CheckpointWatcher::MustWait(const CheckpointFile* next) {
  const uint64_t served = switch_.served_version();
  const ServingPolicy& policy = policy_.policy();
  const bool is_news = options_.reload_jitter > absl::ZeroDuration() &&
                       next != nullptr && served != 0 && !IsServedRefused() &&
                       policy.pinned != next->version;
  const absl::Duration now = parts_.clock->MonotonicNow();
  if (is_news && load_at_ == absl::InfiniteDuration()) {
    std::uniform_real_distribution<double> share;
    load_at_ = now + options_.reload_jitter * share(random_);
  }
  if (is_news && now < load_at_) return true;
  load_at_ = absl::InfiniteDuration();
  return false;
}

absl::Status CheckpointWatcher::Load(const CheckpointFile& file) {
  VersionSwitch::Wish wish;
  wish.keep_previous = [this] { return !IsServedRefused(); };
  // Operators have judged: a comparison would hold up a rollback of the fleet.
  wish.is_judged =
      policy_.policy().pinned != file.version && !IsServedRefused();
  wish.on_trial = TriesFirst();
  wish.meanwhile = Meanwhile(file, nullptr);
  // Else a restart would serve it, which has nothing to compare it with.
  wish.gate_failed = [&] { RefuseForAll(file.version); };
  return switch_.Load(file, wish);
}

bool CheckpointWatcher::TriesFirst() const {
  return switch_.CanTry() && !policy_.policy().pinned.has_value() &&
         !IsServedRefused();
}

void CheckpointWatcher::JudgeTrial(const std::vector<CheckpointFile>& found) {
  if (switch_.trial() == nullptr) return;
  const uint64_t version = switch_.trial()->version();
  const ServingPolicy& policy = policy_.policy();
  const bool is_there = std::any_of(
      found.begin(), found.end(),
      [&](const CheckpointFile& file) { return file.version == version; });
  if (!is_there || policy.Refuses(version) ||
      policy.pinned.value_or(version) != version) {
    return switch_.EndTrial(TrialResult::kEnded, "it is not to be served");
  }
  if (!TriesFirst()) return;  // it is due now
  const VersionTrial::Verdict verdict = switch_.trial()->Judge();
  switch (verdict.kind) {
    case VersionTrial::Verdict::Kind::kGoesOn:
      return;
    case VersionTrial::Verdict::Kind::kPromote:
      return switch_.Promote();
    case VersionTrial::Verdict::Kind::kUndecided:
      return switch_.GiveUpTrial(verdict.reason);
    case VersionTrial::Verdict::Kind::kRollBack:
      switch_.EndTrial(TrialResult::kRolledBack, verdict.reason);
      RefuseForAll(version);
  }
}

// Where it cannot be written, the log says so.
void CheckpointWatcher::RefuseForAll(uint64_t version) {
  const auto refuse = [&](const ServingPolicy& policy) {
    return PolicyAfterVerdict(policy, version);
  };
  Change(refuse, "").IgnoreError();
}

CheckpointFile CheckpointWatcher::FileOf(uint64_t version) const {
  return {version, JoinPath(options_.directory, VersionFileName(version))};
}

}  // namespace neumf
