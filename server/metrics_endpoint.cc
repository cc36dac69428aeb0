#include "server/metrics_endpoint.h"

#include <atomic>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "prometheus/exposer.h"
#include "prometheus/registry.h"

namespace neumf {

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const ListenAddress& address,
    std::shared_ptr<prometheus::Collectable> registry) {
  if (address.is_unix()) {
    return absl::InvalidArgumentError("metrics are served over TCP only");
  }
  auto endpoint =
      std::unique_ptr<MetricsEndpoint>(new MetricsEndpoint(address));
  endpoint->registry_ = std::move(registry);
  // Four threads and a time limit: idle connections must not block a scrape.
  const std::vector<std::string> options = {
      "listening_ports",    address.ToString(),
      "num_threads",        "4",
      "request_timeout_ms", "2000"};
  try {
    endpoint->exposer_ = std::make_unique<prometheus::Exposer>(options);
    endpoint->exposer_->RegisterCollectable(endpoint->registry_);
    endpoint->address_.set_port(
        endpoint->exposer_->GetListeningPorts().front());
  } catch (const std::exception& error) {
    return absl::AlreadyExistsError(absl::StrCat(
        "cannot listen on ", address.ToString(), ": ", error.what()));
  }
  return endpoint;
}

MetricsEndpoint::MetricsEndpoint(const ListenAddress& address)
    : address_(address) {}

MetricsEndpoint::~MetricsEndpoint() {
  if (exposer_ == nullptr) return;
  // The web server sees that it is to stop after 2 s, or after a connection.
  std::atomic<bool> stopped{false};
  std::thread knocking([&] {
    while (!stopped) {
      Knock(address_);
      absl::SleepFor(absl::Milliseconds(5));
    }
  });
  exposer_.reset();
  stopped = true;
  knocking.join();
}

}  // namespace neumf
