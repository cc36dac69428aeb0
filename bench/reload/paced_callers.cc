// Callers who come at a given rate and check the answers (paced_calls.h).
//
//   paced_callers --target=ADDRESS --users=FILE [--connections=16] [--k=10]
//
// Each line of stdin is answered by a line of JSON:
//   learn        {"ok": true}: the answers of the version served now are known
//   run RATE     calls until the next line comes, of any text. {"failed",
//                "inconsistent", "due": [...], "sent": [...], "ended": [...]},
//                in seconds on the monotonic clock

#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "base/logging.h"
#include "bench/reload/paced_calls.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(std::string, target, "", "Required. The server's address.");
ABSL_FLAG(std::string, users, "", "Required. Ids of users, one a line.");
// A server takes no more than 256 calls at once on each.
ABSL_FLAG(size_t, connections, 16, "Connections, used in turn.");
ABSL_FLAG(int32_t, k, 10, "Items a user.");

namespace neumf {
namespace {

using Json = nlohmann::ordered_json;

bool LineCame() {
  // A line that came early would lie in the stream's buffer.
  if (std::cin.rdbuf()->in_avail() > 0) return true;
  pollfd input = {STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, 0) > 0;
}

int Main() {
  prctl(PR_SET_TIMERSLACK, 1);  // calls leave when they are due
  std::ifstream file(absl::GetFlag(FLAGS_users));
  std::vector<std::string> users;
  for (std::string line; std::getline(file, line);) users.push_back(line);
  NEUMF_CHECK(!users.empty());
  PacedCalls calls(std::vector<std::string>(absl::GetFlag(FLAGS_connections),
                                            absl::GetFlag(FLAGS_target)),
                   users, absl::GetFlag(FLAGS_k));
  for (std::string command; std::cin >> command;) {
    double rate = 0;
    if (command == "learn") {
      std::cout << Json{{"ok", calls.Learn()}}.dump() << std::endl;
    } else if (command == "run" && std::cin >> rate && rate > 0) {
      std::string rest;
      std::getline(std::cin, rest);
      const PacedResult result = calls.Run(rate, LineCame);
      std::getline(std::cin, rest);
      std::cout << Json{{"failed", result.failed},
                        {"inconsistent", result.inconsistent},
                        {"due", result.due},
                        {"sent", result.sent},
                        {"ended", result.ended}}
                       .dump()
                << std::endl;
    } else {
      std::cerr << command << ": unknown, or incomplete" << std::endl;
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("calls a server; see bench/reload/");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
