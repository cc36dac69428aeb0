#pragma once

// The HTTP endpoint that Prometheus scrapes: /metrics of one registry.
//
// The fence for prometheus-cpp's web server, which throws.

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/listen_address.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace neumf {

class MetricsEndpoint {
 public:
  // Whether HTTP's basic authentication lets somebody scrape. Any thread.
  using Allows =
      std::function<bool(const std::string& user, const std::string& password)>;

  // ALREADY_EXISTS when the address is in use; INVALID_ARGUMENT when it is not
  // IPv4, the only kind that the web server is built for everywhere. A
  // connection that asks for nothing is closed after `idle_limit`. Without
  // `allows` everybody may scrape.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(
      const ListenAddress& address,
      std::shared_ptr<prometheus::Collectable> registry,
      Allows allows = nullptr, absl::Duration idle_limit = absl::Seconds(1));
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
