// What callers ask of the CheckpointWatcher, between two loads and beside one.

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "server/checkpoint_watcher.h"
#include "server/errors.h"
#include "server/version_chooser.h"
#include "server/version_errors.h"

namespace neumf {

void CheckpointWatcher::ServeRequests() {
  for (;;) {
    requests_.Resume();  // what came beside the last one
    const auto request = requests_.Take();
    if (!request.has_value()) return;
    ServeRequest(*request);
  }
}

// A served version that is refused stays until then: a rollback is to leave it.
void CheckpointWatcher::ServeRequest(const VersionRequest& request) {
  PollPolicy();
  switch (request.kind) {
    case VersionRequest::Kind::kLoad:
      return request.answer(LoadByName(request));
    case VersionRequest::Kind::kLoadLargest: {
      if (!policy_.met().ok()) {
        return request.answer(PolicyUnreadable(policy_.met().code()));
      }
      const auto unpin = [](ServingPolicy policy) {
        policy.pinned.reset();
        return policy;
      };
      return request.answer(ChangePolicy(request, unpin));
    }
    case VersionRequest::Kind::kRollback:
      return request.answer(RollBack(request));
  }
}

std::function<void()> CheckpointWatcher::Meanwhile(
    const CheckpointFile& loading, const VersionRequest* wish) {
  const absl::Duration interval = options_.poll_interval;
  return [this, &loading, wish, interval, begun_under = policy_.policy(),
          next_look = parts_.clock->MonotonicNow() + interval]() mutable {
    ServeRequestsBeside(loading, wish);
    const absl::Duration now = parts_.clock->MonotonicNow();
    if (now < next_look) return;
    next_look = now + interval;
    LookBeside(loading, wish == nullptr ? &begun_under : nullptr);
  };
}

// A load may take minutes: what another server has rolled back, or a trial that
// breaks a rule, does not wait for its end.
void CheckpointWatcher::LookBeside(const CheckpointFile& loading,
                                   const ServingPolicy* begun_under) {
  PollPolicy();
  LeaveRefused();
  switch_.EndTrialOnLostDevice();
  const auto found = ListCheckpoints(*parts_.files, options_.directory);
  if (found.ok()) JudgeTrial(*found);
  const ServingPolicy& policy = policy_.policy();
  if (begun_under == nullptr || policy == *begun_under) return;
  const bool is_wanted =
      !policy.Refuses(loading.version) &&
      policy.pinned.value_or(loading.version) == loading.version;
  if (!is_wanted) switch_.GiveUpLoad();
}

void CheckpointWatcher::ServeRequestsBeside(const CheckpointFile& loading,
                                            const VersionRequest* wish) {
  while (auto request = requests_.Take()) {
    const bool is_load = request->kind == VersionRequest::Kind::kLoad;
    if (request->kind == VersionRequest::Kind::kRollback &&
        (wish == nullptr || wish->kind == VersionRequest::Kind::kLoad)) {
      switch_.GiveUpLoad();
      if (switch_.trial() != nullptr) {
        request->answer(RollBack(*request));
        continue;
      }
      PollPolicy();
      const uint64_t left = switch_.served_version();
      if (switch_.ServeStandby()) {
        request->answer(RolledBack(*request, left, /*was_warm=*/true));
        continue;
      }
      if (left == 0) {
        // It has ended a load: it holds even if nobody waits for its answer.
        request->left = switch_.version_to_leave();
        request->is_wanted = [] { return true; };
      }
    } else if (is_load && request->version == loading.version) {
      // Its turn comes when the version is there.
    } else if (wish != nullptr) {
      request->answer(LoadInProgress(loading.version));
      continue;
    } else if (is_load && !IsThere(request->version)) {
      request->answer(VersionNotFound(request->version));
      continue;
    } else if (is_load) {
      switch_.GiveUpLoad();
    }
    requests_.PutOff(*std::move(request));
  }
}

absl::StatusOr<VersionAnswer> CheckpointWatcher::LoadByName(
    const VersionRequest& request) {
  const CheckpointFile file = FileOf(request.version);
  if (!switch_.IsServed(file)) {
    LogEvent("load_requested")
        .WithNumber("version", request.version)
        .WithNumber("from", switch_.served_version())
        .With("caller", request.caller);
    if (!IsThere(request.version)) return VersionNotFound(request.version);
    if (parts_.device->lost()) return DeviceLost();
    if (switch_.trial() != nullptr && !switch_.IsOnTrial(file)) {
      switch_.EndTrial(TrialResult::kEnded, "another version was asked for");
    }
    NEUMF_RETURN_IF_ERROR(LoadFor(request, file));
  }
  return ChangePolicy(request, [&](const ServingPolicy& policy) {
    return PolicyAfterLoad(policy, request.version);
  });
}

bool CheckpointWatcher::IsThere(uint64_t version) const {
  const auto info = parts_.files->Stat(FileOf(version).path);
  return !absl::IsNotFound(info.status());
}

absl::Status CheckpointWatcher::LoadFor(const VersionRequest& request,
                                        const CheckpointFile& file) {
  const bool is_rollback = request.kind == VersionRequest::Kind::kRollback;
  VersionSwitch::Wish wish;
  wish.by_name = true;
  wish.is_judged = false;
  wish.is_wanted = request.is_wanted;
  wish.is_way_back = file.version == switch_.unloaded_version() &&
                     (is_rollback || switch_.served_version() == 0);
  wish.meanwhile = Meanwhile(file, &request);
  wish.keep_previous = [this, is_rollback] {
    return !is_rollback && !IsServedRefused();
  };
  const absl::Status loaded = switch_.Load(file, wish);
  if (!absl::IsCancelled(loaded)) return loaded;
  if (switch_.IsStopping()) return Draining();
  return request.is_wanted() ? LoadAborted() : loaded;
}

absl::StatusOr<VersionAnswer> CheckpointWatcher::RollBack(
    const VersionRequest& request) {
  if (const auto trial = switch_.trial(); trial != nullptr) {
    switch_.EndTrial(TrialResult::kRolledBack, "it was rolled back");
    return ChangePolicy(request, [&](const ServingPolicy& policy) {
      return PolicyAfterRejection(policy, trial->version());
    });
  }
  const uint64_t left =
      request.left == 0 ? switch_.version_to_leave() : request.left;
  // What was unloaded may serve again since it came.
  const uint64_t served = switch_.served_version();
  const bool is_left =
      served != 0 && served != left && !policy_.policy().Refuses(served);
  const bool is_warm = !is_left && switch_.ServeStandby();
  if (!is_left && !is_warm) {
    NEUMF_RETURN_IF_ERROR(LoadEarlier(request, left));
  }
  return RolledBack(request, left, is_warm);
}

absl::Status CheckpointWatcher::LoadEarlier(const VersionRequest& request,
                                            uint64_t left) {
  if (left == 0) return NoPreviousVersion();
  if (parts_.device->lost()) return DeviceLost();
  const auto found = ListCheckpoints(*parts_.files, options_.directory);
  if (!found.ok()) return NoPreviousVersion();
  const auto is_over = [&](const absl::Status& loaded) {
    return loaded.ok() || !request.is_wanted() || switch_.IsStopping() ||
           absl::IsAborted(loaded) || parts_.device->lost();
  };
  const uint64_t unloaded = switch_.unloaded_version();
  if (unloaded != 0 && !policy_.policy().Refuses(unloaded)) {
    const absl::Status loaded = LoadFor(request, FileOf(unloaded));
    if (is_over(loaded)) return loaded;
  }
  const ServingPolicy earlier = PolicyOfEarlier(policy_.policy(), left, *found);
  std::set<uint64_t> unfit;
  while (const CheckpointFile* file =
             NextVersion(*found, earlier, left, unfit)) {
    const absl::Status loaded = LoadFor(request, *file);
    if (is_over(loaded)) return loaded;
    unfit.insert(file->version);
  }
  return NoPreviousVersion();
}

VersionAnswer CheckpointWatcher::RolledBack(const VersionRequest& request,
                                            uint64_t left, bool was_warm) {
  const uint64_t target = switch_.served_version();
  LogEvent("rollback")
      .WithNumber("from", left)
      .WithNumber("to", target)
      .WithNumber("warm", was_warm)
      .With("caller", request.caller);
  parts_.metrics->RolledBack();
  const auto found = ListCheckpoints(*parts_.files, options_.directory)
                         .value_or(std::vector<CheckpointFile>());
  return ChangePolicy(request, [&](const ServingPolicy& policy) {
    return PolicyAfterRollback(policy, left, target, found);
  });
}

VersionAnswer CheckpointWatcher::ChangePolicy(const VersionRequest& request,
                                              PolicyChange change) {
  const absl::Status written = Change(change, request.caller);
  VersionAnswer answer;
  answer.version = switch_.served_record();
  if (!policy_.met().ok()) {
    answer.unsaved_reason = absl::StrCat(
        kServingPolicyFile, " cannot be read (",
        absl::StatusCodeToString(written.code()),
        ") and was left as it is: this holds for this server alone, until the "
        "file is mended");
  } else if (!written.ok()) {
    answer.unsaved_reason =
        absl::StrCat(kServingPolicyFile, " could not be written (",
                     absl::StatusCodeToString(written.code()),
                     "), which is tried again: until then this holds for this "
                     "server alone, as long as it runs");
  }
  return answer;
}

}  // namespace neumf
