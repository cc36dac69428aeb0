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
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "eval/probe_check.h"
#include "server/admission.h"
#include "server/load_memory.h"

namespace neumf {
namespace {

constexpr uint32_t kWarmUpK = 10;
constexpr int kLoaderNice = 10;

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

void Refuse(ReloadResult result, absl::string_view reason,
            LoadOutcome* outcome) {
  outcome->result = result;
  outcome->reason = std::string(reason);
}

void Refuse(const absl::Status& status, LoadOutcome* outcome) {
  Refuse(ResultOf(status), status.message(), outcome);
}

absl::Status CheckWanted(const std::function<bool()>& cancelled) {
  return cancelled() ? absl::CancelledError("the load was given up")
                     : absl::OkStatus();
}

// Values in a row of `table`.
uint64_t RowWidth(const ModelShape& shape, ItemTable table) {
  switch (table) {
    case ItemTable::kTower:
      return shape.tower_width();
    case ItemTable::kGmf:
      return shape.gmf_width;
    case ItemTable::kBias:
      return 1;
  }
  return 0;
}

uint64_t NumItemValues(const ModelShape& shape) {
  return shape.num_items * (shape.tower_width() + shape.gmf_width +
                            (shape.has_item_bias ? 1 : 0));
}

// Through which a GPU takes items.
constexpr uint64_t kGpuUploadBytes = 16 << 20;

// Tells the metrics how much of the item tables has passed by.
class Progress {
 public:
  Progress(const ModelShape& shape, ServerMetrics* metrics)
      : shape_(shape),
        metrics_(metrics),
        total_(static_cast<double>(NumItemValues(shape))) {
    metrics_->SetLoadProgress(0);
  }

  void Passed(const ItemRows& rows) {
    passed_ +=
        static_cast<double>(rows.num_rows * RowWidth(shape_, rows.table));
    metrics_->SetLoadProgress(passed_ / total_);
  }

