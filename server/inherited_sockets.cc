#include "server/inherited_sockets.h"

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr int kFirst = 3;
constexpr int kMost = 2;

// The value of a variable that children are not to see; empty if there is none.
std::string TakeVariable(const char* name) {
  // No other thread is there yet: NOLINTNEXTLINE(concurrency-mt-unsafe)
  const char* const found = std::getenv(name);
  std::string value = found == nullptr ? "" : found;
  unsetenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value;
}

absl::StatusOr<std::vector<std::string>> NamesOf(const std::string& names,
                                                 int count) {
  if (names.empty()) return std::vector<std::string>{"grpc", "admin"};
  std::vector<std::string> split = absl::StrSplit(names, ':');
  if (split.size() != static_cast<size_t>(count)) {
    return absl::InvalidArgumentError(
        absl::StrCat("LISTEN_FDNAMES: names ", split.size(),
                     " sockets, LISTEN_FDS says ", count));
  }
  return split;
}

absl::Status Adopt(int fd, const std::string& name, InheritedSockets* sockets) {
  if (name != "grpc" && name != "admin") {
    return absl::InvalidArgumentError(
        absl::StrCat("LISTEN_FDNAMES: \"", name,
                     "\" is neither grpc nor admin (FileDescriptorName=)"));
  }
  auto* const place = name == "grpc" ? &sockets->grpc : &sockets->admin;
  if (place->has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("LISTEN_FDNAMES: two sockets are named ", name));
  }
  absl::StatusOr<ListenSocket> socket = ListenSocket::Adopt(UniqueFd(fd));
  if (!socket.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("LISTEN_FDS: descriptor ",
                                                   fd, " (", name, ") ",
                                                   socket.status().message()));
  }
  place->emplace(*std::move(socket));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<InheritedSockets> TakeInheritedSockets() {
  const std::string pid = TakeVariable("LISTEN_PID");
  const std::string number = TakeVariable("LISTEN_FDS");
  const std::string all_names = TakeVariable("LISTEN_FDNAMES");
  InheritedSockets sockets;
  // A parent's variables may still be there: they are not for us.
  if (pid != absl::StrCat(getpid())) return sockets;
  int count = 0;
  if (!absl::SimpleAtoi(number, &count) || count < 0 || count > kMost) {
    return absl::InvalidArgumentError(
        absl::StrCat("LISTEN_FDS: must be from 0 to ", kMost));
  }
  NEUMF_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                         NamesOf(all_names, count));
  for (int i = 0; i < count; ++i) {
    NEUMF_RETURN_IF_ERROR(Adopt(kFirst + i, names[i], &sockets));
  }
  return sockets;
}

}  // namespace neumf
