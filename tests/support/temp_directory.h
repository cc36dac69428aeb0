#pragma once

// A folder of its own for a test, gone with all that is in it when the test
// ends.
//
//   const TempDirectory directory;
//   WriteSomething(directory.Path("1.safetensors"));
//
// Below $TEST_TMPDIR or /tmp, as testing::TempDir() decides.

#include <string>

#include "absl/strings/string_view.h"

namespace neumf {

class TempDirectory {
 public:
  // Aborts when the folder cannot be made.
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& path() const { return path_; }
  // "path()/name".
  std::string Path(absl::string_view name) const;

 private:
  std::string path_;
};

}  // namespace neumf
