#include "trainer/step/fused_step.h"

#include <algorithm>
#include <limits>

#include "base/logging.h"
#include "trainer/step/blas.h"
#include "trainer/step/row_kernels.h"

namespace neumf {
namespace {

// What a chunk of pairs works on stays in a core's second-level cache. One of
// a catalog is larger: its products over groups are worth more when they are
// long.
constexpr size_t kPairsAChunk = 512;
constexpr size_t kScoresAChunk = size_t{1} << 18;

// A thread is worth waking for so many multiplications of a forward pass. An
// item's rows, fetched and updated, and a score's loss count like so many.
constexpr double kWorkAShard = 1'500'000;
constexpr double kWorkARow = 1000;
constexpr double kWorkAScore = 20;

// Multiplications a score, but for the halves of the first layer.
double WorkAPair(const ModelSpec& spec) {
  double work = kWorkAScore + spec.factors;
  for (size_t l = 1; l < spec.hidden.size(); ++l) {
    work += static_cast<double>(spec.hidden[l - 1]) * spec.hidden[l];
  }
  return work;
}

// A tower keeps its hidden values of every pair of a chunk, a product does not.
size_t GroupsAChunk(const Batch& batch, bool has_tower) {
  if (batch.is_pairs()) {
    return std::max<size_t>(1, kPairsAChunk / batch.group_size());
  }
  if (has_tower) return 1;
  return std::max<size_t>(1, kScoresAChunk / batch.candidates.size());
}

// How many targets the group has: 1 with pairs.
float GroupWeight(const Batch& batch, size_t group) {
  if (batch.is_pairs()) return 1;
  float weight = 0;
  for (size_t t = batch.target_offsets[group];
       t < batch.target_offsets[group + 1]; ++t) {
    weight += batch.target_weights[t];
  }
  return weight;
}

size_t DenseBegin(const ParameterLayout& layout) {
  for (const ParameterBlock* block : layout.Blocks()) {
    if (!block->is_table) return block->offset;
  }
  return layout.size;
}

void GrowTo(size_t size, std::vector<float>* values) {
  if (values->size() < size) values->resize(size);
}

}  // namespace

// What a thread works on.
struct FusedStep::Shard {
  explicit Shard(const Parameters* parameters, double dropout)
      : tower(parameters, dropout) {}

