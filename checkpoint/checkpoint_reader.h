#pragma once

// Opens a checkpoint file and reads it once, believing nothing that it says.
//
//   NEUMF_ASSIGN_OR_RETURN(auto reader,
//                          CheckpointReader::Open(files, path, {}));
//   const ModelShape& shape = reader->info().shape;  // before any data is read
//   NEUMF_ASSIGN_OR_RETURN(auto builder,
//                          MakeScorerBuilder(backend, shape,
//                                            reader->network(), {}));
//   NEUMF_ASSIGN_OR_RETURN(ServingModel model,
//                          reader->Read([&](const ItemRows& rows) {
//                            return builder->Add(rows);
//                          }));
//
// The item tables, by far the largest part, are never held here: they go to the
// sink in blocks of a few MiB, so the peak is what the packer keeps plus two
// blocks: one is packed while the next one is read. The weights of the network
// are read by Open(), so a packer can be made before the items come.
//
// CONTRACT
// 1. BOUNDED. The header is parsed within the limits of
//    docs/checkpoint_format.md; nothing is allocated by a size that the file's
//    real length does not back.
// 2. VERIFIED. Read() returns OK only when every tensor's SHA-256 is the
//    manifest's, every value is finite, ids are unique UTF-8, seen rows ascend,
//    and no score can overflow. Until then what went to the sink is
//    provisional: drop the packer when Read() fails.
// 3. STEADY. One descriptor, opened once and read, never mapped: a file that is
//    truncated or rewritten meanwhile gives an error or the bytes first hashed,
//    never a crash.
//
// Errors name the file, the tensor and the reason. DATA_LOSS: the content is
// damaged, foreign or lies about itself. FAILED_PRECONDITION: a format version
// or feature that this program does not know. UNAVAILABLE and the other codes
// of ErrnoStatus(): the file could not be read.
//
// A reader belongs to one thread; Read() may use more.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/aligned_matrix.h"
#include "base/file_system.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint_schema.h"
#include "checkpoint/manifest.h"
#include "checkpoint/part_digests.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_stream.h"
#include "model/score_bound.h"
#include "model/serving_model.h"

namespace neumf {

// What a header says, checked for shapes and types but not yet for content.
struct CheckpointInfo {
  std::string path;
  FileInfo file;
  std::string digest;  // SHA-256 of the header's JSON text in hex: that text
                       // holds the digests of all tensors
  ModelShape shape;
  Manifest manifest;
  std::vector<std::string> ignored_tensors;  // of no known feature: skipped
  PartDigests parts;
};

// What need not be read, since another reader has read and verified it
// (EqualParts()), and the bound of that reader; null without such parts.
struct KeptParts {
  ModelParts parts;
  const ScoreBound* bound = nullptr;
};

class CheckpointReader {
 public:
  struct Options {
    // Most bytes of item rows in one call of the sink. More costs memory and
    // brings little.
    size_t block_bytes = 4 << 20;
    // Threads that Read() may use, the caller included. They start in Read()
    // and inherit the caller's priority. What is read is the same for any
    // number. Default: one.
    size_t num_threads = 1;
    // Most bytes that all of them read in a second. Default, 0: no limit.
    uint64_t bytes_per_second = 0;
    // Share of the time that each of them works, in (0, 1]; the rest of it
    // belongs to others (resting_file.h). Default: all.
    double work_share = 1;
    // Asked by those that rest, before each piece: true has them rest for much
    // longer. Default: nobody is asked.
    std::function<bool()> others_are_behind;
    // With a share below 1: Read() ends with DEADLINE_EXCEEDED when one of them
    // takes only leftovers of the processors and there are none. Default: it
    // goes on.
    bool ends_when_starved = false;
    // Asked before each piece, by all of these threads: true ends the read with
    // CANCELLED. Default: nobody is asked.
    std::function<bool()> cancelled;
  };

  static absl::StatusOr<std::unique_ptr<CheckpointReader>> Open(
      FileSystem& files, absl::string_view path, const Options& options);

  const CheckpointInfo& info() const { return info_; }
  // Read and verified by Open().
  const ScoreNetwork& network() const { return network_; }
  const SafetensorsHeader& header() const { return header_; }
  const CheckpointContent& content() const { return content_; }
  size_t block_bytes() const { return options_.block_bytes; }

  // All but what is kept and the item tables, which go to `sink` in whole rows:
  // one call at a time, on any of the threads. Call it once. Throws what `sink` throws,
  // std::bad_alloc when memory is short on any thread, std::system_error when a
  // thread cannot be started.
  absl::StatusOr<ServingModel> Read(ItemRowsSink sink,
                                    const KeptParts& kept = {});
  // Of what Read() gave, and of what was kept.
  const ScoreBound& bound() const { return *bound_; }

 private:
  CheckpointReader(std::unique_ptr<ReadableFile> file, Options options);

  absl::Status ReadHeader();
  absl::Status ReadNetwork();
  absl::StatusOr<ServingModel> ReadModel(ItemRowsSink sink,
                                         const KeptParts& kept);
  absl::Status ReadTables(const ModelParts& kept, ServingModel* model);
  absl::Status ReadUserTables(UserTables& users);
  template <typename T>
  absl::StatusOr<AlignedTable<T>> ReadUserTable(absl::string_view name,
                                                uint32_t width);
  absl::StatusOr<IdTable> ReadUserIds();
  absl::StatusOr<IdTable> ReadItemIds();
  absl::StatusOr<SeenSets> ReadSeen();
  absl::Status StreamItemTable(ItemTable table, uint32_t width,
                               ItemRowsSink sink);
  absl::Status StreamItems(ItemRowsSink sink);
  // What is kept or ignored is read all the same: a damaged file is refused
  // whatever is damaged, today as at the next start.
  absl::Status VerifyUnread();

  TensorStream OpenTensor(absl::string_view name);
  // All of a tensor, which has as many bytes as `destination`.
  absl::Status ReadTensor(absl::string_view name, absl::Span<char> destination);
  template <typename T>
  absl::StatusOr<AlignedArray<T>> ReadArray(absl::string_view name,
                                            uint64_t size);
  // Finite values of a [rows, cols] tensor.
  absl::StatusOr<std::vector<float>> ReadWeights(absl::string_view name,
                                                 uint64_t rows, uint64_t cols);

  const std::unique_ptr<ReadableFile> file_;
  const Options options_;
  std::unique_ptr<ThreadPool> threads_;  // only the caller before Read()
  SafetensorsHeader header_;
  CheckpointContent content_;
  CheckpointInfo info_;
  ScoreNetwork network_;
  std::optional<ScoreBound> bound_;
  std::set<std::string> opened_;  // tensors
};

// A whole checkpoint in memory, item tables row-major: for tools and tests.
struct LoadedCheckpoint {
  CheckpointInfo info;
  ServingModel model;
  ItemTables items;
};
absl::StatusOr<LoadedCheckpoint> LoadCheckpoint(
    FileSystem& files, absl::string_view path,
    const CheckpointReader::Options& options = {});

}  // namespace neumf
