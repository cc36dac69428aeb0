#include "trainer/step/batch_maker.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/logging.h"
#include "trainer/random.h"
#include "trainer/step/draws.h"
#include "trainer/step/epoch_order.h"

namespace neumf {
namespace {

constexpr uint32_t kNoPlace = std::numeric_limits<uint32_t>::max();

}  // namespace

BatchMaker::BatchMaker(const BatchOptions& options,
                       const ItemSequences* sequences, uint64_t num_items,
                       const UserBags* user_bags,
                       const NegativeSampler* sampler)
    : options_(options),
      sequences_(sequences),
      num_items_(num_items),
      user_bags_(user_bags),
      sampler_(sampler) {
  for (uint32_t t = 0; t < options.num_targets; ++t) {
    target_weights_.push_back(static_cast<float>(
        std::exp(-static_cast<double>(t) / options.target_decay)));
  }
}

void BatchMaker::StartEpoch(uint32_t epoch) {
  epoch_ = epoch;
  examples_.clear();
  for (uint32_t user = 0; user < sequences_->num_users(); ++user) {
    const auto num_events = static_cast<uint32_t>(sequences_->row(user).size());
    const uint32_t count = options_.form == BatchForm::kUsers
                               ? std::min<uint32_t>(num_events, 1)
                               : num_events;
    for (uint32_t position = 0; position < count; ++position) {
      examples_.push_back({user, position});
    }
  }
  ShuffleForEpoch(options_.seed, epoch, &examples_);
}

uint64_t BatchMaker::num_batches() const {
  return (examples_.size() + options_.batch_size - 1) / options_.batch_size;
}

uint64_t BatchMaker::num_groups(uint64_t number) const {
  return std::min<uint64_t>(options_.batch_size,
                            examples_.size() - number * options_.batch_size);
}

uint64_t BatchMaker::examples_an_epoch() const {
  const uint64_t num_events = sequences_->num_events();
  return options_.form == BatchForm::kPairs
             ? num_events * (1 + options_.num_negatives)
             : num_events;
}

void BatchMaker::RecencyWeights(size_t size,
                                std::vector<float>* weights) const {
  weights->assign(size, 1.0F);
  if (options_.recency <= 0) return;
  double sum = 0;
  for (size_t n = 0; n < size; ++n) {
    const double weight =
        kLeastRecency + std::exp(-static_cast<double>(n) / options_.recency);
    (*weights)[size - 1 - n] = static_cast<float>(weight);
    sum += weight;
  }
  const auto scale = static_cast<float>(static_cast<double>(size) / sum);
  for (float& weight : *weights) weight *= scale;
}

void BatchMaker::Make(uint64_t number, Scratch* scratch, Batch* batch) const {
  const uint64_t whole = num_groups(number);
  const uint64_t first_group = whole * options_.part / options_.num_parts;
  const uint64_t end_group = whole * (options_.part + 1) / options_.num_parts;
  const absl::Span<const Example> examples =
      absl::MakeConstSpan(examples_).subspan(
          number * options_.batch_size + first_group, end_group - first_group);
  const uint64_t stream = StreamOfBatch(epoch_, number);
  batch->num_groups = static_cast<uint32_t>(examples.size());
  batch->dropout_seed = Random(options_.seed ^ stream).Next() + options_.part;
  FillUsers(examples, batch);
  if (options_.form == BatchForm::kPairs) {
    FillPairs(examples, stream, first_group, batch);
    return;
  }
  if (options_.form == BatchForm::kEvents) {
    FillEvents(examples, batch);
  } else {
    FillWholeUsers(examples, batch);
  }
  FillCandidates(stream, scratch, batch);
}

void BatchMaker::FillUsers(absl::Span<const Example> examples,
                           Batch* batch) const {
  batch->users.clear();
  batch->bag_offsets.assign(1, 0);
  batch->bag_rows.clear();
  batch->bag_weights.clear();
  batch->num_bias_rows.clear();
  for (const Example& example : examples) {
    batch->users.push_back(example.user);
    batch->num_bias_rows.push_back(user_bags_->Append(
        example.user, example.position, &batch->bag_rows, &batch->bag_weights));
    batch->bag_offsets.push_back(static_cast<uint32_t>(batch->bag_rows.size()));
  }
}

void BatchMaker::FillPairs(absl::Span<const Example> examples, uint64_t stream,
                           uint64_t first_group, Batch* batch) const {
  batch->num_negatives = options_.num_negatives;
  batch->candidates.clear();
  const size_t group_size = batch->group_size();
  batch->items.resize(examples.size() * group_size);
  for (size_t g = 0; g < examples.size(); ++g) {
    const Example& example = examples[g];
    batch->items[g * group_size] =
        sequences_->row(example.user)[example.position];
  }
  sampler_->Draw(stream, batch->users, options_.num_negatives, group_size,
                 batch->items.data(), first_group);
}

// Targets and masks are item rows until FillCandidates() turns them into
// places.
void BatchMaker::FillEvents(absl::Span<const Example> examples,
                            Batch* batch) const {
  batch->target_offsets.assign(1, 0);
  batch->targets.clear();
  batch->target_weights.clear();
  batch->masked_offsets.assign(1, 0);
  batch->masked.clear();
  std::vector<float> weights;
  for (const Example& example : examples) {
    const absl::Span<const uint32_t> row = sequences_->row(example.user);
    const absl::Span<const uint32_t> next =
        row.subspan(example.position, options_.num_targets);
    batch->targets.insert(batch->targets.end(), next.begin(), next.end());
    RecencyWeights(row.size(), &weights);
    for (size_t t = 0; t < next.size(); ++t) {
      batch->target_weights.push_back(weights[example.position] *
                                      target_weights_[t]);
    }
    batch->target_offsets.push_back(
        static_cast<uint32_t>(batch->targets.size()));
    batch->masked.insert(
        batch->masked.end(), row.begin(),
        row.begin() + static_cast<ptrdiff_t>(example.position));
    batch->masked_offsets.push_back(
        static_cast<uint32_t>(batch->masked.size()));
  }
}

void BatchMaker::FillWholeUsers(absl::Span<const Example> examples,
                                Batch* batch) const {
  batch->target_offsets.assign(1, 0);
  batch->targets.clear();
  batch->target_weights.clear();
  batch->masked_offsets.assign(examples.size() + 1, 0);
  batch->masked.clear();
  std::vector<float> weights;
  for (const Example& example : examples) {
    const absl::Span<const uint32_t> row = sequences_->row(example.user);
    batch->targets.insert(batch->targets.end(), row.begin(), row.end());
    RecencyWeights(row.size(), &weights);
    batch->target_weights.insert(batch->target_weights.end(), weights.begin(),
                                 weights.end());
    batch->target_offsets.push_back(
        static_cast<uint32_t>(batch->targets.size()));
  }
}

void BatchMaker::FillCandidates(uint64_t stream, Scratch* scratch,
                                Batch* batch) const {
  batch->num_negatives = 0;
  batch->items.clear();
  std::vector<uint32_t>& candidates = batch->candidates;
  if (options_.num_candidates == 0 || options_.num_candidates >= num_items_) {
    candidates.resize(num_items_);
    std::iota(candidates.begin(), candidates.end(), 0);
    return;  // places are item rows
  }
  sampler_->DrawShared(stream, options_.num_candidates, &candidates);
  candidates.insert(candidates.end(), batch->targets.begin(),
                    batch->targets.end());
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()),
                   candidates.end());

  std::vector<uint32_t>& places = scratch->places;
  places.assign(num_items_, kNoPlace);
  for (size_t c = 0; c < candidates.size(); ++c) {
    places[candidates[c]] = static_cast<uint32_t>(c);
  }
  for (uint32_t& target : batch->targets) target = places[target];
  // Of the items to take out only those among the candidates are left.
  size_t kept = 0;
  size_t next = 0;
  for (size_t g = 0; g < batch->num_groups; ++g) {
    const size_t end = batch->masked_offsets[g + 1];
    for (; next < end; ++next) {
      const uint32_t place = places[batch->masked[next]];
      if (place != kNoPlace) batch->masked[kept++] = place;
    }
    batch->masked_offsets[g + 1] = static_cast<uint32_t>(kept);
  }
  batch->masked.resize(kept);
}

}  // namespace neumf
