#include "client/replay_command.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/file_system.h"
#include "base/pseudonyms.h"
#include "base/status_macros.h"
#include "client/arrival_schedule.h"
#include "client/load_report.h"
#include "client/open_loop.h"
#include "client/recorded_calls.h"
#include "client/security_options.h"
#include "client/text_table.h"
#include "client/user_ids.h"

namespace neumf {
namespace {

constexpr uint64_t kMaxLogBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxSaltBytes = 4096;
constexpr uint64_t kSeed = 1;

// Of a run whose calls are all due at once, for the rates of the report.
constexpr absl::Duration kShortestRun = absl::Seconds(1);

constexpr char kUsersAreHashed[] =
    "the log holds hashes in place of users. With --users FILE, the ids of all "
    "users, and --salt_file FILE, the --request_log_salt_file of the server, "
    "each becomes its user again; with --users alone each becomes one of FILE, "
    "the same one everywhere, which is the same load of other users";

absl::StatusOr<double> PositiveNumber(const Args& args,
                                      absl::string_view option,
                                      double otherwise) {
  if (!args.has(option)) return otherwise;
  double number = 0;
  if (absl::SimpleAtod(args.value(option), &number) && std::isfinite(number) &&
      number > 0) {
    return number;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      option, ": '", args.value(option), "' is not a number above 0"));
}

absl::StatusOr<std::optional<std::string>> ReadSalt(FileSystem& files,
                                                    const Args& args) {
  if (!args.has("--salt_file")) return std::nullopt;
  NEUMF_ASSIGN_OR_RETURN(
      const std::string text,
      ReadWholeFile(files, args.value("--salt_file"), kMaxSaltBytes));
  std::string salt(absl::StripSuffix(text, "\n"));
  NEUMF_RETURN_IF_ERROR(
      Annotate(Pseudonyms::CheckSalt(salt), args.value("--salt_file")));
  return salt;
}

// The calls of --log, about users whom a server may know.
absl::StatusOr<RecordedCalls> ReadCalls(const Args& args) {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  const absl::string_view path = args.value("--log");
  NEUMF_ASSIGN_OR_RETURN(const std::string text,
                         ReadWholeFile(*files, path, kMaxLogBytes));
  absl::StatusOr<RecordedCalls> recorded = ParseRequestLog(text);
  if (!recorded.ok()) return Annotate(recorded.status(), path);
  if (!recorded->has_hashed_users()) return recorded;
  if (!args.has("--users")) {
    return absl::FailedPreconditionError(kUsersAreHashed);
  }
  NEUMF_ASSIGN_OR_RETURN(const std::vector<std::string> user_ids,
                         ReadUserIds(*files, args.value("--users")));
  NEUMF_ASSIGN_OR_RETURN(const std::optional<std::string> salt,
                         ReadSalt(*files, args));
  NEUMF_RETURN_IF_ERROR(NameUsers(user_ids, salt, &*recorded));
  return recorded;
}

// When each call is due: as in the log at `speed`, or at --rate.
absl::StatusOr<std::vector<absl::Duration>> DueTimes(
    const Args& args, const std::vector<v1::LoggedCall>& calls) {
  if (args.has("--rate") && args.has("--speed")) {
    return absl::InvalidArgumentError("either --rate or --speed, not both");
  }
  NEUMF_ASSIGN_OR_RETURN(const double speed,
                         PositiveNumber(args, "--speed", 1));
  NEUMF_ASSIGN_OR_RETURN(const double rate, PositiveNumber(args, "--rate", 1));
  ArrivalSchedule schedule(ArrivalSchedule::Kind::kPoisson, rate, kSeed);
  const absl::Time first = ArrivalOf(calls.front());
  std::vector<absl::Duration> due;
  due.reserve(calls.size());
  for (const v1::LoggedCall& call : calls) {
    due.push_back(args.has("--rate") ? schedule.Next()
                                     : (ArrivalOf(call) - first) / speed);
  }
  return due;
}

LoadResult RunCalls(const std::vector<v1::LoggedCall>& calls,
                    const std::vector<absl::Duration>& due,
                    absl::Duration deadline, OpenLoop* loop) {
  const absl::Duration duration = std::max(due.back(), kShortestRun);
  LoadResult result(
      static_cast<double>(calls.size()) / absl::ToDoubleSeconds(duration),
      duration, deadline);
  size_t next = 0;
  loop->Run(
      [&]() -> std::optional<ScheduledCall> {
        if (next == calls.size()) return std::nullopt;
        const v1::LoggedCall& call = calls[next];
        const bool is_batch = call.has_batch_recommend();
        return ScheduledCall{due[next++], /*counts=*/true, is_batch,
                             is_batch ? ToBytes(call.batch_recommend())
                                      : ToBytes(call.recommend())};
      },
      &result);
  return result;
}

// What a reader of the table compares it with.
std::string LogSummary(const RecordedCalls& recorded) {
  std::string text = absl::StrCat(
      "in the log: ",
      absl::StrJoin(recorded.CountCodes(), ", ", absl::PairFormatter(" ")));
  if (recorded.num_left_out > 0) {
    absl::StrAppend(&text, "; left out, as their users are not in --users: ",
                    recorded.num_left_out);
  }
  if (recorded.num_broken_lines > 0) {
    absl::StrAppend(&text,
                    "; lines that are no calls: ", recorded.num_broken_lines);
  }
  return Printable(text) + "\n";
}

absl::Status Replay(const Args& args, std::ostream& out) {
  OpenLoop::Options options;
  options.target = std::string(args.value("--server"));
  NEUMF_ASSIGN_OR_RETURN(options.security, ReadSecurity(args));
  NEUMF_ASSIGN_OR_RETURN(options.connections,
                         args.Number("--connections", options.connections));
  NEUMF_ASSIGN_OR_RETURN(options.deadline,
                         args.Time("--deadline", options.deadline));
  NEUMF_ASSIGN_OR_RETURN(const absl::Duration max_lag,
                         args.Time("--max_lag", absl::Milliseconds(5)));
  NEUMF_ASSIGN_OR_RETURN(const RecordedCalls recorded, ReadCalls(args));
  NEUMF_ASSIGN_OR_RETURN(const std::vector<absl::Duration> due,
                         DueTimes(args, recorded.calls));
  NEUMF_ASSIGN_OR_RETURN(const auto loop, OpenLoop::Create(options));
  const LoadResult result =
      RunCalls(recorded.calls, due, options.deadline, loop.get());
  out << (args.has("--json") ? LoadJson(result) + "\n"
                             : LoadTable(result) + LogSummary(recorded));
  return CheckClient(result, max_lag);
}

}  // namespace

