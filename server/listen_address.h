#pragma once

// Addresses to listen on: `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`, and the
// sockets behind them.
//
// The daemon binds its own sockets. gRPC would bind with SO_REUSEPORT, so that
// two daemons share one port in silence; and only the owner of a socket can
// survive running out of descriptors (connection_acceptor.h).

#include <sys/socket.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/unique_fd.h"

namespace neumf {

// Where to listen, resolved to an address of the system.
class ListenAddress {
 public:
  // INVALID_ARGUMENT for a text of another form, or a host that has no address.
  static absl::StatusOr<ListenAddress> Parse(absl::string_view text);

  bool is_unix() const { return storage_.ss_family == AF_UNIX; }
  // Only programs of this machine can reach it.
  bool is_local() const;
  // Numeric: "127.0.0.1:50051", "[::1]:0", "unix:/run/neumf.sock".
  std::string ToString() const;
  // REQUIRES: is_unix().
  std::string path() const;
  // REQUIRES: !is_unix().
  int port() const;
  void set_port(int port);

 private:
  friend class ListenSocket;
  friend absl::StatusOr<UniqueFd> StartConnecting(const ListenAddress& address);
  static absl::StatusOr<ListenAddress> ParseUnix(absl::string_view path);

  const sockaddr* address() const;

  sockaddr_storage storage_ = {};
  socklen_t length_ = 0;
};

// For an address where nothing is encrypted: INVALID_ARGUMENT when other
// machines can reach it, unless that was allowed.
absl::Status CheckReach(const ListenAddress& address, bool allow_insecure);
// The same for an address where tokens are shown.
absl::Status CheckTokenReach(const ListenAddress& address, bool allow_insecure);

// A non-blocking socket that is connected once it is writable, unless its
// SO_ERROR says otherwise. The errors of sockets when it cannot even begin.
absl::StatusOr<UniqueFd> StartConnecting(const ListenAddress& address);

// A listening, non-blocking socket. The path of a unix socket that it has
// opened is removed with it. Belongs to one thread.
class ListenSocket {
 public:
  // Port 0 takes a free port. A unix socket that nobody listens on any more is
  // replaced; the new one is for owner and group alone. ALREADY_EXISTS when the
  // address is in use.
  static absl::StatusOr<ListenSocket> Open(const ListenAddress& address);
  // One that another process has opened and goes on to hold, to whom its path
  // belongs. INVALID_ARGUMENT, with what `fd` is not, unless it is a listening
  // stream socket of IPv4, IPv6 or a path.
  static absl::StatusOr<ListenSocket> Adopt(UniqueFd fd);

  ~ListenSocket();
  ListenSocket(ListenSocket&&) = default;
  ListenSocket& operator=(ListenSocket&&) = delete;

  int fd() const { return fd_.get(); }
  // With the port that was taken.
  const ListenAddress& address() const { return address_; }

 private:
  ListenSocket(UniqueFd fd, const ListenAddress& address)
      : fd_(std::move(fd)), address_(address) {}

  // Makes room for a unix socket. ALREADY_EXISTS when what is there is alive,
  // or no socket.
  static absl::Status RemoveOrphan(const ListenAddress& address);

  UniqueFd fd_;
  ListenAddress address_;
  bool is_adopted_ = false;
};

}  // namespace neumf
