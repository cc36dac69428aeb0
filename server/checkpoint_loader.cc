#include "server/checkpoint_loader.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <future>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "base/thread_scheduling.h"
#include "base/utf8.h"
#include "checkpoint/checkpoint_signature.h"
#include "eval/probe_check.h"
#include "server/background_scoring.h"
#include "server/load_memory.h"
#include "server/load_progress.h"
#include "server/snapshot_parts.h"
#include "server/warm_up.h"

namespace neumf {
namespace {

constexpr int kLoaderNice = 10;
// Of its time, while a version is served: loads take eight times as long, and
// callers hardly notice them (bench/README.md, reload.p99_ratio).
constexpr double kLoaderWorkShare = 0.125;

ReloadResult ResultOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kInvalidArgument:
      return ReloadResult::kCorrupt;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
      return ReloadResult::kIncompatible;
    case absl::StatusCode::kResourceExhausted:
      return ReloadResult::kNoMemory;
    case absl::StatusCode::kAborted:  // of OfScorer()
      return ReloadResult::kDeviceError;
    default:
      return ReloadResult::kIoError;
  }
}

// It goes into the log, and to operators. What it quotes may come from a file.
constexpr size_t kMaxReasonBytes = 1 << 10;

void Refuse(ReloadResult result, absl::string_view reason,
            LoadOutcome* outcome) {
  outcome->result = result;
  outcome->reason = Excerpt(reason, kMaxReasonBytes);
}

void Refuse(const absl::Status& status, LoadOutcome* outcome) {
  Refuse(ResultOf(status), status.message(), outcome);
}

absl::Status CheckWanted(const std::function<bool()>& cancelled) {
  return cancelled() ? absl::CancelledError("the load was given up")
                     : absl::OkStatus();
}

// Of the calling thread.
void LowerPriority() {
  SetThreadName("ckpt-loader");
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kLoaderNice);
}

// Through which a GPU takes items.
constexpr uint64_t kGpuUploadBytes = 16 << 20;

absl::Time ParseTrainedTime(const std::string& created_at) {
  absl::Time time;
  std::string error;
  return absl::ParseTime(absl::RFC3339_full, created_at, &time, &error)
             ? time
             : absl::InfinitePast();
}

// Names in a line of the log: a header may hold hundreds.
constexpr size_t kMaxNamesTold = 5;

// A newer trainer's additions, which the answers are right without.
void ReportSkippedTensors(const CheckpointFile& file,
                          absl::Span<const std::string> names,
                          ServerMetrics* metrics) {
  if (names.empty()) return;
  metrics->TensorsSkipped(names.size());
  LogEvent("checkpoint_tensors_skipped")
      .WithNumber("version", file.version)
      .WithNumber("count", names.size())
      .With("names", absl::StrJoin(names.subspan(0, kMaxNamesTold), ", "));
}

ProbedModel PartsOf(const Snapshot& snapshot) {
  return {*snapshot.scorer, *snapshot.users, *snapshot.user_ids,
          *snapshot.item_ids, *snapshot.seen};
}

}  // namespace

CheckpointLoader::CheckpointLoader(FileSystem* files, Options options,
                                   ScoringDevice* device,
                                   ServerMetrics* metrics)
    : files_(files),
      options_(std::move(options)),
      device_(device),
      metrics_(metrics) {}

LoadOutcome CheckpointLoader::Load(const LoadRequest& request) const {
  const CheckpointFile& file = request.file;
  LoadOutcome outcome;
  // A file that changes between this and being opened will look changed, and be
  // tried again.
  const absl::StatusOr<FileInfo> info = files_->Stat(file.path);
  if (info.ok()) outcome.file = *info;
  try {
    LoadInto(request, Attempt(), &outcome);
  } catch (const std::bad_alloc&) {
    Refuse(ReloadResult::kNoMemory,
           absl::StrCat(file.path, ": not enough memory to load it"), &outcome);
  } catch (const std::system_error& error) {
    // No thread could be started; that passes.
    Refuse(ReloadResult::kIoError, error.what(), &outcome);
  } catch (const std::exception& error) {
    Refuse(ReloadResult::kCorrupt, absl::StrCat(file.path, ": ", error.what()),
           &outcome);
  }
  if (options_.crash_guard != nullptr) {
    options_.crash_guard->End(outcome.digest);
  }
  return outcome;
}

