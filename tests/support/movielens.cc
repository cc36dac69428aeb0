#include "tests/support/movielens.h"

#include <cstdlib>

#include "base/file_system.h"

namespace neumf {

std::string MovieLens100kDirectory() {
  const char* const folder = std::getenv("NEUMF_TEST_DATA");
  if (folder != nullptr) return JoinPath(folder, "ml-100k");
  const char* const source = std::getenv("NEUMF_SOURCE_DIR");
  return JoinPath(source != nullptr ? source : ".", "../shared/data/ml-100k");
}

}  // namespace neumf
