#include "base/sha256.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace neumf {
namespace {

constexpr char kDigestOfNothing[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kDigestOfAbc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kDigestOfAMillionA[] =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256Test, GivesTheDigestsOfTheStandard) {
  EXPECT_EQ(ToHex(Sha256Of("")), kDigestOfNothing);
  EXPECT_EQ(ToHex(Sha256Of("abc")), kDigestOfAbc);
  EXPECT_EQ(ToHex(Sha256Of(std::string(1'000'000, 'a'))), kDigestOfAMillionA);
}

TEST(Sha256Test, TakesItsBytesInPieces) {
  Sha256 hash;
  hash.Update("a", 1);
  hash.Update(nullptr, 0);
  hash.Update("bc", 2);
  EXPECT_EQ(ToHex(hash.Finish()), kDigestOfAbc);
}

TEST(Sha256Test, StartsAfreshAfterFinish) {
  Sha256 hash;
  hash.Update("junk", 4);
  hash.Finish();
  EXPECT_EQ(ToHex(hash.Finish()), kDigestOfNothing);
  hash.Update("abc", 3);
  EXPECT_EQ(ToHex(hash.Finish()), kDigestOfAbc);
}

TEST(Sha256Test, MovesWithWhatItHasSeen) {
  Sha256 hash;
  hash.Update("ab", 2);
  Sha256 moved = std::move(hash);
  moved.Update("c", 1);
  EXPECT_EQ(ToHex(moved.Finish()), kDigestOfAbc);
}

TEST(IdHashTest, IsTheFirstEightBytesLittleEndian) {
  EXPECT_EQ(IdHash("abc"), 0xEACF018FBF1678BA);
}

}  // namespace
}  // namespace neumf
