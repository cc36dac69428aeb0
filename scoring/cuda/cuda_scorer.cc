#include "scoring/cuda/cuda_scorer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "scoring/cuda/cuda_model.h"
#include "scoring/cuda/shared_device.h"
#include "scoring/eligibility.h"
#include "scoring/item_rows_progress.h"

namespace neumf {
namespace {

using cuda::CudaModel;
using cuda::DeviceUse;
using cuda::SharedDevice;
using cuda::Workspace;

static_assert(sizeof(ScoredRow) == sizeof(cuda::PassEntry));

// Places of rows are 32-bit in a pass.
constexpr uint64_t kMaxQueryBytes = std::numeric_limits<uint32_t>::max();

class CudaScorer : public Scorer {
 public:
  CudaScorer(std::shared_ptr<SharedDevice> device,
             std::unique_ptr<const CudaModel> model)
      : device_(std::move(device)),
        model_(std::move(model)),
        name_(absl::StrCat(
            "cuda (", device_->device().name(),
            model_->is_coarse() ? ", float16 first pass)" : ", float32)")) {}

  absl::Status Rank(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings) const override {
    NEUMF_CHECK(rankings.size() == queries.size());
    for (const RankQuery& query : queries) CheckQuery(query, shape());
    if (queries.empty()) return absl::OkStatus();
    NEUMF_ASSIGN_OR_RETURN(const DeviceUse use, DeviceUse::Begin(*device_));
    const auto workspace = model_->workspaces().Take();
    while (!queries.empty()) {
      const size_t count = model_->sizes().Take(queries, shape());
      NEUMF_RETURN_IF_ERROR(device_->Noted(
          RankPass(queries.first(count), rankings.first(count), *workspace)));
      queries.remove_prefix(count);
      rankings.remove_prefix(count);
    }
    return absl::OkStatus();
  }

  const ModelShape& shape() const override { return model_->shape(); }
  uint64_t resident_bytes() const override { return model_->resident_bytes(); }
  const char* name() const override { return name_.c_str(); }

 private:
  absl::Status RankPass(absl::Span<const RankQuery> queries,
                        absl::Span<Ranking> rankings,
                        Workspace& workspace) const {
    uint32_t max_k = 1;
    for (const RankQuery& query : queries) {
      if (cuda::InputBytes(query, shape()) > kMaxQueryBytes) {
        return absl::ResourceExhaustedError(
            "a query has more seen, excluded and allowed rows than a pass "
            "takes");
      }
      max_k = std::max(max_k, static_cast<uint32_t>(
                                  std::min<uint64_t>(query.k, NumItems())));
    }
    const absl::Status begun =
        workspace.Begin(queries, model_->sizes().Of(max_k));
    // While the device works.
    for (size_t b = 0; begun.ok() && b < queries.size(); ++b) {
      rankings[b].eligible_count = CountEligible(queries[b], NumItems());
    }
    const absl::Status finished = workspace.Finish();
    NEUMF_RETURN_IF_ERROR(begun);
    NEUMF_RETURN_IF_ERROR(finished);
    for (uint32_t b = 0; b < queries.size(); ++b) {
      Collect(workspace, b, rankings[b]);
    }
    for (const uint32_t b : workspace.ranked_again()) {
      rankings[b].rescored_count = model_->is_coarse() ? NumItems() : 0;
    }
    return absl::OkStatus();
  }

  static void Collect(const Workspace& workspace, uint32_t b,
                      Ranking& ranking) {
    ranking.items.clear();
    ranking.rescored_count = 0;
    ranking.cancelled = workspace.input().is_cancelled(b);
    if (workspace.input().is_idle()) return;
    const cuda::PassResult& result = workspace.result(b);
    ranking.rescored_count = result.num_rescored;
    const cuda::PassEntry* const entries = workspace.entries(b);
    ranking.items.reserve(result.count);
    for (uint32_t i = 0; i < result.count; ++i) {
      ranking.items.push_back({entries[i].score, entries[i].row});
    }
  }

  uint64_t NumItems() const { return shape().num_items; }

  // Declared first: the model lies on it.
  const std::shared_ptr<SharedDevice> device_;
  const std::unique_ptr<const CudaModel> model_;
  const std::string name_;
};

class CudaScorerBuilder : public ScorerBuilder {
 public:
  CudaScorerBuilder(std::shared_ptr<SharedDevice> device,
                    std::unique_ptr<CudaModel> model)
      : device_(std::move(device)),
        model_(std::move(model)),
        progress_(model_->shape()) {}

  absl::Status Add(const ItemRows& rows) override {
    NEUMF_RETURN_IF_ERROR(progress_.Advance(rows));
    NEUMF_ASSIGN_OR_RETURN(const DeviceUse use, DeviceUse::Begin(*device_));
    return device_->Noted(model_->Add(rows));
  }

  absl::StatusOr<std::unique_ptr<Scorer>> Build() override {
    NEUMF_RETURN_IF_ERROR(progress_.CheckComplete());
    NEUMF_ASSIGN_OR_RETURN(const DeviceUse use, DeviceUse::Begin(*device_));
    NEUMF_RETURN_IF_ERROR(device_->Noted(model_->Finish()));
    return std::make_unique<CudaScorer>(device_, std::move(model_));
  }

 private:
  // Declared first: the model lies on it.
  const std::shared_ptr<SharedDevice> device_;
  std::unique_ptr<CudaModel> model_;
  ItemRowsProgress progress_;
};

}  // namespace

absl::StatusOr<CudaDeviceInfo> FindCudaDevice(int device) {
  NEUMF_ASSIGN_OR_RETURN(const auto shared, SharedDevice::Get(device));
  CudaDeviceInfo info;
  info.name = shared->device().name();
  info.total_bytes = shared->device().total_bytes();
  NEUMF_ASSIGN_OR_RETURN(info.free_bytes, shared->device().FreeBytes());
  return info;
}

uint64_t CudaBytesNeeded(const ModelShape& shape, const ScoreNetwork& network,
                         const CudaScorerOptions& options) {
  return CudaModel::BytesNeeded(shape, network, options);
}

absl::StatusOr<std::unique_ptr<ScorerBuilder>> MakeCudaScorerBuilder(
    const ModelShape& shape, const ScoreNetwork& network,
    const CudaScorerOptions& options) {
  NEUMF_RETURN_IF_ERROR(ValidateShape(shape));
  NEUMF_RETURN_IF_ERROR(Validate(shape, network));
  if (shape.has_tower() && network.activation != Activation::kRelu) {
    return absl::UnimplementedError(
        "a GPU scores ReLU towers only: of other activations only the CPU has "
        "the exact bits");
  }
  NEUMF_ASSIGN_OR_RETURN(auto device, SharedDevice::Get(options.device));
  NEUMF_ASSIGN_OR_RETURN(const DeviceUse use, DeviceUse::Begin(*device));
  auto model = CudaModel::Make(device->device(), shape, network, options);
  NEUMF_RETURN_IF_ERROR(device->Noted(model.status()));
  return std::make_unique<CudaScorerBuilder>(std::move(device),
                                             *std::move(model));
}

absl::Status ResetCudaDevice(int device) { return SharedDevice::Reset(device); }

}  // namespace neumf
