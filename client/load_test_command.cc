#include "client/load_test_command.h"

#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_reader.h"
#include "client/load_generator.h"
#include "client/load_report.h"
#include "client/rate_search.h"
#include "client/security_options.h"
#include "client/user_ids.h"

namespace neumf {
namespace {

// Where the goal of a sweep is looked at.
constexpr double kQuantile = 0.99;

// A sweep ends when the rates kept and missed are this close, and gives up
// below one call a second.
constexpr double kSweepPrecision = 0.05;
constexpr double kLowestRate = 1;

absl::StatusOr<std::vector<std::string>> ReadCheckpointUserIds(
    FileSystem& files, absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const auto reader,
                         CheckpointReader::Open(files, path, {}));
  NEUMF_ASSIGN_OR_RETURN(
      const ServingModel model,
      reader->Read([](const ItemRows& /*rows*/) { return absl::OkStatus(); }));
  std::vector<std::string> ids;
  ids.reserve(model.user_ids.size());
  for (uint64_t row = 0; row < model.user_ids.size(); ++row) {
    ids.emplace_back(model.user_ids.id(row));
  }
  return ids;
}

absl::StatusOr<std::vector<std::string>> UserIds(const Args& args) {
  if (args.has("--users") == args.has("--checkpoint")) {
    return absl::InvalidArgumentError(
        "users come either from --users or from --checkpoint");
  }
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  return args.has("--users")
             ? ReadUserIds(*files, args.value("--users"))
             : ReadCheckpointUserIds(*files, args.value("--checkpoint"));
}

absl::StatusOr<ArrivalSchedule::Kind> Arrivals(const Args& args) {
  const absl::string_view name = args.value("--arrivals", "poisson");
  if (name == "poisson") return ArrivalSchedule::Kind::kPoisson;
  if (name == "uniform") return ArrivalSchedule::Kind::kUniform;
  return absl::InvalidArgumentError(
      absl::StrCat("--arrivals: '", name, "' is neither poisson nor uniform"));
}

absl::StatusOr<double> Rate(const Args& args) {
  double rate = 0;
  if (!absl::SimpleAtod(args.value("--rate"), &rate) || !std::isfinite(rate) ||
      rate < kLowestRate) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rate: '", args.value("--rate"),
                     "' is not a number of at least 1 call a second"));
  }
  return rate;
}

absl::StatusOr<LoadGenerator::Options> GeneratorOptions(const Args& args) {
  LoadGenerator::Options options;
  options.target = std::string(args.value("--server"));
  NEUMF_ASSIGN_OR_RETURN(options.security, ReadSecurity(args));
  NEUMF_ASSIGN_OR_RETURN(options.user_ids, UserIds(args));
  NEUMF_ASSIGN_OR_RETURN(options.connections,
                         args.Number("--connections", options.connections));
  NEUMF_ASSIGN_OR_RETURN(options.k, args.Number("-k", options.k));
  NEUMF_ASSIGN_OR_RETURN(options.batch_size,
                         args.Number("--batch_size", options.batch_size));
  NEUMF_ASSIGN_OR_RETURN(options.duration,
                         args.Time("--duration", options.duration));
  NEUMF_ASSIGN_OR_RETURN(options.warmup, args.Time("--warmup", options.warmup));
  NEUMF_ASSIGN_OR_RETURN(options.deadline,
                         args.Time("--deadline", options.deadline));
  NEUMF_ASSIGN_OR_RETURN(options.arrivals, Arrivals(args));
  NEUMF_ASSIGN_OR_RETURN(const int32_t seed, args.Number("--seed", 1));
  options.seed = static_cast<uint64_t>(seed);
  return options;
}

absl::Status RunOnce(LoadGenerator& generator, double rate,
                     absl::Duration max_lag, bool json, std::ostream& out) {
  const LoadResult result = generator.Run(rate);
  out << (json ? LoadJson(result) + "\n" : LoadTable(result));
  NEUMF_RETURN_IF_ERROR(CheckClient(result, max_lag));
  if (result.answered().count() == 0) {
    return absl::UnavailableError("no call was answered");
  }
  return absl::OkStatus();
}

