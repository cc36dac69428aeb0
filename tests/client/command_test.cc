#include "client/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace neumf {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

absl::Status Echo(const Args& args, std::ostream& out) {
  out << "echo " << args.value("--word") << "\n";
  return absl::OkStatus();
}

absl::Status Fail(const Args& /*args*/, std::ostream& /*out*/) {
  return absl::NotFoundError("no such\nuser");
}

absl::Status RunOutOfMemory(const Args& /*args*/, std::ostream& /*out*/) {
  throw std::bad_alloc();
}

absl::Status Throw(const Args& /*args*/, std::ostream& /*out*/) {
  throw std::runtime_error("something else");
}

class CommandTest : public testing::Test {
 protected:
  CommandTest() : commands_(2) {
    commands_[0].name = "echo";
    commands_[0].summary = "prints a word";
    commands_[0].description = "Prints a word again.";
    commands_[0].options = {{"--word", "WORD", "the word"}};
    commands_[0].run = Echo;
    commands_[1].name = "be wrong";
    commands_[1].summary = "fails";
    commands_[1].run = Fail;
  }

  int Run(const std::vector<std::string>& words) {
    return RunNeumfctl(commands_, words, out_, errors_);
  }

  std::vector<Command> commands_;
  std::ostringstream out_;
  std::ostringstream errors_;
};

TEST_F(CommandTest, RunsTheCommandWithItsOptions) {
  EXPECT_EQ(Run({"echo", "--word", "yes"}), 0);
  EXPECT_EQ(out_.str(), "echo yes\n");
  EXPECT_THAT(errors_.str(), IsEmpty());
}

TEST_F(CommandTest, PrintsAnErrorWithTheNameOfItsCodeOnOneLine) {
  EXPECT_EQ(Run({"be", "wrong"}), 1);
  EXPECT_THAT(out_.str(), IsEmpty());
  EXPECT_EQ(errors_.str(), "NOT_FOUND: no such\uFFFDuser\n");
}

TEST_F(CommandTest, PrintsWhatACommandThrowsAsAnError) {
  commands_[0].run = RunOutOfMemory;
  EXPECT_EQ(Run({"echo"}), 1);
  commands_[0].run = Throw;
  EXPECT_EQ(Run({"echo"}), 1);
  EXPECT_EQ(errors_.str(),
            "RESOURCE_EXHAUSTED: there is not enough memory\n"
            "INTERNAL: something else\n");
}

TEST_F(CommandTest, AnswersAWrongOptionWithOneLineAndAHint) {
  EXPECT_EQ(Run({"echo", "--words", "yes"}), 1);
  EXPECT_EQ(errors_.str(),
            "neumfctl echo: unknown option --words (see 'neumfctl help "
            "echo')\n");
}

TEST_F(CommandTest, NamesAnUnknownCommand) {
  EXPECT_EQ(Run({"ecko"}), 1);
  EXPECT_EQ(errors_.str(),
            "neumfctl: unknown command 'ecko' (see 'neumfctl --help')\n");
}

TEST_F(CommandTest, WantsACommand) {
  EXPECT_EQ(Run({}), 1);
  EXPECT_THAT(errors_.str(), HasSubstr("which command?"));
}

TEST_F(CommandTest, ListsItsCommands) {
  EXPECT_EQ(Run({"--help"}), 0);
  const std::string help = out_.str();
  EXPECT_THAT(help, HasSubstr("  echo      prints a word\n"));
  EXPECT_EQ(Run({"-h"}), 0);
  EXPECT_EQ(out_.str(), help + help);
}

TEST_F(CommandTest, ListsTheCommandsThatBeginWithAWord) {
  const char* const help =
      "Usage: neumfctl be COMMAND [OPTIONS]\n\n"
      "Commands:\n"
      "  be wrong  fails\n";

  EXPECT_EQ(Run({"be"}), 1);
  EXPECT_EQ(errors_.str(), help);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"help", "be"},
        {"be", "--help"},
        {"be", "-h"}}) {
    out_.str("");
    EXPECT_EQ(Run(words), 0);
    EXPECT_EQ(out_.str(), help);
  }
}

TEST_F(CommandTest, NamesBothWordsOfAnUnknownCommand) {
  EXPECT_EQ(Run({"be", "right"}), 1);
  EXPECT_EQ(Run({"help", "be", "right"}), 1);
  const std::string line =
      "neumfctl: unknown command 'be right' (see 'neumfctl --help')\n";
  EXPECT_EQ(errors_.str(), line + line);
}

TEST_F(CommandTest, ExplainsACommand) {
  const char* const help =
      "Usage: neumfctl echo [--word WORD]\n\n"
      "Prints a word again.\n\n"
      "Options:\n"
      "  --word WORD  the word\n";

  EXPECT_EQ(Run({"help", "echo"}), 0);
  EXPECT_EQ(out_.str(), help);
  for (const char* const option : {"--help", "-h"}) {
    out_.str("");
    EXPECT_EQ(Run({"echo", option}), 0);
    EXPECT_EQ(out_.str(), help);
  }
}

TEST_F(CommandTest, HasNoHelpForAnUnknownCommand) {
  EXPECT_EQ(Run({"help", "ecko"}), 1);
  EXPECT_THAT(errors_.str(), HasSubstr("unknown command 'ecko'"));
}

TEST_F(CommandTest, PrintsItsVersion) {
  EXPECT_EQ(Run({"--version"}), 0);
  EXPECT_THAT(out_.str(), StartsWith("neumfctl "));
}

TEST_F(CommandTest, FailsWhenTheAnswerCannotBeWritten) {
  out_.setstate(std::ios::badbit);

  EXPECT_EQ(Run({"echo"}), 1);
  EXPECT_THAT(errors_.str(), StartsWith("UNAVAILABLE: "));
}

}  // namespace
}  // namespace neumf
