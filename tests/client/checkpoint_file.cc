#include "tests/client/checkpoint_file.h"

#include <fstream>
#include <memory>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/logging.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/manifest.h"
#include "tests/support/probes.h"

namespace neumf {
namespace {

constexpr const char* kProbedUsers[] = {"u0", "u1", "u2"};
constexpr uint32_t kNumProbeItems = 10;

Manifest MakeManifest(const TinyModel& tiny) {
  Manifest manifest;
  manifest.model_kind = "neumf";
  manifest.created_at = "2026-01-31T12:00:00Z";
  manifest.training = {{"recipe", "tiny"}};
  manifest.metrics = {{"hit@50", 0.5}};
  const std::unique_ptr<Scorer> scorer = MakeReferenceScorer(tiny);
  const ProbedModel model = MakeProbedModel(tiny, *scorer);
  for (const char* const user : kProbedUsers) {
    manifest.probes.push_back(MakeProbe(model, user, kNumProbeItems));
  }
  return manifest;
}

}  // namespace

CheckpointFile::CheckpointFile()
    : path_(directory_.Path("1.safetensors")), tiny_(MakeTinyModel({})) {}

void CheckpointFile::Write() {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  NEUMF_CHECK(WriteCheckpointFile(*files, path_, tiny_.model, tiny_.items,
                                  MakeManifest(tiny_))
                  .ok());
}

void CheckpointFile::WriteWithShuffledNames() {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  const Manifest manifest = MakeManifest(tiny_);
  std::vector<std::string> ids;
  for (uint64_t row = 0; row < tiny_.model.item_ids.size(); ++row) {
    ids.emplace_back(tiny_.model.item_ids.id(row));
  }
  // Items that a probe names, so that it must notice.
  std::swap(
      ids[*tiny_.model.item_ids.Find(manifest.probes[0].items[0].item_id)],
      ids[*tiny_.model.item_ids.Find(manifest.probes[0].items[9].item_id)]);
  auto shuffled = IdTable::FromIds(ids);
  NEUMF_CHECK(shuffled.ok());
  tiny_.model.item_ids = *std::move(shuffled);
  NEUMF_CHECK(
      WriteCheckpointFile(*files, path_, tiny_.model, tiny_.items, manifest)
          .ok());
}

void CheckpointFile::FlipLastByte() {
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-1, std::ios::end);
  const int last = file.peek();
  file.seekp(-1, std::ios::end);
  file.put(static_cast<char>(last ^ 1));
  NEUMF_CHECK(file.good());
}

}  // namespace neumf
