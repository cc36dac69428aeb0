// A pool whose later threads find no room for their stacks. Sanitizers reserve
// far more address space than the limit set here.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "base/thread_pool.h"

namespace neumf {
namespace {

// What this process has mapped.
size_t AddressSpaceBytes() {
  size_t pages = 0;
  std::FILE* const statm = std::fopen("/proc/self/statm", "r");
  if (statm == nullptr || std::fscanf(statm, "%zu", &pages) != 1) std::abort();
  std::fclose(statm);
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// Leaves room for a few threads, then asks for many.
[[noreturn]] void StartMoreThreadsThanFit() {
  rlimit limit = {};
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = AddressSpaceBytes() + (32 << 20);
  setrlimit(RLIMIT_AS, &limit);
  try {
    const ThreadPool pool(64, "test");
  } catch (const std::system_error&) {
    std::_Exit(0);
  }
  std::_Exit(1);
}

TEST(ThreadPoolDeathTest, ThrowsWhenAThreadCannotBeStarted) {
  EXPECT_EXIT(StartMoreThreadsThanFit(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace neumf
