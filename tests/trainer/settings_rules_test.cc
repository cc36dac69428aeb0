#include "trainer/settings_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// "name=text name=text" over the defaults; `names` become those that are given.
TrainSettings Settings(const std::string& text,
                       std::vector<std::string>* names = nullptr) {
  TrainSettings settings;
  for (absl::string_view pair : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    const std::vector<std::string> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    NEUMF_EXPECT_OK(SetSetting(parts[0], parts[1], &settings));
    if (names != nullptr) names->push_back(parts[0]);
  }
  return settings;
}

TEST(SettingsRulesTest, TakesWhatGoesTogether) {
  for (const char* text :
       {"", "model=neumf hidden=8-4", "model=mlp hidden=8",
        "model=gmf gmf_head=ones", "model=fm item_features=u.item",
        "model=bilinear-triplet loss=hinge sampler=uniform",
        "model=mf loss=warp sampler=uniform negatives=10",
        "model=mf loss=ccl similarity=cosine margin=.9 negatives=8",
        "model=mf loss=softmax log_q=true sampler=popularity negatives=8",
        "model=mf loss=softmax batches=users recency=40 candidates=100",
        "model=mf loss=softmax batches=events history=20 targets=3",
        "model=mf biases=none loss=ials",
        "loss=bpr hard_negatives=3 negatives=3",
        "pretrained_gmf=a pretrained_mlp=b hidden=8 alpha=.25",
        "pretrained_gmf=a", "optimizer=sgd momentum=.9"}) {
    NEUMF_EXPECT_OK(ValidateSettings(Settings(text))) << text;
  }
}

TEST(SettingsRulesTest, RefusesContradictions) {
  const auto refused = [](const char* text, const char* why) {
    EXPECT_THAT(ValidateSettings(Settings(text)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)))
        << text;
  };
  refused("model=mf hidden=8", "this --model has no tower");
  refused("model=gmf hidden=8", "has no tower");
  refused("model=bilinear-triplet hidden=8", "has no tower");
  refused("model=mlp", "without anything: give the widths");
  refused("model=deep-triplet hidden=none", "without anything");
  refused("model=fm", "--model fm needs features");
  refused("model=fm user_features=u similarity=cosine", "--model fm is of dot");
  refused("loss=ials model=mf biases=none pretrained_gmf=a", "begins anew");
  refused("alpha=.3", "--alpha weighs pretrained parts");
  refused("alpha=.3 pretrained_gmf=a", "--alpha weighs pretrained parts");
  for (const char* text :
       {"loss=ials", "loss=ials model=mf", "loss=ials model=gmf biases=none",
        "loss=ials model=mf biases=none similarity=cosine",
        "loss=ials model=mf biases=none gmf_head=learned",
        "loss=ials model=mf biases=none history=3",
        "loss=ials model=mf biases=none item_features=u.item"}) {
    refused(text, "--loss ials solves a plain product");
  }
  for (const char* text :
       {"loss=bpr batches=users", "loss=warp batches=events",
        "loss=hinge batches=users", "loss=gbce batches=events"}) {
    refused(text, "--batches events and users are for --loss softmax, bce");
  }
  refused("loss=warp hard_negatives=1", "--hard_negatives: --loss warp goes");
  refused("loss=warp sampler=popularity", "from uniform draws");
  refused("loss=bce log_q=true", "--log_q corrects --loss softmax");
  refused("loss=softmax log_q=true batches=users candidates=9",
          "hold the batch's targets too: take --batches pairs");
  refused("loss=softmax log_q=true batches=events", "take --batches pairs");
  refused("loss=ccl margin=.5", "take --similarity cosine");
  refused("loss=ccl similarity=cosine", "unless --margin is below 1");
  refused("loss=softmax batches=users hard_negatives=1", "negatives of a pair");
  refused("hard_negatives=3 negatives=2", "give at least as many");
  refused("loss=softmax batches=users history=3", "knows no order");
  refused("loss=softmax batches=users targets=2", "--targets is for");
  refused("targets=2", "--targets is for --batches events");
  refused("recency=9", "--recency weighs targets");
  refused("optimizer=sgd momentum=1", "the momentum is 1");
  refused("beta1=1", "beta1 is 1");
  refused("beta2=1", "beta2 is 1");
}

// The message for the settings as somebody gave them; empty when they do.
std::string Complaint(const std::string& text) {
  std::vector<std::string> names;
  const TrainSettings settings = Settings(text, &names);
  return std::string(CheckGivenSettings(names, settings).message());
}

