#pragma once

// GoogleTest matchers and assertions for absl::Status and absl::StatusOr:
//
//   NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable ids, IdTable::FromIds(texts));
//   EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, HasSubstr("7")));
//   EXPECT_THAT(Parse("7"), IsOkAndHolds(7));

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"

namespace neumf {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}

template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

MATCHER(IsOk, negation ? "is not OK" : "is OK") {
  *result_listener << "whose status is " << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

MATCHER_P2(StatusIs, code, message_matcher,
           "has the code " + absl::StatusCodeToString(code) +
               " and a message that " +
               testing::DescribeMatcher<std::string>(message_matcher,
                                                     negation)) {
  const absl::Status& status = StatusOf(arg);
  *result_listener << "whose status is " << status.ToString();
  return status.code() == code &&
         testing::Value(std::string(status.message()), message_matcher);
}

inline auto StatusIs(absl::StatusCode code) {
  return StatusIs(code, testing::_);
}

MATCHER_P(IsOkAndHolds, value_matcher, "is OK and holds the value") {
  if (!arg.ok()) {
    *result_listener << "whose status is " << arg.status().ToString();
    return false;
  }
  return testing::ExplainMatchResult(value_matcher, *arg, result_listener);
}

}  // namespace neumf

#define NEUMF_EXPECT_OK(expression) EXPECT_THAT(expression, ::neumf::IsOk())
#define NEUMF_ASSERT_OK(expression) ASSERT_THAT(expression, ::neumf::IsOk())

#define NEUMF_ASSERT_OK_AND_ASSIGN(declaration, expression)                 \
  NEUMF_ASSERT_OK_AND_ASSIGN_IMPL(NEUMF_CONCAT(neumf_status_or_, __LINE__), \
                                  declaration, expression)

#define NEUMF_ASSERT_OK_AND_ASSIGN_IMPL(name, declaration, expression) \
  auto name = (expression);                                            \
  NEUMF_ASSERT_OK(name);                                               \
  declaration = *std::move(name)
