#include "server/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

namespace neumf {
namespace {

constexpr std::chrono::seconds kOpenFilesAge(1);

std::string ReadProcFile(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The seconds since the epoch at which the machine started; 0 when unknown.
double BootTimeSeconds() {
  std::ifstream file("/proc/stat");
  std::string key;
  while (file >> key) {
    double seconds = 0;
    if (key == "btime" && file >> seconds) return seconds;
    std::getline(file, key);
  }
  return 0;
}

// What we use of /proc/self/stat, in clock ticks, bytes and pages.
struct ProcessStat {
  double cpu_ticks = 0;
  double num_threads = 0;
  double start_ticks = 0;  // since the machine started
  double virtual_bytes = 0;
  double resident_pages = 0;
};

std::optional<ProcessStat> ReadStat() {
  const std::string text = ReadProcFile("/proc/self/stat");
  // The program's name may hold spaces and brackets; the last one closes it.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(name_end + 1));
  // Field 3 of proc(5), the state, is fields[0].
  const std::vector<std::string> fields{
      std::istream_iterator<std::string>(rest), {}};
  if (fields.size() < 22) return std::nullopt;
  const auto field = [&](size_t number) {
    return std::strtod(fields[number - 3].c_str(), nullptr);
  };
  ProcessStat stat;
  stat.cpu_ticks = field(14) + field(15);
  stat.num_threads = field(20);
  stat.start_ticks = field(22);
  stat.virtual_bytes = field(23);
  stat.resident_pages = field(24);
  return stat;
}

prometheus::MetricFamily Single(prometheus::MetricType type, const char* name,
                                const char* help, double value) {
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return {name, help, type, {metric}};
}

prometheus::MetricFamily Gauge(const char* name, const char* help,
                               double value) {
  return Single(prometheus::MetricType::Gauge, name, help, value);
}

}  // namespace

ProcessMetrics::ProcessMetrics() : boot_time_seconds_(BootTimeSeconds()) {}

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  families.push_back(
      Gauge("process_open_fds", "Open file descriptors.", CountOpenFiles()));
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    families.push_back(Gauge("process_max_fds",
                             "Most file descriptors that may be open.",
                             static_cast<double>(limit.rlim_cur)));
  }
  const std::optional<ProcessStat> stat = ReadStat();
  if (!stat.has_value()) return families;
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page_bytes = static_cast<double>(sysconf(_SC_PAGESIZE));
  families.push_back(Single(
      prometheus::MetricType::Counter, "process_cpu_seconds_total",
      "CPU time used, user and system.", stat->cpu_ticks / ticks_per_second));
  families.push_back(Gauge("process_resident_memory_bytes",
                           "Memory held in RAM.",
                           stat->resident_pages * page_bytes));
  families.push_back(Gauge("process_virtual_memory_bytes",
                           "Address space in use.", stat->virtual_bytes));
  families.push_back(
      Gauge("process_threads", "Threads alive.", stat->num_threads));
  families.push_back(
      Gauge("process_start_time_seconds",
            "When the process started, in seconds since the Unix epoch.",
            boot_time_seconds_ + stat->start_ticks / ticks_per_second));
  return families;
}

double ProcessMetrics::CountOpenFiles() const {
  MutexLock lock(&mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (open_files_ > 0 && now - counted_at_ < kOpenFilesAge) return open_files_;
  std::error_code error;
  const std::filesystem::directory_iterator entries("/proc/self/fd", error);
  if (error) return open_files_;
  // The listing itself holds one.
  open_files_ =
      static_cast<double>(std::distance(begin(entries), end(entries))) - 1;
  counted_at_ = now;
  return open_files_;
}

}  // namespace neumf
