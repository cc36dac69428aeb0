#include "server/inherited_sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

// What takes descriptors that are there is in socket_activation_test.py: those
// of this process are its own.
absl::StatusOr<InheritedSockets> TakeFrom(const std::string& pid,
                                          const std::string& count,
                                          const std::string& names) {
  setenv("LISTEN_PID", pid.c_str(), /*overwrite=*/1);
  setenv("LISTEN_FDS", count.c_str(), /*overwrite=*/1);
  setenv("LISTEN_FDNAMES", names.c_str(), /*overwrite=*/1);
  auto sockets = TakeInheritedSockets();
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    EXPECT_EQ(std::getenv(name), nullptr) << name;
  }
  return sockets;
}

std::string Own() { return std::to_string(getpid()); }

TEST(InheritedSocketsTest, AreThoseOfThisProcess) {
  for (const char* pid : {"", "1", "x"}) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const InheritedSockets sockets,
                               TakeFrom(pid, "1", "grpc"));
    EXPECT_FALSE(sockets.grpc.has_value()) << pid;
    EXPECT_FALSE(sockets.admin.has_value()) << pid;
  }
}

TEST(InheritedSocketsTest, MayBeNone) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const InheritedSockets sockets,
                             TakeFrom(Own(), "0", ""));
  EXPECT_FALSE(sockets.grpc.has_value());
}

TEST(InheritedSocketsTest, AreTwoAtMost) {
  for (const char* count : {"", "3", "-1", "99999999999", "one"}) {
    EXPECT_THAT(TakeFrom(Own(), count, ""),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("LISTEN_FDS: must be from 0 to 2")))
        << count;
  }
}

TEST(InheritedSocketsTest, AreNamedEach) {
  EXPECT_THAT(TakeFrom(Own(), "1", "grpc:admin"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "LISTEN_FDNAMES: names 2 sockets, LISTEN_FDS says 1"));
  EXPECT_THAT(TakeFrom(Own(), "2", "neumf-server.socket:grpc"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("neither grpc nor admin")));
}

}  // namespace
}  // namespace neumf
