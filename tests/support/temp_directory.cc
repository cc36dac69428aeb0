#include "tests/support/temp_directory.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/file_system.h"
#include "base/logging.h"

namespace neumf {

TempDirectory::TempDirectory()
    : path_(JoinPath(testing::TempDir(), "neumf_test_XXXXXX")) {
  NEUMF_CHECK(mkdtemp(path_.data()) != nullptr);
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;  // a folder left behind fails no test
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDirectory::Path(absl::string_view name) const {
  return JoinPath(path_, name);
}

}  // namespace neumf
