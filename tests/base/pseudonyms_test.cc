#include "base/pseudonyms.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

constexpr char kSalt[] = "a secret of the operators";

TEST(PseudonymsTest, AreHalfOfTheDigestOfSaltAndId) {
  // printf %s SALT | openssl dgst -sha256 -binary > salt
  // (cat salt; printf user-7) | sha256sum | cut -c1-32
  EXPECT_EQ(Pseudonyms(kSalt).Of("user-7"), "3b0f4aa7f14cea7f08e7a40f9f799e38");
}

TEST(PseudonymsTest, AreTheSameForTheSameIdAndSaltOnly) {
  const Pseudonyms pseudonyms(kSalt);
  EXPECT_EQ(pseudonyms.Of("7"), Pseudonyms(kSalt).Of("7"));
  EXPECT_NE(pseudonyms.Of("7"), pseudonyms.Of("8"));
  EXPECT_NE(pseudonyms.Of("7"), Pseudonyms("another secret of ours").Of("7"));
}

TEST(PseudonymsTest, NoByteOfTheSaltPassesForOneOfTheId) {
  const std::string salt = kSalt;
  EXPECT_NE(Pseudonyms(salt + "1").Of("2"), Pseudonyms(salt).Of("12"));
}

TEST(PseudonymsTest, ASaltHasToBeLong) {
  EXPECT_THAT(Pseudonyms::CheckSalt("0123456789abcdef"), IsOk());
  EXPECT_TRUE(
      absl::IsInvalidArgument(Pseudonyms::CheckSalt("0123456789abcde")));
}

}  // namespace
}  // namespace neumf
