#pragma once

// How much a TCP connection has carried, by the kernel's books.

#include <cstdint>
#include <optional>

namespace neumf {

struct TcpProgress {
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
};

// None for other sockets, and for connections that are gone.
std::optional<TcpProgress> ReadTcpProgress(int fd);

// Bytes that have come to a socket of any kind and were not read.
int NumUnread(int fd);

}  // namespace neumf
