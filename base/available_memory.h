#pragma once

#include <cstdint>
#include <string>

namespace neumf {

// How many bytes this process can still use before the machine, or a cgroup
// that it is in, runs out: the least of what the kernel calls available and of
// what each memory limit above the process (cgroup v2 or v1) leaves. File pages
// in memory count as free, since the kernel drops them when it must. The
// largest number when the system tells nothing.
//
// A snapshot: by the time it returns, others may have taken some. `root` is for
// tests, which have /proc and /sys/fs/cgroup of their own.
uint64_t AvailableMemoryBytes(const std::string& root = "/");

}  // namespace neumf
