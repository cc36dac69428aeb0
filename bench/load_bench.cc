// Loads a checkpoint of a million users and a million items as the server does:
// read, verified and packed, with the users' tables, both id tables and the
// seen sets. One whose large tensors have a digest for each chunk, as our writer
// makes them, and one with a single digest a tensor, which one thread must hash.
//
// `load.peak_over_resident` is the largest resident set while loading over that
// after it, both above what the process had before; every load runs in a process
// of its own. The file is read from the page cache, since what is measured is the
// program and not the disk, unless --cold asks for both.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file_system.h"
#include "base/logging.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "bench/figures.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_writer.h"
#include "scoring/scorer.h"

ABSL_FLAG(uint64_t, users, 1'000'000, "Users of the checkpoint.");
ABSL_FLAG(uint64_t, items, 1'000'000, "Items of the checkpoint.");
ABSL_FLAG(size_t, threads, 2, "Threads that load.");
ABSL_FLAG(size_t, runs, 5, "Loads of each file; the figures are medians.");
ABSL_FLAG(std::string, dir, "/tmp", "Where the files are put meanwhile.");
ABSL_FLAG(std::string, checkpoint, "",
          "Loads this file instead of making some, e.g. under a profiler.");
ABSL_FLAG(bool, cold, false, "Takes the file out of the page cache each time.");
ABSL_FLAG(std::string, only, "", "Measures figures whose name holds this.");

namespace neumf {
namespace {

constexpr uint64_t kSeenPerUser = 50;

constexpr char kSeconds[] = "load.seconds";
constexpr char kSecondsPerGib[] = "load.seconds_per_gib";
constexpr char kPeak[] = "load.peak_over_resident";

// Tower A of [64, 32, 16, 8] with a GMF part of 8.
ModelShape ShapeOfCheckpoint() {
  ModelShape shape;
  shape.num_users = absl::GetFlag(FLAGS_users);
  shape.num_items = absl::GetFlag(FLAGS_items);
  shape.gmf_width = 8;
  shape.tower_widths = {32, 16, 8};
  shape.has_item_bias = true;
  return shape;
}

// The same numbers with every standard library.
class Generator {
 public:
  void Fill(absl::Span<float> values) {
    for (float& value : values) {
      value = static_cast<float>(engine_() >> 8) * 0x1p-24F - 0.5F;
    }
  }

  std::vector<float> Vector(size_t size) {
    std::vector<float> values(size);
    Fill(absl::MakeSpan(values));
    return values;
  }

  AlignedMatrix Matrix(uint64_t rows, uint32_t cols) {
    AlignedMatrix matrix(rows, cols);
    Fill(absl::MakeSpan(matrix.data(), matrix.size()));
    return matrix;
  }

  uint64_t Below(uint64_t end) { return engine_() % end; }

