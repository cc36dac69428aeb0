// The input is a list of changes to the tensors of a valid checkpoint, whose
// digests are then made right: it reaches what lies behind the digests. A
// change is four bytes: tensor, place (two), new value.

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/logging.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/checkpoint/checkpoint_image.h"
#include "tests/checkpoint/memory_file.h"
#include "tests/fuzz/checkpoint_property.h"
#include "tests/support/tiny_model.h"

namespace {

neumf::CheckpointImage TinyImage() {
  const neumf::TinyModel tiny = neumf::MakeTinyModel({});
  neumf::MemoryFile file;
  NEUMF_CHECK(
      neumf::WriteCheckpointFile(file, "new", tiny.model, tiny.items, {}).ok());
  return neumf::CheckpointImage::Parse(file.bytes());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const neumf::CheckpointImage original = TinyImage();
  neumf::CheckpointImage image = original;
  for (size_t at = 0; at + 4 <= size; at += 4) {
    std::string& bytes = image.tensors[data[at] % image.tensors.size()].bytes;
    const size_t place = (data[at + 1] << 8 | data[at + 2]) % bytes.size();
    bytes[place] = static_cast<char>(data[at + 3]);
  }
  neumf::CheckRefusedOrValid(image.Bytes());
  return 0;
}
