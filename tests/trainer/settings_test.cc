#include "trainer/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/status_matchers.h"
#include "trainer/settings_parts.h"

namespace neumf {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;
using testing::StartsWith;

// "name=text name=text", over the defaults.
TrainSettings Settings(const std::string& text) {
  TrainSettings settings;
  for (absl::string_view pair : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    const std::vector<std::string> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    NEUMF_EXPECT_OK(SetSetting(parts[0], parts[1], &settings));
  }
  return settings;
}

ModelSpec Spec(const std::string& text, uint64_t users = 4,
               uint64_t items = 6) {
  const auto spec = SpecOf(Settings(text), users, items);
  NEUMF_EXPECT_OK(spec);
  NEUMF_EXPECT_OK(ValidateSpec(*spec));
  return *spec;
}

// Two texts of each setting besides its default.
const std::map<std::string, std::vector<std::string>>& Texts() {
  static const auto* const texts =
      new std::map<std::string, std::vector<std::string>>{
          {"model",
           {"mf", "gmf", "mlp", "bilinear-triplet", "deep-triplet", "fm",
            "neumf"}},
          {"factors", {"1", "192"}},
          {"tower_factors", {"32", "32/64", ""}},
          {"hidden", {"10", "64-32-16", "none"}},
          {"activation", {"tanh", "sigmoid", "relu"}},
          {"linear_width", {"8", "0"}},
          {"similarity", {"dot", "cosine"}},
          {"gmf_head", {"learned", "ones"}},
          {"biases", {"none", "output", "item", "all"}},
          {"user_features", {"/data/u.user", ""}},
          {"item_features", {"a file", ""}},
          {"history", {"50", "0"}},
          {"history_decay", {"0.5", "1000"}},
          {"low_ratings", {"positives", "ignored"}},
          {"loss",
           {"hinge", "bce", "gbce", "square", "softmax", "warp", "ccl", "ials",
            "bpr"}},
          {"margin", {"-2", "0.125"}},
          {"temperature", {"0.0625", "4"}},
          {"negative_weight", {"0", "150"}},
          {"calibration", {"0", "1"}},
          {"hard_negatives", {"3", "0"}},
          {"log_q", {"true", "false"}},
          {"reduction", {"sum", "mean"}},
          {"batches", {"events", "users", "pairs"}},
          {"batch_size", {"1", "1000000"}},
          {"sampler", {"pool", "uniform", "popularity", "reject"}},
          {"negatives", {"800", "1"}},
          {"candidates", {"1000", "0"}},
          {"popularity_power", {"0", "1"}},
          {"targets", {"3", "1"}},
          {"target_decay", {"2", "0.5"}},
          {"recency", {"40", "0"}},
          {"epochs", {"1", "256"}},
          {"optimizer", {"sgd", "adagrad", "rmsprop", "adamw", "adam"}},
          {"updates", {"rows", "dense"}},
          {"learning_rate",
           {"0.05", "1e-06", "0.0123456789", "0.1234567890123456"}},
          {"schedule", {"cosine", "step:5:0.5", "constant,warmup:2"}},
          {"momentum", {"0.9", "0"}},
          {"beta1", {"0.25", "0"}},
          {"beta2", {"0.5", "0.99"}},
          {"epsilon", {"1e-07", "0.1"}},
          {"weight_decay", {"1e-05", "0"}},
          {"l2", {"0.3", "0"}},
          {"l2_negative", {"0.3", "0"}},
          {"dropout", {"0.5", "0"}},
          {"initialization", {"ncf", "torch", "keras", "normal", "d2l"}},
          {"embedding_scale", {"0.05", "0"}},
          {"bias_start", {"popularity", "zero"}},
          {"pretrained_gmf", {"@gmf", "/a/file.safetensors"}},
          {"pretrained_mlp", {"@mlp", ""}},
          {"alpha", {"0", "1"}}};
  return *texts;
}

TEST(SettingsTest, EverySettingPrintsWhatItReads) {
  for (const std::string& name : SettingNames()) {
    ASSERT_THAT(Texts(), Contains(Key(name)));
    for (const std::string& text : Texts().at(name)) {
      TrainSettings settings;
      NEUMF_ASSERT_OK(SetSetting(name, text, &settings));
      EXPECT_EQ(SettingText(name, settings), text) << name;
    }
  }
  EXPECT_EQ(Texts().size(), SettingNames().size());
}

// A choice that is the model's own, or a file that is not given, has the empty
// text; what one reads and prints is the same for all others.
TEST(SettingsTest, DefaultsCanBeReadToo) {
  const TrainSettings defaults;
  for (const std::string& name : SettingNames()) {
    const std::string text = SettingText(name, defaults);
    if (text.empty()) continue;
    TrainSettings settings;
    NEUMF_ASSERT_OK(SetSetting(name, text, &settings)) << name;
    EXPECT_EQ(SettingText(name, settings), text) << name;
  }
}

TEST(SettingsTest, ASettingChangesNoOther) {
  for (const auto& [name, texts] : Texts()) {
    TrainSettings settings;
    NEUMF_ASSERT_OK(SetSetting(name, texts.front(), &settings));
    for (const std::string& other : SettingNames()) {
      if (other == name) continue;
      EXPECT_EQ(SettingText(other, settings),
                SettingText(other, TrainSettings()))
          << name << " changed " << other;
    }
  }
}

TEST(SettingsTest, RefusesTextsThatASettingDoesNotTake) {
  const std::map<std::string, std::vector<std::string>> wrong = {
      {"model", {"", "bert", "NeuMF"}},
      {"factors", {"", "0", "-1", "1.5", "many", "99999999999"}},
      {"tower_factors", {"0", "a", "1/2/3", "/", "4/0"}},
      {"hidden", {"", "0", "10,10", "10--10", "-"}},
      {"activation", {"gelu"}},
      {"linear_width", {"-1", "x"}},
      {"similarity", {"", "l2"}},
      {"gmf_head", {"", "zeros"}},
      {"biases", {"", "user"}},
      {"history", {"-1", "10001"}},
      {"history_decay", {"0", "-5", "nan"}},
      {"low_ratings", {"", "negatives"}},
      {"loss", {"", "listwise"}},
      {"margin", {"inf", "nan", "wide"}},
      {"temperature", {"0", "-1", "nan"}},
      {"negative_weight", {"-1", "inf"}},
      {"calibration", {"1.5", "-0.5"}},
      {"hard_negatives", {"-1"}},
      {"log_q", {"", "maybe"}},
      {"reduction", {"max"}},
      {"batches", {"items"}},
      {"batch_size", {"0"}},
      {"sampler", {"inbatch"}},
      {"negatives", {"0"}},
      {"candidates", {"-1"}},
      {"popularity_power", {"-1", "11"}},
      {"targets", {"0"}},
      {"target_decay", {"0"}},
      {"recency", {"-1"}},
      {"epochs", {"0", "-3", "many"}},
      {"optimizer", {"lion"}},
      {"updates", {"sparse"}},
      {"learning_rate", {"0", "-1", "nan", "fast"}},
      {"schedule", {"linear", "step:5", "cosine:3"}},
      {"momentum", {"-0.1", "2"}},
      {"beta1", {"-0.1", "2"}},
      {"beta2", {"-0.1", "2"}},
      {"epsilon", {"0", "2"}},
      {"weight_decay", {"-1"}},
      {"l2", {"-1", "nan"}},
      {"l2_negative", {"-1"}},
      {"dropout", {"1", "-0.1"}},
      {"initialization", {"zero"}},
      {"embedding_scale", {"-1"}},
      {"bias_start", {"mean"}},
      {"alpha", {"-0.1", "1.1"}}};
  for (const auto& [name, texts] : wrong) {
    for (const std::string& text : texts) {
      TrainSettings settings;
      EXPECT_THAT(SetSetting(name, text, &settings),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           StartsWith(absl::StrCat("--", name))))
          << name << "=" << text;
      EXPECT_EQ(SettingText(name, settings), SettingText(name, {}));
    }
  }
}

