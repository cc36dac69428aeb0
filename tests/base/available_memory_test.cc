#include "base/available_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

// A root with files of the kernel as the test wants them.
class AvailableMemoryTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& content) const {
    const std::filesystem::path full = root_.Path(path);
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << content;
  }
  // A group of cgroup v2.
  void WriteGroup(const std::string& name, const std::string& max,
                  const std::string& current) const {
    Write("sys/fs/cgroup" + name + "/memory.max", max + "\n");
    Write("sys/fs/cgroup" + name + "/memory.current", current + "\n");
  }
  uint64_t Available() const { return FindAvailableMemory(root_.path()).bytes; }
  std::string Limit() const { return FindAvailableMemory(root_.path()).limit; }

  const TempDirectory root_;
};

TEST_F(AvailableMemoryTest, IsWhatTheKernelCallsAvailable) {
  Write("proc/meminfo",
        "MemTotal:        8000 kB\nMemFree:         100 kB\n"
        "MemAvailable:    3000 kB\nBuffers:         5 kB\n");
  EXPECT_EQ(Available(), 3000U * 1024);
  EXPECT_EQ(Limit(), "MemAvailable");
}

TEST_F(AvailableMemoryTest, HasNoLimitWhereNothingTells) {
  EXPECT_EQ(Available(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(Limit(), "");
}

TEST_F(AvailableMemoryTest, IsNoMoreThanTheCgroupHasLeft) {
  Write("proc/meminfo", "MemAvailable: 3000 kB\n");
  Write("proc/self/cgroup", "0::/a.slice/b.service\n");
  WriteGroup("/a.slice/b.service", "1000000", "400000");
  EXPECT_EQ(Available(), 600000U);
}

TEST_F(AvailableMemoryTest, CountsFilePagesOfTheCgroupAsFree) {
  Write("proc/self/cgroup", "0::/b\n");
  WriteGroup("/b", "1000", "990");
  Write("sys/fs/cgroup/b/memory.stat",
        "anon 190\nfile 800\ninactive_file 500\nactive_file 300\n");
  EXPECT_EQ(Available(), 810U);
}

TEST_F(AvailableMemoryTest, TakesTheTightestGroupOnTheWayUp) {
  Write("proc/self/cgroup", "0::/a/b/c\n");
  WriteGroup("/a", "5000", "4900");
  WriteGroup("/a/b", "max", "4900");
  WriteGroup("/a/b/c", "1000", "400");
  EXPECT_EQ(Available(), 100U);
  EXPECT_EQ(Limit(), "memory.max of /a");
}

TEST_F(AvailableMemoryTest, StaysBelowWhereAGroupIsSlowedDown) {
  Write("proc/self/cgroup", "0::/b\n");
  WriteGroup("/b", "1000", "400");
  Write("sys/fs/cgroup/b/memory.high", "500\n");
  EXPECT_EQ(Available(), 100U);
  EXPECT_EQ(Limit(), "memory.high of /b");
}

TEST_F(AvailableMemoryTest, KnowsTheProcesssOwnLimits) {
  Write("proc/self/status", "VmSize:\t 300 kB\nVmData:\t 100 kB\n");
  Write("proc/self/limits",
        "Limit                     Soft Limit           Hard Limit\n"
        "Max data size             unlimited            unlimited  bytes\n"
        "Max address space         409600               unlimited  bytes\n");
  EXPECT_EQ(Available(), 100U * 1024);
  EXPECT_EQ(Limit(), "RLIMIT_AS");
  Write("proc/self/limits",
        "Max data size             153600               unlimited  bytes\n"
        "Max address space         409600               unlimited  bytes\n");
  EXPECT_EQ(Available(), 50U * 1024);
  EXPECT_EQ(Limit(), "RLIMIT_DATA");
}

TEST_F(AvailableMemoryTest, FindsTheGroupOfAContainerUnderAnotherName) {
  Write("proc/self/cgroup", "0::/docker/0123\n");
  WriteGroup("", "700", "300");
  EXPECT_EQ(Available(), 400U);
}

TEST_F(AvailableMemoryTest, IsNothingInAGroupBeyondItsLimit) {
  Write("proc/self/cgroup", "0::/b\n");
  WriteGroup("/b", "1000", "1001");
  EXPECT_EQ(Available(), 0U);
}

TEST_F(AvailableMemoryTest, KnowsTheFirstVersionOfCgroups) {
  Write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/b\n0::/\n");
  const std::string group = "sys/fs/cgroup/memory/b";
  Write(group + "/memory.limit_in_bytes", "1000\n");
  Write(group + "/memory.usage_in_bytes", "900\n");
  Write(group + "/memory.stat", "total_inactive_file 50\nactive_file 7\n");
  EXPECT_EQ(Available(), 150U);
}

TEST_F(AvailableMemoryTest, IsSomethingOnThisMachine) {
  EXPECT_GT(FindAvailableMemory().bytes, 0U);
  EXPECT_LT(FindAvailableMemory().bytes, std::numeric_limits<uint64_t>::max());
}

}  // namespace
}  // namespace neumf
