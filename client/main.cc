// neumfctl: the command line of neumf. docs/ and `neumfctl --help` say what it
// can do.

#include <iostream>
#include <string>
#include <vector>

#include "client/admin_commands.h"
#include "client/checkpoint_commands.h"
#include "client/command.h"
#include "client/load_test_command.h"
#include "client/recommend_command.h"
#include "client/replay_command.h"

int main(int argc, char** argv) {
  std::vector<neumf::Command> commands = {neumf::RecommendCommand(),
                                          neumf::LoadTestCommand(),
                                          neumf::ReplayCommand()};
  for (neumf::Command& command : neumf::AdminCommands()) {
    commands.push_back(std::move(command));
  }
  for (neumf::Command& command : neumf::CheckpointCommands()) {
    commands.push_back(std::move(command));
  }
  const std::vector<std::string> words(argv + 1, argv + argc);
  return neumf::RunNeumfctl(commands, words, std::cout, std::cerr);
}
