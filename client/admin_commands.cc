#include "client/admin_commands.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "client/missing_service.h"
#include "client/rpc.h"
#include "client/security_options.h"
#include "client/text_table.h"
#include "google/protobuf/util/time_util.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "neumf/v1/model_service.grpc.pb.h"

namespace neumf {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr absl::Duration kDefaultTimeout = absl::Seconds(2);

// "SERVING" of MODEL_STATE_SERVING.
std::string StateText(v1::ModelState state) {
  const std::string name = v1::ModelState_Name(state);
  if (name.empty()) return absl::StrCat("state ", static_cast<int>(state));
  return std::string(absl::StripPrefix(name, "MODEL_STATE_"));
}

std::string TimeText(bool is_set, const google::protobuf::Timestamp& time) {
  // Seconds are what a person wants to see.
  google::protobuf::Timestamp whole_seconds;
  whole_seconds.set_seconds(time.seconds());
  return is_set ? google::protobuf::util::TimeUtil::ToString(whole_seconds)
                : "-";
}

std::string VersionsTable(const v1::ListModelVersionsResponse& response) {
  using Align = TextTable::Align;
  TextTable table({{"version", Align::kRight},
                   {"state", Align::kLeft},
                   {"found", Align::kLeft},
                   {"serving since", Align::kLeft},
                   {"file bytes", Align::kRight},
                   {"resident", Align::kRight},
                   {"users", Align::kRight},
                   {"items", Align::kRight},
                   {"kind", Align::kLeft},
                   {"digest", Align::kLeft},
                   {"reason", Align::kLeft}});
  for (const v1::ModelVersion& version : response.versions()) {
    table.AddRow({version.version(), StateText(version.state()),
                  TimeText(version.has_found_time(), version.found_time()),
                  TimeText(version.has_load_time(), version.load_time()),
                  absl::StrCat(version.file_bytes()),
                  absl::StrCat(version.resident_bytes()),
                  absl::StrCat(version.user_count()),
                  absl::StrCat(version.item_count()), version.kind(),
                  version.digest().substr(0, 12), version.reason()});
  }
  return table.ToString();
}

absl::Status Versions(const Args& args, std::ostream& out) {
  NEUMF_ASSIGN_OR_RETURN(const absl::Duration timeout,
                         args.Time("--timeout", kDefaultTimeout));
  NEUMF_ASSIGN_OR_RETURN(const ChannelSecurity security, ReadSecurity(args));
  const auto stub = v1::ModelService::NewStub(
      MakeChannel(std::string(args.value("--admin")), {}, security));
  grpc::ClientContext context;
  SetTimeout(timeout, &context);
  v1::ListModelVersionsResponse response;
  const absl::Status status =
      FromGrpcStatus(stub->ListModelVersions(&context, {}, &response));
  NEUMF_RETURN_IF_ERROR(ExplainMissingService(status, args, "--admin"));
  out << VersionsTable(response);
  return absl::OkStatus();
}

absl::Status CheckHealth(const Args& args, std::ostream& out) {
  NEUMF_ASSIGN_OR_RETURN(const absl::Duration timeout,
                         args.Time("--timeout", kDefaultTimeout));
  NEUMF_ASSIGN_OR_RETURN(const ChannelSecurity security, ReadSecurity(args));
  const auto stub = Health::NewStub(
      MakeChannel(std::string(args.value("--server")), {}, security));
  grpc::ClientContext context;
  SetTimeout(timeout, &context);
  NEUMF_RETURN_IF_ERROR(args.CheckUtf8("--service"));
  HealthCheckRequest request;
  request.set_service(std::string(args.value("--service")));
  HealthCheckResponse response;
  const absl::Status called =
      FromGrpcStatus(stub->Check(&context, request, &response));
  NEUMF_RETURN_IF_ERROR(ExplainMissingService(called, args, "--server"));
  const std::string status =
      HealthCheckResponse::ServingStatus_Name(response.status());
  if (response.status() != HealthCheckResponse::SERVING) {
    return absl::UnavailableError(absl::StrCat("the server is ", status));
  }
  out << status << "\n";
  return absl::OkStatus();
}

Command VersionsCommand() {
  Command command;
  command.name = "versions";
  command.summary = "list the checkpoints that the server has met";
  command.description =
      "Prints every attempt to load a checkpoint that the server remembers, "
      "newest first,\nwith its state and, for a refused one, the reason.";
  command.options = {
      {"--admin", "ADDR", "the server's admin listener", OptionSpec::kRequired},
      {"--timeout", "TIME", "give up after this time (2s)"}};
  AddSecurityOptions(&command.options);
  command.run = Versions;
  return command;
}

Command HealthCommand() {
  Command command;
  command.name = "health";
  command.summary = "check whether the server serves";
  command.description =
      "Prints SERVING and exits with 0 when the server does; else says why not "
      "and exits\nwith 1. Fit for the health check of a container.";
  command.options = {
      {"--server", "ADDR", "the server: host:port or unix:PATH",
       OptionSpec::kRequired},
      {"--service", "NAME", "of this service; without it, of the whole server"},
      {"--timeout", "TIME", "give up after this time (2s)"}};
  AddSecurityOptions(&command.options);
  command.run = CheckHealth;
  return command;
}

}  // namespace

std::vector<Command> AdminCommands() {
  return {VersionsCommand(), HealthCommand()};
}

}  // namespace neumf
