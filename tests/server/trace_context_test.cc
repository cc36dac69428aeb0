#include "server/trace_context.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/ascii.h"

namespace neumf {
namespace {

// The example of the standard.
constexpr char kExample[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

std::string Changed(size_t at, char c) {
  std::string value = kExample;
  value[at] = c;
  return value;
}

bool IsTrace(const std::string& value) {
  return ParseTraceparent(value).has_value();
}

TEST(TraceContextTest, HoldsTraceAndSpan) {
  const auto trace = ParseTraceparent(kExample);
  ASSERT_TRUE(trace.has_value());
  EXPECT_EQ(trace->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(trace->span_id, "00f067aa0ba902b7");
}

TEST(TraceContextTest, AnyFlagsWillDo) {
  EXPECT_TRUE(IsTrace(Changed(53, 'f')));
  EXPECT_TRUE(IsTrace(Changed(54, '0')));
}

TEST(TraceContextTest, NoOtherCharacterWillDoAnywhere) {
  for (size_t at = 0; at < std::string(kExample).size(); ++at) {
    for (const char c : {'g', 'A', ' ', '_', '\0', '\n'}) {
      EXPECT_FALSE(IsTrace(Changed(at, c))) << at;
    }
    const bool is_dash = kExample[at] == '-';
    EXPECT_EQ(IsTrace(Changed(at, is_dash ? '0' : '-')), false) << at;
  }
  EXPECT_FALSE(IsTrace(absl::AsciiStrToUpper(kExample)));
}

TEST(TraceContextTest, NoOtherLengthWillDo) {
  const std::string value = kExample;
  for (size_t size = 0; size < value.size(); ++size) {
    EXPECT_FALSE(IsTrace(value.substr(0, size))) << size;
  }
  EXPECT_FALSE(IsTrace(value + "-"));
  EXPECT_FALSE(IsTrace(value + "-00"));
  EXPECT_FALSE(IsTrace(" " + value));
}

TEST(TraceContextTest, IdsOfZerosAreNone) {
  EXPECT_FALSE(
      IsTrace("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
  EXPECT_FALSE(
      IsTrace("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
}

TEST(TraceContextTest, LaterVersionsMayHaveMoreFields) {
  const std::string later = Changed(1, '1');
  EXPECT_TRUE(IsTrace(later));
  EXPECT_TRUE(IsTrace(later + "-what-comes"));
  EXPECT_FALSE(IsTrace(later + "."));
  EXPECT_FALSE(
      IsTrace("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
}

}  // namespace
}  // namespace neumf
