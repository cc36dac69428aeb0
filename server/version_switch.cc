#include "server/version_switch.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "checkpoint/checkpoint_reader.h"
#include "server/version_errors.h"

namespace neumf {
namespace {

constexpr absl::Duration kUnloadLook = absl::Milliseconds(1);

}  // namespace

VersionSwitch::VersionSwitch(Options options, const Parts& parts)
    : options_(std::move(options)),
      parts_(parts),
      load_(parts.loader, parts.clock, options_.look_interval),
      loaded_(std::max<size_t>(options_.keep_versions, 1)),
      refusals_(parts.clock) {}

void VersionSwitch::RequestStop() {
  {
    MutexLock lock(&swap_mutex_);
    stopping_ = true;
  }
  Wake();
}

uint64_t VersionSwitch::served_version() const {
  const auto served = parts_.holder->Get();
  return served == nullptr ? 0 : served->version;
}

uint64_t VersionSwitch::version_to_leave() const {
  const uint64_t served = served_version();
  return served == 0 && unloaded_version() != 0 ? last_tried_ : served;
}

bool VersionSwitch::IsServed(const CheckpointFile& file) const {
  const LoadedVersion loaded = loaded_.served();
  const auto served = parts_.holder->Get();
  return served != nullptr && served->version == file.version &&
         served == loaded.snapshot && IsAlive(loaded) &&
         parts_.files->Stat(file.path).value_or(FileInfo()) == loaded.file;
}

v1::ModelVersion VersionSwitch::served_record() const {
  return parts_.history->Get(loaded_.served().attempt);
}

bool VersionSwitch::IsAlive(const LoadedVersion& loaded) const {
  return loaded.snapshot != nullptr && !parts_.device->IsDead(*loaded.snapshot);
}

absl::Status VersionSwitch::Load(const CheckpointFile& file, const Wish& wish) {
  given_up_ = false;
  if (file.version != loaded_.unloaded()) last_tried_ = file.version;
  // What cannot be looked at is loaded all the same, for the error's text.
  const FileInfo info = parts_.files->Stat(file.path).value_or(FileInfo());
  if (LoadedVersion warm = FindWarm(file, info); warm.snapshot != nullptr) {
    const auto snapshot = warm.snapshot;
    if (!Serve(std::move(warm), wish.keep_previous())) {
      return GiveUp(0, file.version);
    }
    LogServing(*snapshot, absl::ZeroDuration());
    return absl::OkStatus();
  }
  absl::Status loaded = LoadFile(file, info, wish);
  if (!loaded.ok()) BringBack(file, wish.meanwhile);
  return loaded;
}

LoadedVersion VersionSwitch::FindWarm(const CheckpointFile& file,
                                      const FileInfo& info) const {
  LoadedVersion warm =
      IsOnTrial(file) ? candidate_ : loaded_.FindStandby(file.version);
  return IsAlive(warm) && warm.file == info ? warm : LoadedVersion();
}

absl::Status VersionSwitch::LoadFile(const CheckpointFile& file,
                                     const FileInfo& info, const Wish& wish) {
  if (!wish.is_judged) refusals_.ForgetVerdict(file.version);
  const Refusals::Attempt next = refusals_.Next(file.version, info);
  const bool is_due = next == Refusals::Attempt::kFirst ||
                      next == Refusals::Attempt::kAgain || wish.by_name;
  if (next == Refusals::Attempt::kWaiting) ShowWaiting(file.version);
  if (!is_due) return absl::FailedPreconditionError("refused before");
  // A second try is silent unless it ends otherwise than the first.
  const bool again = next != Refusals::Attempt::kFirst;
  uint64_t attempt = again ? 0 : Announce(file, info);

  const absl::Duration started = parts_.clock->MonotonicNow();
  LoadOutcome outcome = ReadFile(file, wish);
  const bool is_alone =
      MayUnloadFor(file, wish, &outcome) && Unload(file, wish);
  if (is_alone) outcome = ReadFile(file, wish);
  const absl::Duration took = parts_.clock->MonotonicNow() - started;
  EndWaiting(file.version);
  if (IsOver(wish)) return GiveUp(attempt, file.version);
  const bool loaded = outcome.snapshot != nullptr;
  if (again && (loaded || !refusals_.IsRepetition(file.version, outcome))) {
    attempt = Announce(file, info);
  }
  if (!loaded) {
    const absl::Status refused = Refuse(file, attempt, outcome, took);
    if (is_alone) refusals_.RememberUnloaded(file.version);
    if (outcome.result == ReloadResult::kGateFailed) wish.gate_failed();
    return refused;
  }
  refusals_.Forget(file.version);
  quarantine_.Remove(outcome.digest);
  const auto snapshot = parts_.reaper->Adopt(std::move(outcome.snapshot));
  const LoadedVersion fresh{snapshot, attempt, outcome.file};
  // What it was to be compared with may have gone meanwhile.
  const bool on_trial = wish.on_trial && CanTry();
  const bool done =
      on_trial ? BeginTrial(fresh) : Serve(fresh, wish.keep_previous());
  if (!done) return GiveUp(attempt, file.version);
  parts_.metrics->ReloadFinished(ReloadResult::kOk, took);
  if (!on_trial) LogServing(*snapshot, took);
  return absl::OkStatus();
}

LoadOutcome VersionSwitch::ReadFile(const CheckpointFile& file,
                                    const Wish& wish) {
  const auto served = parts_.holder->Get();
  LoadRequest request;
  request.file = file;
  request.served = served.get();
  request.cancelled = [&] { return IsOver(wish); };
  request.make_room = [&] { return MakeRoom(file); };
  request.is_judged = wish.is_judged;
  if (!wish.by_name) {
    request.known_refusal = [&](absl::string_view digest) {
      return quarantine_.Find(digest, wish.is_judged);
    };
  }
  LoadOutcome outcome = load_.Run(request, wish.meanwhile);
  if (outcome.result != ReloadResult::kCrashedLoading || !wish.by_name) {
    return outcome;
  }
  parts_.crash_guard->Forgive(outcome.digest);
  return load_.Run(request, wish.meanwhile);
}

bool VersionSwitch::IsOver(const Wish& wish) const {
  return stopping_ || (!wish.is_way_back && (given_up_ || !wish.is_wanted()));
}

// Versions that are kept warm are worth less than the one that is asked for.
bool VersionSwitch::MakeRoom(const CheckpointFile& file) {
  if (!loaded_.DropStandbys()) return false;
  LogEvent("standby_dropped").WithNumber("version", file.version);
  parts_.history->Kept({});
  parts_.reaper->WaitUntilIdle();
  return true;
}

bool VersionSwitch::MayUnloadFor(const CheckpointFile& file, const Wish& wish,
                                 LoadOutcome* outcome) const {
  if (!options_.may_unload || !outcome->fits_alone || IsOver(wish)) {
    return false;
  }
  if (!wish.by_name && refusals_.FailedUnloaded(file.version, outcome->file)) {
    return false;
  }
  const LoadedVersion served = loaded_.served();
  if (!IsAlive(served)) return true;
  const uint64_t version = served.snapshot->version;
  // The header counts, which has the digests of all else: publishing may renew
  // the inode of an unchanged file.
  const auto there =
      CheckpointReader::Open(*parts_.files, FileOf(version).path, {});
  if (there.ok() && (*there)->info().digest == served.snapshot->digest) {
    return true;
  }
  absl::StrAppend(&outcome->reason, "; version ", version,
                  " stays: its file is not there any more, to be loaded again");
  return false;
}

bool VersionSwitch::Unload(const CheckpointFile& file, const Wish& wish) {
  LoadedVersion old = loaded_.served();
  if (!SwapIn(nullptr)) return false;
  LogEvent("checkpoint_unloaded")
      .WithNumber("version", old.snapshot->version)
      .WithNumber("for", file.version);
  const std::weak_ptr<const Snapshot> unloaded = old.snapshot;
  old.snapshot.reset();
  loaded_.Unload();
  last_tried_ = file.version;
  // Batches that were formed before still have it; calls let go of it when they
  // are answered.
  const int64_t num_looks = options_.unload_wait / kUnloadLook;
  for (int64_t i = 0; i < num_looks && !unloaded.expired() && !IsOver(wish);
       ++i) {
    absl::SleepFor(kUnloadLook);
    wish.meanwhile();
  }
  old.snapshot = unloaded.lock();
  if (old.snapshot != nullptr) {
    LogEvent("checkpoint_in_use").WithNumber("version", old.snapshot->version);
    Serve(std::move(old), /*keep_previous=*/false);
    return false;
  }
  parts_.history->Unserved();
  parts_.metrics->ModelUnloaded();
  parts_.reaper->WaitUntilIdle();
  return true;
}

// Whatever is asked for meanwhile comes after it: until it ends there is
// nothing that could be left.
void VersionSwitch::BringBack(const CheckpointFile& failed,
                              const std::function<void()>& meanwhile) {
  const uint64_t version = loaded_.unloaded();
  if (version == 0 || version == failed.version || served_version() != 0 ||
      IsStopping() || parts_.device->lost()) {
    return;
  }
  Wish wish;
  wish.by_name = true;
  wish.is_judged = false;
  wish.keep_previous = [] { return false; };
  wish.is_way_back = true;
  wish.meanwhile = meanwhile;
  const CheckpointFile file = FileOf(version);
  const FileInfo info = parts_.files->Stat(file.path).value_or(FileInfo());
  LoadFile(file, info, wish).IgnoreError();  // said already; polls go on
}

CheckpointFile VersionSwitch::FileOf(uint64_t version) const {
  return {version, JoinPath(options_.directory, VersionFileName(version))};
}

uint64_t VersionSwitch::Announce(const CheckpointFile& file,
                                 const FileInfo& info) const {
  LogEvent("checkpoint_found")
      .WithNumber("version", file.version)
      .WithNumber("bytes", info.size_bytes);
  const uint64_t attempt = parts_.history->Found(file.version, info.size_bytes,
                                                 parts_.clock->WallNow());
  LogEvent("checkpoint_loading").WithNumber("version", file.version);
  parts_.history->Loading(attempt);
  return attempt;
}

bool VersionSwitch::ServeStandby() {
  LoadedVersion standby = loaded_.LastStandby();
  return IsAlive(standby) && Serve(std::move(standby), /*keep_previous=*/false);
}

bool VersionSwitch::LeaveRefused() {
  const uint64_t left = served_version();
  if (!ServeStandby()) return false;
  const LoadedVersion standby = loaded_.served();
  LogEvent("refused_version_left")
      .WithNumber("version", left)
      .WithNumber("to", standby.snapshot->version);
  LogServing(*standby.snapshot, absl::ZeroDuration());
  return true;
}

void VersionSwitch::DropRefused(const ServingPolicy& policy) {
  const std::vector<uint64_t> dropped = loaded_.DropStandbysIf(
      [&](uint64_t version) { return policy.Refuses(version); });
  if (dropped.empty()) return;
  for (const uint64_t version : dropped) {
    LogEvent("refused_standby_dropped").WithNumber("version", version);
  }
  parts_.history->Kept(loaded_.standby_attempts());
}

bool VersionSwitch::Serve(LoadedVersion next, bool keep_previous) {
  const auto snapshot = next.snapshot;
  const uint64_t attempt = next.attempt;
  if (!SwapIn(snapshot)) return false;
  if (candidate_.snapshot == snapshot) {
    LeaveTrial(TrialResult::kPromoted, "");
  } else if (candidate_.snapshot != nullptr) {
    EndTrial(TrialResult::kEnded, "another version is served");
  }
  const LoadedVersion previous = loaded_.served();
  const bool is_fit =
      previous.snapshot == nullptr ||
      (IsAlive(previous) && previous.snapshot->version != snapshot->version);
  const bool keep = keep_previous && is_fit;
  loaded_.Serve(std::move(next), keep);
  const absl::Time now = parts_.clock->WallNow();
  parts_.history->Serving(attempt, *snapshot, now, loaded_.standby_attempts());
  parts_.metrics->ModelServed(*snapshot, now);
  return true;
}

bool VersionSwitch::CanTry() const {
  return parts_.trials != nullptr && options_.trial.enabled() &&
         IsAlive(loaded_.served());
}

bool VersionSwitch::IsOnTrial(const CheckpointFile& file) const {
  return candidate_.snapshot != nullptr &&
         candidate_.snapshot->version == file.version &&
         parts_.files->Stat(file.path).value_or(FileInfo()) == candidate_.file;
}

bool VersionSwitch::BeginTrial(LoadedVersion candidate) {
  if (stopping_) return false;
  if (candidate_.snapshot != nullptr) {
    EndTrial(TrialResult::kEnded, "a newer version takes its place");
  }
  candidate_ = std::move(candidate);
  parts_.history->OnTrial(candidate_.attempt, *candidate_.snapshot);
  parts_.trials->Set(std::make_shared<VersionTrial>(
      options_.trial, parts_.clock, parts_.metrics, candidate_.snapshot));
  return true;
}

void VersionSwitch::Promote() {
  const auto snapshot = candidate_.snapshot;
  if (!Serve(candidate_, /*keep_previous=*/true)) return;
  LogServing(*snapshot, absl::ZeroDuration());
}

void VersionSwitch::EndTrial(TrialResult result, const std::string& reason) {
  const LoadedVersion candidate = LeaveTrial(result, reason);
  if (result == TrialResult::kRolledBack) {
    parts_.history->Refused(candidate.attempt, candidate.snapshot->digest,
                            reason);
    parts_.metrics->RolledBack();
  } else {
    parts_.history->Retired(candidate.attempt);
  }
}

void VersionSwitch::ShowWaiting(uint64_t version) {
  const uint64_t attempt = refusals_.attempt(version);
  waiting_[version] = {attempt, /*was_seen=*/true};
  parts_.history->SetWaiting(attempt, true);
}

void VersionSwitch::EndWaiting(uint64_t version) {
  const auto it = waiting_.find(version);
  if (it == waiting_.end()) return;
  parts_.history->SetWaiting(it->second.attempt, false);
  waiting_.erase(it);
}

// A file that is gone, or that a larger version has overtaken, is looked at no
// more.
void VersionSwitch::EndLook() {
  std::vector<uint64_t> passed_by;
  for (auto& [version, waiting] : waiting_) {
    if (!std::exchange(waiting.was_seen, false)) passed_by.push_back(version);
  }
  for (const uint64_t version : passed_by) EndWaiting(version);
}

void VersionSwitch::GiveUpTrial(const std::string& reason) {
  const LoadedVersion candidate = LeaveTrial(TrialResult::kEnded, reason);
  LoadOutcome outcome;
  outcome.result = ReloadResult::kRolledBack;
  outcome.reason = reason;
  outcome.digest = candidate.snapshot->digest;
  outcome.file = candidate.file;
  refusals_.Remember(candidate.snapshot->version, outcome, candidate.attempt);
  parts_.history->Refused(candidate.attempt, outcome.digest, reason);
  parts_.metrics->RolledBack();
}

void VersionSwitch::EndTrialOnLostDevice() {
  if (candidate_.snapshot == nullptr || IsAlive(candidate_)) return;
  EndTrial(TrialResult::kEnded, "the GPU was lost");
}

LoadedVersion VersionSwitch::LeaveTrial(TrialResult result,
                                        const std::string& reason) {
  const auto trial = parts_.trials->Get();
  parts_.trials->Set(nullptr);
  trial->End();
  parts_.metrics->TrialEnded(result);
  LogEvent event("trial_ended");
  event.WithNumber("version", trial->version())
      .With("result", TrialResultName(result));
  if (!reason.empty()) event.With("reason", reason);
  return std::exchange(candidate_, {});
}

// The lock makes it certain that nothing is swapped in after RequestStop().
bool VersionSwitch::SwapIn(const std::shared_ptr<const Snapshot>& next) {
  std::shared_ptr<const Snapshot> previous;  // let go of outside the lock
  MutexLock lock(&swap_mutex_);
  if (!stopping_) previous = parts_.holder->Swap(next);
  return !stopping_;
}

void VersionSwitch::LogServing(const Snapshot& snapshot,
                               absl::Duration took) const {
  LogEvent("checkpoint_serving")
      .WithNumber("version", snapshot.version)
      .With("digest", snapshot.digest)
      .With("kind", snapshot.kind)
      .WithNumber("users", snapshot.shape().num_users)
      .WithNumber("items", snapshot.shape().num_items)
      .WithNumber("bytes", snapshot.resident_bytes)
      .With("scorer", snapshot.scorer->name())
      .WithNumber("seconds", absl::ToDoubleSeconds(took));
}

absl::Status VersionSwitch::Refuse(const CheckpointFile& file, uint64_t attempt,
                                   const LoadOutcome& outcome,
                                   absl::Duration took) {
  const std::string reason = absl::StrReplaceAll(
      outcome.reason, {{JoinPath(options_.directory, ""), ""}});
  if (attempt != 0) {
    parts_.history->Refused(attempt, outcome.digest, reason);
    parts_.metrics->ReloadFinished(outcome.result, took);
    LogEvent("checkpoint_refused")
        .WithNumber("version", file.version)
        .With("result", ReloadResultName(outcome.result))
        .With("reason", outcome.reason)
        .WithNumber("seconds", absl::ToDoubleSeconds(took));
  }
  refusals_.Remember(file.version, outcome, attempt);
  quarantine_.Add(file.version, outcome);
  const auto info = parts_.files->Stat(file.path);
  const bool is_being_written = info.ok() &&
                                info->inode == outcome.file.inode &&
                                !(*info == outcome.file);
  if (is_being_written) ShowWaiting(file.version);
  return VersionNotLoaded(file.version, outcome.result, reason);
}

absl::Status VersionSwitch::GiveUp(uint64_t attempt, uint64_t version) const {
  if (attempt != 0) {
    parts_.history->Retired(attempt);
    LogEvent("checkpoint_given_up").WithNumber("version", version);
  }
  return absl::CancelledError("the load was given up");
}

}  // namespace neumf
