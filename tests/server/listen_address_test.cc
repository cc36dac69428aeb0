#include "server/listen_address.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::HasSubstr;

ListenAddress Parsed(absl::string_view text) {
  const auto address = ListenAddress::Parse(text);
  EXPECT_THAT(address, IsOk());
  return *address;
}

TEST(ListenAddressTest, ReadsBackWhatItPrints) {
  for (const char* text :
       {"127.0.0.1:50051", "0.0.0.0:1", "[::1]:0", "[::]:65535", "unix:/a/b"}) {
    EXPECT_EQ(Parsed(text).ToString(), text);
  }
}

TEST(ListenAddressTest, RefusesOtherForms) {
  for (const char* text : {"", "127.0.0.1", "127.0.0.1:", ":80", "::1:80",
                           "[::1]", "127.0.0.1:65536", "127.0.0.1:-1",
                           "127.0.0.1:http", "unix:", "256.0.0.1:80"}) {
    EXPECT_THAT(ListenAddress::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(ListenAddressTest, RefusesPathsThatDoNotFit) {
  EXPECT_THAT(
      ListenAddress::Parse(absl::StrCat("unix:/", std::string(200, 'x'))),
      StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ListenAddressTest, KnowsWhatOnlyThisMachineReaches) {
  for (const char* text :
       {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/a"}) {
    EXPECT_TRUE(Parsed(text).is_local()) << text;
    NEUMF_EXPECT_OK(CheckReach(Parsed(text), false));
  }
  for (const char* text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1"}) {
    EXPECT_FALSE(Parsed(text).is_local()) << text;
    EXPECT_THAT(CheckReach(Parsed(text), false),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("--allow_insecure_listen")));
    NEUMF_EXPECT_OK(CheckReach(Parsed(text), true));
  }
}

TEST(ListenSocketTest, TakesAFreePort) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket socket,
                             ListenSocket::Open(Parsed("127.0.0.1:0")));
  EXPECT_GT(socket.address().port(), 0);
}

TEST(ListenSocketTest, RefusesAPortInUse) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket socket,
                             ListenSocket::Open(Parsed("127.0.0.1:0")));
  EXPECT_THAT(ListenSocket::Open(socket.address()),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       HasSubstr(socket.address().ToString())));
}

// A listening socket as another program would make it, on a free port.
UniqueFd Listening(int family, int type) {
  UniqueFd fd(socket(family, type, 0));
  EXPECT_EQ(listen(fd.get(), 1), 0);
  return fd;
}

TEST(AdoptedSocketTest, IsMadeFitToAcceptFrom) {
  for (const int family : {AF_INET, AF_INET6}) {
    NEUMF_ASSERT_OK_AND_ASSIGN(
        const ListenSocket socket,
        ListenSocket::Adopt(Listening(family, SOCK_STREAM)));
    EXPECT_GT(socket.address().port(), 0);
    EXPECT_NE(fcntl(socket.fd(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(fcntl(socket.fd(), F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST(AdoptedSocketTest, HasToListenForStreamsOfAKnownFamily) {
  const auto is_refused = StatusIs(absl::StatusCode::kInvalidArgument,
                                   HasSubstr("is no listening"));
  int pipes[2] = {};
  ASSERT_EQ(pipe(pipes), 0);
  const UniqueFd writer(pipes[1]);
  EXPECT_THAT(ListenSocket::Adopt(UniqueFd(pipes[0])), is_refused);
  EXPECT_THAT(ListenSocket::Adopt(UniqueFd(socket(AF_INET, SOCK_STREAM, 0))),
              is_refused);
  EXPECT_THAT(ListenSocket::Adopt(UniqueFd(socket(AF_INET, SOCK_DGRAM, 0))),
              is_refused);
  UniqueFd abstract(socket(AF_UNIX, SOCK_STREAM, 0));
  const sockaddr any = {AF_UNIX, {}};  // the system chooses a name
  ASSERT_EQ(bind(abstract.get(), &any, sizeof(any.sa_family)), 0);
  ASSERT_EQ(listen(abstract.get(), 1), 0);
  EXPECT_THAT(ListenSocket::Adopt(std::move(abstract)), is_refused);
  EXPECT_THAT(ListenSocket::Adopt(UniqueFd()),
              StatusIs(absl::StatusCode::kInvalidArgument, "is not open"));
}

class UnixSocketTest : public testing::Test {
 protected:
  const TempDirectory directory_;
  const std::string path_ = directory_.Path("socket");
  const ListenAddress address_ = Parsed("unix:" + path_);
};

TEST_F(UnixSocketTest, IsForOwnerAndGroup) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket socket,
                             ListenSocket::Open(address_));
  struct stat info = {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0660U);
}

TEST_F(UnixSocketTest, IsRefusedWhileSomebodyListens) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket socket,
                             ListenSocket::Open(address_));
  EXPECT_THAT(ListenSocket::Open(address_),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(UnixSocketTest, IsRemovedWithItsOwner) {
  { NEUMF_ASSERT_OK(ListenSocket::Open(address_)); }
  struct stat info = {};
  EXPECT_NE(stat(path_.c_str(), &info), 0);
}

TEST_F(UnixSocketTest, LeavesThePathToWhomItWasAdoptedFrom) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket owner,
                             ListenSocket::Open(address_));
  {
    NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket adopted,
                               ListenSocket::Adopt(UniqueFd(dup(owner.fd()))));
    EXPECT_EQ(adopted.address().ToString(), address_.ToString());
  }
  struct stat info = {};
  EXPECT_EQ(stat(path_.c_str(), &info), 0);
}

TEST_F(UnixSocketTest, ReplacesAnOrphan) {
  {
    // As a killed process leaves it: the file without a listener.
    NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket socket,
                               ListenSocket::Open(address_));
    ASSERT_EQ(shutdown(socket.fd(), SHUT_RDWR), 0);
    ASSERT_EQ(rename(path_.c_str(), directory_.Path("kept").c_str()), 0);
  }
  ASSERT_EQ(rename(directory_.Path("kept").c_str(), path_.c_str()), 0);
  NEUMF_EXPECT_OK(ListenSocket::Open(address_));
}

TEST_F(UnixSocketTest, NeverReplacesAFile) {
  std::ofstream(path_) << "precious";
  EXPECT_THAT(ListenSocket::Open(address_),
              StatusIs(absl::StatusCode::kAlreadyExists));
  std::string content;
  std::ifstream(path_) >> content;
  EXPECT_EQ(content, "precious");
}

}  // namespace
}  // namespace neumf