void CheckpointLoader::LoadInto(const LoadRequest& request,
                                const Attempt& attempt,
                                LoadOutcome* outcome) const {
  const CheckpointFile& file = request.file;
  const Snapshot* const served = request.served;
  CheckpointReader::Options options;
  options.cancelled = request.cancelled;
  options.num_threads = options_.scorer.num_threads;
  if (served != nullptr) {
    options.num_threads = std::max<size_t>(options.num_threads / 4, 1);
    options.bytes_per_second = options_.io_mbps * 1'000'000;
    options.work_share = kLoaderWorkShare;
    options.others_are_behind = options_.calls_pile_up;
    options.ends_when_starved = attempt.on_leftovers;
  }
  auto reader = CheckpointReader::Open(*files_, file.path, options);
  if (!reader.ok()) return Refuse(reader.status(), outcome);
  const CheckpointInfo& info = (*reader)->info();
  outcome->digest = info.digest;
  outcome->file = info.file;
  if (!IsSigned(file, info, outcome)) return;
  if (!IsNew(request, outcome)) return;
  if (options_.crash_guard != nullptr &&
      !options_.crash_guard->Begin(info.digest)) {
    return Refuse(ReloadResult::kCrashedLoading,
                  absl::StrCat(file.path,
                               ": the server ended twice while it "
                               "loaded this; it is tried again by name"),
                  outcome);
  }

  const KeptParts kept = KeptOf(served, info);
  Place place;
  const absl::Status found =
      FindPlace(request, **reader, kept, attempt.may_use_gpu, &place);
  if (!found.ok()) {
    outcome->fits_alone =
        absl::IsResourceExhausted(found) &&
        FitsAlone(request, **reader, place.device_life.has_value());
    return Refuse(found, outcome);
  }
  const bool on_leftovers = attempt.on_leftovers && served != nullptr;
  auto snapshot = BuildSnapshot(request, kept, on_leftovers, place, **reader);
  place.builder.reset();
  if (place.is_full &&
      device_->GoesToCpu(file.version, snapshot.status(), served)) {
    return LoadInto(request, {/*may_use_gpu=*/false, attempt.on_leftovers},
                    outcome);
  }
  if (on_leftovers && absl::IsDeadlineExceeded(snapshot.status())) {
    // Again from the start: no thread can get more than it once asked for.
    return LoadInto(request, {attempt.may_use_gpu, /*on_leftovers=*/false},
                    outcome);
  }
  if (!snapshot.ok()) return Refuse(snapshot.status(), outcome);
  Examine(request, info, **snapshot, outcome);
  if (outcome->result != ReloadResult::kOk) return;

  if (options_.takedowns != nullptr) options_.takedowns->ApplyTo(**snapshot);
  ReportSkippedTensors(file, info.ignored_tensors, metrics_);
  metrics_->SetLoadProgress(1);
  outcome->snapshot = *std::move(snapshot);
}

void CheckpointLoader::Examine(const LoadRequest& request,
                               const CheckpointInfo& info,
                               const Snapshot& snapshot,
                               LoadOutcome* outcome) const {
  const absl::Status probed =
      CheckProbes(info.manifest.probes, PartsOf(snapshot));
  if (absl::IsFailedPrecondition(probed)) {
    return Refuse(ReloadResult::kProbeFailed, probed.message(), outcome);
  }
  // What is dead answers nothing that a version could be measured by.
  const bool is_judged = options_.gate != nullptr && request.is_judged &&
                         request.served != nullptr &&
                         !device_->IsDead(*request.served);
  const auto pace = request.served == nullptr ? BackgroundPace::kAll
                                              : BackgroundPace::kQuarter;
  std::vector<RecentQuery> recent;
  if (options_.recent != nullptr) recent = options_.recent->Get();
  absl::Status usable = probed;
  if (usable.ok()) {
    usable = WarmUp(snapshot, recent, pace, request.cancelled);
  }
  if (usable.ok() && is_judged) {
    usable = options_.gate->Check(snapshot, *request.served, request.cancelled);
    if (absl::IsFailedPrecondition(usable)) {
      return Refuse(ReloadResult::kGateFailed, usable.message(), outcome);
    }
  }
  usable = OfScorer(usable, snapshot.device_life);
  if (!usable.ok()) return Refuse(usable, outcome);
  outcome->result = ReloadResult::kOk;
}

