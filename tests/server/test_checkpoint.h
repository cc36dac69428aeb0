#pragma once

// A folder of checkpoints of tiny models, for tests that read them and damage
// them.

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/manifest.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_model.h"

namespace neumf {

class CheckpointFolder {
 public:
  CheckpointFolder();

  const std::string& path() const { return path_; }
  CheckpointFile File(uint64_t version) const;

  // Writes a valid checkpoint under that version, replacing what is there as a
  // publisher would: under another name first. Versions differ in their
  // weights.
  void Publish(uint64_t version, const Manifest& manifest = {});

  std::string Bytes(uint64_t version) const;
  // Writes into the file itself, as cp does.
  void Overwrite(uint64_t version, const std::string& bytes);
  void FlipLastByte(uint64_t version);
  void Remove(uint64_t version);
  void RemoveFolder();

 private:
  const TempDirectory root_;
  const std::string path_;
  const std::unique_ptr<FileSystem> files_;
};

}  // namespace neumf
