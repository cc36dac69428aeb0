#include "server/metrics_endpoint.h"

#include <atomic>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "prometheus/exposer.h"
#include "prometheus/registry.h"

namespace neumf {
namespace {

// A connection takes one until it asks or its time is up, and some that ask for
// nothing must not hold up a scrape.
constexpr char kNumThreads[] = "16";
// What clients show to whoever is asked for a password.
constexpr char kRealm[] = "neumf";

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const ListenAddress& address,
    std::shared_ptr<prometheus::Collectable> registry, Allows allows,
    absl::Duration idle_limit) {
  if (!address.is_ipv4()) {
    return absl::InvalidArgumentError(absl::StrCat(
        address.ToString(), ": metrics are served over IPv4 only"));
  }
  // Says why it cannot be had; the web server would not.
  NEUMF_RETURN_IF_ERROR(ListenSocket::Open(address).status());
  auto endpoint =
      std::unique_ptr<MetricsEndpoint>(new MetricsEndpoint(address));
  endpoint->registry_ = std::move(registry);
  const std::string limit_ms = absl::StrCat(ToInt64Milliseconds(idle_limit));
  std::vector<std::string> options = {"listening_ports", address.ToString()};
  options.insert(options.end(), {"num_threads", kNumThreads});
  options.insert(options.end(), {"request_timeout_ms", limit_ms});
  try {
    endpoint->exposer_ = std::make_unique<prometheus::Exposer>(options);
    if (allows) endpoint->exposer_->RegisterAuth(std::move(allows), kRealm);
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
