#include "client/admin_commands.h"

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/utf8.h"
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
// A large model may have to be read from a slow disk.
constexpr absl::Duration kLoadTimeout = absl::Minutes(10);

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

absl::StatusOr<std::unique_ptr<v1::ModelService::Stub>> ConnectToAdmin(
    const Args& args) {
  NEUMF_ASSIGN_OR_RETURN(const ChannelSecurity security, ReadSecurity(args));
  return v1::ModelService::NewStub(
      MakeChannel(std::string(args.value("--admin")), {}, security));
}

// Of a LoadModelVersionResponse or a RollbackModelVersionResponse.
template <typename Response>
void PrintServed(const Response& response, std::ostream& out) {
  if (response.has_version()) {
    out << "serving version " << Printable(response.version().version())
        << "\n";
  } else {
    out << "serving nothing yet\n";
  }
  if (!response.unsaved_reason().empty()) {
    out << "note: " << Printable(response.unsaved_reason()) << "\n";
  }
}

absl::Status LoadVersion(const Args& args, std::ostream& out) {
  NEUMF_ASSIGN_OR_RETURN(const absl::Duration timeout,
                         args.Time("--timeout", kLoadTimeout));
  NEUMF_ASSIGN_OR_RETURN(const auto stub, ConnectToAdmin(args));
  v1::LoadModelVersionRequest request;
  if (!IsValidUtf8(args.operand(0))) {
    return absl::InvalidArgumentError("VERSION: not valid UTF-8");
  }
  request.set_version(args.operand(0));
  grpc::ClientContext context;
  SetTimeout(timeout, &context);
  v1::LoadModelVersionResponse response;
  const absl::Status status =
      FromGrpcStatus(stub->LoadModelVersion(&context, request, &response));
  NEUMF_RETURN_IF_ERROR(ExplainMissingService(status, args, "--admin"));
  PrintServed(response, out);
  return absl::OkStatus();
}

absl::Status RollBack(const Args& args, std::ostream& out) {
  NEUMF_ASSIGN_OR_RETURN(const absl::Duration timeout,
                         args.Time("--timeout", kLoadTimeout));
  NEUMF_ASSIGN_OR_RETURN(const auto stub, ConnectToAdmin(args));
  grpc::ClientContext context;
  SetTimeout(timeout, &context);
  v1::RollbackModelVersionResponse response;
  const absl::Status status =
      FromGrpcStatus(stub->RollbackModelVersion(&context, {}, &response));
  NEUMF_RETURN_IF_ERROR(ExplainMissingService(status, args, "--admin"));
  PrintServed(response, out);
  return absl::OkStatus();
}

absl::Status WatchVersions(const Args& args, std::ostream& out) {
  NEUMF_ASSIGN_OR_RETURN(const absl::Duration time,
                         args.Time("--for", absl::ZeroDuration()));
  NEUMF_ASSIGN_OR_RETURN(const auto stub, ConnectToAdmin(args));
  grpc::ClientContext context;
  const bool ends = time > absl::ZeroDuration();
  if (ends) SetTimeout(time, &context);
  const auto reader = stub->WatchModelVersions(&context, {});
  v1::ModelVersion version;
  while (reader->Read(&version)) {
    out << Printable(version.version()) << " " << StateText(version.state());
    if (!version.reason().empty()) out << " " << Printable(version.reason());
    out << std::endl;  // whoever waits for it reads a pipe
  }
  const absl::Status status = FromGrpcStatus(reader->Finish());
  if (ends && absl::IsDeadlineExceeded(status)) return absl::OkStatus();
  return ExplainMissingService(status, args, "--admin");
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

Command LoadCommand() {
  Command command;
  command.name = "load";
  command.summary = "serve one version, and keep to it";
  command.description =
      "Makes the server, and all others on its directory, serve VERSION and "
      "nothing newer,\neven if it was rolled back before. 'load largest' "
      "follows the largest version again.";
  command.options = {
      {"--admin", "ADDR", "the server's admin listener", OptionSpec::kRequired},
      {"--timeout", "TIME", "give the load up after this time (10m)"}};
  command.operands = {"VERSION"};
  AddSecurityOptions(&command.options);
  command.run = LoadVersion;
  return command;
}

Command RollbackCommand() {
  Command command;
  command.name = "rollback";
  command.summary = "serve the version before";
  command.description =
      "Makes the server, and all others on its directory, serve the version "
      "that was served\nbefore, and refuse the one that it leaves until that "
      "is loaded by name.";
  command.options = {
      {"--admin", "ADDR", "the server's admin listener", OptionSpec::kRequired},
      {"--timeout", "TIME", "give up after this time (10m)"}};
  AddSecurityOptions(&command.options);
  command.run = RollBack;
  return command;
}

Command WatchCommand() {
  Command command;
  command.name = "watch";
  command.summary = "show what becomes of checkpoints as it happens";
  command.description =
      "Prints version, state and reason of every attempt that the server "
      "remembers, and then\nof every change, a line each.";
  command.options = {
      {"--admin", "ADDR", "the server's admin listener", OptionSpec::kRequired},
      {"--for", "TIME", "end after this time (never)"}};
  AddSecurityOptions(&command.options);
  command.run = WatchVersions;
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
  return {VersionsCommand(), LoadCommand(), RollbackCommand(), WatchCommand(),
          HealthCommand()};
}

}  // namespace neumf
