#include "tests/checkpoint/damaged_files.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_split.h"
#include "base/logging.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/checkpoint/damage.h"
#include "tests/checkpoint/memory_file.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

std::string TinyFile(uint64_t digest_chunk_bytes) {
  const TinyModel tiny = MakeTinyModel({});
  CheckpointWriterOptions options;
  options.digest_chunk_bytes = digest_chunk_bytes;
  MemoryFile file;
  NEUMF_CHECK(
      WriteCheckpointFile(file, "1", tiny.model, tiny.items, {}, options).ok());
  return file.bytes();
}

std::string Truncated(Chance& chance) {
  const std::string& whole = AnyWholeFile(chance);
  return whole.substr(0, chance.Below(whole.size()));
}

std::string Appended(Chance& chance) {
  return AnyWholeFile(chance) + std::string(1 + chance.Below(5000), 'x');
}

// Without the key of the manifest's digest, which is optional: another key is
// one more that nobody knows.
std::string FlippedHeaderBit(Chance& chance) {
  std::string file = AnyWholeFile(chance);
  const std::string key = "neumf.manifest.sha256";
  const size_t key_begin = file.find(key);
  size_t at = 8 + chance.Below(DataBegin(file) - 8);
  if (at >= key_begin && at < key_begin + key.size()) at = 8;
  file[at] = static_cast<char>(file[at] ^ (1 << chance.Below(8)));
  return file;
}

std::string FlippedDataBits(Chance& chance) {
  std::string file = AnyWholeFile(chance);
  const size_t begin = DataBegin(file);
  // In one byte, so that no second flip undoes the first.
  const size_t at = begin + chance.Below(file.size() - begin);
  file[at] = static_cast<char>(file[at] ^ (1 + chance.Below(255)));
  return file;
}

std::string OverwrittenBlock(Chance& chance) {
  std::string file = AnyWholeFile(chance);
  const size_t begin = DataBegin(file);
  const size_t at = begin + chance.Below(file.size() - begin);
  const size_t size = std::min<size_t>(1 + chance.Below(512), file.size() - at);
  for (size_t i = at; i < at + size; ++i) file[i] = ~file[i];
  return file;
}

std::string LostBlock(Chance& chance) {
  std::string file = AnyWholeFile(chance);
  const size_t at = 8 + chance.Below(file.size() - 8);
  return file.erase(at, 1 + chance.Below(300));
}

constexpr char kAnyOfHeader[] =
    "header|shape|span|range|digest|SHA-256|missing|inside|hole|end at|"
    "no format|no neumf.manifest|format is|type|dtype|empty|dimensions|"
    "not an object|offsets|text|known|too short|manifest";

constexpr Damage kDamagesOfDisks[] = {
    {"truncated", Truncated, "too short|passes the end|no range in"},
    {"appended", Appended, "the tensors end at"},
    {"flipped header bit", FlippedHeaderBit, kAnyOfHeader},
    {"flipped data bits", FlippedDataBits, "SHA-256"},
    {"overwritten block", OverwrittenBlock, "SHA-256"},
    {"lost block", LostBlock, kAnyOfHeader},
};

// All kinds, in this order.
const std::vector<Damage>& Damages() {
  static const auto* const damages = [] {
    auto* all = new std::vector<Damage>(std::begin(kDamagesOfDisks),
                                        std::end(kDamagesOfDisks));
    for (const auto& more : {DamagesOfHeaders(), DamagesOfContents()}) {
      all->insert(all->end(), more.begin(), more.end());
    }
    return all;
  }();
  return *damages;
}

}  // namespace

const std::string& AnyWholeFile(Chance& chance) {
  static const auto* const files =
      new std::vector<std::string>{TinyFile(1 << 20), TinyFile(100)};
  return (*files)[chance.Below(files->size())];
}

CheckpointImage TakenApart() {
  static const auto* const image =
      new CheckpointImage(CheckpointImage::Parse(TinyFile(1 << 20)));
  return *image;
}

ImageTensor& AnyTensor(Chance& chance, CheckpointImage& image) {
  return image.tensors[chance.Below(image.tensors.size())];
}

uint64_t DataBegin(const std::string& file) {
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  return sizeof(length) + length;
}

size_t NumDamageKinds() { return Damages().size(); }

DamagedFile MakeDamagedFile(size_t kind, uint64_t seed) {
  const Damage& damage = Damages()[kind];
  Chance chance(seed);
  DamagedFile file;
  file.kind = damage.name;
  file.bytes = damage.make(chance);
  file.reasons = absl::StrSplit(damage.reasons, '|');
  return file;
}

std::string UndamagedFile() { return TakenApart().Bytes(); }

}  // namespace neumf
