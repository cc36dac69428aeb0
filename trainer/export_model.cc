#include "trainer/export_model.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "trainer/fold.h"
#include "trainer/neumf_module.h"

namespace neumf {
namespace {

constexpr uint64_t kNumProbes = 8;
constexpr size_t kProbeItems = 10;

std::vector<uint32_t> UnseenItems(const Interactions& train, uint32_t user) {
  std::vector<uint32_t> unseen;
  for (uint32_t item = 0; item < train.num_items(); ++item) {
    if (!train.Contains(user, item)) unseen.push_back(item);
  }
  return unseen;
}

Probe MakeProbe(const NeuMfModule& module, const EventLog& log,
                const Interactions& train, uint32_t user) {
  const std::vector<double> scores = module.ScoreAllItems(user);
  std::vector<uint32_t> best = UnseenItems(train, user);
  const size_t count = std::min(kProbeItems, best.size());
  std::partial_sort(best.begin(), best.begin() + static_cast<ptrdiff_t>(count),
                    best.end(), [&](uint32_t a, uint32_t b) {
                      return scores[a] != scores[b] ? scores[a] > scores[b]
                                                    : a < b;
                    });
  best.resize(count);
  Probe probe;
  probe.user_id = log.user_ids[user];
  for (uint32_t item : best) {
    probe.items.push_back({log.item_ids[item], scores[item]});
  }
  return probe;
}

}  // namespace

absl::StatusOr<ExportedModel> ExportModel(const NeuMfParameters& parameters,
                                          const EventLog& log,
                                          const Interactions& train) {
  FoldedModel folded = Fold(parameters);
  ExportedModel exported;
  exported.items = std::move(folded.items);
  ServingModel& model = exported.model;
  model.shape = std::move(folded.shape);
  model.network = std::move(folded.network);
  model.users = std::move(folded.users);
  NEUMF_ASSIGN_OR_RETURN(model.user_ids, IdTable::FromIdsByHash(log.user_ids));
  NEUMF_ASSIGN_OR_RETURN(model.item_ids, IdTable::FromIds(log.item_ids));
  NEUMF_ASSIGN_OR_RETURN(
      model.seen,
      SeenSets::FromRows(train.offsets(), train.items(), train.num_items()));
  const std::vector<uint32_t> counts = train.ItemCounts();
  model.popularity.assign(counts.begin(), counts.end());
  return exported;
}

std::vector<Probe> MakeProbes(NeuMfParameters& parameters, const EventLog& log,
                              const Interactions& train) {
  const NeuMfModule module(&parameters);
  const uint64_t num_probes = std::min(kNumProbes, log.num_users());
  std::vector<Probe> probes;
  for (uint64_t n = 0; n < num_probes; ++n) {
    const uint64_t user = n * log.num_users() / num_probes;
    probes.push_back(
        MakeProbe(module, log, train, static_cast<uint32_t>(user)));
  }
  return probes;
}

}  // namespace neumf
