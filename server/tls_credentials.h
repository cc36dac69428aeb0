#pragma once

// TLS for gRPC servers, from files that may be rotated.
//
// gRPC asks at each handshake for the pair to use, so a new one counts from the
// next connection on; those that are there go on. gRPC's own watcher of files
// is not used: it lets go of the old pair before it has tried the new one, and a
// certificate that is there a second before its key would end all handshakes.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "grpcpp/security/server_credentials.h"
#include "server/reloaded_files.h"
#include "server/server_metrics.h"
#include "server/tls_material.h"

namespace neumf {

struct TlsFiles {
  std::string cert;
  std::string key;
  // Empty: clients need no certificate. Otherwise each handshake requires one
  // that this verifies.
  std::string client_ca;
};

class TlsCredentials {
 public:
  // What it works with; all must outlive it.
  struct Parts {
    FileSystem* files = nullptr;
    const Clock* clock = nullptr;
    ServerMetrics* metrics = nullptr;
  };

  // Null when no file is named. INVALID_ARGUMENT and the errors of files, with
  // the flag, when TLS cannot begin with them.
  static absl::StatusOr<std::unique_ptr<TlsCredentials>> Open(
      const TlsFiles& files, const Parts& parts);

  // Takes over a pair that has changed. From one thread.
  void Poll() { reloaded_.Poll(); }

  // For one gRPC server, which this must outlive. From the thread that made this.
  std::shared_ptr<grpc::ServerCredentials> ForServer();

  // What new handshakes use, and a number that grows with each of them. Any
  // thread.
  struct Current {
    std::shared_ptr<const TlsMaterial> material;
    uint64_t generation = 0;
  };
  Current current() const;
  bool verifies_clients() const { return verifies_clients_; }

 private:
  TlsCredentials(const TlsFiles& files, const Parts& parts);

  absl::Status Use(const std::vector<std::string>& texts);

  const Parts parts_;
  const bool verifies_clients_;
  // A server asks them for as long as it runs, but keeps no reference.
  std::vector<std::shared_ptr<grpc::ServerCredentials>> made_;
  ReloadedFiles reloaded_;  // Poll()'s
  mutable Mutex mutex_;
  Current current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
