#include "tests/trainer/running_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "absl/strings/match.h"
#include "base/file_system.h"

namespace neumf {
namespace {

std::string ProgramPath() {
  const char* const bin = std::getenv("NEUMF_BIN_DIR");
  return JoinPath(bin != nullptr ? bin : "build/release/bin", "neumf-train");
}

// The strings, which must outlive it, and a null.
std::vector<char*> PointersTo(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Program::Program(const std::vector<std::string>& arguments,
                 const std::string& out_path,
                 const std::vector<std::string>& variables,
                 const char* out_mode)
    : out_path_(out_path) {
  // All memory is taken before the fork.
  std::vector<std::string> words = {ProgramPath()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment = variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  const std::vector<char*> argv = PointersTo(words);
  const std::vector<char*> envp = PointersTo(environment);
  int pipe_ends[2];
  // Other programs that run at the same time must not hold this pipe open.
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) std::abort();
  pid_ = fork();
  if (pid_ == 0) {
    dup2(pipe_ends[1], STDERR_FILENO);
    if (std::freopen(out_path.c_str(), out_mode, stdout) == nullptr) {
      _exit(126);
    }
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(pipe_ends[1]);
  err_stream_ = fdopen(pipe_ends[0], "r");
}

Program::~Program() { std::fclose(err_stream_); }

void Program::WaitForLine(absl::string_view part) {
  while (ReadLine()) {
    if (absl::StrContains(last_line_, part)) return;
  }
  ADD_FAILURE() << "neumf-train never said '" << part << "': " << err_;
}

void Program::Signal(int signal) const { kill(pid_, signal); }

Result Program::Finish() {
  while (ReadLine()) {
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  Result result;
  result.status =
      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.err = err_;
  result.out = *ReadWholeFile(*MakePosixFileSystem(), out_path_, 1 << 20);
  return result;
}

bool Program::ReadLine() {
  char line[4096];
  if (std::fgets(line, sizeof(line), err_stream_) == nullptr) return false;
  last_line_ = line;
  err_ += line;
  return true;
}

}  // namespace neumf
