#include "server/listen_address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr int kBacklog = 1024;

struct HostAndPort {
  std::string host;
  std::string port;
};

absl::StatusOr<HostAndPort> SplitHostAndPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  absl::string_view host = text.substr(0, colon);
  const bool bracketed =
      absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  int port = -1;
  if (colon == absl::string_view::npos || host.empty() ||
      (!bracketed && host.find(':') != absl::string_view::npos) ||
      !absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 0 ||
      port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text, "\" is not HOST:PORT, [IPV6]:PORT or unix:PATH"));
  }
  return HostAndPort{std::string(host), absl::StrCat(port)};
}

// As the type that the field of the family has; copied, since the storage of
// another type may not be read in place.
template <typename Address>
Address As(const sockaddr_storage& storage) {
  Address address;
  std::memcpy(&address, &storage, sizeof(address));
  return address;
}

bool IsLoopbackV6(const in6_addr& address) {
  return IN6_IS_ADDR_LOOPBACK(&address) ||
         (IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == 127);
}

absl::Status InUse(const ListenAddress& address) {
  return absl::AlreadyExistsError(
      absl::StrCat(address.ToString(), " is in use by another process"));
}

UniqueFd MakeSocket(int family) {
  return UniqueFd(
      socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

void SetOption(int fd, int level, int option) {
  const int on = 1;
  // Fails for no socket of ours; without these options it would still serve.
  (void)setsockopt(fd, level, option, &on, sizeof(on));
}

bool HasOption(int fd, int option, int expected) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 &&
         value == expected;
}

// What whoever opened it may have left out.
bool PrepareToAccept(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
         fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

}  // namespace

absl::StatusOr<ListenAddress> ListenAddress::Parse(absl::string_view text) {
  absl::string_view path = text;
  if (absl::ConsumePrefix(&path, "unix:")) return ParseUnix(path);

  NEUMF_ASSIGN_OR_RETURN(const HostAndPort parts, SplitHostAndPort(text));
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found,
                                                                 &freeaddrinfo);
  ListenAddress address;
  std::memcpy(&address.storage_, found->ai_addr, found->ai_addrlen);
  address.length_ = found->ai_addrlen;
  return address;
}

absl::StatusOr<ListenAddress> ListenAddress::ParseUnix(absl::string_view path) {
  sockaddr_un address = {};
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the path after unix: must have 1 to ",
                     sizeof(address.sun_path) - 1, " bytes"));
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ListenAddress result;
  std::memcpy(&result.storage_, &address, sizeof(address));
  result.length_ = sizeof(address);
  return result;
}

bool ListenAddress::is_local() const {
  switch (storage_.ss_family) {
    case AF_UNIX:
      return true;
    case AF_INET:
      return ntohl(As<sockaddr_in>(storage_).sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
      return IsLoopbackV6(As<sockaddr_in6>(storage_).sin6_addr);
    default:
      return false;
  }
}

std::string ListenAddress::ToString() const {
  if (is_unix()) return absl::StrCat("unix:", path());
  char host[INET6_ADDRSTRLEN] = {};
  if (storage_.ss_family == AF_INET6) {
    const auto v6 = As<sockaddr_in6>(storage_);
    inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof(host));
    return absl::StrCat("[", host, "]:", port());
  }
  const auto v4 = As<sockaddr_in>(storage_);
  inet_ntop(AF_INET, &v4.sin_addr, host, sizeof(host));
  return absl::StrCat(host, ":", port());
}

std::string ListenAddress::path() const {
  return As<sockaddr_un>(storage_).sun_path;
}

int ListenAddress::port() const {
  // The port lies at the same place in both families.
  static_assert(offsetof(sockaddr_in, sin_port) ==
                offsetof(sockaddr_in6, sin6_port));
  return ntohs(As<sockaddr_in>(storage_).sin_port);
}

void ListenAddress::set_port(int port) {
  auto address = As<sockaddr_in>(storage_);
  address.sin_port = htons(static_cast<uint16_t>(port));
  std::memcpy(&storage_, &address, sizeof(address));
}

const sockaddr* ListenAddress::address() const {
  return reinterpret_cast<const sockaddr*>(&storage_);
}

absl::Status CheckReach(const ListenAddress& address, bool allow_insecure) {
  if (allow_insecure || address.is_local()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "other machines can reach ", address.ToString(),
      ", and nothing is encrypted: give --allow_insecure_listen if "
      "that is meant"));
}

