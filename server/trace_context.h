#pragma once

// The trace that a call belongs to, as its caller says in the header
// `traceparent` (W3C Trace Context).

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "grpcpp/server_context.h"

namespace neumf {

struct TraceContext {
  std::string trace_id;  // 32 hexadecimal digits, lowercase
  std::string span_id;   // of the caller: 16 of them
};

// None for what is not exactly as the standard says; other versions than its
// first may have more fields at the end.
std::optional<TraceContext> ParseTraceparent(absl::string_view value);

// None without the header, and where it comes more than once. This looks through
// all headers of the call: for the few that something is written about.
std::optional<TraceContext> TraceOf(const grpc::CallbackServerContext& context);

}  // namespace neumf
