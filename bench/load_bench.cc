// Loads a checkpoint of a million users and a million items as the server does:
// read, verified and packed, with the users' tables, both id tables and the
// seen sets. One whose large tensors have a digest for each chunk, as our writer
// makes them, and one with a single digest a tensor, which one thread must hash.
//
// `load.peak_over_resident` is the largest resident set while loading over that
// after it, both above what the process had before; every load runs in a process
// of its own. The file is read from the page cache, since what is measured is the
// program and not the disk, unless --cold asks for both.
//
// Of a file of more than a GiB, with 5 million users and 500,000 items:
// `load.read_share` is the time to read it over the time to load it, both with a
// cold page cache, `load.bytes_per_user_over_formula` what a user takes of memory
// over the sum of what is known of it, and `load.user_id_seconds` the time to make
// the table of their ids.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
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
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "bench/bench_model.h"
#include "bench/figures.h"
#include "bench/large_model.h"
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
// A file of more than a GiB.
constexpr uint64_t kManyUsers = 5'000'000;
constexpr uint64_t kManyUsersItems = 500'000;

constexpr char kSeconds[] = "load.seconds";
constexpr char kSecondsPerGib[] = "load.seconds_per_gib";
constexpr char kPeak[] = "load.peak_over_resident";
constexpr char kReadShare[] = "load.read_share";
constexpr char kBytesPerUser[] = "load.bytes_per_user_over_formula";
constexpr char kIdSeconds[] = "load.user_id_seconds";

constexpr double kGib = 1 << 30;

// How long a table of ids takes to be made of what a file has.
struct IdSeconds {
  double by_hash = 0;   // rows in the order of the hashes: checked only
  double by_index = 0;  // rows in any order: checked and indexed
};

