#include "eval/metric_rules.h"

#include "base/logging.h"
#include "eval/ranking_metrics.h"

namespace neumf {
namespace {

// How many places of the catalog map@1000 and mrr@1000 look at.
constexpr uint64_t kCutDepth = 1000;

template <uint64_t kK>
double Hits(const RankedUser& user) {
  return HitsAtK(user.places, kK);
}

template <uint64_t kK>
double Precision(const RankedUser& user) {
  return PrecisionAtK(user.places, kK);
}

template <uint64_t kK>
double Recall(const RankedUser& user) {
  return RecallAtK(user.places, user.num_held_out, kK);
}

template <uint64_t kK>
double Ndcg(const RankedUser& user) {
  return NdcgAtK(user.places, user.num_held_out, kK);
}

double MeanPrecision(const RankedUser& user) {
  return AveragePrecision(user.places, user.num_held_out);
}

double Reciprocal(const RankedUser& user) {
  return ReciprocalRank(user.places);
}

double AucOfAll(const RankedUser& user) {
  return Auc(user.places, user.num_candidates);
}

double AucOfTheFirst(const RankedUser& user) {
  return AucOfFirst(user.places, user.num_candidates);
}

constexpr RankedList kCatalog = RankedList::kCatalog;
constexpr RankedList kNegatives = RankedList::kNegatives;

constexpr MetricRule kD2lMetrics[] = {
    {"hit@50", kCatalog, Ties::kByRow, Hits<50>},
    {"auc", kCatalog, Ties::kByRow, AucOfTheFirst},
};

constexpr MetricRule kNcfMetrics[] = {
    {"hr@10", kNegatives, Ties::kBehind, Hits<10>},
    {"ndcg@10", kNegatives, Ties::kBehind, Ndcg<10>},
    {"hr@10_full", kCatalog, Ties::kByRow, Hits<10>},
};
constexpr uint64_t kNcfDepth = 10;

constexpr MetricRule kTripletMetrics[] = {
    {"auc", kCatalog, Ties::kHalf, AucOfAll},
    {"precision@5", kCatalog, Ties::kByRow, Precision<5>},
    {"precision@10", kCatalog, Ties::kByRow, Precision<10>},
    {"recall@10", kCatalog, Ties::kByRow, Recall<10>},
    {"ndcg@10", kCatalog, Ties::kByRow, Ndcg<10>},
    {"map", kCatalog, Ties::kByRow, MeanPrecision},
    {"mrr", kCatalog, Ties::kByRow, Reciprocal},
};

constexpr MetricRule kFullMetrics[] = {
    {"recall@20", kCatalog, Ties::kByRow, Recall<20>},
    {"ndcg@20", kCatalog, Ties::kByRow, Ndcg<20>},
    {"precision@10", kCatalog, Ties::kByRow, Precision<10>},
    {"map@1000", kCatalog, Ties::kByRow, MeanPrecision},
    {"mrr@1000", kCatalog, Ties::kByRow, Reciprocal},
};

constexpr MetricRule kFullMetricsOfWholeLists[] = {
    {"recall@20", kCatalog, Ties::kByRow, Recall<20>},
    {"ndcg@20", kCatalog, Ties::kByRow, Ndcg<20>},
    {"precision@10", kCatalog, Ties::kByRow, Precision<10>},
    {"map", kCatalog, Ties::kByRow, MeanPrecision},
    {"mrr", kCatalog, Ties::kByRow, Reciprocal},
};

}  // namespace

ProtocolRules RulesOf(const EvaluationOptions& options) {
  switch (options.protocol) {
    case Protocol::kD2l:
      return {kD2lMetrics, kWholeList};
    case Protocol::kNcf:
      return {kNcfMetrics, kNcfDepth};
    case Protocol::kTriplet:
      return {kTripletMetrics, kWholeList};
    case Protocol::kFull:
      if (options.whole_lists) return {kFullMetricsOfWholeLists, kWholeList};
      return {kFullMetrics, kCutDepth};
  }
  NEUMF_CHECK(false);
}

const std::vector<double>& PlacesUnder(Ties ties, const Places& places) {
  switch (ties) {
    case Ties::kByRow:
      return places.by_row;
    case Ties::kBehind:
      return places.after;
    case Ties::kHalf:
      return places.midranks;
  }
  NEUMF_CHECK(false);
}

}  // namespace neumf
