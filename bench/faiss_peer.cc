#include <faiss/IndexFlat.h>
#include <omp.h>

#include <algorithm>
#include <vector>

#include "base/logging.h"
#include "bench/peers.h"

namespace neumf {
namespace {

class FaissFlat : public Scorer {
 public:
  FaissFlat(const BenchModel& model, size_t num_threads)
      : shape_(model.shape), index_(shape_.gmf_width) {
    omp_set_num_threads(static_cast<int>(num_threads));
    index_.add(static_cast<faiss::Index::idx_t>(shape_.num_items),
               model.items.gmf.data());
  }

  // REQUIRES: nothing seen or excluded, the same k for all.
  absl::Status Rank(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings) const override {
    const size_t k = queries.front().k;
    std::vector<float> users;
    for (const RankQuery& query : queries) {
      NEUMF_CHECK(query.seen.empty() && query.excluded.empty());
      users.insert(users.end(), query.user_gmf,
                   query.user_gmf + shape_.gmf_width);
    }
    std::vector<float> scores(queries.size() * k);
    std::vector<faiss::Index::idx_t> rows(queries.size() * k);
    index_.search(static_cast<faiss::Index::idx_t>(queries.size()),
                  users.data(), static_cast<faiss::Index::idx_t>(k),
                  scores.data(), rows.data());
    for (size_t b = 0; b < queries.size(); ++b) {
      rankings[b].items.clear();
      for (size_t i = b * k; i < (b + 1) * k; ++i) {
        rankings[b].items.push_back(
            {scores[i], static_cast<uint32_t>(rows[i])});
      }
    }
    return absl::OkStatus();
  }

  const ModelShape& shape() const override { return shape_; }
  uint64_t resident_bytes() const override { return index_.codes.size(); }
  const char* name() const override { return "FAISS IndexFlatIP"; }

 private:
  const ModelShape shape_;
  faiss::IndexFlatIP index_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Scorer>> MakeFaissFlat(const BenchModel& model,
                                                      size_t num_threads) {
  NEUMF_CHECK(!model.shape.has_tower() && !model.shape.has_item_bias);
  return std::make_unique<FaissFlat>(model, num_threads);
}

}  // namespace neumf
