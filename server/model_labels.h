#pragma once

// What neumf_model_info says of a snapshot, in labels from fixed lists: no label
// ever holds a text from outside.

#include <map>
#include <string>

#include "server/snapshot.h"

namespace neumf {

// version, digest, kind, device ("cpu", "cuda", ...) and precision ("float32",
// or the first pass: "int8 first pass", "float16 first pass"). The last two are
// what the scorer's name begins with and what it names.
std::map<std::string, std::string> ModelLabels(const Snapshot& snapshot);

}  // namespace neumf
