#include "eval/probe_check.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/fake_scorer.h"
#include "tests/support/probes.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

// One probe of a small model, its best 8 items, at first as it should be.
class ProbeCheckTest : public testing::Test {
 protected:
  ProbeCheckTest() { Use({}); }

  void Use(const TinyModelOptions& options) {
    tiny_ = MakeTinyModel(options);
    MakeProbeAnew();
  }
  // After a change of the model.
  void MakeProbeAnew() {
    scorer_ = MakeReferenceScorer(tiny_);
    probe_ = MakeProbe(model(), "u3", 8);
  }

  ProbedModel model() const { return MakeProbedModel(tiny_, *scorer_); }
  uint32_t ItemRow(const Probe::Item& item) const {
    return *tiny_.model.item_ids.Find(item.item_id);
  }
  // Gives `to` the vectors and the bias of `from`, and so its score.
  void CopyItem(uint32_t from, uint32_t to) {
    for (AlignedMatrix* table : {&tiny_.items.gmf, &tiny_.items.tower}) {
      const absl::Span<const float> values = table->row(from);
      std::copy(values.begin(), values.end(), table->row(to).begin());
    }
    tiny_.items.bias[to] = tiny_.items.bias[from];
  }

  absl::Status Check() const { return CheckProbes({probe_}, model()); }
  void ExpectMiss(const std::string& reason) const {
    EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  testing::AllOf(HasSubstr("probe of user"),
                                                 HasSubstr(reason))));
  }

  TinyModel tiny_;
  std::unique_ptr<Scorer> scorer_;
  Probe probe_;
};

TEST_F(ProbeCheckTest, AcceptsItsOwnAnswers) { NEUMF_EXPECT_OK(Check()); }

TEST_F(ProbeCheckTest, AcceptsAModelWithoutADotProduct) {
  TinyModelOptions options;
  options.gmf_width = 0;
  Use(options);
  NEUMF_EXPECT_OK(Check());
}

TEST_F(ProbeCheckTest, AcceptsScoresThatDifferByRounding) {
  for (Probe::Item& item : probe_.items) item.score *= 1 + 1e-5;
  NEUMF_EXPECT_OK(Check());
}

TEST_F(ProbeCheckTest, AcceptsASwapOfEqualScores) {
  CopyItem(ItemRow(probe_.items[0]), ItemRow(probe_.items[1]));
  MakeProbeAnew();
  std::swap(probe_.items[0], probe_.items[1]);
  NEUMF_EXPECT_OK(Check());
}

TEST_F(ProbeCheckTest, RefusesASwapOfOtherScores) {
  std::swap(probe_.items[0].item_id, probe_.items[7].item_id);
  ExpectMiss(probe_.items[0].item_id);
}

TEST_F(ProbeCheckTest, RefusesOtherScores) {
  probe_.items[4].score *= 1.01;
  ExpectMiss(probe_.items[4].item_id);
}

TEST_F(ProbeCheckTest, MeasuresSmallScoresByTheirOwnSize) {
  TinyModelOptions options;
  options.tower_widths.clear();
  options.item_bias = false;
  Use(options);
  tiny_.model.network.head_bias = 0;
  for (float& value : tiny_.model.users.gmf.row(3)) value *= 1e-4F;
  MakeProbeAnew();
  for (Probe::Item& item : probe_.items) item.score += 5e-5;
  ExpectMiss("score");
}

TEST_F(ProbeCheckTest, RefusesAnotherOrder) {
  std::swap(probe_.items[0], probe_.items[7]);
  ExpectMiss("not at place 1");
}

TEST_F(ProbeCheckTest, RefusesAListThatLeavesOutABetterItem) {
  probe_.items.erase(probe_.items.begin());
  ExpectMiss("not at place 1");
}

TEST_F(ProbeCheckTest, RefusesUnknownUsersAndItems) {
  probe_.items[2].item_id = "nothing";
  ExpectMiss("\"nothing\" is not in the catalog");
  probe_.user_id = "nobody";
  ExpectMiss("\"nobody\": there is no such user");
}

TEST_F(ProbeCheckTest, RefusesSeenItems) {
  const uint32_t seen = tiny_.model.seen.row(3)[0];
  probe_.items[2].item_id = std::string(tiny_.model.item_ids.id(seen));
  ExpectMiss("is not eligible");
}

TEST_F(ProbeCheckTest, RefusesMoreItemsThanAreEligible) {
  probe_ = MakeProbe(model(), "u3", 33);
  const uint32_t seen = tiny_.model.seen.row(3)[0];
  probe_.items.push_back({std::string(tiny_.model.item_ids.id(seen)), -100});
  ExpectMiss("only 30 items are eligible, not 31");
}

TEST_F(ProbeCheckTest, RefusesAnItemThatIsThereTwice) {
  probe_.items[1] = probe_.items[0];
  ExpectMiss("twice");
}

TEST_F(ProbeCheckTest, RefusesRowsThatLieAboutNames) {
  std::vector<std::string> names;
  for (uint64_t row = 0; row < tiny_.model.item_ids.size(); ++row) {
    names.emplace_back(tiny_.model.item_ids.id(row));
  }
  std::rotate(names.begin(), names.begin() + 1, names.end());
  tiny_.model.item_ids = *IdTable::FromIds(names);
  ExpectMiss("u3");
}

TEST_F(ProbeCheckTest, ChecksEveryProbe) {
  Probe wrong = MakeProbe(model(), "u5", 8);
  wrong.items[0].score += 1;
  EXPECT_THAT(CheckProbes({probe_, wrong}, model()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("probe of user \"u5\"")));
}

TEST_F(ProbeCheckTest, PassesTheScorersErrorOn) {
  FakeScorer broken(tiny_.model.shape, 1);
  broken.FailWith(absl::UnavailableError("the device is gone"));
  EXPECT_THAT(CheckProbes({probe_}, MakeProbedModel(tiny_, broken)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("device")));
}

}  // namespace
}  // namespace neumf