  TowerPass tower;
  double loss = 0;
  std::vector<float> dense;         // gradient of the dense blocks
  std::vector<float> d_head;        // by TowerHead::weight
  float d_constant = 0;             // by what every score has: the sum of all
  std::vector<float> d_candidates;  // [C, k], then [C] of their terms
  std::vector<float> d_item_half;   // [C, H1]
  std::vector<float> d_finished_half;  // of all shards, for this one's part
  std::vector<float> user_half, d_user_half;  // of a chunk [groups, H1]
  // Of a chunk: [groups, 1 + n] or [groups, C].
  std::vector<float> scores, d_scores, log_q;
  std::vector<float> scaled_user, d_scaled_user;  // h * p [groups, k]
};

FusedStep::FusedStep(const Parameters* parameters, const ItemBags* items,
                     const StepOptions& options, ThreadPool* threads)
    : parameters_(parameters),
      item_bags_(items),
      options_(options),
      pair_loss_(options.loss),
      threads_(threads),
      dense_begin_(DenseBegin(parameters->layout())),
      users_(parameters, UserTablesOf(parameters->layout())),
      items_(parameters, ItemTablesOf(parameters->layout())),
      candidates_(parameters, ItemTablesOf(parameters->layout())) {
  if (IsCatalogLoss(options.loss.kind)) catalog_loss_.emplace(options.loss);
  for (size_t t = 0; t < threads->num_threads(); ++t) {
    shards_.push_back(std::make_unique<Shard>(parameters, options.dropout));
  }
}

FusedStep::~FusedStep() = default;

double FusedStep::ComputeGradient(const Batch& batch, Gradient* gradient) {
  Prepare(batch, gradient);
  if (!batch.is_pairs()) GatherCandidates(batch);
  ForShards(batch.num_groups, [&](size_t begin, size_t end, Shard* shard) {
    RunShard(batch, begin, end, shard);
  });
  ForShards(batch.candidates.size(),
            [&](size_t begin, size_t end, Shard* shard) {
              FinishCandidates(batch, begin, end, shard);
            });
  SumShards(gradient);
  ScatterTables(batch, gradient);
  double loss = 0;
  for (size_t s = 0; s < num_shards_; ++s) loss += shards_[s]->loss;
  return options_.sum_over_groups
             ? loss
             : loss / static_cast<double>(batch.num_groups);
}

// A function of the batch and the number of threads, so that the bits are.
size_t FusedStep::NumShards(const Batch& batch) const {
  const ModelSpec& spec = parameters_->spec();
  const auto num_groups = static_cast<double>(batch.num_groups);
  double work = WorkAPair(spec);
  if (batch.is_pairs()) {
    work += static_cast<double>(FirstWidth()) * spec.item_tower_factors;
    work = num_groups * batch.group_size() * (work + kWorkARow);
  } else {
    const auto num_candidates = static_cast<double>(batch.candidates.size());
    work = num_candidates * (num_groups * work + kWorkARow);
  }
  const double worth = std::max(1.0, work / kWorkAShard);
  return std::min(shards_.size(), static_cast<size_t>(worth));
}

void FusedStep::ForShards(
    size_t count,
    absl::FunctionRef<void(size_t begin, size_t end, Shard* shard)> body) {
  if (count == 0) return;
  threads_->ParallelFor(num_shards_, [&](size_t s, size_t) {
    body(count * s / num_shards_, count * (s + 1) / num_shards_,
         shards_[s].get());
  });
}

void FusedStep::Prepare(const Batch& batch, Gradient* gradient) {
  NEUMF_CHECK(batch.is_pairs() || catalog_loss_);
  gradient->Clear();
  users_.Resize(batch.num_groups);
  items_.Resize(batch.items.size());
  candidates_.Resize(batch.candidates.size());
  if (parameters_->spec().has_tower()) head_ = MakeTowerHead(*parameters_);
  const size_t num_dense = parameters_->layout().size - dense_begin_;
  num_shards_ = NumShards(batch);
  for (size_t s = 0; s < num_shards_; ++s) {
    Shard* const shard = shards_[s].get();
    shard->loss = 0;
    shard->d_constant = 0;
    shard->dense.assign(num_dense, 0.0F);
    shard->d_head.assign(head_.weight.size(), 0.0F);
    shard->d_candidates.assign(
        batch.candidates.size() * (parameters_->spec().factors + 1), 0.0F);
    shard->d_item_half.assign(batch.candidates.size() * FirstWidth(), 0.0F);
  }
}

size_t FusedStep::FirstWidth() const {
  const ModelSpec& spec = parameters_->spec();
  return spec.has_tower() ? spec.hidden[0] : 0;
}

void FusedStep::GatherCandidates(const Batch& batch) {
  const size_t count = batch.candidates.size();
  GrowTo(count * FirstWidth(), &item_half_);
  ForShards(count, [&](size_t begin, size_t end, Shard* shard) {
    candidates_.Gather(begin, end, [&](size_t row) {
      return item_bags_->bag(batch.candidates[row]);
    });
    if (!parameters_->spec().has_tower()) return;
    shard->tower.DropItems(batch.dropout_seed, begin, end - begin,
                           candidates_.tower(begin));
    ComputeItemHalves(*parameters_, candidates_.tower(begin), end - begin,
                      item_half_.data() + begin * FirstWidth());
  });
}

void FusedStep::RunShard(const Batch& batch, size_t first_group,
                         size_t end_group, Shard* shard) {
  const size_t groups_a_chunk =
      GroupsAChunk(batch, parameters_->spec().has_tower());
  for (size_t g = first_group; g < end_group; g += groups_a_chunk) {
    RunChunk(batch, g, std::min(groups_a_chunk, end_group - g), shard);
  }
}

void FusedStep::RunChunk(const Batch& batch, size_t first_group,
                         size_t num_groups, Shard* shard) {
  const Chunk chunk = {first_group, num_groups, batch.group_size()};
  users_.Gather(chunk.first_group, chunk.end_group(),
                [&](size_t row) { return batch.user_bag(row); });
  ScaleUsers(chunk, shard);
  const size_t scores_a_group =
      batch.is_pairs() ? batch.group_size() : batch.candidates.size();
  GrowTo(num_groups * scores_a_group, &shard->scores);
  GrowTo(num_groups * scores_a_group, &shard->d_scores);
  if (batch.is_pairs()) {
    RunPairs(batch, chunk, shard);
  } else {
    ScoreCandidates(batch, chunk, shard);
    ComputeCatalogLosses(batch, chunk, shard);
    BackwardCandidates(batch, chunk, shard);
  }
  users_.FinishGradient(chunk.first_group, chunk.end_group());
}

void FusedStep::RunPairs(const Batch& batch, const Chunk& chunk, Shard* shard) {
  items_.Gather(chunk.first_pair(), chunk.end_pair(),
                [&](size_t row) { return item_bags_->bag(batch.items[row]); });
  ScorePairs(batch, chunk, shard);
  ComputePairLosses(batch, chunk, shard);
  BackwardPairs(batch, chunk, shard);
  items_.FinishGradient(chunk.first_pair(), chunk.end_pair());
}

void FusedStep::ScaleUsers(const Chunk& chunk, Shard* shard) {
  const ModelSpec& spec = parameters_->spec();
  if (!spec.has_product()) return;
  const size_t count = chunk.num_groups * spec.factors;
  GrowTo(count, &shard->scaled_user);
  GrowTo(count, &shard->d_scaled_user);
  const float* const users = users_.gmf(chunk.first_group);
  if (spec.learned_head) {
    MultiplyRows(users,
                 parameters_->block(parameters_->layout().gmf_head).data(),
                 chunk.num_groups, spec.factors, shard->scaled_user.data());
  } else {
    std::copy_n(users, count, shard->scaled_user.data());
  }
}

float FusedStep::GroupTerm(size_t group) {
  const ParameterBlock& bias = parameters_->layout().global_bias;
  const float constant = bias.empty() ? 0.0F : parameters_->block(bias)[0];
  return head_.bias + constant + *users_.term(group);
}

TowerChunk FusedStep::TowerChunkOf(const Batch& batch, const Chunk& chunk) {
  TowerChunk tower;
  tower.num_groups = chunk.num_groups;
  tower.group_size = chunk.group_size;
  tower.user = users_.tower(chunk.first_group);
  tower.item = items_.tower(chunk.first_pair());
  tower.dropout_seed = batch.dropout_seed;
  tower.first_group = chunk.first_group;
  return tower;
}

void FusedStep::ScorePairs(const Batch& batch, const Chunk& chunk,
                           Shard* shard) {
  const ModelSpec& spec = parameters_->spec();
  float* scores = shard->scores.data();
  const float* item_terms = items_.term(chunk.first_pair());
  for (size_t g = chunk.first_group; g < chunk.end_group(); ++g) {
    const float group_term = GroupTerm(g);
    for (size_t n = 0; n < chunk.group_size; ++n) {
      *scores++ = group_term + *item_terms++;
    }
  }
  if (spec.has_product()) {
    AddProductScores(shard->scaled_user.data(), items_.gmf(chunk.first_pair()),
                     chunk.num_groups, chunk.group_size, spec.factors,
                     shard->scores.data());
  }
  if (spec.has_tower()) {
    shard->tower.Forward(TowerChunkOf(batch, chunk), head_,
                         shard->scores.data());
  }
}

void FusedStep::ScoreCandidates(const Batch& batch, const Chunk& chunk,
                                Shard* shard) {
  const size_t width = parameters_->spec().factors;
  const size_t count = batch.candidates.size();
  if (width > 0) {
    MatMul({shard->scaled_user.data(), chunk.num_groups, width},
           Transpose({candidates_.gmf(0), count, width}),
           /*accumulate=*/false, shard->scores.data(), count);
  } else {
    std::fill_n(shard->scores.data(), chunk.num_groups * count, 0.0F);
  }
  if (parameters_->spec().has_tower()) ForwardTower(batch, chunk, shard);
  for (size_t g = 0; g < chunk.num_groups; ++g) {
    const size_t group = chunk.first_group + g;
    float* const scores = &shard->scores[g * count];
    const float group_term = GroupTerm(group);
    AddScaled(1.0F, candidates_.term(0), count, scores);
    for (size_t c = 0; group_term != 0 && c < count; ++c) {
      scores[c] += group_term;
    }
    for (size_t m = batch.masked_offsets[group];
         m < batch.masked_offsets[group + 1]; ++m) {
      scores[batch.masked[m]] = -std::numeric_limits<float>::infinity();
    }
  }
}

TowerRow FusedStep::TowerRowOf(const Batch& batch, const Chunk& chunk,
                               const Shard& shard) const {
  TowerRow row;
  row.num_candidates = batch.candidates.size();
  row.user_half = shard.user_half.data();
  row.item_half = item_half_.data();
  row.dropout_seed = batch.dropout_seed;
  row.group = chunk.first_group;
  return row;
}

// REQUIRES: a chunk of one group.
void FusedStep::ForwardTower(const Batch& batch, const Chunk& chunk,
                             Shard* shard) {
  float* const user = users_.tower(chunk.first_group);
  GrowTo(FirstWidth(), &shard->user_half);
  GrowTo(FirstWidth(), &shard->d_user_half);
  shard->tower.DropUsers(batch.dropout_seed, chunk.first_group, 1, user);
  ComputeUserHalves(*parameters_, user, 1, shard->user_half.data());
  shard->tower.Forward(TowerRowOf(batch, chunk, *shard), head_,
                       shard->scores.data());
}

void FusedStep::BackwardTower(const Batch& batch, const Chunk& chunk,
                              Shard* shard) {
  shard->tower.Backward(TowerRowOf(batch, chunk, *shard), head_,
                        shard->d_scores.data(), shard->d_user_half.data(),
                        shard->d_item_half.data(), shard->d_head.data(),
                        shard->dense.data(), dense_begin_);
  float* const d_user = users_.d_tower(chunk.first_group);
  UserHalvesGradient(*parameters_, users_.tower(chunk.first_group),
                     shard->d_user_half.data(), 1, d_user, shard->dense.data(),
                     dense_begin_);
  shard->tower.DropUsers(batch.dropout_seed, chunk.first_group, 1, d_user);
}

float FusedStep::LossScale(const Batch& batch) const {
  return options_.sum_over_groups ? 1.0F
                                  : 1.0F / static_cast<float>(batch.num_groups);
}

void FusedStep::ComputePairLosses(const Batch& batch, const Chunk& chunk,
                                  Shard* shard) {
  const size_t group_size = chunk.group_size;
  const bool has_log_q =
      !options_.log_q.empty() && options_.loss.kind == LossKind::kSoftmax;
  GrowTo(has_log_q ? group_size : 0, &shard->log_q);
  for (size_t g = 0; g < chunk.num_groups; ++g) {
    const uint32_t* const items =
        &batch.items[(chunk.first_group + g) * group_size];
    for (size_t n = 0; has_log_q && n < group_size; ++n) {
      shard->log_q[n] = options_.log_q[items[n]];
    }
    shard->loss +=
        pair_loss_.Compute(&shard->scores[g * group_size],
                           has_log_q ? shard->log_q.data() : nullptr,
                           group_size - 1, &shard->d_scores[g * group_size]);
  }
  ScaleGradient(batch, chunk.num_groups * group_size, shard);
}

void FusedStep::ComputeCatalogLosses(const Batch& batch, const Chunk& chunk,
                                     Shard* shard) {
  const size_t count = batch.candidates.size();
  const absl::Span<const uint32_t> targets(batch.targets);
  const absl::Span<const float> weights(batch.target_weights);
  for (size_t g = 0; g < chunk.num_groups; ++g) {
    const size_t begin = batch.target_offsets[chunk.first_group + g];
    const size_t size = batch.target_offsets[chunk.first_group + g + 1] - begin;
    shard->loss += catalog_loss_->Compute(
        &shard->scores[g * count], count, targets.subspan(begin, size),
        weights.subspan(begin, size), &shard->d_scores[g * count]);
  }
  ScaleGradient(batch, chunk.num_groups * count, shard);
}

void FusedStep::ScaleGradient(const Batch& batch, size_t count,
                              Shard* shard) const {
  const float scale = LossScale(batch);
  for (size_t n = 0; scale != 1 && n < count; ++n) shard->d_scores[n] *= scale;
}

void FusedStep::BackwardPairs(const Batch& batch, const Chunk& chunk,
                              Shard* shard) {
  const ModelSpec& spec = parameters_->spec();
  const float* const d_scores = shard->d_scores.data();
  std::copy_n(d_scores, chunk.num_pairs(), items_.d_term(chunk.first_pair()));
  SumGroups(d_scores, chunk.num_groups, chunk.group_size, 1,
            users_.d_term(chunk.first_group));
  for (size_t g = chunk.first_group; g < chunk.end_group(); ++g) {
    shard->d_constant += *users_.d_term(g);
  }
  if (spec.has_tower()) {
    shard->tower.Backward(
        TowerChunkOf(batch, chunk), head_, d_scores,
        users_.d_tower(chunk.first_group), items_.d_tower(chunk.first_pair()),
        shard->d_head.data(), shard->dense.data(), dense_begin_);
  }
  if (spec.has_product()) {
    ProductGradient(shard->scaled_user.data(), items_.gmf(chunk.first_pair()),
                    d_scores, chunk.num_groups, chunk.group_size, spec.factors,
                    shard->d_scaled_user.data(),
                    items_.d_gmf(chunk.first_pair()));
    BackwardScale(chunk, shard);
  }
}

void FusedStep::BackwardCandidates(const Batch& batch, const Chunk& chunk,
                                   Shard* shard) {
  const size_t width = parameters_->spec().factors;
  const size_t count = batch.candidates.size();
  float* const d_terms = &shard->d_candidates[count * width];
  for (size_t g = 0; g < chunk.num_groups; ++g) {
    const float* const d_scores = &shard->d_scores[g * count];
    float* const d_user_term = users_.d_term(chunk.first_group + g);
    SumGroups(d_scores, 1, count, 1, d_user_term);
    shard->d_constant += *d_user_term;
    AddScaled(1.0F, d_scores, count, d_terms);
  }
  if (parameters_->spec().has_tower()) BackwardTower(batch, chunk, shard);
  if (width == 0) return;
  const Matrix d_scores(shard->d_scores.data(), chunk.num_groups, count);
  MatMul(d_scores, {candidates_.gmf(0), count, width}, /*accumulate=*/false,
         shard->d_scaled_user.data(), width);
  MatMul(Transpose(d_scores),
         {shard->scaled_user.data(), chunk.num_groups, width},
         /*accumulate=*/true, shard->d_candidates.data(), width);
  BackwardScale(chunk, shard);
}

void FusedStep::BackwardScale(const Chunk& chunk, Shard* shard) {
  const ModelSpec& spec = parameters_->spec();
  const size_t width = spec.factors;
  float* const d_users = users_.d_gmf(chunk.first_group);
  const float* const d_scaled = shard->d_scaled_user.data();
  if (!spec.learned_head) {
    std::copy_n(d_scaled, chunk.num_groups * width, d_users);
    return;
  }
  const ParameterBlock& head = parameters_->layout().gmf_head;
  MultiplyRows(d_scaled, parameters_->block(head).data(), chunk.num_groups,
               width, d_users);
  float* const d_head = &shard->dense[head.offset - dense_begin_];
  for (size_t g = 0; g < chunk.num_groups; ++g) {
    const float* const user = users_.gmf(chunk.first_group + g);
    for (size_t c = 0; c < width; ++c) {
      d_head[c] += user[c] * d_scaled[g * width + c];
    }
  }
}

// Adds up what the shards have of candidates begin .. end.
void FusedStep::FinishCandidates(const Batch& batch, size_t begin, size_t end,
                                 Shard* shard) {
  const size_t width = parameters_->spec().factors;
  const size_t count = end - begin;
  const size_t num_products = batch.candidates.size() * width;
  std::vector<float>& halves = shard->d_finished_half;
  halves.assign(count * FirstWidth(), 0.0F);
  std::fill_n(candidates_.d_gmf(begin), count * width, 0.0F);
  std::fill_n(candidates_.d_term(begin), count, 0.0F);
  for (size_t s = 0; s < num_shards_; ++s) {
    const float* const d = shards_[s]->d_candidates.data();
    AddScaled(1.0F, d + begin * width, count * width, candidates_.d_gmf(begin));
    AddScaled(1.0F, d + num_products + begin, count, candidates_.d_term(begin));
    AddScaled(1.0F, shards_[s]->d_item_half.data() + begin * FirstWidth(),
              halves.size(), halves.data());
  }
  candidates_.FinishGradient(begin, end);
  if (!parameters_->spec().has_tower()) return;
  ItemHalvesGradient(*parameters_, candidates_.tower(begin), halves.data(),
                     count, candidates_.d_tower(begin), shard->dense.data(),
                     dense_begin_);
  shard->tower.DropItems(batch.dropout_seed, begin, count,
                         candidates_.d_tower(begin));
}

void FusedStep::SumShards(Gradient* gradient) {
  const ParameterLayout& layout = parameters_->layout();
  std::vector<float> d_head(head_.weight.size());
  float d_constant = 0;
  for (size_t s = 0; s < num_shards_; ++s) {
    const Shard& shard = *shards_[s];
    AddScaled(1.0F, shard.dense.data(), shard.dense.size(),
              gradient->values().data() + dense_begin_);
    AddScaled(1.0F, shard.d_head.data(), d_head.size(), d_head.data());
    d_constant += shard.d_constant;
  }
  if (!layout.global_bias.empty()) {
    *gradient->block(layout.global_bias) += d_constant;
  }
  if (parameters_->spec().has_tower()) {
    AddHeadGradient(*parameters_, d_head, d_constant, gradient);
  }
}

std::vector<float> FusedStep::CandidatePenalties(const Batch& batch) const {
  const float l2 = static_cast<float>(options_.l2) * LossScale(batch);
  std::vector<float> penalties(batch.candidates.size());
  for (size_t t = 0; t < batch.targets.size(); ++t) {
    penalties[batch.targets[t]] += l2 * batch.target_weights[t];
  }
  return penalties;
}

void FusedStep::ScatterTables(const Batch& batch, Gradient* gradient) {
  const auto l2 = static_cast<float>(options_.l2) * LossScale(batch);
  const auto l2_negative =
      static_cast<float>(options_.l2_negative) * LossScale(batch);
  const std::vector<float> candidate_l2 = CandidatePenalties(batch);
  const size_t group_size = batch.group_size();
  const auto scatter = [&](size_t t, size_t /*thread*/) {
    const ParameterBlock& table = gradient->table(t);
    if (users_.Has(table)) {
      users_.Scatter(
          table, t, [&](size_t row) { return batch.user_bag(row); },
          [&](size_t group) { return l2 * GroupWeight(batch, group); },
          gradient);
    } else if (batch.is_pairs()) {
      items_.Scatter(
          table, t,
          [&](size_t row) { return item_bags_->bag(batch.items[row]); },
          [&](size_t row) { return row % group_size == 0 ? l2 : l2_negative; },
          gradient);
    } else {
      candidates_.Scatter(
          table, t,
          [&](size_t row) { return item_bags_->bag(batch.candidates[row]); },
          [&](size_t row) { return candidate_l2[row]; }, gradient);
    }
  };
  if (num_shards_ > 1) {
    threads_->ParallelFor(gradient->num_tables(), scatter);
    return;
  }
  for (size_t t = 0; t < gradient->num_tables(); ++t) scatter(t, 0);
}

}  // namespace neumf
