#include "server/version_chooser.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace neumf {
namespace {

using testing::ElementsAre;

std::vector<CheckpointFile> Files(const std::vector<uint64_t>& versions) {
  std::vector<CheckpointFile> files;
  for (const uint64_t version : versions) files.push_back({version, ""});
  return files;
}

ServingPolicy Refusing(const std::set<uint64_t>& versions) {
  ServingPolicy policy;
  policy.refused = versions;
  return policy;
}

ServingPolicy Pinned(uint64_t version) {
  ServingPolicy policy;
  policy.pinned = version;
  return policy;
}

// 0 for none.
uint64_t Next(const std::vector<uint64_t>& found, const ServingPolicy& policy,
              uint64_t served, const std::set<uint64_t>& unfit = {},
              uint64_t last_good = 0) {
  const std::vector<CheckpointFile> files = Files(found);
  const CheckpointFile* next =
      NextVersion(files, policy, served, unfit, last_good);
  return next == nullptr ? 0 : next->version;
}

TEST(VersionChooserTest, TakesTheLargestThatIsFit) {
  EXPECT_EQ(Next({1, 2, 3}, {}, 0), 3U);
  EXPECT_EQ(Next({1, 2, 3}, {}, 0, {3}), 2U);
  EXPECT_EQ(Next({1, 2, 3}, {}, 1, {3}), 2U);
  EXPECT_EQ(Next({}, {}, 0), 0U);
}

TEST(VersionChooserTest, StartsWithTheLastKnownGoodWhenTheLargestIsUnfit) {
  EXPECT_EQ(Next({1, 2, 3, 4}, {}, 0, {}, 2), 4U);
  EXPECT_EQ(Next({1, 2, 3, 4}, {}, 0, {4}, 2), 2U);
  EXPECT_EQ(Next({1, 2, 3, 4}, {}, 0, {2, 4}, 2), 3U);
  EXPECT_EQ(Next({1, 3, 4}, {}, 0, {4}, 2), 3U);
  EXPECT_EQ(Next({1, 2, 3, 4}, Refusing({2, 4}), 0, {3}, 2), 1U);
  EXPECT_EQ(Next({1, 2, 3, 4}, Refusing({4}), 0, {}, 2), 3U);
  EXPECT_EQ(Next({1, 2, 3, 4}, Pinned(5), 0, {4}, 2), 2U);
  EXPECT_EQ(Next({1, 2, 3, 4}, {}, 1, {4}, 2), 3U);
}

TEST(VersionChooserTest, OnlyTheLastKnownGoodIsSafeWithoutAPolicy) {
  const auto safe = [](uint64_t served, const std::set<uint64_t>& unfit,
                       uint64_t last_good) -> uint64_t {
    const std::vector<CheckpointFile> files = Files({1, 2, 3});
    const CheckpointFile* file = SafeVersion(files, served, unfit, last_good);
    return file == nullptr ? 0 : file->version;
  };
  EXPECT_EQ(safe(0, {}, 2), 2U);
  EXPECT_EQ(safe(0, {2}, 2), 0U);
  EXPECT_EQ(safe(1, {}, 2), 0U);
  EXPECT_EQ(safe(0, {}, 7), 0U);
  EXPECT_EQ(safe(0, {}, 0), 0U);
}

TEST(VersionChooserTest, NeverGoesBackByItself) {
  EXPECT_EQ(Next({1, 2, 3}, {}, 3), 0U);
  EXPECT_EQ(Next({1, 2}, {}, 3), 0U);
  EXPECT_EQ(Next({1, 2, 3}, {}, 2, {3}), 0U);
}

TEST(VersionChooserTest, NeverTakesWhatIsRefused) {
  EXPECT_EQ(Next({1, 2, 3}, Refusing({3}), 0), 2U);
  EXPECT_EQ(Next({1, 2, 3}, Refusing({3}), 2), 0U);
  EXPECT_EQ(Next({1, 2, 3}, Refusing({1, 2, 3}), 0), 0U);
}

TEST(VersionChooserTest, LeavesWhatIsRefusedForAnyOther) {
  EXPECT_EQ(Next({1, 2, 3}, Refusing({3}), 3), 2U);
  EXPECT_EQ(Next({1, 2, 3, 4}, Refusing({3}), 3), 4U);
  EXPECT_EQ(Next({3}, Refusing({3}), 3), 0U);
}

TEST(VersionChooserTest, APinGoesBeforeAllOthers) {
  EXPECT_EQ(Next({1, 2, 3}, Pinned(1), 3), 1U);
  EXPECT_EQ(Next({1, 2, 3}, Pinned(1), 0), 1U);
  EXPECT_EQ(Next({1, 2, 3}, Pinned(1), 1), 0U);
  EXPECT_EQ(Next({1, 2, 3}, Pinned(3), 1), 3U);
}

TEST(VersionChooserTest, APinThatCannotBeHadHoldsWhatIsServed) {
  EXPECT_EQ(Next({1, 2, 3}, Pinned(9), 2), 0U);
  EXPECT_EQ(Next({1, 2, 3}, Pinned(3), 1, {3}), 0U);
  EXPECT_EQ(Next({1, 2, 3}, Pinned(3), 0, {3}), 2U);
  ServingPolicy policy = Pinned(9);
  policy.Refuse(2);
  EXPECT_EQ(Next({1, 2, 3}, policy, 2), 3U);
}

TEST(VersionChooserTest, ALoadByNamePinsAndForgives) {
  const ServingPolicy policy = PolicyAfterLoad(Refusing({6, 7}), 7);
  EXPECT_EQ(policy.pinned, 7U);
  EXPECT_THAT(policy.refused, ElementsAre(6U));
}

TEST(VersionChooserTest, ARollbackHolds) {
  const auto files = Files({4, 5, 6, 7, 8});
  const ServingPolicy policy = PolicyAfterRollback(Refusing({2}), 7, 5, files);
  EXPECT_THAT(policy.refused, ElementsAre(2U, 6U, 7U));
  EXPECT_EQ(NextVersion(Files({4, 5, 6, 7}), policy, 5, {}), nullptr);
  EXPECT_EQ(PolicyAfterRollback(Pinned(7), 7, 5, files).pinned, 5U);
  EXPECT_EQ(PolicyAfterRollback(Pinned(4), 7, 5, files).pinned, 4U);
  // From a version that was pinned below the one before.
  const ServingPolicy upwards = PolicyAfterRollback(Pinned(4), 4, 8, files);
  EXPECT_EQ(upwards.pinned, 8U);
  EXPECT_THAT(upwards.refused, ElementsAre(4U));
}

// Another rollback has left the target meanwhile.
TEST(VersionChooserTest, ARollbackTakesNoRefusalBack) {
  const auto files = Files({5, 6, 7});
  EXPECT_THAT(PolicyAfterRollback(Refusing({6}), 7, 6, files).refused,
              ElementsAre(6U, 7U));
  ServingPolicy pinned = Pinned(7);
  pinned.Refuse(6);
  const ServingPolicy policy = PolicyAfterRollback(pinned, 7, 6, files);
  EXPECT_EQ(policy.pinned, std::nullopt);
  EXPECT_THAT(policy.refused, ElementsAre(6U, 7U));
}

TEST(VersionChooserTest, APinGoesBeforeAVerdictButNotBeforeARejection) {
  EXPECT_EQ(PolicyAfterVerdict(Pinned(7), 7), Pinned(7));
  EXPECT_EQ(PolicyAfterVerdict(Refusing({5}), 7), Refusing({5, 7}));
  EXPECT_EQ(PolicyAfterRejection(Pinned(7), 7), Refusing({7}));
  EXPECT_EQ(PolicyAfterRejection(Pinned(5), 7).pinned, 5U);
}

TEST(VersionChooserTest, FindsWhatWasServedBeforeAmongTheFiles) {
  const auto files = Files({4, 5, 6, 7});
  const ServingPolicy earlier = PolicyOfEarlier(Refusing({5}), 6, files);
  EXPECT_EQ(NextVersion(files, earlier, 6, {})->version, 4U);
  EXPECT_EQ(NextVersion(files, earlier, 6, {4}), nullptr);
}

}  // namespace
}  // namespace neumf
