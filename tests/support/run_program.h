#pragma once

#include <string>
#include <vector>

namespace neumf {

struct ProgramResult {
  int exit_code = -1;  // -1: it did not exit by itself
  std::string out;
  std::string errors;
};

// Runs $NEUMF_BIN_DIR/`name` to its end, with `variables`, "NAME=value" each,
// before those of this process. Aborts when it cannot be started.
ProgramResult RunProgram(const std::string& name,
                         const std::vector<std::string>& arguments,
                         const std::vector<std::string>& variables = {});

}  // namespace neumf
