#include "server/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "google/rpc/error_details.pb.h"
#include "server/errors.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using ::testing::_;
using ::testing::HasSubstr;
using ::testing::Not;

class AuthenticatorTest : public ::testing::Test {
 protected:
  AuthenticatorTest()
      : files_(MakePosixFileSystem()),
        path_(JoinPath(directory_.path(), "tokens")) {}

  void Write(absl::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(*files_, path_, text).ok());
  }
  void WriteToken(absl::string_view token, absl::string_view name_and_rights) {
    Write(absl::StrCat("sha256:", ToHex(Sha256Of(token)), " ", name_and_rights,
                       "\nsan:web.example.com web recommend\n"));
  }
  // A new authenticator over the file.
  void Make() {
    authenticator_ =
        std::make_unique<Authenticator>(path_, files_.get(), &metrics_);
  }
  void Open() {
    Make();
    ASSERT_THAT(authenticator_->Load(), IsOk());
  }
  absl::StatusOr<Caller> WithHeader(const std::string& authorization) const {
    return authenticator_->Identify({{authorization}, {}});
  }
  static std::string ReasonOf(const absl::Status& status) {
    google::rpc::ErrorInfo info;
    const google::rpc::Status rpc_status = ToRpcStatus(status);
    for (const auto& detail : rpc_status.details()) {
      if (detail.UnpackTo(&info)) break;
    }
    return info.reason();
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_;
  const std::string path_;
  ServerMetrics metrics_;
  std::unique_ptr<Authenticator> authenticator_;
};

TEST_F(AuthenticatorTest, WithoutAFileEverybodyMayDoEverything) {
  Authenticator open("", files_.get(), &metrics_);
  ASSERT_THAT(open.Load(), IsOk());
  const absl::StatusOr<Caller> caller = open.Identify({});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->name, "");
  EXPECT_TRUE(caller->rights.Has(Right::kRecommendSeen));
}

TEST_F(AuthenticatorTest, KnowsACallerByItsToken) {
  WriteToken("abc", "shop recommend");
  Open();
  const absl::StatusOr<Caller> caller = WithHeader("Bearer abc");
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->name, "shop");
  EXPECT_THAT(CheckRight(*caller, Right::kRecommend), IsOk());
  EXPECT_THAT(WithHeader("bearer abc"), IsOk());
}

TEST_F(AuthenticatorTest, RefusesWhoShowsNothing) {
  WriteToken("abc", "shop recommend");
  Open();
  const auto caller = authenticator_->Identify({});
  EXPECT_THAT(caller, StatusIs(absl::StatusCode::kUnauthenticated, _));
  EXPECT_EQ(ReasonOf(caller.status()), "NO_CREDENTIALS");
}

TEST_F(AuthenticatorTest, RefusesTokensThatItDoesNotKnowAndRepeatsNoneOfThem) {
  WriteToken("abc", "shop recommend");
  Open();
  for (const char* header : {"Bearer abcd", "Bearer  abc", "Bearer ", "Bearer",
                             "Basic abc", "abc"}) {
    const auto caller = WithHeader(header);
    EXPECT_THAT(caller, StatusIs(absl::StatusCode::kUnauthenticated,
                                 Not(HasSubstr("abc"))))
        << header;
    EXPECT_EQ(ReasonOf(caller.status()), "UNKNOWN_TOKEN") << header;
  }
}

TEST_F(AuthenticatorTest, RefusesTwoTokens) {
  WriteToken("abc", "shop recommend");
  Open();
  EXPECT_THAT(authenticator_->Identify({{"Bearer abc", "Bearer abc"}, {}}),
              StatusIs(absl::StatusCode::kUnauthenticated, _));
}

TEST_F(AuthenticatorTest, KnowsACallerByAnyNameOfItsCertificate) {
  WriteToken("abc", "shop recommend");
  Open();
  const auto caller =
      authenticator_->Identify({{}, {"other.example.com", "web.example.com"}});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->name, "web");
}

TEST_F(AuthenticatorTest, ACertificateOfNobodyIsNotAllowed) {
  WriteToken("abc", "shop recommend");
  Open();
  const auto caller = authenticator_->Identify({{}, {"evil.example.com"}});
  EXPECT_THAT(caller, StatusIs(absl::StatusCode::kPermissionDenied,
                               Not(HasSubstr("evil"))));
  EXPECT_EQ(ReasonOf(caller.status()), "UNKNOWN_CERTIFICATE");
}

TEST_F(AuthenticatorTest, ACertificateDoesNotMakeUpForAWrongToken) {
  WriteToken("abc", "shop recommend");
  Open();
  EXPECT_THAT(authenticator_->Identify({{"Bearer x"}, {"web.example.com"}}),
              StatusIs(absl::StatusCode::kUnauthenticated, _));
}

TEST_F(AuthenticatorTest, SaysWhichRightIsMissing) {
  WriteToken("abc", "shop recommend");
  Open();
  const absl::Status status =
      CheckRight(*WithHeader("Bearer abc"), Right::kRecommendSeen);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied,
                               HasSubstr("recommend.seen")));
  EXPECT_EQ(ReasonOf(status), "MISSING_RIGHT");
}

TEST_F(AuthenticatorTest, DoesNotLoadAFileThatIsBrokenOrMissing) {
  Make();
  EXPECT_THAT(authenticator_->Load(), StatusIs(absl::StatusCode::kNotFound, _));
  Write("abc shop recommend");
  EXPECT_THAT(
      authenticator_->Load(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 1")));
}

TEST_F(AuthenticatorTest, KnowsNobodyBeforeItHasLoaded) {
  WriteToken("abc", "shop recommend");
  Make();
  EXPECT_THAT(WithHeader("Bearer abc"),
              StatusIs(absl::StatusCode::kUnauthenticated, _));
}

TEST_F(AuthenticatorTest, TakesOverAFileThatHasChanged) {
  WriteToken("old", "shop recommend");
  Open();
  WriteToken("new", "shop recommend");
  EXPECT_THAT(WithHeader("Bearer new"), Not(IsOk()));
  authenticator_->Poll();
  EXPECT_THAT(WithHeader("Bearer new"), IsOk());
  EXPECT_THAT(WithHeader("Bearer old"), Not(IsOk()));
}

TEST_F(AuthenticatorTest, KeepsItsCallersWhenTheNewFileIsBroken) {
  WriteToken("abc", "shop recommend");
  Open();
  Write("abc shop recommend");
  authenticator_->Poll();
  EXPECT_THAT(WithHeader("Bearer abc"), IsOk());
}

}  // namespace
}  // namespace neumf
