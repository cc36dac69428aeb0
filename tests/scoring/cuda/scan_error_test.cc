// The theorem of error_bound.h for what the scans themselves compute: items and
// users packed by the backend, scores pushed by the kernels.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "scoring/cuda/kernels/scan_tower.h"
#include "scoring/cuda/kernels/scan_wide.h"
#include "scoring/cuda/levels.h"
#include "tests/scoring/cuda/coarse_form.h"
#include "tests/scoring/scorer_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_query.h"

namespace neumf::cuda {
namespace {

template <typename Scan>
class ScanErrorTest : public testing::Test {
 protected:
  // Towers that Scan scans, and one that rides in it.
  static std::vector<Widths> Towers();

  // The least and the largest error of a user's scores.
  struct Errors {
    double least = HUGE_VAL;
    double most = -HUGE_VAL;
  };

  void Use(TinyModel tiny) {
    tiny_ = std::move(tiny);
    form_ = std::make_unique<CoarseForm>(tiny_);
    queries_.clear();
    for (uint32_t user = 0; user < tiny_.model.shape.num_users; ++user) {
      queries_.push_back(QueryOf(tiny_, user, 5));
    }
  }

  // Scans all items and adds the errors of the scores of all who have a bound.
  void ScanAll(MmaSums sums, std::vector<Errors>* errors) {
    form_->Prepare(queries_);
    Scan scan;
    scan.model = form_->model();
    scan.pass = form_->kernel_pass();
    EmulationOptions options;
    options.sums = sums;
    NEUMF_ASSERT_OK(RunGrid(
        {2, Scan::SharedBytes(scan.pass.max_users, scan.model.gmf_steps)}, scan,
        options));
    for (uint32_t user = 0; user < queries_.size(); ++user) {
      if (form_->pass().outcome(user) != Outcome::kReady) continue;
      const std::vector<float> exact = ExactScores(tiny_, queries_[user]);
      const std::vector<ScoredRow> pushed = form_->pass().Candidates(user);
      ASSERT_EQ(pushed.size(), exact.size() - queries_[user].seen.size());
      for (const ScoredRow& scored : pushed) {
        const double error =
            scored.score - double{scan.model.score_scale} * exact[scored.row];
        (*errors)[user].least = std::min((*errors)[user].least, error);
        (*errors)[user].most = std::max((*errors)[user].most, error);
      }
    }
  }

  TinyModel tiny_;
  std::unique_ptr<CoarseForm> form_;
  std::vector<RankQuery> queries_;
};

template <>
std::vector<Widths> ScanErrorTest<ScanTower<NoTower>>::Towers() {
  return {{}};
}
template <>
std::vector<Widths> ScanErrorTest<ScanTower<TowerA>>::Towers() {
  return {{32, 16, 8}, {30, 3, 7}};
}
template <>
std::vector<Widths> ScanErrorTest<ScanTower<TowerB>>::Towers() {
  return {{64, 32, 16}, {33, 30, 9}};
}
template <>
std::vector<Widths> ScanErrorTest<ScanTower<TowerC>>::Towers() {
  return {{128, 64}, {20, 10}};
}
template <>
std::vector<Widths> ScanErrorTest<ScanWide<TowerC>>::Towers() {
  return {{128, 64}, {20, 10}};
}

using Scans =
    testing::Types<ScanTower<NoTower>, ScanTower<TowerA>, ScanTower<TowerB>,
                   ScanTower<TowerC>, ScanWide<TowerC>>;
TYPED_TEST_SUITE(ScanErrorTest, Scans);

TYPED_TEST(ScanErrorTest, StaysWithinTheMargin) {
  for (const Widths& tower : this->Towers()) {
    SCOPED_TRACE(tower.empty() ? 0 : tower[0]);
    this->Use(MakeTinyModel(Sized(150, 11, tower)));
    std::vector<typename TestFixture::Errors> errors(this->queries_.size());
    for (const MmaSums sums :
         {MmaSums::kRoundedOnce, MmaSums::kCut, MmaSums::kAligned}) {
      ASSERT_NO_FATAL_FAILURE(this->ScanAll(sums, &errors));
    }
    for (uint32_t user = 0; user < errors.size(); ++user) {
      EXPECT_LE(errors[user].most - errors[user].least,
                this->form_->pass().margin(user));
    }
  }
}

// A NaN would not be pushed.
TYPED_TEST(ScanErrorTest, StaysWithinTheMarginBesideUsersBeyondHalves) {
  TinyModel tiny = MakeTinyModel(Sized(40, 11, this->Towers()[0]));
  for (float& value : tiny.model.users.tower.row(1)) value = 1e5F;
  for (float& value : tiny.model.users.gmf.row(1)) value = INFINITY;
  this->Use(std::move(tiny));
  std::vector<typename TestFixture::Errors> errors(this->queries_.size());
  ASSERT_NO_FATAL_FAILURE(this->ScanAll(MmaSums::kAligned, &errors));
  for (const uint32_t user : {0, 2}) {
    EXPECT_LE(errors[user].most - errors[user].least,
              this->form_->pass().margin(user));
  }
  EXPECT_EQ(this->form_->pass().outcome(1), Outcome::kUnbounded);
  EXPECT_EQ(this->form_->pass().count(1), 0);
}

}  // namespace
}  // namespace neumf::cuda
