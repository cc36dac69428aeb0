#include <algorithm>
#include <string>
#include <vector>

#include "tests/checkpoint/damage.h"

namespace neumf {
namespace {

using Image = CheckpointImage;

const std::vector<std::string> kFloats = {
    "user.gmf",       "item.gmf",     "user.tower",  "item.tower", "item.bias",
    "tower.2.weight", "tower.2.bias", "head.weight", "head.bias"};

std::string NotFinite(Chance& chance) {
  Image image = TakenApart();
  const std::string name = chance.OneOf(kFloats);
  const size_t count = image.tensor(name).bytes.size() / sizeof(float);
  const uint32_t bits = chance.OneOf<uint32_t>(
      {0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff});
  image.Put(name, chance.Below(count), bits);
  return image.Bytes();
}

std::string OverflowingScores(Chance& chance) {
  Image image = TakenApart();
  const float huge = 1e38F * static_cast<float>(1 + chance.Below(3));
  const size_t column = chance.Below(4);
  image.Put("user.gmf", column + 4 * chance.Below(7), huge);
  image.Put("item.gmf", column + 4 * chance.Below(33), huge);
  return image.Bytes();
}

std::string Ids(Chance& chance) {
  Image image = TakenApart();
  const bool of_users = chance.Below(2) == 0;
  const std::string bytes = of_users ? "user.id.bytes" : "item.id.bytes";
  const std::string offsets = of_users ? "user.id.offsets" : "item.id.offsets";
  const size_t row = 1 + chance.Below(of_users ? 6 : 9);  // ids of two letters
  switch (chance.Below(5)) {
    case 0:  // twice
      image.tensor(bytes).bytes[2 * row + 1] = '0';
      break;
    case 1:
      image.tensor(bytes).bytes[2 * row] = '\xff';
      break;
    case 2:  // empty
      image.Put<uint64_t>(offsets, row, 2 * row - 2);
      break;
    case 3:
      image.Put<uint64_t>(offsets, row, chance.Any() | uint64_t{1} << 40);
      break;
    default:
      image.Put<uint64_t>(offsets, 0, 1 + chance.Below(2));
      break;
  }
  return image.Bytes();
}

std::string Seen(Chance& chance) {
  Image image = TakenApart();
  const size_t user = chance.Below(7);  // each has seen three
  switch (chance.Below(4)) {
    case 0:  // the same twice
      image.Put<uint32_t>("seen.items", 3 * user, 5);
      image.Put<uint32_t>("seen.items", 3 * user + 1, 5);
      break;
    case 1:  // falling
      image.Put<uint32_t>("seen.items", 3 * user, 32);
      image.Put<uint32_t>("seen.items", 3 * user + 1, 1);
      break;
    case 2:
      image.Put<uint32_t>("seen.items", 3 * user + 2,
                          static_cast<uint32_t>(33 + chance.Below(1 << 31)));
      break;
    default:
      image.Put<uint64_t>("seen.offsets", user + 1,
                          chance.Any() | uint64_t{1} << 40);
      break;
  }
  return image.Bytes();
}

std::string Hashes(Chance& chance) {
  Image image = TakenApart();
  std::vector<uint64_t> hashes;
  for (int user = 0; user < 7; ++user) hashes.push_back(chance.Any());
  if (chance.Below(2) == 0) std::sort(hashes.begin(), hashes.end());
  image.tensors.insert(image.tensors.begin(),
                       {"user.id.hash", "U64", {7}, "", std::nullopt});
  image.SetValues("user.id.hash", hashes);
  return image.Bytes();
}

std::string OddProbes(Chance& chance) {
  Image image = TakenApart();
  image.manifest["probes"] = chance.OneOf<nlohmann::json>(
      {7,
       {7},
       {{{"user_id", "u1"}}},
       {{{"user_id", 1}, {"items", {1}}}},
       {{{"user_id", "u1"}, {"items", {{{"item_id", "i1"}}}}}}});
  return image.Bytes();
}

std::string Probes(Chance& chance) {
  Image image = TakenApart();
  const std::string user = chance.OneOf<std::string>({"u1", "u3", "nobody"});
  const std::string item = chance.OneOf<std::string>({"i2", "i30", "nothing"});
  const double score = 1000.0 + static_cast<double>(chance.Below(1000));
  image.manifest["probes"] = nlohmann::json::array(
      {{{"user_id", user},
        {"items",
         nlohmann::json::array({{{"item_id", item}, {"score", score}}})}}});
  return image.Bytes();
}

std::string Newer(Chance& chance) {
  Image image = TakenApart();
  switch (chance.Below(3)) {
    case 0:
      image.manifest["format_version"] = 2 + chance.Below(100);
      break;
    case 1:
      image.manifest["required_features"] = {"time_travel"};
      break;
    default:
      image.manifest["activation"] = "gelu";
      break;
  }
  return image.Bytes();
}

constexpr Damage kDamages[] = {
    {"not finite", NotFinite, "not finite"},
    {"overflowing scores", OverflowingScores, "safely holds"},
    {"ids", Ids, ".id."},
    {"seen sets", Seen, "seen.items"},
    {"hashes", Hashes, "user.id.hash"},
    {"odd probes", OddProbes, "probe"},
    {"probes", Probes, "probe of user"},
    {"newer", Newer, "format_version|time_travel|gelu"},
};

}  // namespace

absl::Span<const Damage> DamagesOfContents() { return kDamages; }

}  // namespace neumf
