#include "trainer/export_model.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "trainer/model/fold.h"
#include "trainer/model/torch_model.h"

namespace neumf {
namespace {

constexpr uint64_t kNumProbes = 8;
constexpr size_t kProbeItems = 10;

std::vector<uint32_t> UnseenItems(const Interactions& seen, uint32_t user) {
  std::vector<uint32_t> unseen;
  for (uint32_t item = 0; item < seen.num_items(); ++item) {
    if (!seen.Contains(user, item)) unseen.push_back(item);
  }
  return unseen;
}

Probe MakeProbe(const TorchModel& model, const ExportData& data,
                uint32_t user) {
  std::vector<uint32_t> rows;
  std::vector<float> weights;
  const uint32_t num_bias_rows =
      data.user_bags->AppendLatest(user, &rows, &weights);
  const std::vector<double> scores =
      model.ScoreAllItems({rows, weights, num_bias_rows});
  std::vector<uint32_t> best = UnseenItems(*data.seen, user);
  const size_t count = std::min(kProbeItems, best.size());
  std::partial_sort(best.begin(), best.begin() + static_cast<ptrdiff_t>(count),
                    best.end(), [&](uint32_t a, uint32_t b) {
                      return scores[a] != scores[b] ? scores[a] > scores[b]
                                                    : a < b;
                    });
  best.resize(count);
  Probe probe;
  probe.user_id = data.log->user_ids[user];
  for (uint32_t item : best) {
    probe.items.push_back({data.log->item_ids[item], scores[item]});
  }
  return probe;
}

}  // namespace

absl::StatusOr<ExportedModel> ExportModel(const Parameters& parameters,
                                          const ExportData& data,
                                          ThreadPool& threads) {
  FoldedModel folded = Fold(parameters, *data.item_bags, *data.user_bags,
                            /*keep_user_terms=*/true, threads);
  ExportedModel exported;
  exported.items = std::move(folded.items);
  ServingModel& model = exported.model;
  model.shape = std::move(folded.shape);
  model.network = std::move(folded.network);
  model.users = std::move(folded.users);
  NEUMF_ASSIGN_OR_RETURN(model.user_ids,
                         IdTable::FromIdsByHash(data.log->user_ids));
  NEUMF_ASSIGN_OR_RETURN(model.item_ids, IdTable::FromIds(data.log->item_ids));
  NEUMF_ASSIGN_OR_RETURN(
      model.seen, SeenSets::FromRows(data.seen->offsets(), data.seen->items(),
                                     data.seen->num_items()));
  const std::vector<uint32_t> counts = data.positives->ItemCounts();
  model.popularity.assign(counts.begin(), counts.end());
  return exported;
}

std::vector<Probe> MakeProbes(Parameters& parameters, const ExportData& data) {
  const TorchModel model(&parameters, data.item_bags);
  const uint64_t num_users = data.log->num_users();
  const uint64_t num_probes = std::min(kNumProbes, num_users);
  std::vector<Probe> probes;
  for (uint64_t n = 0; n < num_probes; ++n) {
    const uint64_t user = n * num_users / num_probes;
    probes.push_back(MakeProbe(model, data, static_cast<uint32_t>(user)));
  }
  return probes;
}

}  // namespace neumf
