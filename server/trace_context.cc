#include "server/trace_context.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/ascii.h"

namespace neumf {
namespace {

constexpr char kTraceparent[] = "traceparent";

// VERSION-TRACE-SPAN-FLAGS: where each field begins, and its digits.
constexpr size_t kVersionDigits = 2;
constexpr size_t kTraceAt = 3;
constexpr size_t kTraceDigits = 32;
constexpr size_t kSpanAt = 36;
constexpr size_t kSpanDigits = 16;
constexpr size_t kFlagsAt = 53;
constexpr size_t kFlagsDigits = 2;
constexpr size_t kSize = 55;

constexpr absl::string_view kFirstVersion = "00";
constexpr absl::string_view kNoVersion = "ff";

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
  });
}

bool IsId(absl::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != absl::string_view::npos;
}

}  // namespace

std::optional<TraceContext> ParseTraceparent(absl::string_view value) {
  if (value.size() < kSize) return std::nullopt;
  for (const size_t end : {kTraceAt, kSpanAt, kFlagsAt}) {
    if (value[end - 1] != '-') return std::nullopt;
  }
  const absl::string_view version = value.substr(0, kVersionDigits);
  const absl::string_view trace = value.substr(kTraceAt, kTraceDigits);
  const absl::string_view span = value.substr(kSpanAt, kSpanDigits);
  if (!IsHex(version) || version == kNoVersion || !IsId(trace) || !IsId(span) ||
      !IsHex(value.substr(kFlagsAt, kFlagsDigits))) {
    return std::nullopt;
  }
  const bool may_go_on = version != kFirstVersion;
  if (value.size() > kSize && !(may_go_on && value[kSize] == '-')) {
    return std::nullopt;
  }
  return TraceContext{std::string(trace), std::string(span)};
}

std::optional<TraceContext> TraceOf(
    const grpc::CallbackServerContext& context) {
  const auto headers = context.client_metadata().equal_range(kTraceparent);
  if (headers.first == headers.second ||
      std::next(headers.first) != headers.second) {
    return std::nullopt;
  }
  const grpc::string_ref& value = headers.first->second;
  return ParseTraceparent({value.data(), value.size()});
}

}  // namespace neumf
