#include "trainer/distributed/process_place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

class ProcessPlaceTest : public testing::Test {
 protected:
  ~ProcessPlaceTest() override { Set({}); }

  static void Set(const std::map<std::string, std::string>& variables) {
    for (const char* const name :
         {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
          "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RESTART_COUNT"}) {
      const auto value = variables.find(name);
      if (value == variables.end()) {
        unsetenv(name);
      } else {
        setenv(name, value->second.c_str(), 1);
      }
    }
  }

  static std::map<std::string, std::string> Good() {
    return {{"RANK", "1"},
            {"WORLD_SIZE", "3"},
            {"MASTER_ADDR", "head.example"},
            {"MASTER_PORT", "29500"}};
  }

  static void ExpectRefused(const char* name, const char* value,
                            const std::string& what) {
    auto variables = Good();
    if (value == nullptr) {
      variables.erase(name);
    } else {
      variables[name] = value;
    }
    Set(variables);
    EXPECT_THAT(PlaceFromEnvironment(),
                StatusIs(StatusCode::kInvalidArgument,
                         testing::AllOf(HasSubstr(name), HasSubstr(what))));
  }
};

TEST_F(ProcessPlaceTest, WithoutVariablesThereIsOneProcess) {
  Set({});
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto place, PlaceFromEnvironment());
  EXPECT_FALSE(place.has_value());
}

TEST_F(ProcessPlaceTest, AWorldOfOneNeedsNobody) {
  Set({{"RANK", "0"}, {"WORLD_SIZE", "1"}});
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto place, PlaceFromEnvironment());
  EXPECT_FALSE(place.has_value());
}

TEST_F(ProcessPlaceTest, ReadsWhatLaunchersSet) {
  Set(Good());
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto place, PlaceFromEnvironment());
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->rank, 1U);
  EXPECT_EQ(place->size, 3U);
  EXPECT_EQ(place->host, "head.example");
  EXPECT_EQ(place->port, 29500);
  EXPECT_FALSE(place->launcher_listens);
}

TEST_F(ProcessPlaceTest, TorchrunMayListenItself) {
  auto variables = Good();
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  variables["TORCHELASTIC_RESTART_COUNT"] = "2";
  Set(variables);
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto place, PlaceFromEnvironment());
  ASSERT_TRUE(place.has_value());
  EXPECT_TRUE(place->launcher_listens);
  EXPECT_EQ(place->attempt, "2");
}

TEST_F(ProcessPlaceTest, NamesWhatIsMissingOrWrong) {
  for (const char* const name :
       {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) {
    ExpectRefused(name, nullptr, "is not set");
    ExpectRefused(name, "", "is not set");
  }
  ExpectRefused("RANK", "3", "from 0 to 2, not '3'");
  ExpectRefused("RANK", "-1", "not '-1'");
  ExpectRefused("RANK", "one", "not 'one'");
  ExpectRefused("WORLD_SIZE", "0", "not '0'");
  ExpectRefused("MASTER_PORT", "65536", "from 1 to 65535");
  ExpectRefused("MASTER_PORT", "http", "not 'http'");
}

}  // namespace
}  // namespace neumf