bool CheckpointLoader::IsNew(const LoadRequest& request, LoadOutcome* outcome) {
  if (!request.known_refusal) return true;
  const auto known = request.known_refusal(outcome->digest);
  if (!known.has_value()) return true;
  Refuse(known->result, known->reason, outcome);
  outcome->was_known = true;
  return false;
}

bool CheckpointLoader::IsSigned(const CheckpointFile& file,
                                const CheckpointInfo& info,
                                LoadOutcome* outcome) const {
  if (options_.public_keys.empty()) return true;
  const absl::Status status = CheckSignature(*files_, file.path, file.version,
                                             info.digest, options_.public_keys);
  if (absl::IsPermissionDenied(status)) {
    Refuse(ReloadResult::kBadSignature, status.message(), outcome);
  } else if (!status.ok()) {
    Refuse(status, outcome);
  }
  return status.ok();
}

absl::Status CheckpointLoader::FindPlace(const LoadRequest& request,
                                         const CheckpointReader& reader,
                                         const KeptParts& kept,
                                         bool may_use_gpu, Place* place) const {
  absl::Status found = TryPlace(request, reader, kept, may_use_gpu, place);
  if (absl::IsResourceExhausted(found) && request.make_room &&
      request.make_room()) {
    found = TryPlace(request, reader, kept, may_use_gpu, place);
  }
  return Annotate(found, reader.info().path);
}

absl::Status CheckpointLoader::TryPlace(const LoadRequest& request,
                                        const CheckpointReader& reader,
                                        const KeptParts& kept, bool may_use_gpu,
                                        Place* place) const {
  *place = {};
  if (kept.parts.items) {
    place->device_life = request.served->device_life;
    return CheckMemory(reader, kept.parts, /*on_gpu=*/false,
                       options_.available_memory());
  }
  const ModelShape& shape = reader.info().shape;
  const uint64_t life = device_->life();
  absl::StatusOr<std::unique_ptr<ScorerBuilder>> builder = nullptr;
  if (may_use_gpu) {
    builder = device_->TryGpu(request.file.version, shape, reader.network(),
                              request.served);
  }
  const bool on_gpu = !builder.ok() || *builder != nullptr;
  if (on_gpu) place->device_life = life;
  if (!builder.ok()) return OfScorer(builder.status(), life);
  NEUMF_RETURN_IF_ERROR(
      CheckMemory(reader, kept.parts, on_gpu, options_.available_memory()));
  if (!on_gpu) {
    ScorerOptions scorer = options_.scorer;
    scorer.build_alone = request.served != nullptr;
    builder =
        MakeScorerBuilder(options_.backend, shape, reader.network(), scorer);
    if (!builder.ok()) return builder.status();
  }
  place->builder = *std::move(builder);
  return absl::OkStatus();
}

bool CheckpointLoader::FitsAlone(const LoadRequest& request,
                                 const CheckpointReader& reader,
                                 bool on_gpu) const {
  if (request.served == nullptr) return false;
  const Snapshot& served = *request.served;
  const uint64_t device_bytes =
      on_gpu ? device_->BytesNeeded(reader.info().shape, reader.network()) : 0;
  if (on_gpu && !device_->HasRoomWithout(served, device_bytes)) return false;
  AvailableMemory available = options_.available_memory();
  // It may be no limit.
  available.bytes += std::min(HostBytes(served), ~available.bytes);
  return CheckMemory(reader, /*kept=*/{}, on_gpu, available).ok();
}

// A scorer on a GPU that was lost since is of no use.
KeptParts CheckpointLoader::KeptOf(const Snapshot* served,
                                   const CheckpointInfo& info) const {
  if (served == nullptr || served->bound == nullptr) return {};
  KeptParts kept = {EqualParts(served->part_digests, info.parts),
                    served->bound.get()};
  kept.parts.items = kept.parts.items && !device_->IsDead(*served);
  return kept;
}

