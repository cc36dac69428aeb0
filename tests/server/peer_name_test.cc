#include "server/peer_name.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

namespace neumf {
namespace {

sockaddr_storage V4(const char* host, uint16_t port) {
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  EXPECT_EQ(inet_pton(AF_INET, host, &v4.sin_addr), 1);
  sockaddr_storage address = {};
  std::memcpy(&address, &v4, sizeof(v4));
  return address;
}

sockaddr_storage V6(const char* host, uint16_t port, uint32_t scope = 0) {
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_scope_id = scope;
  EXPECT_EQ(inet_pton(AF_INET6, host, &v6.sin6_addr), 1);
  sockaddr_storage address = {};
  std::memcpy(&address, &v6, sizeof(v6));
  return address;
}

sockaddr_storage Unix() {
  sockaddr_storage address = {};
  address.ss_family = AF_UNIX;
  return address;
}

// That gRPC agrees is seen where a flood is cut.
TEST(PeerNameTest, IsWhatGrpcCallsThePeer) {
  EXPECT_EQ(PeerName(V4("192.0.2.7", 50051)), "ipv4:192.0.2.7:50051");
  EXPECT_EQ(PeerName(V6("2001:db8::7", 1)), "ipv6:%5B2001:db8::7%5D:1");
  EXPECT_EQ(PeerName(V6("fe80::1", 65535, 3)), "ipv6:%5Bfe80::1%253%5D:65535");
  EXPECT_EQ(PeerName(V6("::ffff:192.0.2.7", 80)), "ipv4:192.0.2.7:80");
  EXPECT_EQ(PeerName(Unix()), "unix:");
}

TEST(PeerNetworkTest, IsTheAddressOrTheNetworkOfIpv6) {
  EXPECT_EQ(PeerNetwork(V4("192.0.2.7", 1)), "192.0.2.7");
  EXPECT_EQ(PeerNetwork(V6("::ffff:192.0.2.7", 2)), "192.0.2.7");
  EXPECT_EQ(PeerNetwork(V6("2001:db8:1:2:3:4:5:6", 3)), "2001:db8:1:2::");
  EXPECT_EQ(PeerNetwork(V6("2001:db8:1:2:ffff::", 4)), "2001:db8:1:2::");
  EXPECT_EQ(PeerNetwork(Unix()), "");
}

}  // namespace
}  // namespace neumf
