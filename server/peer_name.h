#pragma once

// What a peer is called.

#include <sys/socket.h>

#include <string>

namespace neumf {

// The name of all peers on unix sockets.
inline constexpr char kUnixPeer[] = "unix:";

// As grpc::ServerContext::peer() says it: "ipv4:127.0.0.1:50051",
// "ipv6:%5B::1%5D:50051", "unix:". An IPv4 address that came in by IPv6 is one
// of IPv4.
std::string PeerName(const sockaddr_storage& address);

// Whose connections are counted together: the address, or the 64 bits of an
// IPv6 address that name its network, since one machine has all of the others
// for itself. Empty for unix sockets.
std::string PeerNetwork(const sockaddr_storage& address);

}  // namespace neumf
