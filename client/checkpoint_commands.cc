#include "client/checkpoint_commands.h"

#include <memory>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_signature.h"
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

absl::Status CheckSigned(FileSystem& files, const Args& args,
                         absl::string_view digest) {
  NEUMF_ASSIGN_OR_RETURN(const uint64_t version,
                         VersionOfPath(args.operand(0)));
  NEUMF_ASSIGN_OR_RETURN(const std::vector<Ed25519PublicKey> keys,
                         ReadPublicKeys(files, args.value("--public_key")));
  return CheckSignature(files, args.operand(0), version, digest, keys);
}

absl::Status Verify(const Args& args, std::ostream& out) {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock = MakeRealClock();
  const absl::Duration start = clock->MonotonicNow();
  NEUMF_ASSIGN_OR_RETURN(const VerifiedCheckpoint verified,
                         VerifyCheckpoint(*files, args.operand(0)));
  if (args.has("--public_key")) {
    NEUMF_RETURN_IF_ERROR(CheckSigned(*files, args, verified.digest));
  }
  out << absl::StrFormat("OK: %d bytes, %d probes, %.2f s\n",
                         verified.file_bytes, verified.num_probes,
                         absl::ToDoubleSeconds(clock->MonotonicNow() - start));
  return absl::OkStatus();
}

absl::Status Sign(const Args& args, std::ostream& out) {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  NEUMF_ASSIGN_OR_RETURN(
      const std::string signature,
      SignCheckpoint(*files, args.operand(0), args.value("--signing_key")));
  out << signature << "\n";
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
  command.options = {{"--public_key", "PEM",
                      "file of ed25519 public keys, one of which must have "
                      "signed it"}};
  command.run = Verify;
  return command;
}

Command SignCommand() {
  Command command;
  command.name = "checkpoint sign";
  command.summary = "sign a checkpoint";
  command.description =
      "Checks a checkpoint as 'checkpoint verify' does, and writes its "
      "signature beside it,\nas <version>.safetensors.sig, for servers with "
      "--checkpoint_public_key. Prints\nthe signature's path.";
  command.operands = {"FILE"};
  command.options = {{"--signing_key", "PEM", "file of an ed25519 private key",
                      OptionSpec::kRequired}};
  command.run = Sign;
  return command;
}

}  // namespace

std::vector<Command> CheckpointCommands() {
  return {InspectCommand(), VerifyCommand(), SignCommand()};
}

}  // namespace neumf