 private:
  const ModelShape& shape_;
  ServerMetrics* const metrics_;
  const double total_;
  double passed_ = 0;
};

std::shared_ptr<const PopularityRanking> OrderByPopularity(
    const std::vector<float>& popularity) {
  if (popularity.empty()) return nullptr;
  auto ranking = std::make_shared<PopularityRanking>();
  ranking->items.reserve(popularity.size());
  for (size_t row = 0; row < popularity.size(); ++row) {
    // Adding 0 makes +0.0 of -0.0, as in all scores.
    ranking->items.push_back(
        {popularity[row] + 0.0F, static_cast<uint32_t>(row)});
  }
  std::sort(ranking->items.begin(), ranking->items.end());
  return ranking;
}

absl::Time ParseTrainedTime(const std::string& created_at) {
  absl::Time time;
  std::string error;
  return absl::ParseTime(absl::RFC3339_full, created_at, &time, &error)
             ? time
             : absl::InfinitePast();
}

uint64_t ResidentBytes(const Snapshot& snapshot) {
  uint64_t bytes = snapshot.scorer->resident_bytes();
  bytes += (snapshot.users->gmf.size() + snapshot.users->tower.size()) *
           sizeof(float);
  bytes += snapshot.user_ids->resident_bytes();
  bytes += snapshot.item_ids->resident_bytes();
  bytes += snapshot.seen->resident_bytes();
  if (snapshot.popularity != nullptr) {
    bytes += snapshot.popularity->items.size() * sizeof(ScoredRow);
  }
  return bytes;
}

ProbedModel PartsOf(const Snapshot& snapshot) {
  return {*snapshot.scorer, *snapshot.users, *snapshot.user_ids,
          *snapshot.item_ids, *snapshot.seen};
}

// A first batch on the loader's time: it touches the tables and makes whatever
// the backend makes when it is first used.
absl::Status WarmUp(const Snapshot& snapshot) {
  const uint64_t num_users = snapshot.shape().num_users;
  const uint64_t count = std::min(kWarmUpUsers, num_users);
  std::vector<ResolvedQuery> resolved(count);
  std::vector<RankQuery> queries;
  for (uint64_t i = 0; i < count; ++i) {
    resolved[i].k = kWarmUpK;
    resolved[i].user_row = static_cast<uint32_t>(i * num_users / count);
    queries.push_back(MakeRankQuery(resolved[i], snapshot));
  }
  std::vector<Ranking> rankings(count);
  return snapshot.scorer->Rank(queries, absl::MakeSpan(rankings));
}

}  // namespace

CheckpointLoader::CheckpointLoader(FileSystem* files, Options options,
                                   ScoringDevice* device,
                                   ServerMetrics* metrics)
    : files_(files),
      options_(std::move(options)),
      device_(device),
      metrics_(metrics) {}

LoadOutcome CheckpointLoader::Load(
    const CheckpointFile& file, const Snapshot* served,
    const std::function<bool()>& cancelled,
    const std::function<bool()>& make_room) const {
  LoadOutcome outcome;
  // A file that changes between this and being opened will look changed, and be
  // tried again.
  const absl::StatusOr<FileInfo> info = files_->Stat(file.path);
  if (info.ok()) outcome.file = *info;
  try {
    LoadInto({file, served, cancelled, make_room}, /*may_use_gpu=*/true,
             &outcome);
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
  return outcome;
}

void CheckpointLoader::LoadInto(const Request& request, bool may_use_gpu,
                                LoadOutcome* outcome) const {
  const auto& [file, served, cancelled, make_room] = request;
  CheckpointReader::Options options;
  options.cancelled = cancelled;
  options.num_threads = options_.scorer.num_threads;
  auto reader = CheckpointReader::Open(*files_, file.path, options);
  if (!reader.ok()) return Refuse(reader.status(), outcome);
  const CheckpointInfo& info = (*reader)->info();
  outcome->digest = info.digest;
  outcome->file = info.file;

  auto place = FindPlace(request, **reader, may_use_gpu);
  if (!place.ok()) return Refuse(place.status(), outcome);
  auto snapshot = BuildSnapshot(file.version, *place, **reader, cancelled);
  place->builder.reset();
  if (place->is_full &&
      device_->GoesToCpu(file.version, snapshot.status(), served)) {
    return LoadInto(request, /*may_use_gpu=*/false, outcome);
  }
  if (!snapshot.ok()) return Refuse(snapshot.status(), outcome);
  const absl::Status probed =
      CheckProbes(info.manifest.probes, PartsOf(**snapshot));
  if (absl::IsFailedPrecondition(probed)) {
    return Refuse(ReloadResult::kProbeFailed, probed.message(), outcome);
  }
  absl::Status usable = probed.ok() ? CheckWanted(cancelled) : probed;
  if (usable.ok()) usable = WarmUp(**snapshot);
  usable = OfScorer(usable, (*snapshot)->device_life);
  if (!usable.ok()) return Refuse(usable, outcome);

  metrics_->SetLoadProgress(1);
  outcome->result = ReloadResult::kOk;
  outcome->snapshot = *std::move(snapshot);
}

absl::StatusOr<CheckpointLoader::Place> CheckpointLoader::FindPlace(
    const Request& request, const CheckpointReader& reader,
    bool may_use_gpu) const {
  absl::StatusOr<Place> place = TryPlace(request, reader, may_use_gpu);
  if (absl::IsResourceExhausted(place.status()) && request.make_room &&
      request.make_room()) {
    place = TryPlace(request, reader, may_use_gpu);
  }
  if (!place.ok()) return Annotate(place.status(), reader.info().path);
  return place;
}

absl::StatusOr<CheckpointLoader::Place> CheckpointLoader::TryPlace(
    const Request& request, const CheckpointReader& reader,
    bool may_use_gpu) const {
  const ModelShape& shape = reader.info().shape;
  const uint64_t life = device_->life();
  absl::StatusOr<std::unique_ptr<ScorerBuilder>> builder = nullptr;
  if (may_use_gpu) {
    builder = device_->TryGpu(request.file.version, shape, reader.network(),
                              request.served);
  }
  if (!builder.ok()) return OfScorer(builder.status(), life);
  const bool on_gpu = *builder != nullptr;
  NEUMF_RETURN_IF_ERROR(CheckMemory(reader, on_gpu));
  if (on_gpu) return Place{*std::move(builder), life, false};
  builder = MakeScorerBuilder(options_.backend, shape, reader.network(),
                              options_.scorer);
  if (!builder.ok()) return builder.status();
  return Place{*std::move(builder), std::nullopt, false};
}

absl::Status CheckpointLoader::CheckMemory(const CheckpointReader& reader,
                                           bool on_gpu) const {
  ScorerMemory scorer;
  if (on_gpu) {
    scorer.making_bytes = kGpuUploadBytes;
  } else {
    scorer = PredictScorerMemory(options_.backend, reader.info().shape,
                                 reader.network(), options_.scorer);
  }
  return CheckBudget(
      PredictLoadMemory(reader, scorer, options_.scorer.num_threads),
      options_.available_memory());
}

absl::StatusOr<std::unique_ptr<Snapshot>> CheckpointLoader::BuildSnapshot(
    uint64_t version, Place& place, CheckpointReader& reader,
    const std::function<bool()>& cancelled) const {
  const CheckpointInfo& info = reader.info();
  NEUMF_ASSIGN_OR_RETURN(ServingModel model, ReadAtLowPriority(reader, place));
  NEUMF_RETURN_IF_ERROR(CheckWanted(cancelled));
  absl::StatusOr<std::unique_ptr<Scorer>> scorer = place.builder->Build();
  if (!scorer.ok()) {
    return OfBuilder(scorer.status(), place);
  }

  auto snapshot = std::make_unique<Snapshot>();
  snapshot->version = version;
  snapshot->version_text = absl::StrCat(version);
  snapshot->digest = info.digest;
  snapshot->kind = info.manifest.model_kind;
  snapshot->trained_time = ParseTrainedTime(info.manifest.created_at);
  snapshot->file_bytes = info.file.size_bytes;
  snapshot->scorer = *std::move(scorer);
  snapshot->device_life = place.device_life;
  snapshot->users = std::make_shared<UserTables>(std::move(model.users));
  snapshot->user_ids = std::make_shared<IdTable>(std::move(model.user_ids));
  snapshot->item_ids = std::make_shared<IdTable>(std::move(model.item_ids));
  snapshot->seen = std::make_shared<SeenSets>(std::move(model.seen));
  snapshot->popularity = OrderByPopularity(model.popularity);
  snapshot->resident_bytes = ResidentBytes(*snapshot);
  NEUMF_RETURN_IF_ERROR(CheckWanted(cancelled));
  return snapshot;
}

// On a thread of its own, since a thread's priority, once lowered, cannot be
// raised again, and is inherited: the scorer's threads must not be started by
// it.
absl::StatusOr<ServingModel> CheckpointLoader::ReadAtLowPriority(
    CheckpointReader& reader, Place& place) const {
  const CheckpointInfo& info = reader.info();
  const auto read = [&] {
    SetThreadName("ckpt-loader");
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kLoaderNice);
    Progress progress(info.shape, metrics_);
    return reader.Read([&](const ItemRows& rows) {
      progress.Passed(rows);
      return OfBuilder(place.builder->Add(rows), place);
    });
  };
  // get() throws what `read` threw.
  return std::async(std::launch::async, read).get();
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
