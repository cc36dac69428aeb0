#pragma once

// The HTTP endpoint that Prometheus scrapes: /metrics of one registry.
//
// The fence for prometheus-cpp's web server, which throws.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/listen_address.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace neumf {

class MetricsEndpoint {
 public:
  // ALREADY_EXISTS when the address is in use; INVALID_ARGUMENT for a unix
  // socket, which the web server does not have.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(
      const ListenAddress& address,
      std::shared_ptr<prometheus::Collectable> registry);
  ~MetricsEndpoint();

  // With the port that was taken.
  const ListenAddress& address() const { return address_; }

 private:
  explicit MetricsEndpoint(const ListenAddress& address);

  ListenAddress address_;
  std::shared_ptr<prometheus::Collectable>
      registry_;  // the exposer does not own
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace neumf
