#pragma once

// Where the tests look for the MovieLens 100k data set, which may not be
// shipped with the sources.

#include <string>

namespace neumf {

// ml-100k/ in the folder that NEUMF_TEST_DATA names, or in a folder beside the
// sources. It need not exist.
std::string MovieLens100kDirectory();

}  // namespace neumf