absl::Status MakeCheckpoint(const std::string& path, uint64_t users,
                            uint64_t items,
                            const CheckpointWriterOptions& options) {
  LargeModel model;
  model.users = users;
  model.seen_per_user = kSeenPerUser;
  return WriteLargeModel(path, MakeRandomTower("A", items), model, options);
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

double FileGib(const std::string& path) {
  return static_cast<double>(MakePosixFileSystem()->Stat(path)->size_bytes) /
         kGib;
}

void DropFromPageCache(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  NEUMF_CHECK(file >= 0);
  NEUMF_CHECK(fdatasync(file) == 0);  // what is not written yet would stay
  NEUMF_CHECK(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0);
  close(file);
}

// Reads all of it, as whoever does nothing else with it.
double SecondsToRead(const std::string& path) {
  constexpr size_t kBlockBytes = 1 << 20;
  std::vector<char> block(kBlockBytes);
  const absl::Time start = absl::Now();
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  NEUMF_CHECK(file >= 0);
  ssize_t num_read = 0;
  while ((num_read = read(file, block.data(), block.size())) > 0) {
  }
  NEUMF_CHECK(num_read == 0);
  close(file);
  return absl::ToDoubleSeconds(absl::Now() - start);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Many virtual machines give free memory back to their host, and wait for it
// when they use it again, which can double the time of a load: touched here, it
// is there for what is measured next.
void TouchMemory(uint64_t num_bytes) {
  InChild([&] {
    void* const memory = mmap(nullptr, num_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEUMF_CHECK(memory != MAP_FAILED);
    madvise(memory, num_bytes, MADV_HUGEPAGE);
    std::memset(memory, 1, num_bytes);
    return absl::OkStatus();
  });
}

// With room in memory for its pages and for what is made of it.
void MakeCold(const std::string& path) {
  DropFromPageCache(path);
  TouchMemory(static_cast<uint64_t>(2.5 * FileGib(path) * kGib));
}

// Both with nothing of it in memory, by turns.
void MeasureColdLoads(const std::string& path, const FigureWriter& figures) {
  std::vector<double> shares;
  std::vector<double> load_seconds;
  std::vector<double> read_seconds;
  for (size_t run = 0; run < absl::GetFlag(FLAGS_runs); ++run) {
    MakeCold(path);
    read_seconds.push_back(SecondsToRead(path));
    MakeCold(path);
    load_seconds.push_back(LoadInChild(path).seconds);
    shares.push_back(read_seconds.back() / load_seconds.back());
  }
  figures.Write({kReadShare,
                 Median(shares),
                 "of reading speed",
                 {{"threads", absl::GetFlag(FLAGS_threads)},
                  {"file_gib", FileGib(path)},
                  {"load_seconds", Median(load_seconds)},
                  {"read_seconds", Median(read_seconds)}}});
}

// The same ids with the hashes that the file has, and without.
absl::StatusOr<IdSeconds> TimeIds(const std::string& path) {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  NEUMF_ASSIGN_OR_RETURN(const auto reader,
                         CheckpointReader::Open(*files, path, {}));
  NEUMF_ASSIGN_OR_RETURN(
      const ServingModel model,
      reader->Read([](const ItemRows& /*rows*/) { return absl::OkStatus(); }));
  const IdTable& ids = model.user_ids;
  const auto bytes = [&] {
    return AlignedArray<char>::CopyOf({ids.bytes().data(), ids.bytes().size()});
  };
  const auto offsets = [&] {
    return AlignedArray<uint64_t>::CopyOf(ids.offsets());
  };
  ThreadPool threads(absl::GetFlag(FLAGS_threads), "ids");
  const auto time = [&](auto create) {
    auto begins = offsets();
    auto texts = bytes();
    auto hashes = AlignedArray<uint64_t>::CopyOf(ids.hashes());
    const absl::Time start = absl::Now();
    NEUMF_CHECK(
        create(std::move(begins), std::move(texts), std::move(hashes)).ok());
    return absl::ToDoubleSeconds(absl::Now() - start);
  };
  IdSeconds seconds;
  seconds.by_hash = time([&](auto begins, auto texts, auto hashes) {
    return IdTable::CreateByHash(std::move(begins), std::move(texts),
                                 std::move(hashes), threads);
  });
  seconds.by_index = time([&](auto begins, auto texts, auto /*hashes*/) {
    return IdTable::Create(std::move(begins), std::move(texts), threads);
  });
  return seconds;
}

// Tables, the id, its hash, where the id and the seen items begin, seen items.
double FormulaBytesPerUser() {
  double id_bytes = 0;
  for (uint64_t user = 1; user <= kManyUsers; ++user) {
    id_bytes += static_cast<double>(absl::StrCat("u", user).size());
  }
  constexpr uint64_t kRowFloats = 8 + 32;
  return static_cast<double>(kRowFloats * sizeof(float) + 3 * sizeof(uint64_t) +
                             kSeenPerUser * sizeof(uint32_t)) +
         id_bytes / kManyUsers;
}

// Users take what a model of one user with as many items does not.
void MeasureUsers(const std::string& path, const FigureWriter& figures) {
  const std::string one_user = absl::StrCat(path, ".one_user");
  InChild([&] { return MakeCheckpoint(one_user, 1, kManyUsersItems, {}); });
  const double bytes = (LoadInChild(path).resident_bytes -
                        LoadInChild(one_user).resident_bytes) /
                       kManyUsers;
  unlink(one_user.c_str());
  const double formula = FormulaBytesPerUser();
  figures.Write({kBytesPerUser,
                 bytes / formula,
                 "x",
                 {{"bytes", bytes},
                  {"formula_bytes", formula},
                  {"users", kManyUsers},
                  {"items", kManyUsersItems}}});
  const auto seconds = TimeIds(path);
  NEUMF_CHECK(seconds.ok());
  figures.Write({kIdSeconds,
                 seconds->by_hash,
                 "s",
                 {{"with_index_seconds", seconds->by_index},
                  {"users", kManyUsers},
                  {"threads", absl::GetFlag(FLAGS_threads)}}});
}

void MakeAndMeasureManyUsers(const FigureWriter& figures) {
  const bool cold = figures.Wants(kReadShare);
  const bool users = figures.Wants(kBytesPerUser) || figures.Wants(kIdSeconds);
  if (!cold && !users) return;
  const std::string path = absl::StrCat(
      absl::GetFlag(FLAGS_dir), "/load_bench-", getpid(), ".many_users");
  InChild(
      [&] { return MakeCheckpoint(path, kManyUsers, kManyUsersItems, {}); });
  if (cold) MeasureColdLoads(path, figures);
  if (users) MeasureUsers(path, figures);
  unlink(path.c_str());
}

void Measure(const std::string& path, absl::string_view suffix,
             const FigureWriter& figures) {
  std::vector<Loaded> loads;
  for (size_t run = 0; run < absl::GetFlag(FLAGS_runs); ++run) {
    if (absl::GetFlag(FLAGS_cold)) DropFromPageCache(path);
    loads.push_back(LoadInChild(path));
  }
  const double file_gib = FileGib(path);
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
  InChild([&] {
    return MakeCheckpoint(path, absl::GetFlag(FLAGS_users),
                          absl::GetFlag(FLAGS_items), options);
  });
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
  MakeAndMeasureManyUsers(figures);
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("measures the loading of checkpoints");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