 private:
  std::mt19937 engine_;
};

ScoreNetwork RandomNetwork(Generator& random, const ModelShape& shape) {
  ScoreNetwork network;
  const std::vector<uint32_t>& widths = shape.tower_widths;
  for (size_t i = 1; i < widths.size(); ++i) {
    network.layers.push_back({widths[i - 1], widths[i],
                              random.Vector(size_t{widths[i - 1]} * widths[i]),
                              random.Vector(widths[i])});
  }
  network.head_weight = random.Vector(widths.back());
  return network;
}

std::vector<std::string> NumberedIds(absl::string_view prefix, uint64_t count) {
  std::vector<std::string> ids;
  ids.reserve(count);
  for (uint64_t i = 0; i < count; ++i) ids.push_back(absl::StrCat(prefix, i));
  return ids;
}

IdTable UserIdsByHash(uint64_t count) {
  std::vector<std::string> ids = NumberedIds("u", count);
  std::vector<std::pair<uint64_t, std::string>> hashed;
  hashed.reserve(ids.size());
  for (std::string& id : ids) hashed.emplace_back(IdHash(id), std::move(id));
  std::sort(hashed.begin(), hashed.end());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = std::move(hashed[i].second);
  return *IdTable::FromIdsByHash(ids);
}

SeenSets RandomSeen(Generator& random, const ModelShape& shape) {
  const uint64_t per_user = std::min(kSeenPerUser, shape.num_items);
  std::vector<uint64_t> offsets = {0};
  std::vector<uint32_t> items;
  items.reserve(shape.num_users * per_user);
  for (uint64_t user = 0; user < shape.num_users; ++user) {
    // One item from each of as many equal parts of the catalog.
    for (uint64_t i = 0; i < per_user; ++i) {
      const uint64_t begin = i * shape.num_items / per_user;
      const uint64_t end = (i + 1) * shape.num_items / per_user;
      items.push_back(static_cast<uint32_t>(begin + random.Below(end - begin)));
    }
    offsets.push_back(items.size());
  }
  return *SeenSets::FromRows(offsets, items, shape.num_items);
}

absl::Status MakeCheckpoint(const std::string& path,
                            const CheckpointWriterOptions& options) {
  Generator random;
  ServingModel model;
  model.shape = ShapeOfCheckpoint();
  const uint64_t num_users = model.shape.num_users;
  const uint64_t num_items = model.shape.num_items;
  model.network = RandomNetwork(random, model.shape);
  model.user_ids = UserIdsByHash(num_users);
  model.item_ids = *IdTable::FromIds(NumberedIds("i", num_items));
  model.users.gmf = random.Matrix(num_users, model.shape.gmf_width);
  model.users.tower = random.Matrix(num_users, model.shape.tower_width());
  model.seen = RandomSeen(random, model.shape);
  model.popularity = random.Vector(num_items);
  ItemTables items;
  items.gmf = random.Matrix(num_items, model.shape.gmf_width);
  items.tower = random.Matrix(num_items, model.shape.tower_width());
  items.bias = random.Vector(num_items);
  return WriteCheckpointFile(*MakePosixFileSystem(), path, model, items, {},
                             options);
}

// "VmRSS", "VmHWM", ... of this process.
double StatusBytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kibibytes = 0;
    if (word == key + ":" && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

// Of all threads of this process.
double CpuSeconds() {
  rusage usage = {};
  NEUMF_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  return absl::ToDoubleSeconds(absl::DurationFromTimeval(usage.ru_utime) +
                               absl::DurationFromTimeval(usage.ru_stime));
}

struct Loaded {
  double seconds = 0;
  double cpu_seconds = 0;
  double resident_bytes = 0;
  double peak_over_resident = 0;
  double huge_page_fraction = 0;  // of the resident bytes
};

double HugePageBytes() {
  std::ifstream maps("/proc/self/smaps_rollup");
  for (std::string word; maps >> word;) {
    double kibibytes = 0;
    if (word == "AnonHugePages:" && maps >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

absl::StatusOr<Loaded> Load(const std::string& path) {
  const double bytes_before = StatusBytes("VmRSS");
  const double cpu_before = CpuSeconds();
  const absl::Time start = absl::Now();
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  CheckpointReader::Options options;
  options.num_threads = absl::GetFlag(FLAGS_threads);
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointReader> reader,
                         CheckpointReader::Open(*files, path, options));
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<ScorerBuilder> builder,
                         MakeScorerBuilder(Backend::kCpu, reader->info().shape,
                                           reader->network(), {}));
  NEUMF_ASSIGN_OR_RETURN(
      const ServingModel model,
      reader->Read([&](const ItemRows& rows) { return builder->Add(rows); }));
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<Scorer> scorer,
                         builder->Build());
  Loaded loaded;
  loaded.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  loaded.cpu_seconds = CpuSeconds() - cpu_before;
  loaded.resident_bytes = StatusBytes("VmRSS") - bytes_before;
  loaded.peak_over_resident =
      (StatusBytes("VmHWM") - bytes_before) / loaded.resident_bytes;
  loaded.huge_page_fraction = HugePageBytes() / loaded.resident_bytes;
  return loaded;
}

// What `work` leaves behind in memory goes with its process.
void InChild(absl::FunctionRef<absl::Status()> work) {
  const pid_t child = fork();
  NEUMF_CHECK(child >= 0);
  if (child == 0) {
    const absl::Status status = work();
    if (!status.ok()) std::cerr << status << std::endl;
    _exit(status.ok() ? 0 : 1);
  }
  int status = 0;
  NEUMF_CHECK(waitpid(child, &status, 0) == child);
  if (status != 0) std::exit(1);
}

Loaded LoadInChild(const std::string& path) {
  int ends[2];
  NEUMF_CHECK(pipe(ends) == 0);
  InChild([&]() -> absl::Status {
    NEUMF_ASSIGN_OR_RETURN(const Loaded loaded, Load(path));
    NEUMF_CHECK(write(ends[1], &loaded, sizeof(loaded)) == sizeof(loaded));
    return absl::OkStatus();
  });
  Loaded loaded;
  NEUMF_CHECK(read(ends[0], &loaded, sizeof(loaded)) == sizeof(loaded));
  close(ends[0]);
  close(ends[1]);
  return loaded;
}

double Median(const std::vector<Loaded>& loads, double Loaded::*field) {
  std::vector<double> values;
  for (const Loaded& loaded : loads) values.push_back(loaded.*field);
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void DropFromPageCache(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  NEUMF_CHECK(file >= 0);
  NEUMF_CHECK(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0);
  close(file);
}

void Measure(const std::string& path, absl::string_view suffix,
             const FigureWriter& figures) {
  std::vector<Loaded> loads;
  for (size_t run = 0; run < absl::GetFlag(FLAGS_runs); ++run) {
    if (absl::GetFlag(FLAGS_cold)) DropFromPageCache(path);
    loads.push_back(LoadInChild(path));
  }
  constexpr double kGib = 1 << 30;
  const double file_gib =
      static_cast<double>(MakePosixFileSystem()->Stat(path)->size_bytes) / kGib;
  const double seconds = Median(loads, &Loaded::seconds);
  const nlohmann::ordered_json details = {
      {"threads", absl::GetFlag(FLAGS_threads)},
      {"cpu_seconds", Median(loads, &Loaded::cpu_seconds)},
      {"file_gib", file_gib},
      {"resident_gib", Median(loads, &Loaded::resident_bytes) / kGib},
      {"huge_page_fraction", Median(loads, &Loaded::huge_page_fraction)},
      {"page_cache", absl::GetFlag(FLAGS_cold) ? "cold" : "warm"}};
  figures.Write({absl::StrCat(kSeconds, suffix), seconds, "s", details});
  figures.Write({absl::StrCat(kSecondsPerGib, suffix), seconds / file_gib,
                 "s/GiB", details});
  figures.Write({absl::StrCat(kPeak, suffix),
                 Median(loads, &Loaded::peak_over_resident), "x", details});
}

void MakeAndMeasure(const CheckpointWriterOptions& options,
                    absl::string_view suffix, const FigureWriter& figures) {
  const bool wanted = figures.Wants(absl::StrCat(kSeconds, suffix)) ||
                      figures.Wants(absl::StrCat(kSecondsPerGib, suffix)) ||
                      figures.Wants(absl::StrCat(kPeak, suffix));
  if (!wanted) return;
  const std::string path = absl::StrCat(
      absl::GetFlag(FLAGS_dir), "/load_bench-", getpid(), ".safetensors");
  InChild([&] { return MakeCheckpoint(path, options); });
  Measure(path, suffix, figures);
  unlink(path.c_str());
}

int Main() {
  const FigureWriter figures(absl::GetFlag(FLAGS_only));
  const std::string checkpoint = absl::GetFlag(FLAGS_checkpoint);
  if (!checkpoint.empty()) {
    Measure(checkpoint, "", figures);
    return 0;
  }
  CheckpointWriterOptions options;
  MakeAndMeasure(options, "", figures);
  options.digest_chunk_bytes = std::numeric_limits<uint64_t>::max();
  MakeAndMeasure(options, ".one_digest", figures);
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("measures the loading of checkpoints");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
