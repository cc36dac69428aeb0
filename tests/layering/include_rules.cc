#include "tests/layering/include_rules.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace neumf {
namespace {

struct Floor {
  absl::string_view folder;
  int number;
};

constexpr Floor kFloors[] = {{"base", 0},   {"data", 1},       {"proto", 1},
                             {"model", 2},  {"checkpoint", 3}, {"scoring", 3},
                             {"eval", 4},   {"server", 5},     {"trainer", 5},
                             {"client", 5}, {"bench", 5}};

// Headers that begin with one of `prefixes` or end with `suffix` may be
// included below `places` only.
struct Confinement {
  absl::string_view what;
  std::vector<absl::string_view> prefixes;
  absl::string_view suffix;
  std::vector<absl::string_view> places;
};

std::vector<Confinement> Confinements() {
  return {
      {"LibTorch",
       {"torch/", "ATen/", "c10/"},
       "",
       {"trainer/", "scoring/torch/"}},
      {"CUDA",
       {"cuda", "cub/", "cublas", "curand", "cooperative_groups", "mma.h",
        "thrust/"},
       ".cuh",
       {"scoring/cuda/", "trainer/cuda/", "bench/gpu/"}},
      {"a GPU's inside",
       {"scoring/cuda/device/", "scoring/cuda/kernels/"},
       "",
       {"scoring/cuda/", "trainer/cuda/", "bench/gpu/"}},
      {"gRPC",
       {"grpc/", "grpcpp/"},
       ".grpc.pb.h",
       {"server/", "client/", "bench/", "tests/"}},
      {"prometheus-cpp", {"prometheus/"}, "", {"server/"}},
      {"libmicrohttpd", {"microhttpd.h", "gnutls/"}, "", {"server/"}},
      {"FAISS", {"faiss/", "omp.h"}, "", {"bench/"}},
  };
}

const Floor* FloorOf(absl::string_view path) {
  const absl::string_view folder = path.substr(0, path.find('/'));
  const Floor* const floor =
      std::find_if(std::begin(kFloors), std::end(kFloors),
                   [&](const Floor& f) { return f.folder == folder; });
  return floor == std::end(kFloors) ? nullptr : floor;
}

// Generated headers are found below the name of their package.
std::string PathInTree(absl::string_view target) {
  const bool is_generated = absl::EndsWith(target, ".pb.h") &&
                            (absl::StartsWith(target, "neumf/") ||
                             absl::StartsWith(target, "google/rpc/") ||
                             absl::StartsWith(target, "grpc/"));
  return is_generated ? absl::StrCat("proto/", target) : std::string(target);
}

bool StartsWithAny(absl::string_view text,
                   const std::vector<absl::string_view>& prefixes) {
  return std::any_of(
      prefixes.begin(), prefixes.end(),
      [&](absl::string_view prefix) { return absl::StartsWith(text, prefix); });
}

bool Concerns(const Confinement& confinement, absl::string_view target) {
  return StartsWithAny(target, confinement.prefixes) ||
         (!confinement.suffix.empty() &&
          absl::EndsWith(target, confinement.suffix));
}

// Why the include may not be; empty when it may.
std::string Reason(const Include& include) {
  if (absl::StrContains(include.target, "..")) {
    return "paths start at the root of the repository";
  }
  for (const Confinement& confinement : Confinements()) {
    if (Concerns(confinement, include.target) &&
        !StartsWithAny(include.file, confinement.places)) {
      return absl::StrCat(confinement.what, " has no place here");
    }
  }
  const Floor* const from = FloorOf(include.file);
  const Floor* const to = FloorOf(PathInTree(include.target));
  if (from == nullptr || to == nullptr || from == to) return "";
  if (to->number > from->number) return "points up";
  return to->number == from->number ? "points sideways" : "";
}

}  // namespace

std::vector<std::string> FoldersWithFloor() {
  std::vector<std::string> folders;
  for (const Floor& floor : kFloors) folders.emplace_back(floor.folder);
  return folders;
}

std::vector<Include> ParseIncludes(absl::string_view file,
                                   absl::string_view text) {
  std::vector<Include> includes;
  int line_number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_number;
    line = absl::StripLeadingAsciiWhitespace(line);
    if (!absl::ConsumePrefix(&line, "#")) continue;
    line = absl::StripLeadingAsciiWhitespace(line);
    if (!absl::ConsumePrefix(&line, "include")) continue;
    line = absl::StripLeadingAsciiWhitespace(line);
    if (line.empty() || (line[0] != '"' && line[0] != '<')) continue;
    const size_t end = line.find(line[0] == '"' ? '"' : '>', 1);
    if (end == absl::string_view::npos) continue;
    includes.push_back(
        {std::string(file), line_number, std::string(line.substr(1, end - 1))});
  }
  return includes;
}

std::optional<std::string> FindBreach(const Include& include) {
  const std::string reason = Reason(include);
  if (reason.empty()) return std::nullopt;
  return absl::StrCat(include.file, ":", include.line, ": ", include.file,
                      " -> ", include.target, ": ", reason);
}

}  // namespace neumf