absl::Status CheckpointLoader::CheckMemory(
    const CheckpointReader& reader, const ModelParts& kept, bool on_gpu,
    const AvailableMemory& available) const {
  ScorerMemory scorer;
  if (kept.items) {
    // Nothing is made.
  } else if (on_gpu) {
    scorer.making_bytes = kGpuUploadBytes;
  } else {
    scorer = PredictScorerMemory(options_.backend, reader.info().shape,
                                 reader.network(), options_.scorer);
  }
  return CheckBudget(
      PredictLoadMemory(reader, scorer, options_.scorer.num_threads, kept),
      available);
}

absl::StatusOr<std::unique_ptr<Snapshot>> CheckpointLoader::BuildSnapshot(
    const LoadRequest& request, const KeptParts& kept, bool on_leftovers,
    Place& place, CheckpointReader& reader) const {
  const CheckpointInfo& info = reader.info();
  NEUMF_ASSIGN_OR_RETURN(ServingModel model,
                         ReadAtLowPriority(reader, kept, on_leftovers, place));
  NEUMF_RETURN_IF_ERROR(CheckWanted(request.cancelled));

  auto snapshot = std::make_unique<Snapshot>();
  TakeParts(kept.parts, request.served, std::move(model), snapshot.get());
  if (!kept.parts.items) {
    if (!place.scorer.ok()) return OfBuilder(place.scorer.status(), place);
    snapshot->scorer = *std::move(place.scorer);
  }
  snapshot->version = request.file.version;
  snapshot->version_text = absl::StrCat(request.file.version);
  snapshot->digest = info.digest;
  snapshot->kind = info.manifest.model_kind;
  snapshot->trained_time = ParseTrainedTime(info.manifest.created_at);
  snapshot->file_bytes = info.file.size_bytes;
  snapshot->device_life = place.device_life;
  if (place.device_life.has_value()) {
    snapshot->device_bytes = device_->BytesNeeded(info.shape, reader.network());
  }
  snapshot->resident_bytes = ResidentBytes(*snapshot);
  if (request.served != nullptr) {
    snapshot->shared_bytes = SharedBytes(*snapshot, *request.served);
  }
  snapshot->part_digests = info.parts;
  snapshot->bound = std::make_shared<const ScoreBound>(reader.bound());
  NEUMF_RETURN_IF_ERROR(CheckWanted(request.cancelled));
  return snapshot;
}

// On a thread of its own, since a thread's priority, once lowered, cannot be
// raised again, and is inherited: the scorer's threads must not be started by
// it. Those of a CPU start with the builder.
absl::StatusOr<ServingModel> CheckpointLoader::ReadAtLowPriority(
    CheckpointReader& reader, const KeptParts& kept, bool on_leftovers,
    Place& place) const {
  const CheckpointInfo& info = reader.info();
  const auto read = [&] {
    LowerPriority();
    if (on_leftovers) TakeOnlyLeftovers();
    LoadProgress progress(info.shape, metrics_);
    const auto pack = [&](const ItemRows& rows) {
      progress.Passed(rows);
      return OfBuilder(place.builder->Add(rows), place);
    };
    return reader.Read(pack, kept);
  };
  const auto build = [&] {
    if (!place.device_life.has_value()) LowerPriority();
    return place.builder->Build();
  };
  // get() throws what they threw.
  auto model = std::async(std::launch::async, read).get();
  if (model.ok() && !kept.parts.items) {
    place.scorer = std::async(std::launch::async, build).get();
  }
  return model;
}

absl::Status CheckpointLoader::OfScorer(
    const absl::Status& status, std::optional<uint64_t> device_life) const {
  if (!device_life.has_value() || !absl::IsUnavailable(status)) return status;
  device_->ReportError(*device_life, status);
  return absl::AbortedError(absl::StrCat("the GPU failed: ", status.message()));
}

absl::Status CheckpointLoader::OfBuilder(const absl::Status& status,
                                         Place& place) const {
  place.is_full =
      place.device_life.has_value() && absl::IsResourceExhausted(status);
  return OfScorer(status, place.device_life);
}

}  // namespace neumf
