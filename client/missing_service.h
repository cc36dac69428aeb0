#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/args.h"

namespace neumf {

// gRPC answers a call of a service that a server does not have with
// UNIMPLEMENTED and no message: `option`, --server or --admin, was given an
// address of another listener. Returns `status`, in that case with a message
// that says so.
absl::Status ExplainMissingService(const absl::Status& status, const Args& args,
                                   absl::string_view option);

}  // namespace neumf
