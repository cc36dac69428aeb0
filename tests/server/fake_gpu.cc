#include "tests/server/fake_gpu.h"

#include <utility>

#include "base/status_macros.h"

namespace neumf {
namespace {

absl::Status DeviceGone() {
  return absl::UnavailableError("an illegal memory access (fake)");
}

}  // namespace

class FakeGpu::FakeScorer : public Scorer {
 public:
  FakeScorer(std::unique_ptr<Scorer> truth, std::shared_ptr<State> state,
             int made_after_resets)
      : truth_(std::move(truth)),
        state_(std::move(state)),
        made_after_resets_(made_after_resets) {}

  absl::Status Rank(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings) const override {
    {
      MutexLock lock(&state_->mutex);
      ++state_->num_ranks;
      if (state_->broken || state_->num_resets != made_after_resets_) {
        return DeviceGone();
      }
    }
    NEUMF_RETURN_IF_ERROR(truth_->Rank(queries, rankings));
    for (Ranking& ranking : rankings) ranking.rescored_count = 3;
    return absl::OkStatus();
  }
  const ModelShape& shape() const override { return truth_->shape(); }
  uint64_t resident_bytes() const override { return truth_->resident_bytes(); }
  const char* name() const override {
    return "cuda (fake, float16 first pass)";
  }

 private:
  const std::unique_ptr<Scorer> truth_;
  const std::shared_ptr<State> state_;
  const int made_after_resets_;
};

class FakeGpu::FakeBuilder : public ScorerBuilder {
 public:
  FakeBuilder(std::unique_ptr<ScorerBuilder> truth,
              std::shared_ptr<State> state)
      : truth_(std::move(truth)), state_(std::move(state)) {}

  absl::Status Add(const ItemRows& rows) override {
    {
      MutexLock lock(&state_->mutex);
      NEUMF_RETURN_IF_ERROR(std::exchange(state_->next_add, absl::OkStatus()));
    }
    return truth_->Add(rows);
  }

  absl::StatusOr<std::unique_ptr<Scorer>> Build() override {
    NEUMF_ASSIGN_OR_RETURN(std::unique_ptr<Scorer> truth, truth_->Build());
    MutexLock lock(&state_->mutex);
    if (std::exchange(state_->breaks_next_build, false)) state_->broken = true;
    if (state_->broken) return DeviceGone();
    NEUMF_RETURN_IF_ERROR(std::exchange(state_->next_build, absl::OkStatus()));
    return std::make_unique<FakeScorer>(std::move(truth), state_,
                                        state_->num_resets);
  }

 private:
  const std::unique_ptr<ScorerBuilder> truth_;
  const std::shared_ptr<State> state_;
};

Gpu FakeGpu::functions() const {
  Gpu gpu;
  gpu.find = [state = state_]() -> absl::StatusOr<CudaDeviceInfo> {
    MutexLock lock(&state->mutex);
    NEUMF_RETURN_IF_ERROR(state->found);
    return CudaDeviceInfo{"Fake GPU", kTotalBytes, kFreeBytes};
  };
  gpu.make_builder = [state = state_](const ModelShape& shape,
                                      const ScoreNetwork& network)
      -> absl::StatusOr<std::unique_ptr<ScorerBuilder>> {
    MutexLock lock(&state->mutex);
    if (state->broken) return DeviceGone();
    NEUMF_RETURN_IF_ERROR(state->verdict);
    NEUMF_ASSIGN_OR_RETURN(
        auto truth, MakeScorerBuilder(Backend::kReference, shape, network, {}));
    return std::make_unique<FakeBuilder>(std::move(truth), state);
  };
  gpu.bytes_needed = [state = state_](const ModelShape& /*shape*/,
                                      const ScoreNetwork& /*network*/) {
    MutexLock lock(&state->mutex);
    return state->bytes_needed;
  };
  gpu.reset = [state = state_] {
    MutexLock lock(&state->mutex);
    if (state->failing_resets-- > 0) return DeviceGone();
    state->broken = false;
    ++state->num_resets;
    return absl::OkStatus();
  };
  return gpu;
}

void FakeGpu::SetFound(const absl::Status& status) {
  MutexLock lock(&state_->mutex);
  state_->found = status;
}

void FakeGpu::SetBytesNeeded(uint64_t bytes) {
  MutexLock lock(&state_->mutex);
  state_->bytes_needed = bytes;
}

void FakeGpu::SetVerdict(const absl::Status& status) {
  MutexLock lock(&state_->mutex);
  state_->verdict = status;
}

void FakeGpu::Break() {
  MutexLock lock(&state_->mutex);
  state_->broken = true;
}

void FakeGpu::BreakNextBuild() {
  MutexLock lock(&state_->mutex);
  state_->breaks_next_build = true;
}

void FakeGpu::FailNextAdd(const absl::Status& status) {
  MutexLock lock(&state_->mutex);
  state_->next_add = status;
}

void FakeGpu::FailNextBuild(const absl::Status& status) {
  MutexLock lock(&state_->mutex);
  state_->next_build = status;
}

void FakeGpu::FailResets(int times) {
  MutexLock lock(&state_->mutex);
  state_->failing_resets = times;
}

int FakeGpu::num_resets() const {
  MutexLock lock(&state_->mutex);
  return state_->num_resets;
}

int FakeGpu::num_ranks() const {
  MutexLock lock(&state_->mutex);
  return state_->num_ranks;
}

}  // namespace neumf
