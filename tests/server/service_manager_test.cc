#include "server/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

// What systemd is to a service: a socket for datagrams.
class FakeSystemd {
 public:
  explicit FakeSystemd(const std::string& name)
      : socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    const size_t size = offsetof(sockaddr_un, sun_path) + name.size();
    NEUMF_CHECK(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address),
                     static_cast<socklen_t>(size)) == 0);
  }

  // Waits for the next one.
  std::string Next() { return Receive(0); }
  // Empty when there is none.
  std::string NextIfThere() { return Receive(MSG_DONTWAIT); }

 private:
  std::string Receive(int flags) {
    std::string text(4096, '\0');
    const ssize_t size = recv(socket_.get(), &text[0], text.size(), flags);
    text.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return text;
  }

  const UniqueFd socket_;
};

class ServiceManagerTest : public testing::Test {
 protected:
  // Of this test alone, in a namespace that all processes share.
  const std::string name_ = absl::StrCat(
      "@neumf-", getpid(), "-",
      testing::UnitTest::GetInstance()->current_test_info()->name());
  FakeSystemd systemd_{name_};
  FakeClock clock_;
};

TEST_F(ServiceManagerTest, TellsWhenItIsReadyAndWhenItStops) {
  ServiceManager manager(name_, absl::ZeroDuration(), &clock_);
  manager.Ready();
  EXPECT_EQ(systemd_.Next(), "READY=1");
  manager.Stopping();
  EXPECT_EQ(systemd_.Next(), "STOPPING=1");
}

TEST_F(ServiceManagerTest, TheSocketMayBeAFile) {
  const TempDirectory directory;
  const std::string path = directory.path() + "/notify";
  FakeSystemd systemd(path);
  ServiceManager(path, absl::ZeroDuration(), &clock_).Ready();
  EXPECT_EQ(systemd.Next(), "READY=1");
}

TEST_F(ServiceManagerTest, WithoutASocketNothingHappens) {
  for (const std::string& socket :
       {std::string(), std::string("relative"), std::string(200, '/'),
        std::string("/nowhere/at/all")}) {
    ServiceManager manager(socket, absl::Seconds(1), &clock_);
    manager.Ready();
    manager.KeepInformed([] { return ServiceManager::Report(); });
  }
  EXPECT_EQ(systemd_.NextIfThere(), "");
}

TEST_F(ServiceManagerTest, FeedsTheWatchdogOnlyWhileLive) {
  std::atomic<bool> live{true};
  std::atomic<int> reports{0};
  ServiceManager manager(name_, absl::Seconds(8), &clock_);
  manager.KeepInformed([&] {
    ++reports;
    return ServiceManager::Report{live, ""};
  });
  std::string fed;
  EXPECT_TRUE(Eventually([&] {
    clock_.Advance(absl::Milliseconds(100));
    return !(fed = systemd_.NextIfThere()).empty();
  }));
  EXPECT_EQ(fed, "WATCHDOG=1");

  live = false;
  const auto turns_pass = [&](int count) {
    const int before = reports;
    return Eventually([&] {
      clock_.Advance(absl::Seconds(1));
      return reports >= before + count;
    });
  };
  ASSERT_TRUE(turns_pass(2));  // what was on its way has been sent
  while (!systemd_.NextIfThere().empty()) {
  }
  ASSERT_TRUE(turns_pass(10));
  EXPECT_EQ(systemd_.NextIfThere(), "");

  live = true;
  ASSERT_TRUE(turns_pass(10));
  EXPECT_EQ(systemd_.Next(), "WATCHDOG=1");
}

TEST_F(ServiceManagerTest, TellsItsStatusWhenItHasChanged) {
  std::atomic<int> version{1};
  ServiceManager manager(name_, absl::ZeroDuration(), &clock_);
  std::atomic<int> reports{0};
  manager.KeepInformed([&] {
    ++reports;
    return ServiceManager::Report{true,
                                  absl::StrCat("version ", version.load())};
  });
  const auto pass_turns = [&] {
    const int before = reports;
    EXPECT_TRUE(Eventually([&] {
      clock_.Advance(absl::Seconds(1));
      return reports >= before + 3;
    }));
  };
  pass_turns();
  version = 2;
  pass_turns();
  EXPECT_EQ(systemd_.NextIfThere(), "STATUS=version 1");
  EXPECT_EQ(systemd_.NextIfThere(), "STATUS=version 2");
  EXPECT_EQ(systemd_.NextIfThere(), "");
}

}  // namespace
}  // namespace neumf
