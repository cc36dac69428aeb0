#include "base/status_macros.h"

#include <cerrno>
#include <memory>
#include <string>

#include "absl/strings/cord.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(AnnotateTest, PutsTheContextFirst) {
  const absl::Status status = absl::DataLossError("digest differs");
  EXPECT_THAT(Annotate(Annotate(status, "tensor item.gmf"), "7.safetensors"),
              StatusIs(absl::StatusCode::kDataLoss,
                       "7.safetensors: tensor item.gmf: digest differs"));
}

TEST(AnnotateTest, KeepsPayloads) {
  absl::Status status = absl::UnavailableError("full");
  status.SetPayload("type/url", absl::Cord("detail"));
  EXPECT_EQ(Annotate(status, "queue").GetPayload("type/url"), "detail");
}

TEST(AnnotateTest, LeavesOkAlone) {
  EXPECT_EQ(Annotate(absl::OkStatus(), "context"), absl::OkStatus());
}

TEST(ErrnoStatusTest, ChoosesTheCodeThatFits) {
  using Code = absl::StatusCode;
  EXPECT_THAT(ErrnoStatus(ENOENT, "x"), StatusIs(Code::kNotFound));
  EXPECT_THAT(ErrnoStatus(EEXIST, "x"), StatusIs(Code::kAlreadyExists));
  EXPECT_THAT(ErrnoStatus(ENOSPC, "x"), StatusIs(Code::kResourceExhausted));
  EXPECT_THAT(ErrnoStatus(ENOMEM, "x"), StatusIs(Code::kResourceExhausted));
  EXPECT_THAT(ErrnoStatus(EACCES, "x"), StatusIs(Code::kPermissionDenied));
  EXPECT_THAT(ErrnoStatus(EIO, "x"), StatusIs(Code::kUnavailable));
}

TEST(ErrnoStatusTest, SaysWhereAndWhy) {
  EXPECT_THAT(
      ErrnoStatus(ENOENT, "open a/b"),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(StartsWith("open a/b: "), HasSubstr("No such file"))));
}

absl::StatusOr<std::unique_ptr<int>> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return std::make_unique<int>(value / 2);
}

absl::StatusOr<int> Quarter(int value) {
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<int> half, Half(value));
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<int> quarter, Half(*half));
  return *quarter;
}

absl::Status CheckQuarter(int value) {
  NEUMF_RETURN_IF_ERROR(Quarter(value).status());
  return absl::OkStatus();
}

TEST(StatusMacrosTest, CarryValuesAndErrorsUp) {
  EXPECT_THAT(Quarter(8), IsOkAndHolds(2));
  EXPECT_THAT(Quarter(6), StatusIs(absl::StatusCode::kInvalidArgument, "odd"));
  NEUMF_EXPECT_OK(CheckQuarter(8));
  EXPECT_THAT(CheckQuarter(6), Not(IsOk()));
}

}  // namespace
}  // namespace neumf
