#include "tests/eval/fixed_scores_model.h"

#include <utility>

#include "base/logging.h"

namespace neumf {

FixedScoresModel::FixedScoresModel(std::vector<float> item_scores) {
  ModelShape shape;
  shape.num_users = 1;
  shape.num_items = item_scores.size();
  shape.gmf_width = 1;
  auto builder = MakeScorerBuilder(Backend::kCpu, shape, ScoreNetwork(), {});
  NEUMF_CHECK(builder.ok());
  const ItemRows rows = {ItemTable::kGmf, 0, item_scores.size(),
                         item_scores.data()};
  NEUMF_CHECK((*builder)->Add(rows).ok());
  auto scorer = (*builder)->Build();
  NEUMF_CHECK(scorer.ok());
  scorer_ = *std::move(scorer);
}

}  // namespace neumf
