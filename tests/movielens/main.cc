// Without the data set this program leaves with the status that ctest shows as
// "Skipped": it tests nothing else.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "base/file_system.h"
#include "tests/support/movielens.h"

namespace {

constexpr int kSkipped = 77;

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  const std::string directory = neumf::MovieLens100kDirectory();
  const auto files = neumf::MakePosixFileSystem();
  if (!files->Stat(neumf::JoinPath(directory, "u.data")).ok()) {
    std::printf(
        "skipped: no MovieLens 100k in %s; set NEUMF_TEST_DATA to a folder "
        "that has ml-100k/\n",
        directory.c_str());
    return kSkipped;
  }
  return RUN_ALL_TESTS();
}
