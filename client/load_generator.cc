#include "client/load_generator.h"

#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "base/split_mix64.h"
#include "base/status_macros.h"
#include "neumf/v1/recommendation_service.pb.h"

namespace neumf {
namespace {

absl::Status CheckOptions(const LoadGenerator::Options& options) {
  if (options.user_ids.empty()) {
    return absl::InvalidArgumentError("there are no users to ask for");
  }
  if (options.k < 0 || options.batch_size < 0) {
    return absl::InvalidArgumentError(
        "k and the batch size may not be negative");
  }
  if (options.duration <= absl::ZeroDuration() ||
      options.warmup < absl::ZeroDuration()) {
    return absl::InvalidArgumentError("the duration must be above 0");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LoadGenerator>> LoadGenerator::Create(
    Options options) {
  NEUMF_RETURN_IF_ERROR(CheckOptions(options));
  NEUMF_ASSIGN_OR_RETURN(auto loop, OpenLoop::Create(options));
  return absl::WrapUnique(
      new LoadGenerator(std::move(options), std::move(loop)));
}

LoadGenerator::LoadGenerator(Options options, std::unique_ptr<OpenLoop> loop)
    : options_(std::move(options)), loop_(std::move(loop)) {}

grpc::ByteBuffer LoadGenerator::MakeRequest(uint64_t call_number) const {
  // A draw depends on its number alone, not on how many came before it.
  uint64_t draw = SplitMix64(options_.seed ^ SplitMix64(call_number));
  const auto fill = [&](v1::RecommendRequest* request) {
    draw += kSplitMix64Step;
    request->set_user_id(
        options_.user_ids[SplitMix64(draw) % options_.user_ids.size()]);
    request->set_k(options_.k);
  };
  if (options_.batch_size == 0) {
    v1::RecommendRequest request;
    fill(&request);
    return ToBytes(request);
  }
  v1::BatchRecommendRequest batch;
  for (int i = 0; i < options_.batch_size; ++i) fill(batch.add_requests());
  return ToBytes(batch);
}

LoadResult LoadGenerator::Run(double rate) {
  LoadResult result(rate, options_.duration, options_.deadline);
  ArrivalSchedule schedule(options_.arrivals, rate, options_.seed);
  const absl::Duration end = options_.warmup + options_.duration;
  uint64_t number = 0;
  loop_->Run(
      [&]() -> std::optional<ScheduledCall> {
        const absl::Duration due = schedule.Next();
        if (due >= end) return std::nullopt;
        return ScheduledCall{due, due >= options_.warmup,
                             options_.batch_size > 0, MakeRequest(number++)};
      },
      &result);
  return result;
}

}  // namespace neumf
