#include "checkpoint/part_digests.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors.h"

namespace neumf {
namespace {

struct PartTexts {
  std::string user_tables;
  std::string user_ids;
  std::string item_ids;
  std::string seen;
  std::string popularity;
  std::string items;
};

std::string* TextOf(absl::string_view tensor, PartTexts* texts) {
  if (absl::StartsWith(tensor, "user.id.")) return &texts->user_ids;
  if (absl::StartsWith(tensor, "user.")) return &texts->user_tables;
  if (absl::StartsWith(tensor, "item.id.")) return &texts->item_ids;
  if (absl::StartsWith(tensor, "seen.")) return &texts->seen;
  if (tensor == "item.popularity") return &texts->popularity;
  return &texts->items;
}

std::string TextOf(const TensorSpec& spec, const TensorDigest& digest) {
  std::string text =
      absl::StrCat(spec.name, " ", TensorTypeName(spec.type), " ",
                   ShapeText(spec.shape), " ", digest.chunk_bytes);
  for (const Sha256Digest& sha256 : digest.sha256) {
    absl::StrAppend(&text, " ", ToHex(sha256));
  }
  return text + "\n";
}

}  // namespace

PartDigests PartDigestsOf(const CheckpointContent& content,
                          const Manifest& manifest) {
  PartTexts texts;
  for (const TensorSpec& spec : TensorsOf(content)) {
    *TextOf(spec.name, &texts) += TextOf(spec, manifest.tensors.at(spec.name));
  }
  // Seen items are checked against the catalog.
  absl::StrAppend(&texts.seen, content.shape.num_items);
  absl::StrAppend(&texts.items, ActivationName(manifest.activation));
  return {Sha256Of(texts.user_tables), Sha256Of(texts.user_ids),
          Sha256Of(texts.item_ids),    Sha256Of(texts.seen),
          Sha256Of(texts.popularity),  Sha256Of(texts.items)};
}

ModelParts EqualParts(const PartDigests& a, const PartDigests& b) {
  ModelParts equal;
  equal.user_tables = a.user_tables == b.user_tables;
  equal.user_ids = a.user_ids == b.user_ids;
  equal.item_ids = a.item_ids == b.item_ids;
  equal.seen = a.seen == b.seen;
  equal.popularity = a.popularity == b.popularity;
  equal.items = a.items == b.items;
  return equal;
}

}  // namespace neumf