RateVerdict Verdict(const LoadResult& result, absl::Duration goal,
                    absl::Duration max_lag) {
  if (!CheckClient(result, max_lag).ok()) return RateVerdict::kClientTooSlow;
  return result.Quantile(kQuantile) <= goal ? RateVerdict::kKept
                                            : RateVerdict::kMissed;
}

absl::Status Sweep(LoadGenerator& generator, double start, absl::Duration goal,
                   absl::Duration max_lag, bool json, std::ostream& out) {
  std::vector<RateTrial> trials;
  NEUMF_ASSIGN_OR_RETURN(
      const RateSearchResult found,
      FindHighestRate(start, kLowestRate, kSweepPrecision,
                      [&](double rate) -> absl::StatusOr<RateVerdict> {
                        LoadResult result = generator.Run(rate);
                        const RateVerdict verdict =
                            Verdict(result, goal, max_lag);
                        trials.push_back({std::move(result), verdict});
                        return verdict;
                      }));
  out << (json ? SweepJson(trials, found, goal) + "\n"
               : SweepTable(trials, found, goal));
  if (found.rate > 0) return absl::OkStatus();
  return absl::FailedPreconditionError("no rate keeps the goal");
}

absl::Status LoadTest(const Args& args, std::ostream& out) {
  NEUMF_ASSIGN_OR_RETURN(const double rate, Rate(args));
  NEUMF_ASSIGN_OR_RETURN(const absl::Duration goal,
                         args.Time("--goal", absl::Milliseconds(50)));
  NEUMF_ASSIGN_OR_RETURN(const absl::Duration max_lag,
                         args.Time("--max_lag", absl::Milliseconds(5)));
  NEUMF_ASSIGN_OR_RETURN(LoadGenerator::Options options,
                         GeneratorOptions(args));
  NEUMF_ASSIGN_OR_RETURN(const auto generator,
                         LoadGenerator::Create(std::move(options)));
  const bool json = args.has("--json");
  return args.has("--sweep") ? Sweep(*generator, rate, goal, max_lag, json, out)
                             : RunOnce(*generator, rate, max_lag, json, out);
}

}  // namespace

Command LoadTestCommand() {
  Command command;
  command.name = "load-test";
  command.summary = "offer calls at a given rate and print the latencies";
  command.description =
      "Offers calls at a rate that does not depend on the answers (an open "
      "loop).\nLatencies count from the moment a call was due, so a stall is "
      "charged to every\ncall that came due meanwhile. Quantiles are at most "
      "0.8 % too high.\n\n"
      "'all' takes an unanswered call for one that lasts for ever. 'refused' "
      "are calls that\na full server turns away (QUEUE_FULL, WAIT_TOO_LONG, "
      "OVERLOADED), 'over_quota' those\nbeyond the caller's quota, 'failed' "
      "all others, a server that is gone included.\n'lag' is how late calls "
      "left this client. Fails when its "
      "p99 is above --max_lag, or\nthe answers kept a thread busy: then the "
      "times are not the server's.\n\n"
      "With --sweep the rate is doubled from --rate, then bisected, and the "
      "highest one is\nprinted whose p99 of all calls is within --goal.";
  command.options = {
      {"--server", "ADDR", "the server: host:port or unix:PATH",
       OptionSpec::kRequired},
      {"--rate", "R", "calls a second", OptionSpec::kRequired},
      {"--users", "FILE", "users to draw from, an id a line"},
      {"--checkpoint", "FILE", "or: the users of a checkpoint"},
      {"--duration", "TIME", "how long to measure (10s)"},
      {"--warmup", "TIME", "load before that, not counted (1s)"},
      {"--deadline", "TIME", "of a call, from when it was due (1s)"},
      {"--connections", "N", "connections, used in turn (1)"},
      {"--arrivals", "KIND", "poisson (default) or uniform gaps"},
      {"-k", "N", "items a user; 0 is the server's default (10)"},
      {"--batch_size", "N", "users a BatchRecommend; 0 calls Recommend (0)"},
      {"--seed", "N", "of the arrivals and the users (1)"},
      {"--max_lag", "TIME", "most lag of this client at p99 (5ms)"},
      {"--sweep", "", "search the highest rate that keeps --goal"},
      {"--goal", "TIME", "of p99 in a sweep (50ms)"},
      {"--json", "", "print JSON, times in seconds"}};
  AddSecurityOptions(&command.options);
  command.run = LoadTest;
  return command;
}

}  // namespace neumf
