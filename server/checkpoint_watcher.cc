#include "server/checkpoint_watcher.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint_directory.h"

namespace neumf {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Seconds(1);
constexpr absl::Duration kLongestBackoff = absl::Seconds(60);
// A directory may hold thousands of files that are none.
constexpr size_t kMaxReasonsTold = 5;

}  // namespace

CheckpointWatcher::CheckpointWatcher(Options options, const Parts& parts)
    : options_(std::move(options)), parts_(parts) {}

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
  if (!listed.ok()) {
    return absl::NotFoundError(absl::StrCat(where, listed.message()));
  }
  if (refusals_.empty()) {
    return absl::NotFoundError(
        absl::StrCat(where, "no file is named <version>.safetensors"));
  }
  return absl::NotFoundError(absl::StrCat(where, RefusalsText()));
}

void CheckpointWatcher::Start() {
  thread_ = std::thread([this] { Run(); });
}

void CheckpointWatcher::RequestStop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.Signal();
}

void CheckpointWatcher::Wake() {
  {
    MutexLock lock(&mutex_);
    woken_ = true;
  }
  wake_.Signal();
}

bool CheckpointWatcher::IsStopping() {
  MutexLock lock(&mutex_);
  return stopping_;
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
  while (WaitForNextLook()) PollOnce();
}

bool CheckpointWatcher::WaitForNextLook() {
  MutexLock lock(&mutex_);
  const absl::Duration next =
      std::min(parts_.clock->MonotonicNow() + options_.poll_interval,
               parts_.recovery->next_try());
  while (!stopping_ && !woken_ &&
         parts_.clock->WaitUntil(&wake_, &mutex_, next)) {
  }
  woken_ = false;
  return !stopping_;
}

absl::Status CheckpointWatcher::Look() {
  const auto served = parts_.holder->Get();
  absl::Status listed;
  switch (parts_.recovery->Next(served.get())) {
    case DeviceRecovery::Step::kWait:
      return listed;
    case DeviceRecovery::Step::kNone:
      listed = ServeLargest();
      break;
    case DeviceRecovery::Step::kReload:
      if (served != nullptr && parts_.device->IsDead(*served)) {
        ServeAgain(served->version);
      }
      listed = ServeLargest();
      parts_.recovery->Reloaded(parts_.holder->Get().get());
      break;
  }
  parts_.device->ReportMemory(parts_.holder->Get().get());
  return listed;
}

// What an earlier try met says nothing about this one: the device is another.
void CheckpointWatcher::ServeAgain(uint64_t version) {
  refusals_.erase(version);
  TryLoad({version, JoinPath(options_.directory, VersionFileName(version))});
}

absl::Status CheckpointWatcher::ServeLargest() {
  NEUMF_ASSIGN_OR_RETURN(std::vector<CheckpointFile> found,
                         ListCheckpoints(*parts_.files, options_.directory));
  ForgetMissing(found);
  const auto served = parts_.holder->Get();
  const uint64_t served_version = served == nullptr ? 0 : served->version;
  std::reverse(found.begin(), found.end());
  for (const CheckpointFile& file : found) {
    if (file.version <= served_version || IsStopping() ||
        parts_.device->lost() || TryLoad(file)) {
      break;
    }
  }
  return absl::OkStatus();
}

void CheckpointWatcher::ForgetMissing(
    const std::vector<CheckpointFile>& found) {
  auto file = found.begin();  // both ascend
  for (auto it = refusals_.begin(); it != refusals_.end();) {
    while (file != found.end() && file->version < it->first) ++file;
    const bool missing = file == found.end() || file->version != it->first;
    it = missing ? refusals_.erase(it) : std::next(it);
  }
}

CheckpointWatcher::Attempt CheckpointWatcher::NextAttempt(
    const CheckpointFile& file, const FileInfo& info) {
  const auto it = refusals_.find(file.version);
  if (it == refusals_.end()) return Attempt::kFirst;
  Refusal& refusal = it->second;
  const FileInfo last_look = std::exchange(refusal.last_look, info);
  if (info == refusal.file) {
    const bool due = parts_.clock->MonotonicNow() >= refusal.retry_at;
    return due ? Attempt::kAgain : Attempt::kNone;
  }
  const bool replaced = info.inode != refusal.file.inode;
  return replaced || info == last_look ? Attempt::kFirst : Attempt::kNone;
}

