#pragma once

// A started neumf-train, to be watched, signalled and waited for.

#include <sys/types.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace neumf {

struct Result {
  int status = 0;  // exit status; 128 + signal when a signal ended it
  std::string out;
  std::string err;
};

// stdout goes to a file, stderr through a pipe, so that a test can wait for a
// line of it. Finish() has to be called.
class Program {
 public:
  // `variables` are "NAME=value" each, before those of this process. `out_mode`
  // as fopen() takes it.
  Program(const std::vector<std::string>& arguments,
          const std::string& out_path,
          const std::vector<std::string>& variables = {},
          const char* out_mode = "w");
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Fails the test when it ends without such a line.
  void WaitForLine(absl::string_view part);
  void Signal(int signal) const;
  Result Finish();

 private:
  bool ReadLine();

  const std::string out_path_;
  pid_t pid_ = 0;
  std::FILE* err_stream_ = nullptr;
  std::string err_;
  std::string last_line_;
};

}  // namespace neumf
