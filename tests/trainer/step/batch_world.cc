#include "tests/trainer/step/batch_world.h"

#include <tuple>

namespace neumf {
namespace {

// Users 0 and 4 have no event, 1 has a single one, 7 nearly the whole catalog.
constexpr uint32_t kNumEvents[] = {0, 1, 2, 5, 0, 9, 3, 29, 1};
constexpr uint32_t kNumUsers = 9;

// No user meets its items in the order of their rows.
std::vector<Event> MakeEvents() {
  std::vector<Event> events;
  for (uint32_t user = 0; user < kNumUsers; ++user) {
    for (uint32_t n = 0; n < kNumEvents[user]; ++n) {
      Event event;
      event.user = user;
      event.item = (n * 12 + user * 5) % BatchWorld::kNumItems;
      event.time = n;
      events.push_back(event);
    }
  }
  return events;
}

ModelSpec SpecWithHistory() {
  ModelSpec spec;
  spec.num_users = kNumUsers;
  spec.num_items = BatchWorld::kNumItems;
  spec.factors = 2;
  spec.history_length = 3;
  return spec;
}

}  // namespace

BatchWorld::BatchWorld()
    : events_(MakeEvents()),
      train_(kNumUsers, kNumItems, events_),
      sequences_(kNumUsers, events_),
      bags_(SpecWithHistory(), nullptr, &sequences_),
      sampler_(*NegativeSampler::Create(SamplerOptions(), train_, {})) {}

BatchMaker BatchWorld::Maker(const BatchOptions& options) const {
  return BatchMaker(options, &sequences_, kNumItems, &bags_, &sampler_);
}

std::vector<Batch> BatchWorld::Epoch(BatchMaker& maker, uint32_t epoch) {
  maker.StartEpoch(epoch);
  std::vector<Batch> batches(maker.num_batches());
  BatchMaker::Scratch scratch;
  for (size_t b = 0; b < batches.size(); ++b) {
    maker.Make(b, &scratch, &batches[b]);
  }
  return batches;
}

bool operator==(const Batch& a, const Batch& b) {
  const auto fields = [](const Batch& batch) {
    return std::tie(batch.num_groups, batch.num_negatives, batch.users,
                    batch.bag_offsets, batch.bag_rows, batch.bag_weights,
                    batch.num_bias_rows, batch.items, batch.candidates,
                    batch.target_offsets, batch.targets, batch.target_weights,
                    batch.masked_offsets, batch.masked, batch.dropout_seed);
  };
  return fields(a) == fields(b);
}

}  // namespace neumf
