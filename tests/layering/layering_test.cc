// The house stands: no include of the tree points up or sideways.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "tests/layering/include_rules.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::Eq;
using testing::Field;
using testing::IsEmpty;
using testing::Not;
using testing::Optional;

namespace fs = std::filesystem;

fs::path SourceDirectory() {
  const char* const directory = std::getenv("NEUMF_SOURCE_DIR");
  return directory != nullptr ? directory : NEUMF_DEFAULT_SOURCE_DIR;
}

bool IsSource(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".h" || extension == ".cc" || extension == ".cu" ||
         extension == ".cuh";
}

std::string Content(const fs::path& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// All includes of the sources below `folder`.
std::vector<Include> IncludesBelow(const std::string& folder) {
  const fs::path root = SourceDirectory();
  std::vector<Include> all;
  if (!fs::exists(root / folder)) return all;
  for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
    if (!entry.is_regular_file() || !IsSource(entry.path())) continue;
    const std::string file = entry.path().lexically_relative(root).string();
    const std::vector<Include> includes =
        ParseIncludes(file, Content(entry.path()));
    all.insert(all.end(), includes.begin(), includes.end());
  }
  return all;
}

TEST(LayeringTest, NoIncludePointsUpOrSideways) {
  std::vector<std::string> breaches;
  for (const std::string& folder : FoldersWithFloor()) {
    for (const Include& include : IncludesBelow(folder)) {
      const std::optional<std::string> breach = FindBreach(include);
      if (breach.has_value()) breaches.push_back(*breach);
    }
  }
  EXPECT_THAT(breaches, IsEmpty());
}

TEST(LayeringTest, ReadsTheSourcesOfTheHouse) {
  for (const char* const folder :
       {"base", "data", "model", "checkpoint", "scoring", "eval", "server"}) {
    EXPECT_THAT(IncludesBelow(folder), Not(IsEmpty())) << folder;
  }
}

// The breach of `file`, in line 1, when it includes `target`.
std::optional<std::string> Breach(const char* file, const char* target) {
  return FindBreach({file, 1, target});
}

auto Breaks(const char* reason) { return Optional(EndsWith(reason)); }
auto BreaksNothing() { return Eq(std::nullopt); }

TEST(IncludeRulesTest, PrintTheArrow) {
  EXPECT_THAT(FindBreach({"server/x.h", 7, "trainer/y.h"}),
              Optional(std::string("server/x.h:7: server/x.h -> trainer/y.h: "
                                   "points sideways")));
}

TEST(IncludeRulesTest, LetIncludesGoDownAndStayInTheirFolder) {
  EXPECT_THAT(Breach("server/x.cc", "base/clock.h"), BreaksNothing());
  EXPECT_THAT(Breach("server/x.cc", "server/x.h"), BreaksNothing());
  EXPECT_THAT(Breach("scoring/cpu/x.cc", "scoring/top_k.h"), BreaksNothing());
  EXPECT_THAT(Breach("eval/x.cc", "checkpoint/manifest.h"), BreaksNothing());
  EXPECT_THAT(Breach("server/x.cc", "neumf/v1/x.pb.h"), BreaksNothing());
  EXPECT_THAT(Breach("base/x.cc", "vector"), BreaksNothing());
  EXPECT_THAT(Breach("base/x.cc", "absl/status/status.h"), BreaksNothing());
}

TEST(IncludeRulesTest, RefuseTheWayUp) {
  EXPECT_THAT(Breach("base/x.h", "data/split.h"), Breaks("points up"));
  EXPECT_THAT(Breach("model/x.h", "scoring/scorer.h"), Breaks("points up"));
  EXPECT_THAT(Breach("scoring/cpu/x.h", "eval/x.h"), Breaks("points up"));
  EXPECT_THAT(Breach("base/x.cc", "neumf/v1/x.pb.h"), Breaks("points up"));
}

TEST(IncludeRulesTest, RefuseTheWaySideways) {
  EXPECT_THAT(Breach("checkpoint/x.h", "scoring/scorer.h"),
              Breaks("points sideways"));
  EXPECT_THAT(Breach("scoring/x.h", "checkpoint/manifest.h"),
              Breaks("points sideways"));
  EXPECT_THAT(Breach("bench/x.cc", "server/admission.h"),
              Breaks("points sideways"));
  EXPECT_THAT(Breach("client/x.cc", "server/admission.h"),
              Breaks("points sideways"));
  EXPECT_THAT(Breach("data/x.cc", "google/rpc/status.pb.h"),
              Breaks("points sideways"));
}