absl::Status CheckTokenReach(const ListenAddress& address,
                             bool allow_insecure) {
  if (allow_insecure || address.is_local()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("tokens would cross the network to ", address.ToString(),
                   " in plain text: encrypt it, or give "
                   "--allow_insecure_tokens if that is meant"));
}

absl::StatusOr<UniqueFd> StartConnecting(const ListenAddress& address) {
  UniqueFd fd = MakeSocket(address.storage_.ss_family);
  if (!fd.valid()) return ErrnoStatus(errno, "socket");
  if (connect(fd.get(), address.address(), address.length_) != 0 &&
      errno != EINPROGRESS) {
    return ErrnoStatus(errno, "connect");
  }
  return fd;
}

absl::Status ListenSocket::RemoveOrphan(const ListenAddress& address) {
  struct stat info = {};
  if (lstat(address.path().c_str(), &info) != 0) return absl::OkStatus();
  // To connect to a file of another kind is refused, too.
  if (!S_ISSOCK(info.st_mode)) return InUse(address);
  const UniqueFd probe = MakeSocket(AF_UNIX);
  const bool refused =
      connect(probe.get(), address.address(), address.length_) != 0 &&
      errno == ECONNREFUSED;
  if (!refused) return InUse(address);
  unlink(address.path().c_str());
  return absl::OkStatus();
}

absl::StatusOr<ListenSocket> ListenSocket::Open(const ListenAddress& address) {
  if (address.is_unix()) NEUMF_RETURN_IF_ERROR(RemoveOrphan(address));
  const auto failed = [&address] {
    return errno == EADDRINUSE ? InUse(address)
                               : ErrnoStatus(errno, address.ToString());
  };
  UniqueFd fd = MakeSocket(address.storage_.ss_family);
  if (!fd.valid()) return failed();
  if (!address.is_unix()) {
    SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR);
    // Accepted connections inherit it; gRPC sets it on its own sockets only.
    SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY);
  }
  if (bind(fd.get(), address.address(), address.length_) != 0) return failed();
  ListenSocket result(std::move(fd), address);
  if (address.is_unix() && chmod(address.path().c_str(), 0660) != 0) {
    return failed();
  }
  if (listen(result.fd(), kBacklog) != 0) return failed();
  if (!address.is_unix()) {
    auto* bound = reinterpret_cast<sockaddr*>(&result.address_.storage_);
    if (getsockname(result.fd(), bound, &result.address_.length_) != 0) {
      return failed();
    }
  }
  return result;
}

absl::StatusOr<ListenSocket> ListenSocket::Adopt(UniqueFd fd) {
  if (fcntl(fd.get(), F_GETFD) < 0) {
    return absl::InvalidArgumentError("is not open");
  }
  ListenAddress address;
  address.length_ = sizeof(address.storage_);
  auto* const bound = reinterpret_cast<sockaddr*>(&address.storage_);
  bool serves = HasOption(fd.get(), SO_ACCEPTCONN, 1) &&
                HasOption(fd.get(), SO_TYPE, SOCK_STREAM) &&
                getsockname(fd.get(), bound, &address.length_) == 0 &&
                PrepareToAccept(fd.get());
  if (serves && address.is_unix()) {
    const auto un = As<sockaddr_un>(address.storage_);
    // Empty for one of the abstract namespace, where everybody may connect.
    const auto of_path = ListenAddress::ParseUnix(
        {un.sun_path, strnlen(un.sun_path, sizeof(un.sun_path))});
    serves = of_path.ok();
    if (serves) address = *of_path;
  } else if (serves) {
    serves = address.storage_.ss_family == AF_INET ||
             address.storage_.ss_family == AF_INET6;
    SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY);
  }
  if (!serves) {
    return absl::InvalidArgumentError(
        "is no listening stream socket of IPv4, IPv6 or a unix path");
  }
  ListenSocket result(std::move(fd), address);
  result.is_adopted_ = true;
  return result;
}

ListenSocket::~ListenSocket() {
  if (!fd_.valid() || !address_.is_unix() || is_adopted_) return;
  // Before the socket closes: while it listens, nobody else takes the path.
  unlink(address_.path().c_str());
}

}  // namespace neumf