Command ReplayCommand() {
  Command command;
  command.name = "replay";
  command.summary = "make the calls of a request log once more";
  command.description =
      "Makes the calls that neumf-server --request_log has written, in the "
      "order in which\nthey came: at the times of the log, --speed times "
      "faster, or at --rate as independent\ncallers do. A log of a share of "
      "the calls makes that share of the load: a log of\n1 % at --speed 100 "
      "comes as fast as what it was taken from.\n\n"
      "Prints the table of load-test, whose latencies count from the moment a "
      "call was due,\nand how the calls of the log had ended. Hashed users "
      "have to be named: by --users and\nthe --salt_file of the server as who "
      "they were, by --users alone as anybody.";
  command.options = {
      {"--log", "FILE", "the request log", OptionSpec::kRequired},
      {"--server", "ADDR", "the server: host:port or unix:PATH",
       OptionSpec::kRequired},
      {"--speed", "S", "how much faster than in the log (1)"},
      {"--rate", "R", "or: calls a second"},
      {"--users", "FILE", "users in place of hashes, an id a line"},
      {"--salt_file", "FILE", "the secret under which they were hashed"},
      {"--deadline", "TIME", "of a call, from when it was due (1s)"},
      {"--connections", "N", "connections, used in turn (1)"},
      {"--max_lag", "TIME", "most lag of this client at p99 (5ms)"},
      {"--json", "", "print JSON, times in seconds"}};
  AddSecurityOptions(&command.options);
  command.run = Replay;
  return command;
}

}  // namespace neumf
