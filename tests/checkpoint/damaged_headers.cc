#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/checkpoint/damage.h"

namespace neumf {
namespace {

using Image = CheckpointImage;

std::string HeaderLength(Chance& chance) {
  std::string file = AnyWholeFile(chance);
  const uint64_t truth = DataBegin(file) - 8;
  const uint64_t lie = chance.OneOf<uint64_t>(
      {0, 1, 2, chance.Below(truth), truth + 1 + chance.Below(64),
       file.size() - 7, 1 << 20, (1 << 20) + 1, chance.Any(),
       std::numeric_limits<uint64_t>::max()});
  std::memcpy(file.data(), &lie, sizeof(lie));
  return file;
}

std::string Offsets(Chance& chance) {
  Image image = TakenApart();
  ImageTensor& tensor = AnyTensor(chance, image);
  const uint64_t size = tensor.bytes.size();
  const uint64_t begin = chance.OneOf<uint64_t>(
      {chance.Below(5000) | 1, uint64_t{1} << 63, chance.Any() | 1});
  const uint64_t end =
      chance.OneOf<uint64_t>({begin + size, begin - 1, begin, chance.Any()});
  tensor.claimed_offsets = {begin, end};
  return image.Bytes();
}

std::string Overlap(Chance& chance) {
  Image image = TakenApart();
  uint64_t offset = image.tensors[0].bytes.size();
  const size_t target = 1 + chance.Below(image.tensors.size() - 1);
  for (size_t i = 1; i < target; ++i) offset += image.tensors[i].bytes.size();
  const uint64_t back = 1 + chance.Below(offset);
  image.tensors[target].claimed_offsets = {
      offset - back, offset - back + image.tensors[target].bytes.size()};
  return image.Bytes();
}

std::string Hole(Chance& chance) {
  Image image = TakenApart();
  const std::string whole = image.Bytes();
  const uint64_t gap = 1 + chance.Below(100);
  const size_t first = chance.Below(image.tensors.size());
  uint64_t offset = 0;
  for (size_t i = 0; i < image.tensors.size(); ++i) {
    if (i == first) offset += gap;
    const uint64_t end = offset + image.tensors[i].bytes.size();
    image.tensors[i].claimed_offsets = {offset, end};
    offset = end;
  }
  return image.Bytes() + std::string(gap, 'x');
}

std::string Shape(Chance& chance) {
  Image image = TakenApart();
  ImageTensor& tensor = AnyTensor(chance, image);
  const std::vector<uint64_t> truth = tensor.shape;
  while (tensor.shape == truth) {
    tensor.shape.clear();
    const size_t dimensions = chance.Below(10);
    for (size_t i = 0; i < dimensions; ++i) {
      tensor.shape.push_back(
          chance.OneOf<uint64_t>({0, 1, 2, 7, 33, 4097, chance.Below(1000)}));
    }
  }
  return image.Bytes();
}

std::string OverflowingShape(Chance& chance) {
  Image image = TakenApart();
  // Products of 2^64 and more: some are the true size in 64 bits.
  AnyTensor(chance, image).shape = chance.OneOf<std::vector<uint64_t>>(
      {{uint64_t{1} << 32, uint64_t{1} << 32},
       {uint64_t{1} << 63, 2},
       {0, uint64_t{1} << 63, 2},
       {std::numeric_limits<uint64_t>::max()},
       {(uint64_t{1} << 61) + 1 + chance.Below(100), 8},
       {chance.Any() | uint64_t{1} << 63, 2 + chance.Below(1000)}});
  return image.Bytes();
}

std::string Type(Chance& chance) {
  Image image = TakenApart();
  ImageTensor& tensor = AnyTensor(chance, image);
  const std::string truth = tensor.type;
  while (tensor.type == truth) {
    tensor.type = chance.OneOf<std::string>(
        {"F32", "U64", "U32", "U8", "BF16", "F64", "I8", "BOOL", "", "f32"});
  }
  return image.Bytes();
}

std::string TwiceTheSameName(Chance& chance) {
  Image image = TakenApart();
  const std::string name = AnyTensor(chance, image).name;
  image.replacements = {
      {absl::StrCat("\"", name, "\":{\"data_offsets"),
       absl::StrCat("\"", name, "\":{},\"", name, "\":{\"data_offsets")}};
  return image.Bytes();
}

std::string MissingTensor(Chance& chance) {
  const std::vector<std::string> required = {
      "user.gmf",        "item.gmf",      "user.tower",    "item.tower",
      "tower.2.weight",  "tower.2.bias",  "head.weight",   "user.id.offsets",
      "item.id.offsets", "user.id.bytes", "item.id.bytes", "seen.offsets",
      "seen.items"};
  Image image = TakenApart();
  image.Remove(chance.OneOf(required));
  return image.Bytes();
}

std::string NoPlainNumber(Chance& chance) {
  Image image = TakenApart();
  image.replacements = {
      {"\"shape\":[", absl::StrCat("\"shape\":[",
                                   chance.OneOf<std::string>(
                                       {"-1", "1.0", "1e0", "\"1\"", "null",
                                        "[1]", "true", "18446744073709551616"}),
                                   ",")}};
  return image.Bytes();
}

std::string DeepJson(Chance& chance) {
  const size_t depth = 5 + chance.Below(200'000);
  return FileOf(absl::StrCat("{\"a\":", std::string(depth, '['),
                             std::string(depth, ']'), "}"),
                "");
}

std::string LongJson(Chance& chance) {
  std::string text = "{\"a\":[1";
  const size_t count = 8192 + chance.Below(300'000);
  for (size_t i = 0; i < count; ++i) text += ",1";
  return FileOf(text + "]}", "");
}

std::string ManyKeys(Chance& chance) {
  std::string text = "{\"0\":1";
  const size_t count = 257 + chance.Below(3000);
  for (size_t i = 1; i < count; ++i) absl::StrAppend(&text, ",\"", i, "\":1");
  return FileOf(text + "}", "");
}

std::string NoJson(Chance& chance) {
  std::string text = TakenApart().HeaderText();
  const size_t at = chance.Below(text.size());
  const std::string garbage = chance.OneOf<std::string>(
      {"\xff", std::string(1, '\0'), "\xc3\x28", "\x01", "\xed\xa0\x80"});
  return FileOf(text.insert(at, garbage), "");
}

std::string Metadata(Chance& chance) {
  Image image = TakenApart();
  switch (chance.Below(4)) {
    case 0:
      image.metadata["format"] = "pt";
      break;
    case 1:
      image.metadata.erase("format");
      break;
    case 2:
      image.metadata["neumf.manifest.sha256"] = std::string(64, '0');
      break;
    default:
      image.metadata["number"] = 7;
      break;
  }
  return image.Bytes();
}

std::string WrongDigest(Chance& chance) {
  Image image = TakenApart();
  ImageTensor& tensor = AnyTensor(chance, image);
  tensor.bytes[chance.Below(tensor.bytes.size())] ^= 1;
  image.with_old_digest = {tensor.name};
  return image.Bytes();
}

std::string NoDigest(Chance& chance) {
  Image image = TakenApart();
  image.without_digest = {AnyTensor(chance, image).name};
  return image.Bytes();
}

std::string OddDigest(Chance& chance) {
  Image image = TakenApart();
  const std::string name = AnyTensor(chance, image).name;
  image.with_old_digest = {name};
  const nlohmann::json whole = image.manifest["tensors"][name];
  image.manifest["tensors"][name] = chance.OneOf<nlohmann::json>(
      {{{"sha256", std::string(63, 'a')}},
       {{"sha256", std::string(64, 'A')}},
       {{"sha256", 7}},
       {{"chunk_bytes", 0}, {"sha256_chunks", {whole["sha256"]}}},
       {{"chunk_bytes", 1}, {"sha256_chunks", {whole["sha256"]}}},
       {{"chunk_bytes", -1}, {"sha256_chunks", {whole["sha256"]}}},
       {{"chunk_bytes", 8}, {"sha256_chunks", nlohmann::json::array()}},
       nlohmann::json::object()});
  return image.Bytes();
}

constexpr Damage kDamages[] = {
    {"header length", HeaderLength, "header|too short|end at"},
    {"offsets", Offsets, "no range in|offsets span|inside|hole|end at|integer"},
    {"overlap", Overlap, "inside|hole"},
    {"hole", Hole, "hole"},
    {"shape", Shape, "shape|dimensions|width|holds no id|empty"},
    {"overflowing shape", OverflowingShape, "does not fit 64 bits|needs"},
    {"type", Type, "type |needs"},
    {"twice the same name", TwiceTheSameName, "twice"},
    {"missing tensor", MissingTensor, "missing"},
    {"no plain number", NoPlainNumber, "not a plain integer|header"},
    {"deep JSON", DeepJson, "header"},
    {"long JSON", LongJson, "header"},
    {"many keys", ManyKeys, "header"},
    {"no JSON", NoJson, "header"},
    {"metadata", Metadata, "format|SHA-256|is no text"},
    {"wrong digest", WrongDigest, "SHA-256"},
    {"no digest", NoDigest, "no digest"},
    {"odd digest", OddDigest, "digest|sha256|chunk_bytes"},
};

}  // namespace

absl::Span<const Damage> DamagesOfHeaders() { return kDamages; }

}  // namespace neumf