TEST(SettingsRulesTest, RefusesWhatWouldChangeNothing) {
  EXPECT_EQ(Complaint("loss=bpr margin=2"),
            "--margin would change nothing: it is for --loss hinge, warp and "
            "ccl");
  for (const char* text : {"tower_factors=4",
                           "activation=tanh",
                           "linear_width=3",
                           "dropout=.5",
                           "model=mlp hidden=4 similarity=cosine",
                           "model=mlp hidden=4 gmf_head=ones",
                           "model=mlp hidden=4 tower_factors=8 factors=3",
                           "history_decay=2",
                           "loss=bpr temperature=.5",
                           "loss=softmax negative_weight=3",
                           "loss=bce calibration=.5",
                           "loss=warp hard_negatives=1",
                           "loss=softmax batches=users log_q=true",
                           "loss=bce log_q=true",
                           "loss=softmax batches=users sampler=uniform",
                           "loss=softmax batches=users negatives=3",
                           "candidates=3",
                           "popularity_power=.5",
                           "batches=users loss=softmax targets=3",
                           "target_decay=2",
                           "recency=3",
                           "momentum=.9",
                           "optimizer=adagrad momentum=.9",
                           "optimizer=sgd beta1=.5",
                           "optimizer=rmsprop beta1=.5",
                           "optimizer=adagrad beta2=.5",
                           "optimizer=sgd epsilon=.1",
                           "batches=users loss=bce l2_negative=.1",
                           "bias_start=popularity",
                           "model=bilinear-triplet bias_start=popularity",
                           "alpha=.3",
                           "alpha=.3 pretrained_gmf=a",
                           "alpha=.5",
                           "alpha=.5 pretrained_mlp=a hidden=4"}) {
    EXPECT_THAT(Complaint(text), HasSubstr("would change nothing: it is for "))
        << text;
  }
  for (const char* setting :
       {"reduction=sum", "batches=users", "batch_size=3", "sampler=uniform",
        "negatives=3", "optimizer=sgd", "updates=rows", "learning_rate=.1",
        "schedule=cosine", "beta1=.5", "beta2=.5", "epsilon=.1",
        "weight_decay=.1", "l2_negative=.1", "hard_negatives=1", "recency=3",
        "candidates=3"}) {
    const std::string name =
        std::string(setting).substr(0, std::string(setting).find('='));
    EXPECT_THAT(
        Complaint(std::string("model=mf biases=none loss=ials ") + setting),
        StartsWith("--" + name + " would change nothing"));
  }
}

TEST(SettingsRulesTest, LetsStandWhatIsRead) {
  for (const char* text :
       {"hidden=8 tower_factors=4 activation=tanh linear_width=3 dropout=.5",
        "model=mlp hidden=4 factors=3",
        "history=3 history_decay=2",
        "loss=hinge margin=2",
        "loss=warp margin=2",
        "loss=softmax temperature=.5",
        "loss=square negative_weight=3",
        "loss=gbce calibration=.5",
        "hard_negatives=1",
        "loss=softmax batches=users candidates=9 sampler=uniform",
        "loss=softmax negatives=8 sampler=popularity log_q=true",
        "sampler=popularity popularity_power=.5",
        "loss=softmax batches=events targets=2 target_decay=3 recency=5",
        "optimizer=sgd momentum=.9",
        "optimizer=rmsprop momentum=.9 beta2=.99",
        "optimizer=adamw beta1=.5 beta2=.5 epsilon=.1",
        "biases=item bias_start=popularity",
        "l2_negative=.1",
        "pretrained_gmf=a pretrained_mlp=b alpha=.3",
        "model=mf biases=none loss=ials l2=.1 negative_weight=.3 epochs=3 "
        "initialization=normal embedding_scale=.1"}) {
    EXPECT_EQ(Complaint(text), "") << text;
  }
}

// A loop over settings may pass them all.
TEST(SettingsRulesTest, DefaultsDoNoHarm) {
  EXPECT_EQ(Complaint("loss=bpr margin=1 temperature=1 calibration=0.75 "
                      "hard_negatives=0 momentum=0 dropout=0"),
            "");
}

// What a recipe says counts as the recipe's, not as asked for.
TEST(SettingsRulesTest, OnlyWhatIsGivenIsLookedAt) {
  const TrainSettings settings = Settings("loss=bpr margin=2");
  NEUMF_EXPECT_OK(CheckGivenSettings({}, settings));
  NEUMF_EXPECT_OK(CheckGivenSettings({"loss"}, settings));
}

}  // namespace
}  // namespace neumf
