#include "tests/support/run_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

std::string Content(const std::string& path) {
  const std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string ProgramPath(const std::string& name) {
  const char* const directory = std::getenv("NEUMF_BIN_DIR");
  NEUMF_CHECK(directory != nullptr);
  return absl::StrCat(directory, "/", name);
}

// What exec() takes: pointers to `words`, then null.
std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

ProgramResult RunProgram(const std::string& name,
                         const std::vector<std::string>& arguments,
                         const std::vector<std::string>& variables) {
  const TempDirectory directory;
  const std::string out = directory.Path("out");
  const std::string errors = directory.Path("errors");
  constexpr int kFlags = O_WRONLY | O_CREAT;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), kFlags,
                                   0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors.c_str(),
                                   kFlags, 0600);

  std::vector<std::string> words = {ProgramPath(name)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment = variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  pid_t pid = 0;
  NEUMF_CHECK(posix_spawn(&pid, words[0].c_str(), &actions, nullptr,
                          Pointers(words).data(),
                          Pointers(environment).data()) == 0);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  NEUMF_CHECK(waitpid(pid, &status, 0) == pid);

  ProgramResult result;
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  result.out = Content(out);
  result.errors = Content(errors);
  return result;
}

}  // namespace neumf
