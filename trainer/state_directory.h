#pragma once

// Keeps the states of a run's stages, one file each, so that the run can be cut
// off at any moment and goes on after the last epoch that was done.
//
//   NEUMF_ASSIGN_OR_RETURN(StateDirectory states,
//                          StateDirectory::Open(files, path, run));
//   NEUMF_ASSIGN_OR_RETURN(auto state, states.Read("gmf", layout.size));
//   ...
//   NEUMF_RETURN_IF_ERROR(states.Write("gmf", std::move(state)));
//
// A file is replaced at once: a kill or a full disk leaves the state of the
// epoch before.

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "trainer/training_state.h"

namespace neumf {

// Belongs to one thread, and the directory to one run at a time.
class StateDirectory {
 public:
  // Makes the directory when it is missing, sees that it can be written to, and
  // removes what writers that were killed have left in it. `files` must outlive
  // this.
  static absl::StatusOr<StateDirectory> Open(FileSystem& files,
                                             const std::string& path,
                                             RunIdentity run);

  // None when the stage has not done an epoch. Errors are those of ReadState().
  absl::StatusOr<std::optional<TrainingState>> Read(const std::string& stage,
                                                    size_t num_parameters);
  // Sets `state.run`.
  absl::Status Write(const std::string& stage, TrainingState state);
  // OK when there is none.
  absl::Status Remove(const std::string& stage);

 private:
  StateDirectory(FileSystem& files, std::string path, RunIdentity run);

  std::string PathOf(const std::string& stage) const;

  FileSystem* files_;
  std::string path_;
  RunIdentity run_;
};

}  // namespace neumf