TEST(IncludeRulesTest, RefusePathsThatClimb) {
  EXPECT_THAT(Breach("server/x.cc", "../trainer/y.h"),
              Breaks("paths start at the root of the repository"));
}

TEST(IncludeRulesTest, KeepLibTorchInItsPlaces) {
  for (const char* const header :
       {"torch/torch.h", "ATen/ATen.h", "c10/util/Exception.h"}) {
    EXPECT_THAT(Breach("trainer/x.cc", header), BreaksNothing());
    EXPECT_THAT(Breach("scoring/torch/x.cc", header), BreaksNothing());
    EXPECT_THAT(Breach("scoring/x.cc", header),
                Breaks("LibTorch has no place here"));
    EXPECT_THAT(Breach("server/x.cc", header),
                Breaks("LibTorch has no place here"));
  }
}

TEST(IncludeRulesTest, KeepCudaInItsPlaces) {
  for (const char* const header :
       {"cuda.h", "cuda_runtime.h", "cuda/std/array", "scan.cuh"}) {
    EXPECT_THAT(Breach("scoring/cuda/x.cu", header), BreaksNothing());
    EXPECT_THAT(Breach("trainer/cuda/x.cu", header), BreaksNothing());
    EXPECT_THAT(Breach("bench/gpu/x.cu", header), BreaksNothing());
    EXPECT_THAT(Breach("scoring/cpu/x.cc", header),
                Breaks("CUDA has no place here"));
    EXPECT_THAT(Breach("trainer/x.cc", header),
                Breaks("CUDA has no place here"));
  }
}

TEST(IncludeRulesTest, OpenTheCudaBackendByItsScorerAlone) {
  EXPECT_THAT(Breach("server/x.cc", "scoring/cuda/cuda_scorer.h"),
              BreaksNothing());
  for (const char* const header :
       {"scoring/cuda/device/device.h", "scoring/cuda/kernels/views.h"}) {
    EXPECT_THAT(Breach("scoring/cuda/x.cc", header), BreaksNothing());
    EXPECT_THAT(Breach("trainer/cuda/x.cc", header), BreaksNothing());
    EXPECT_THAT(Breach("server/x.cc", header),
                Breaks("a GPU's inside has no place here"));
    EXPECT_THAT(Breach("scoring/cpu/x.cc", header),
                Breaks("a GPU's inside has no place here"));
  }
}

TEST(IncludeRulesTest, KeepGrpcInItsPlaces) {
  for (const char* const header :
       {"grpcpp/grpcpp.h", "neumf/v1/model_service.grpc.pb.h"}) {
    EXPECT_THAT(Breach("server/x.cc", header), BreaksNothing());
    EXPECT_THAT(Breach("client/x.cc", header), BreaksNothing());
    EXPECT_THAT(Breach("bench/x.cc", header), BreaksNothing());
    EXPECT_THAT(Breach("eval/x.cc", header), Breaks("gRPC has no place here"));
    EXPECT_THAT(Breach("trainer/x.cc", header),
                Breaks("gRPC has no place here"));
  }
}

TEST(IncludeRulesTest, KeepPrometheusInTheServer) {
  EXPECT_THAT(Breach("server/x.cc", "prometheus/counter.h"), BreaksNothing());
  EXPECT_THAT(Breach("scoring/x.cc", "prometheus/counter.h"),
              Breaks("prometheus-cpp has no place here"));
}

TEST(IncludeRulesTest, KeepFaissInTheBenchmarks) {
  EXPECT_THAT(Breach("bench/x.cc", "faiss/IndexFlat.h"), BreaksNothing());
  EXPECT_THAT(Breach("scoring/x.cc", "faiss/IndexFlat.h"),
              Breaks("FAISS has no place here"));
}

auto IsInclude(int line, const char* target) {
  return AllOf(Field(&Include::line, line), Field(&Include::target, target));
}

TEST(ParseIncludesTest, FindsBothKindsHoweverTheyAreSpaced) {
  EXPECT_THAT(ParseIncludes("x.h",
                            "#pragma once\n"
                            "#include <vector>\n"
                            "\n"
                            "  #  include \"base/clock.h\"  // why\n"
                            "#include\"a.h\""),
              ElementsAre(IsInclude(2, "vector"), IsInclude(4, "base/clock.h"),
                          IsInclude(5, "a.h")));
}

TEST(ParseIncludesTest, PassesOverWhatIsNoInclude) {
  EXPECT_THAT(ParseIncludes("x.h",
                            "// #include \"trainer/y.h\"\n"
                            "#include HWY_TARGET_INCLUDE\n"
                            "#include \"open\n"
                            "#define X \"trainer/y.h\"\n"),
              IsEmpty());
}

}  // namespace
}  // namespace neumf
