#include "server/tcp_progress.h"

#include <linux/tcp.h>  // the C library's own tcp_info lacks both fields
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>

namespace neumf {

std::optional<TcpProgress> ReadTcpProgress(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  constexpr size_t kNeeded =
      offsetof(tcp_info, tcpi_bytes_sent) + sizeof(info.tcpi_bytes_sent);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
      size < kNeeded) {
    return std::nullopt;
  }
  return TcpProgress{info.tcpi_bytes_received, info.tcpi_bytes_sent};
}

int NumUnread(int fd) {
  int count = 0;
  return ioctl(fd, FIONREAD, &count) == 0 ? count : 0;
}

}  // namespace neumf