TEST(SettingsTest, RefusalsSayWhatASettingTakes) {
  TrainSettings settings;
  EXPECT_EQ(SetSetting("negatives", "0", &settings).message(),
            "--negatives takes a whole number from 1 to 1000000, not '0'");
  EXPECT_EQ(SetSetting("dropout", "1", &settings).message(),
            "--dropout takes a number from 0 to 0.99, not '1'");
  EXPECT_EQ(SetSetting("updates", "all", &settings).message(),
            "--updates takes one of dense, rows, not 'all'");
  EXPECT_THAT(SetSetting("loss", "nce", &settings).message(),
              HasSubstr("bpr, hinge, bce, gbce, square, softmax, warp, ccl; or "
                        "ials"));
  EXPECT_THAT(SetSetting("rate", "1", &settings),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no setting 'rate'; there are model, ")));
  EXPECT_EQ(SettingText("rate", settings), "");
}

TEST(SpecOfTest, MfIsAProductWithBiasesThatItsLossCanLearn) {
  const ModelSpec pairwise = Spec("model=mf factors=5");
  EXPECT_EQ(pairwise.factors, 5U);
  EXPECT_FALSE(pairwise.learned_head);
  EXPECT_FALSE(pairwise.has_tower());
  EXPECT_TRUE(pairwise.item_bias);
  EXPECT_FALSE(pairwise.user_bias);  // it moves no ranking
  const ModelSpec pointwise = Spec("model=mf loss=bce");
  EXPECT_TRUE(pointwise.user_bias && pointwise.item_bias &&
              pointwise.global_bias);
  const ModelSpec plain = Spec("model=mf loss=bce biases=none");
  EXPECT_FALSE(plain.user_bias || plain.item_bias || plain.global_bias);
}

TEST(SpecOfTest, GmfHasOutputWeights) {
  const ModelSpec spec = Spec("model=gmf");
  EXPECT_TRUE(spec.learned_head && spec.global_bias);
  EXPECT_FALSE(spec.item_bias || spec.has_tower());
  EXPECT_FALSE(Spec("model=gmf gmf_head=ones").learned_head);
}

TEST(SpecOfTest, TowersHaveEmbeddingsOfTheirOwnWidth) {
  const ModelSpec mlp = Spec("model=mlp factors=7 hidden=12-5");
  EXPECT_FALSE(mlp.has_product());
  EXPECT_EQ(mlp.user_tower_factors, 7U);
  EXPECT_THAT(mlp.hidden, ElementsAre(12, 5));
  const ModelSpec neumf = Spec(
      "model=neumf factors=3 tower_factors=4/9 hidden=6 activation=tanh "
      "linear_width=2");
  EXPECT_EQ(neumf.factors, 3U);
  EXPECT_EQ(neumf.user_tower_factors, 4U);
  EXPECT_EQ(neumf.item_tower_factors, 9U);
  EXPECT_EQ(neumf.activation, Activation::kTanh);
  EXPECT_EQ(neumf.linear_width, 2U);
}

TEST(SpecOfTest, NeuMfWithoutATowerIsItsProduct) {
  const ModelSpec spec = Spec("model=neumf hidden=none");
  EXPECT_TRUE(spec.has_product() && spec.learned_head);
  EXPECT_FALSE(spec.has_tower());
}

TEST(SpecOfTest, TripletModels) {
  const ModelSpec bilinear = Spec("model=bilinear-triplet factors=64");
  EXPECT_TRUE(bilinear.cosine);
  EXPECT_FALSE(bilinear.global_bias || bilinear.item_bias);
  EXPECT_FALSE(Spec("model=bilinear-triplet similarity=dot").cosine);
  const ModelSpec deep =
      Spec("model=deep-triplet tower_factors=32/64 hidden=128");
  EXPECT_FALSE(deep.has_product());
  EXPECT_TRUE(deep.global_bias);
}

TEST(SpecOfTest, FmMultipliesFeatures) {
  const ModelSpec spec = Spec("model=fm user_features=u.user");
  EXPECT_TRUE(spec.feature_interactions && spec.item_bias);
  EXPECT_FALSE(spec.learned_head);
}

TEST(SpecOfTest, HistoryIsPartOfAnyModel) {
  const ModelSpec spec = Spec("model=mlp hidden=4 history=9 history_decay=2");
  EXPECT_EQ(spec.history_length, 9U);
  EXPECT_EQ(spec.history_decay, 2);
}

uint64_t CountOf(const std::string& text, uint64_t users, uint64_t items) {
  return ParameterLayout(Spec(text, users, items)).size;
}

TEST(SpecOfTest, PublishedShapesHaveTheirNumbersOfParameters) {
  EXPECT_EQ(
      CountOf("model=neumf factors=10 hidden=10-10-10 biases=none", 943, 1682),
      52'950U);
  EXPECT_EQ(CountOf("model=neumf factors=8 tower_factors=32 hidden=32-16-8",
                    6040, 3706),
            392'601U);
  EXPECT_EQ(CountOf("model=neumf factors=8 hidden=64-32-16-8 linear_width=8",
                    6040, 3706),
            159'857U);
  EXPECT_EQ(CountOf("model=bilinear-triplet factors=64", 944, 1683), 168'128U);
  EXPECT_EQ(
      CountOf("model=deep-triplet tower_factors=32/64 hidden=128", 944, 1683),
      150'465U);
  EXPECT_EQ(CountOf("model=gmf factors=8", 6040, 3706),
            (6040U + 3706U) * 8U + 8U + 1U);
  EXPECT_EQ(CountOf("model=mlp tower_factors=32 hidden=32-16-8", 6040, 3706),
            (6040U + 3706U) * 32U + 64U * 32U + 32U + 32U * 16U + 16U +
                16U * 8U + 8U + 8U + 1U);
  EXPECT_EQ(CountOf("model=mf factors=191 loss=bce", 6040, 3706),
            (6040U + 3706U) * 192U + 1U);
}

TEST(OptionsOfTest, PartsGetWhatTheSettingsSay) {
  const TrainSettings settings = Settings(
      "loss=gbce margin=2 temperature=3 negative_weight=4 calibration=.5 "
      "hard_negatives=6 batches=events batch_size=7 negatives=8 candidates=9 "
      "targets=10 target_decay=11 recency=12 sampler=popularity "
      "popularity_power=.25 optimizer=rmsprop updates=rows learning_rate=.125 "
      "momentum=.5 beta1=.1 beta2=.2 epsilon=.3 weight_decay=.4");
  const LossOptions loss = LossOptionsOf(settings, 77);
  EXPECT_EQ(loss.kind, LossKind::kGbce);
  EXPECT_EQ(loss.margin, 2);
  EXPECT_EQ(loss.temperature, 3);
  EXPECT_EQ(loss.negative_weight, 4);
  EXPECT_EQ(loss.calibration, .5);
  EXPECT_EQ(loss.hard_negatives, 6U);
  EXPECT_EQ(loss.num_items, 77U);
  const BatchOptions batches = BatchOptionsOf(settings, 5);
  EXPECT_EQ(batches.form, BatchForm::kEvents);
  EXPECT_EQ(batches.batch_size, 7U);
  EXPECT_EQ(batches.num_negatives, 8U);
  EXPECT_EQ(batches.num_candidates, 9U);
  EXPECT_EQ(batches.num_targets, 10U);
  EXPECT_EQ(batches.target_decay, 11);
  EXPECT_EQ(batches.recency, 12);
  EXPECT_EQ(batches.seed, 5U);
  const SamplerOptions sampler = SamplerOptionsOf(settings, 6);
  EXPECT_EQ(sampler.kind, SamplerKind::kPopularity);
  EXPECT_EQ(sampler.popularity_power, .25);
  EXPECT_EQ(sampler.seed, 6U);
  const OptimizerOptions optimizer = OptimizerOptionsOf(settings);
  EXPECT_EQ(optimizer.kind, OptimizerKind::kRmsprop);
  EXPECT_EQ(optimizer.updates, Updates::kRows);
  EXPECT_EQ(optimizer.learning_rate, .125);
  EXPECT_EQ(optimizer.momentum, .5);
  EXPECT_EQ(optimizer.beta1, .1);
  EXPECT_EQ(optimizer.beta2, .2);
  EXPECT_EQ(optimizer.epsilon, .3);
  EXPECT_EQ(optimizer.weight_decay, .4);
}

}  // namespace
}  // namespace neumf
