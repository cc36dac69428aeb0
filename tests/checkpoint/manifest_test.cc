#include "checkpoint/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

json MinimalManifest() {
  return {{"format_version", 1}, {"tensors", json::object()}};
}

absl::StatusOr<Manifest> ParseWith(const char* key, const json& value) {
  json manifest = MinimalManifest();
  manifest[key] = value;
  return ParseManifest(manifest.dump());
}

auto Refused(absl::string_view reason) {
  return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(std::string(reason)));
}

auto Unknown(absl::string_view reason) {
  return StatusIs(absl::StatusCode::kFailedPrecondition,
                  HasSubstr(std::string(reason)));
}

TEST(ManifestTest, NeedsNoMoreThanVersionAndTensors) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const Manifest manifest,
                             ParseManifest(MinimalManifest().dump()));
  EXPECT_EQ(manifest.activation, Activation::kRelu);
  EXPECT_TRUE(manifest.training.is_null());
}

TEST(ManifestTest, SkipsKeysThatItDoesNotKnow) {
  NEUMF_EXPECT_OK(ParseWith("parts", {{"items", "abc"}}));
}

TEST(ManifestTest, RefusesTextThatIsNoManifest) {
  EXPECT_THAT(ParseManifest(""), Refused("manifest"));
  EXPECT_THAT(ParseManifest("[]"), Refused("manifest"));
  EXPECT_THAT(ParseManifest("{}"), Refused("format_version"));
  EXPECT_THAT(ParseManifest("{\"format_version\":1}"), Refused("tensors"));
  EXPECT_THAT(ParseWith("format_version", 1.0), Refused("format_version"));
  EXPECT_THAT(ParseManifest(R"({"format_version":1,"format_version":1})"),
              Refused("twice"));
}

TEST(ManifestTest, KnowsNoOtherVersionFeatureOrActivation) {
  EXPECT_THAT(ParseWith("format_version", 2), Unknown("format_version 2"));
  EXPECT_THAT(ParseWith("required_features", {"a", "b"}), Unknown("a, b"));
  EXPECT_THAT(ParseWith("required_features", {"user.f16", "b"}),
              Unknown("unknown here: b"));
  NEUMF_EXPECT_OK(ParseWith("required_features", {"user.f16"}));
  EXPECT_THAT(ParseWith("required_features", "a"), Refused("not a list"));
  EXPECT_THAT(ParseWith("activation", "gelu"), Unknown("gelu"));
}

TEST(ManifestTest, KnowsEveryActivation) {
  for (const Activation activation :
       {Activation::kRelu, Activation::kTanh, Activation::kSigmoid}) {
    NEUMF_ASSERT_OK_AND_ASSIGN(
        const Manifest manifest,
        ParseWith("activation", ActivationName(activation)));
    EXPECT_EQ(manifest.activation, activation);
  }
}

TEST(ManifestTest, RefusesMalformedDigests) {
  const std::string hex(64, 'a');
  const auto parse = [](const json& digest) {
    return ParseWith("tensors", {{"item.gmf", digest}});
  };
  NEUMF_EXPECT_OK(parse({{"sha256", hex}}));
  NEUMF_EXPECT_OK(parse({{"chunk_bytes", 5}, {"sha256_chunks", {hex, hex}}}));
  for (const json& digest : std::vector<json>{
           {{"sha256", hex + "a"}},
           {{"sha256", hex.substr(1)}},
           {{"sha256", std::string(64, 'A')}},
           {{"sha256", std::string(64, 'g')}},
           {{"sha256", 7}},
           {{"chunk_bytes", 5}},
           {{"sha256_chunks", {hex}}},
           {{"chunk_bytes", 0}, {"sha256_chunks", {hex}}},
           {{"chunk_bytes", -1}, {"sha256_chunks", {hex}}},
           {{"chunk_bytes", 5}, {"sha256_chunks", hex}},
           {{"sha256", hex}, {"chunk_bytes", 5}, {"sha256_chunks", {hex}}},
           json::object(),
           hex}) {
    EXPECT_THAT(parse(digest), Refused("tensor item.gmf")) << digest;
  }
}

TEST(ManifestTest, ReadsProbes) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const Manifest manifest,
      ParseManifest(
          R"({"format_version":1,"tensors":{},"probes":[{"user_id":"u","items":
          [{"item_id":"i","score":-1.5},{"item_id":"j","score":-2}]}]})"));
  ASSERT_EQ(manifest.probes.size(), 1U);
  EXPECT_EQ(manifest.probes[0].user_id, "u");
  EXPECT_EQ(manifest.probes[0].items[0].score, -1.5);
  EXPECT_EQ(manifest.probes[0].items[1].item_id, "j");
}

TEST(ManifestTest, RefusesMalformedProbes) {
  const json item = {{"item_id", "i"}, {"score", 1}};
  const std::vector<std::pair<const char*, json>> cases = {
      {"no list", 7},
      {"probe 0", {7}},
      {"user_id", {{{"items", json::array()}}}},
      {"items", {{{"user_id", "u"}}}},
      {"item_id", {{{"user_id", "u"}, {"items", {{{"score", 1}}}}}}},
      {"score", {{{"user_id", "u"}, {"items", {{{"item_id", "i"}}}}}}},
      {"score",
       {{{"user_id", "u"}, {"items", {{{"item_id", "i"}, {"score", "1"}}}}}}},
      {"too long",
       {{{"user_id", "u"}, {"items", std::vector<json>(1025, item)}}}},
  };
  for (const auto& [reason, probes] : cases) {
    EXPECT_THAT(ParseWith("probes", probes), Refused(reason)) << probes;
  }
}

TEST(ManifestTest, RefusesNumbersThatPassADouble) {
  EXPECT_THAT(ParseManifest(R"({"format_version":1,"tensors":{},"x":1e999})"),
              Refused("not valid JSON"));
}

TEST(ManifestTest, RefusesDeepNesting) {
  json deep = 1;
  for (int level = 0; level < 8; ++level) deep = json::array({deep});
  EXPECT_THAT(ParseWith("training", deep), Refused("nested deeper than 8"));
  NEUMF_EXPECT_OK(ParseWith("training", deep[0]));
}

TEST(ManifestTest, ReadsWhatItWrote) {
  Manifest manifest;
  manifest.tensors["a"].sha256 = {Sha256Of("a")};
  manifest.tensors["b"].chunk_bytes = 3;
  manifest.tensors["b"].sha256 = {Sha256Of("b"), Sha256Of("c")};
  manifest.activation = Activation::kTanh;
  manifest.probes = {{"u", {{"i", 0.1}}}};
  manifest.model_kind = "fm";
  manifest.training = {{"seed", 1}};
  const std::string text = SerializeManifest(manifest);
  NEUMF_ASSERT_OK_AND_ASSIGN(const Manifest parsed, ParseManifest(text));
  EXPECT_EQ(SerializeManifest(parsed), text);
  EXPECT_THAT(parsed.tensors.at("b").sha256,
              ElementsAre(Sha256Of("b"), Sha256Of("c")));
  EXPECT_EQ(parsed.probes[0].items[0].score, 0.1);
}

TEST(ManifestTest, WritesTextThatIsNotUtf8WithoutFailing) {
  Manifest manifest;
  manifest.model_kind = "\xff";
  NEUMF_EXPECT_OK(ParseManifest(SerializeManifest(manifest)));
}

}  // namespace
}  // namespace neumf
