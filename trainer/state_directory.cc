#include "trainer/state_directory.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/outputs.h"

namespace neumf {
namespace {

constexpr char kSuffix[] = ".state.safetensors";

// A state of WriteFileAtomically(), or what CheckOutputDirectory() tries.
bool IsLeftOver(absl::string_view name) {
  return (absl::StartsWith(name, ".") && absl::StrContains(name, kSuffix) &&
          absl::EndsWith(name, ".tmp")) ||
         absl::StartsWith(name, ".writable-");
}

}  // namespace

StateDirectory::StateDirectory(FileSystem& files, std::string path,
                               RunIdentity run)
    : files_(&files), path_(std::move(path)), run_(std::move(run)) {}

absl::StatusOr<StateDirectory> StateDirectory::Open(FileSystem& files,
                                                    const std::string& path,
                                                    RunIdentity run) {
  NEUMF_RETURN_IF_ERROR(CheckOutputDirectory(files, "--state", path));
  NEUMF_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                         files.ListDirectory(path));
  for (const std::string& name : names) {
    if (IsLeftOver(name)) {
      NEUMF_RETURN_IF_ERROR(files.Remove(JoinPath(path, name)));
    }
  }
  return StateDirectory(files, path, std::move(run));
}

std::string StateDirectory::PathOf(const std::string& stage) const {
  return JoinPath(path_, absl::StrCat(stage, kSuffix));
}

absl::StatusOr<std::optional<TrainingState>> StateDirectory::Read(
    const std::string& stage, size_t num_parameters) {
  absl::StatusOr<TrainingState> state =
      ReadState(*files_, PathOf(stage), run_, num_parameters);
  if (state.ok()) return std::optional<TrainingState>(*std::move(state));
  if (absl::IsNotFound(state.status())) {
    return std::optional<TrainingState>();
  }
  return Annotate(state.status(), "--state");
}

absl::Status StateDirectory::Write(const std::string& stage,
                                   TrainingState state) {
  state.run = run_;
  return WriteState(*files_, PathOf(stage), state);
}

absl::Status StateDirectory::Remove(const std::string& stage) {
  const absl::Status removed = files_->Remove(PathOf(stage));
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

}  // namespace neumf
