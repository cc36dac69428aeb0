#pragma once

// Small checkpoint files with probes, good ones and damaged ones.

#include <string>

#include "tests/support/temp_directory.h"
#include "tests/support/tiny_model.h"

namespace neumf {

class CheckpointFile {
 public:
  CheckpointFile();

  const std::string& path() const { return path_; }

  // Writes the model with probes of its first users, as an exporter does.
  void Write();
  // Writes the probes of the model, but the ids of two of their items swapped:
  // every digest fits, and the rows lie about their names.
  void WriteWithShuffledNames();
  // Changes one bit of the last byte of the file.
  void FlipLastByte();

 private:
  TempDirectory directory_;
  std::string path_;
  TinyModel tiny_;
};

}  // namespace neumf
