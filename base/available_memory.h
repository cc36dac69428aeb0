#pragma once

#include <cstdint>
#include <string>

namespace neumf {

struct AvailableMemory {
  uint64_t bytes = 0;
  std::string limit;  // what leaves no more, e.g. "memory.max of /a.slice"
};

// How many bytes this process can still use before the machine, a cgroup that
// it is in, or a limit of its own stops it: the least of
// - what the kernel calls available,
// - what memory.max and memory.high (cgroup v2), or memory.limit_in_bytes (v1),
//   of the process's group and of all above it leave,
// - what RLIMIT_AS and RLIMIT_DATA leave.
// File pages in memory count as free, since the kernel drops them when it must.
// The largest number, and no name, when the system tells nothing.
//
// A snapshot: by the time it returns, others may have taken some. `root` is for
// tests, which have /proc and /sys/fs/cgroup of their own.
AvailableMemory FindAvailableMemory(const std::string& root = "/");

}  // namespace neumf
