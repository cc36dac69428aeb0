#include "client/checkpoint_commands.h"

#include <memory>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "client/checkpoint_report.h"
#include "client/checkpoint_verification.h"

namespace neumf {
namespace {

absl::Status Inspect(const Args& args, std::ostream& out) {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  NEUMF_ASSIGN_OR_RETURN(const std::string report,
                         DescribeCheckpoint(*files, args.operand(0)));
  out << report;
  return absl::OkStatus();
}

absl::Status Verify(const Args& args, std::ostream& out) {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock = MakeRealClock();
  const absl::Duration start = clock->MonotonicNow();
  NEUMF_ASSIGN_OR_RETURN(const VerifiedCheckpoint verified,
                         VerifyCheckpoint(*files, args.operand(0)));
  out << absl::StrFormat("OK: %d bytes, %d probes, %.2f s\n",
                         verified.file_bytes, verified.num_probes,
                         absl::ToDoubleSeconds(clock->MonotonicNow() - start));
  return absl::OkStatus();
}

Command InspectCommand() {
  Command command;
  command.name = "checkpoint inspect";
  command.summary = "print what a checkpoint says about itself";
  command.description =
      "Prints a checkpoint's kind, sizes, tensors, training and metrics, and "
      "its first ids.\nReads the header and little else, so it is quick on "
      "files of any size, and checks\nno digests: that is 'checkpoint verify'.";
  command.operands = {"FILE"};
  command.run = Inspect;
  return command;
}

Command VerifyCommand() {
  Command command;
  command.name = "checkpoint verify";
  command.summary = "check a checkpoint as a server would";
  command.description =
      "Reads all of a checkpoint, checks every rule and digest, and recomputes "
      "its probes.\nPrints OK and the time it took, or the reason why a server "
      "would refuse the file.";
  command.operands = {"FILE"};
  command.run = Verify;
  return command;
}

}  // namespace

std::vector<Command> CheckpointCommands() {
  return {InspectCommand(), VerifyCommand()};
}

}  // namespace neumf
