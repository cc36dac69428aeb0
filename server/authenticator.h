#pragma once

// Finds out who calls, at the entry of every method but those of health, which
// load balancers ask without a name, and of reflection, which tells everybody
// what the .proto files say, unless it is off.
//
// A caller shows a bearer token (`authorization: Bearer TOKEN`), or else a
// client certificate that the TLS handshake has verified. The address counts
// for nothing. The table of callers is a file that is read again when it
// changes; a new one that is broken or gone leaves the old one in force, and a
// metric and the log say so.
//
// gRPC's own hook for this (AuthMetadataProcessor) aborts on plain-text
// listeners, and its interceptors cannot refuse a call cleanly.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "grpcpp/server_context.h"
#include "server/caller.h"
#include "server/reloaded_files.h"
#include "server/server_metrics.h"
#include "server/token_table.h"

namespace neumf {

// What a caller shows of itself.
struct Credentials {
  std::vector<std::string> authorizations;  // values of that header
  std::vector<std::string> sans;            // of a verified certificate
};

class Authenticator {
 public:
  // Knows nobody before it has loaded `path`; an empty path lets everybody do
  // everything. `files` and `metrics` must outlive this.
  Authenticator(absl::string_view path, FileSystem* files,
                ServerMetrics* metrics);

  // The first time. INVALID_ARGUMENT, and the errors of files.
  absl::Status Load();
  // Takes the file over if it has changed. From one thread.
  void Poll();

  // Who calls. UNAUTHENTICATED with ErrorInfo for none or for an unknown one.
  // Any thread, as for the next.
  absl::StatusOr<Caller> Identify(const Credentials& credentials) const;

  // Whether HTTP's basic authentication shows a caller who may read metrics:
  // the name, and a token as the password.
  bool AllowsMetrics(absl::string_view name, absl::string_view token) const;

  // Identifies who makes a call, which takes `right`: otherwise
  // PERMISSION_DENIED.
  absl::StatusOr<Caller> Authorize(const grpc::CallbackServerContext& context,
                                   Right right) const;

 private:
  absl::Status Use(absl::string_view text);

  const bool asks_;
  ReloadedFiles file_;  // Poll()'s
  mutable Mutex mutex_;
  std::shared_ptr<const TokenTable> table_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
