#include "server/peer_name.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

constexpr size_t kNetworkBytes = 8;

// An address of IPv4, of IPv6, or neither.
struct Host {
  int family = AF_UNSPEC;
  in_addr v4 = {};
  in6_addr v6 = {};
  uint32_t scope = 0;
  int port = 0;
};

Host ParseHost(const sockaddr_storage& address) {
  Host host;
  if (address.ss_family == AF_INET) {
    sockaddr_in v4 = {};
    std::memcpy(&v4, &address, sizeof(v4));
    host.family = AF_INET;
    host.v4 = v4.sin_addr;
    host.port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6 = {};
    std::memcpy(&v6, &address, sizeof(v6));
    host.port = ntohs(v6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      host.family = AF_INET;
      std::memcpy(&host.v4, &v6.sin6_addr.s6_addr[12], sizeof(host.v4));
    } else {
      host.family = AF_INET6;
      host.v6 = v6.sin6_addr;
      host.scope = v6.sin6_scope_id;
    }
  }
  return host;
}

std::string Numeric(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  inet_ntop(family, address, text.data(), text.size());
  return text.data();
}

}  // namespace

std::string PeerName(const sockaddr_storage& address) {
  const Host host = ParseHost(address);
  switch (host.family) {
    case AF_INET:
      return absl::StrCat("ipv4:", Numeric(AF_INET, &host.v4), ":", host.port);
    case AF_INET6: {
      // gRPC's names are URIs: "[", "%" and "]" have to be escaped.
      const std::string scope =
          host.scope == 0 ? "" : absl::StrCat("%25", host.scope);
      return absl::StrCat("ipv6:%5B", Numeric(AF_INET6, &host.v6), scope,
                          "%5D:", host.port);
    }
    default:
      return kUnixPeer;
  }
}

std::string PeerNetwork(const sockaddr_storage& address) {
  Host host = ParseHost(address);
  if (host.family == AF_INET) return Numeric(AF_INET, &host.v4);
  if (host.family != AF_INET6) return "";
  std::memset(&host.v6.s6_addr[kNetworkBytes], 0,
              sizeof(host.v6) - kNetworkBytes);
  return Numeric(AF_INET6, &host.v6);
}

}  // namespace neumf
