#include "client/security_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class SecurityOptionsTest : public ::testing::Test {
 protected:
  // The path of a new file.
  std::string File(absl::string_view name, absl::string_view text) const {
    const std::string path = JoinPath(directory_.path(), name);
    EXPECT_THAT(WriteFileAtomically(*MakePosixFileSystem(), path, text),
                IsOk());
    return path;
  }
  static absl::StatusOr<ChannelSecurity> Read(
      const std::vector<std::string>& words) {
    std::vector<OptionSpec> options;
    AddSecurityOptions(&options);
    NEUMF_ASSIGN_OR_RETURN(const Args args, Args::Parse(options, {}, words));
    return ReadSecurity(args);
  }

  const TempDirectory directory_;
};

TEST_F(SecurityOptionsTest, DefaultIsPlainTextWithoutAToken) {
  const auto security = Read({});
  ASSERT_THAT(security, IsOk());
  EXPECT_EQ(security->server_ca, "");
  EXPECT_EQ(security->token, "");
}

TEST_F(SecurityOptionsTest, ReadsTheFiles) {
  const auto security =
      Read({"--tls_ca", File("ca", "the CA"), "--tls_cert",
            File("cert", "a certificate"), "--tls_key", File("key", "a key"),
            "--token_file", File("token", " abc\n")});
  ASSERT_THAT(security, IsOk());
  EXPECT_EQ(security->server_ca, "the CA");
  EXPECT_EQ(security->certificate_chain, "a certificate");
  EXPECT_EQ(security->private_key, "a key");
  EXPECT_EQ(security->token, "abc");
}

TEST_F(SecurityOptionsTest, RefusesHalfOfWhatBelongsTogether) {
  const std::string pem = File("pem", "x");
  EXPECT_THAT(
      Read({"--tls_ca", pem, "--tls_key", pem}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("missing")));
  EXPECT_THAT(
      Read({"--tls_cert", pem, "--tls_key", pem}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--tls_ca")));
}

TEST_F(SecurityOptionsTest, NamesTheOptionOfAFileThatIsMissingOrEmpty) {
  EXPECT_THAT(Read({"--tls_ca", "/nowhere/ca"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("--tls_ca")));
  EXPECT_THAT(
      Read({"--tls_ca", File("empty", "")}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--tls_ca")));
}

TEST_F(SecurityOptionsTest, RefusesTokensThatNoHeaderCanHoldAndRepeatsNone) {
  for (const char* text : {" \n", "two tokens", "abc\ndef", "\x01tokens"}) {
    EXPECT_THAT(
        Read({"--token_file", File("token", text)}),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr("--token_file"), Not(HasSubstr("tokens")))))
        << text;
  }
}

}  // namespace
}  // namespace neumf
