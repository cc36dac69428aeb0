#include "tests/server/test_checkpoint.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/logging.h"
#include "checkpoint/checkpoint_writer.h"

namespace neumf {

CheckpointFolder::CheckpointFolder()
    : path_(root_.Path("checkpoints")), files_(MakePosixFileSystem()) {
  NEUMF_CHECK(files_->CreateDirectories(path_).ok());
}

CheckpointFile CheckpointFolder::File(uint64_t version) const {
  return {version, JoinPath(path_, VersionFileName(version))};
}

void CheckpointFolder::Publish(uint64_t version, const Manifest& manifest) {
  NEUMF_CHECK(files_->CreateDirectories(path_).ok());
  TinyModelOptions options;
  options.seed = version;
  const TinyModel tiny = MakeTinyModel(options);
  const std::string temporary = JoinPath(path_, ".temporary");
  NEUMF_CHECK(
      WriteCheckpointFile(*files_, temporary, tiny.model, tiny.items, manifest)
          .ok());
  NEUMF_CHECK(files_->Rename(temporary, File(version).path).ok());
}

std::string CheckpointFolder::Bytes(uint64_t version) const {
  std::ifstream file(File(version).path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void CheckpointFolder::Overwrite(uint64_t version, const std::string& bytes) {
  std::ofstream file(File(version).path, std::ios::binary | std::ios::trunc);
  file << bytes;
  NEUMF_CHECK(file.flush().good());
}

void CheckpointFolder::FlipLastByte(uint64_t version) {
  std::string bytes = Bytes(version);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  Overwrite(version, bytes);
}

void CheckpointFolder::Remove(uint64_t version) {
  NEUMF_CHECK(files_->Remove(File(version).path).ok());
}

void CheckpointFolder::RemoveFolder() { std::filesystem::remove_all(path_); }

}  // namespace neumf
