#include "checkpoint/serving_policy.h"

#include <memory>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ServingPolicy Parsed(absl::string_view text) {
  const auto policy = ParseServingPolicy(text);
  EXPECT_TRUE(policy.ok()) << policy.status();
  return policy.value_or(ServingPolicy());
}

void ExpectRefused(absl::string_view text) {
  EXPECT_THAT(ParseServingPolicy(text).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("serving.json")))
      << text;
}

TEST(ServingPolicyTest, ServesTheLargestUnlessItIsToldOtherwise) {
  for (const char* const text :
       {"{}", "{\"serve\": \"largest\"}", "{\"refuse\": []}\n"}) {
    EXPECT_EQ(Parsed(text), ServingPolicy()) << text;
  }
}

TEST(ServingPolicyTest, ReadsAPinAndRefusals) {
  const ServingPolicy policy = Parsed(R"({"serve": 5, "refuse": [7, 6, 7]})");
  EXPECT_EQ(policy.pinned, 5U);
  EXPECT_THAT(policy.refused, ElementsAre(6U, 7U));
  EXPECT_TRUE(policy.Refuses(7));
  EXPECT_FALSE(policy.Refuses(5));
}

TEST(ServingPolicyTest, RefusesWhatItDoesNotKnowForSure) {
  ExpectRefused("");
  ExpectRefused("[]");
  ExpectRefused("{\"serve\": \"newest\"}");
  ExpectRefused("{\"serve\": \"5\"}");
  ExpectRefused("{\"serve\": null}");
  ExpectRefused("{\"serve\": 0}");
  ExpectRefused("{\"serve\": -1}");
  ExpectRefused("{\"serve\": 1.0}");
  ExpectRefused("{\"serve\": 1000000000000000000}");  // 19 digits
  ExpectRefused("{\"refuse\": 7}");
  ExpectRefused("{\"refuse\": [\"7\"]}");
  ExpectRefused("{\"refuse\": [0]}");
  ExpectRefused("{\"refuse\": [[7]]}");
  ExpectRefused("{\"serve\": 7, \"refuse\": [7]}");
  ExpectRefused("{\"serve\": 7, \"serve\": 8}");
  ExpectRefused("{\"serves\": 7}");
  ExpectRefused("{\"serve\": 7} {}");
}

TEST(ServingPolicyTest, BoundsTheRefusals) {
  ServingPolicy policy;
  for (uint64_t v = 1; v <= kMaxRefusedVersions; ++v) policy.Refuse(v);
  EXPECT_EQ(Parsed(FormatServingPolicy(policy)), policy);
  policy.Refuse(kMaxRefusedVersions + 1);
  EXPECT_EQ(policy.refused.size(), kMaxRefusedVersions);
  EXPECT_FALSE(policy.Refuses(1));
  policy.refused.insert(1);
  ExpectRefused(FormatServingPolicy(policy));
}

TEST(ServingPolicyTest, TheLongestPolicyFitsItsFile) {
  constexpr uint64_t kLargestVersion = 999'999'999'999'999'999;
  ServingPolicy policy;
  for (uint64_t v = 0; v < kMaxRefusedVersions; ++v) {
    policy.Refuse(kLargestVersion - v);
  }
  const std::string text = FormatServingPolicy(policy);
  EXPECT_LT(text.size(), kMaxServingPolicyBytes);
  EXPECT_EQ(Parsed(text), policy);
}

// Whatever is made of a policy is refused, or is a policy that says the same
// when it is written.
TEST(ServingPolicyTest, DamagedTextIsRefusedOrAPolicy) {
  std::mt19937 random(7);
  const std::string whole = R"({"serve": 12, "refuse": [3, 45, 678]})";
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = whole;
    for (uint32_t edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.insert(at, text.substr(random() % text.size(), 5));
          break;
        default:
          text.erase(at, 1 + random() % 4);
      }
      if (text.empty()) break;
    }
    const auto policy = ParseServingPolicy(text);
    if (!policy.ok()) {
      ++refused;
      continue;
    }
    EXPECT_EQ(Parsed(FormatServingPolicy(*policy)), *policy) << text;
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 20'000);
}

class ServingPolicyFileTest : public testing::Test {
 protected:
  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  FaultyFileSystem files_{posix_.get()};
};

TEST_F(ServingPolicyFileTest, NoFileIsTheDefault) {
  const auto policy = ReadServingPolicy(files_, directory_.path());
  NEUMF_ASSERT_OK(policy.status());
  EXPECT_EQ(*policy, ServingPolicy());
}

TEST_F(ServingPolicyFileTest, ReadsWhatItWrote) {
  ServingPolicy policy;
  policy.pinned = 3;
  policy.Refuse(4);
  NEUMF_ASSERT_OK(WriteServingPolicy(files_, directory_.path(), policy));
  EXPECT_EQ(ReadServingPolicy(files_, directory_.path()).value(), policy);
}

TEST_F(ServingPolicyFileTest, RefusesAHugeFileUnread) {
  NEUMF_ASSERT_OK(WriteFileAtomically(
      files_, JoinPath(directory_.path(), kServingPolicyFile),
      absl::StrCat("{}", std::string(kMaxServingPolicyBytes, ' '))));
  EXPECT_THAT(ReadServingPolicy(files_, directory_.path()).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
}

TEST_F(ServingPolicyFileTest, AWriteThatFailsLeavesTheOldPolicy) {
  ServingPolicy old_policy;
  old_policy.Refuse(1);
  NEUMF_ASSERT_OK(WriteServingPolicy(files_, directory_.path(), old_policy));
  // Create, append, sync, close, rename: after the last the new one is there.
  for (int call = 1; call <= 5; ++call) {
    files_.FailCall(call, absl::ResourceExhaustedError("the disk is full"));
    EXPECT_FALSE(
        WriteServingPolicy(files_, directory_.path(), ServingPolicy()).ok());
    files_.StopFailing();
    EXPECT_EQ(ReadServingPolicy(files_, directory_.path()).value(), old_policy);
  }
}

}  // namespace
}  // namespace neumf
