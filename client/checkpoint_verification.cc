#include "client/checkpoint_verification.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "base/status_macros.h"
#include "checkpoint/checkpoint_reader.h"
#include "eval/probe_check.h"
#include "model/serving_model.h"
#include "scoring/scorer.h"

namespace neumf {
namespace {

// A scorer, and all of its checkpoint that it does not hold itself.
struct Answerer {
  ServingModel model;
  std::unique_ptr<Scorer> scorer;
};

absl::StatusOr<Answerer> LoadAnswerer(CheckpointReader& reader) {
  ScorerOptions options;
  options.num_threads = std::max(1U, std::thread::hardware_concurrency());
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<ScorerBuilder> builder,
                         MakeScorerBuilder(Backend::kCpu, reader.info().shape,
                                           reader.network(), options));
  Answerer answerer;
  NEUMF_ASSIGN_OR_RETURN(answerer.model, reader.Read([&](const ItemRows& rows) {
    return builder->Add(rows);
  }));
  NEUMF_ASSIGN_OR_RETURN(answerer.scorer, builder->Build());
  return answerer;
}

}  // namespace

absl::StatusOr<VerifiedCheckpoint> VerifyCheckpoint(FileSystem& files,
                                                    absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointReader> reader,
                         CheckpointReader::Open(files, path, {}));
  NEUMF_ASSIGN_OR_RETURN(const Answerer answerer, LoadAnswerer(*reader));
  const ServingModel& model = answerer.model;
  const std::vector<Probe>& probes = reader->info().manifest.probes;
  NEUMF_RETURN_IF_ERROR(Annotate(
      CheckProbes(probes, {*answerer.scorer, model.users, model.user_ids,
                           model.item_ids, model.seen}),
      path));
  return VerifiedCheckpoint{reader->info().file.size_bytes, probes.size()};
}

}  // namespace neumf
