#include "base/ed25519.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/support/signing_keys.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

std::vector<Ed25519PublicKey> PublicKeys(absl::string_view pem) {
  return Ed25519PublicKey::AllFromPem(pem).value();
}

TEST(Ed25519Test, SignsAsTheStandardSays) {
  const Ed25519PrivateKey key =
      Ed25519PrivateKey::FromPem(kSigningKeyPem).value();
  EXPECT_EQ(absl::BytesToHexString(key.Sign("\x72")),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(Ed25519Test, VerifiesWhatTheOtherHalfSigned) {
  const std::string signature =
      Ed25519PrivateKey::FromPem(kSigningKeyPem)->Sign("message");
  const Ed25519PublicKey key = PublicKeys(kPublicKeyPem)[0];
  EXPECT_TRUE(key.Verify("message", signature));
  EXPECT_FALSE(key.Verify("massage", signature));
  EXPECT_FALSE(key.Verify("", signature));
  EXPECT_FALSE(PublicKeys(kOtherPublicKeyPem)[0].Verify("message", signature));
  for (size_t i = 0; i < signature.size(); ++i) {
    std::string changed = signature;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(key.Verify("message", changed)) << i;
    EXPECT_FALSE(key.Verify("message", signature.substr(0, i))) << i;
  }
  EXPECT_FALSE(key.Verify("message", signature + signature));
}

TEST(Ed25519Test, AFileMayHoldSeveralPublicKeys) {
  const auto keys = PublicKeys(absl::StrCat("of 2030\n", kPublicKeyPem,
                                            "of 2031\n", kOtherPublicKeyPem));
  ASSERT_THAT(keys, SizeIs(2));
  const Ed25519PrivateKey second =
      Ed25519PrivateKey::FromPem(kOtherSigningKeyPem).value();
  EXPECT_FALSE(keys[0].Verify("message", second.Sign("message")));
  EXPECT_TRUE(keys[1].Verify("message", second.Sign("message")));
}

TEST(Ed25519Test, RefusesWhatIsNoKeyAndSaysNothingOfIt) {
  const std::string rsa =
      "-----BEGIN PUBLIC KEY-----\n"
      "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMCunGW+zM6/f1DmlTwlp8FtbeXTUFV3\n"
      "nmQxkYYQtx5y48r5DRujLyYDABy6D2ZNdcrb1mhVL8p/xRGLn+QuyscCAwEAAQ==\n"
      "-----END PUBLIC KEY-----\n";
  const std::string damaged =
      absl::StrCat(kPublicKeyPem, "-----BEGIN PUBLIC KEY-----\nsecret\n");
  for (const std::string& pem : {std::string(), std::string("secret"),
                                 std::string(kSigningKeyPem), rsa, damaged}) {
    const auto keys = Ed25519PublicKey::AllFromPem(pem);
    EXPECT_THAT(keys, StatusIs(absl::StatusCode::kInvalidArgument)) << pem;
    EXPECT_THAT(std::string(keys.status().message()), Not(HasSubstr("secret")));
  }
  for (const std::string& pem :
       {std::string(), std::string("secret"), std::string(kPublicKeyPem)}) {
    EXPECT_THAT(Ed25519PrivateKey::FromPem(pem),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("no PEM private key of ed25519")));
  }
}

}  // namespace
}  // namespace neumf