bool CheckpointWatcher::TryLoad(const CheckpointFile& file) {
  // What cannot be looked at is loaded all the same, for the error's text.
  const FileInfo info = parts_.files->Stat(file.path).value_or(FileInfo());
  const Attempt next = NextAttempt(file, info);
  if (next == Attempt::kNone) return false;
  // A second try is silent unless it ends otherwise than the first.
  const bool again = next == Attempt::kAgain;
  uint64_t attempt = again ? 0 : Announce(file, info);

  const absl::Duration started = parts_.clock->MonotonicNow();
  const auto served = parts_.holder->Get();
  LoadOutcome outcome =
      parts_.loader->Load(file, served.get(), [this] { return IsStopping(); });
  const absl::Duration took = parts_.clock->MonotonicNow() - started;
  const bool loaded = outcome.snapshot != nullptr;
  if (!loaded && IsStopping()) {
    GiveUp(attempt, file.version);
    return false;
  }
  if (again && (loaded || outcome.result != refusals_[file.version].result)) {
    attempt = Announce(file, info);
  }
  if (loaded) {
    refusals_.erase(file.version);
    Serve(attempt, std::move(outcome.snapshot), took);
    return true;
  }
  if (attempt != 0) Refuse(file, attempt, outcome, took);
  Remember(file, outcome);
  return false;
}

uint64_t CheckpointWatcher::Announce(const CheckpointFile& file,
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

void CheckpointWatcher::Serve(uint64_t attempt,
                              std::unique_ptr<Snapshot> snapshot,
                              absl::Duration took) {
  const std::shared_ptr<const Snapshot> next =
      parts_.reaper->Adopt(std::move(snapshot));
  if (!SwapIn(next)) return GiveUp(attempt, next->version);
  const absl::Time now = parts_.clock->WallNow();
  parts_.history->Serving(attempt, *next, now);
  parts_.metrics->ModelServed(*next, now);
  parts_.metrics->ReloadFinished(ReloadResult::kOk, took);
  LogEvent("checkpoint_serving")
      .WithNumber("version", next->version)
      .With("digest", next->digest)
      .With("kind", next->kind)
      .WithNumber("users", next->shape().num_users)
      .WithNumber("items", next->shape().num_items)
      .WithNumber("bytes", next->resident_bytes)
      .With("scorer", next->scorer->name())
      .WithNumber("seconds", absl::ToDoubleSeconds(took));
}

// The lock makes it certain that nothing is swapped in after RequestStop().
bool CheckpointWatcher::SwapIn(const std::shared_ptr<const Snapshot>& next) {
  MutexLock lock(&mutex_);
  if (!stopping_) parts_.holder->Swap(next);
  return !stopping_;
}

void CheckpointWatcher::GiveUp(uint64_t attempt, uint64_t version) const {
  if (attempt == 0) return;
  parts_.history->Forget(attempt);
  LogEvent("checkpoint_given_up").WithNumber("version", version);
}

void CheckpointWatcher::Refuse(const CheckpointFile& file, uint64_t attempt,
                               const LoadOutcome& outcome,
                               absl::Duration took) const {
  parts_.history->Refused(attempt, outcome.digest, outcome.reason);
  parts_.metrics->ReloadFinished(outcome.result, took);
  LogEvent("checkpoint_refused")
      .WithNumber("version", file.version)
      .With("result", ReloadResultName(outcome.result))
      .With("reason", outcome.reason)
      .WithNumber("seconds", absl::ToDoubleSeconds(took));
}

void CheckpointWatcher::Remember(const CheckpointFile& file,
                                 const LoadOutcome& outcome) {
  Refusal& refusal = refusals_[file.version];
  const bool is_first_device_error =
      outcome.result == ReloadResult::kDeviceError &&
      (refusal.result != ReloadResult::kDeviceError ||
       !(refusal.file == outcome.file));
  refusal.file = outcome.file;
  refusal.last_look = outcome.file;
  refusal.result = outcome.result;
  refusal.reason = outcome.reason;
  refusal.retry_at = absl::InfiniteDuration();
  const bool passes = outcome.result == ReloadResult::kIoError ||
                      outcome.result == ReloadResult::kNoMemory ||
                      is_first_device_error;
  if (!passes) return;
  refusal.backoff =
      std::clamp(refusal.backoff * 2, kFirstBackoff, kLongestBackoff);
  refusal.retry_at = parts_.clock->MonotonicNow() + refusal.backoff;
}

std::string CheckpointWatcher::RefusalsText() const {
  std::string text;
  size_t left = refusals_.size();
  for (auto it = refusals_.rbegin(); it != refusals_.rend(); ++it, --left) {
    if (refusals_.size() - left == kMaxReasonsTold) break;
    absl::StrAppend(&text, text.empty() ? "" : "; ", "version ", it->first,
                    ": ", it->second.reason);
  }
  if (left > 0) absl::StrAppend(&text, "; and ", left, " older versions");
  return text;
}

}  // namespace neumf
