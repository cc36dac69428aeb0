#include "server/server_metrics.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"
#include "server/latency_histogram.h"
#include "server/model_labels.h"
#include "server/process_metrics.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::HasSubstr;

// What there is to know of a metric: "counter {reason}".
using MetricTable = std::map<std::string, std::string>;

const char* TypeName(prometheus::MetricType type) {
  switch (type) {
    case prometheus::MetricType::Counter:
      return "counter";
    case prometheus::MetricType::Gauge:
      return "gauge";
    default:
      return "histogram";
  }
}

std::string Entry(const std::string& type,
                  const std::set<std::string>& labels) {
  std::string entry = type;
  for (const std::string& label : labels) absl::StrAppend(&entry, " ", label);
  return entry;
}

MetricTable ExportedMetrics(const ServerMetrics& metrics) {
  MetricTable table;
  for (const auto& family : metrics.registry()->Collect()) {
    std::set<std::string> labels;
    for (const auto& label : family.metric.front().label) {
      labels.insert(label.name);
    }
    table[family.name] = Entry(TypeName(family.type), labels);
  }
  return table;
}

// The tables of docs/metrics.md: | `name` | type | `label`, ... | meaning |
MetricTable DocumentedMetrics(const std::string& path) {
  MetricTable table;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const std::vector<std::string> cells = absl::StrSplit(line, '|');
    if (cells.size() != 6 || cells[1].rfind(" `", 0) != 0) continue;
    const std::vector<std::string> name = absl::StrSplit(cells[1], '`');
    const std::vector<std::string> labels = absl::StrSplit(cells[3], '`');
    std::set<std::string> label_set;
    for (size_t i = 1; i < labels.size(); i += 2) label_set.insert(labels[i]);
    table[name[1]] =
        Entry(std::string(absl::StripAsciiWhitespace(cells[2])), label_set);
  }
  return table;
}

// A path below the source tree; skips the test without NEUMF_SOURCE_DIR.
std::string SourcePath(const std::string& relative) {
  const char* source = std::getenv("NEUMF_SOURCE_DIR");
  return source == nullptr ? "" : absl::StrCat(source, "/", relative);
}

class ServerMetricsTest : public testing::Test {
 protected:
  void ServeVersion(uint64_t version) {
    metrics_.ModelServed(*MakeTestSnapshot(version).snapshot,
                         absl::FromUnixSeconds(1'700'000'000));
  }
  double Read(const std::string& name, const MetricLabels& labels = {}) {
    return ReadMetric(metrics_, name, labels);
  }
  static MetricLabels RecommendWith(const std::string& code) {
    return {{"grpc_type", "unary"},
            {"grpc_service", "neumf.v1.RecommendationService"},
            {"grpc_method", "Recommend"},
            {"grpc_code", code}};
  }
  std::string Scrape() {
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text,
                                           metrics_.registry()->Collect());
    return text.str();
  }

  ServerMetrics metrics_;
};

TEST_F(ServerMetricsTest, EveryMethodAndCodeIsThereFromTheStart) {
  int series = 0;
  for (const auto& family : metrics_.registry()->Collect()) {
    if (family.name != "grpc_server_handled_total") continue;
    for (const auto& metric : family.metric) {
      EXPECT_EQ(metric.counter.value, 0);
      ++series;
    }
  }
  EXPECT_EQ(series, 11 * 17);
  EXPECT_EQ(Read("grpc_server_handled_total", RecommendWith("Canceled")), 0);
}

TEST_F(ServerMetricsTest, CountsACallFromItsStartToItsEnd) {
  metrics_.CallStarted(RpcMethod::kRecommend);
  metrics_.MessageReceived(RpcMethod::kRecommend);
  EXPECT_EQ(Read("neumf_inflight_requests"), 1);
  metrics_.MessageSent(RpcMethod::kRecommend);
  metrics_.CallHandled(RpcMethod::kRecommend, 4, absl::Milliseconds(3));
  EXPECT_EQ(Read("neumf_inflight_requests"), 0);
  MetricLabels labels = RecommendWith("DeadlineExceeded");
  EXPECT_EQ(Read("grpc_server_handled_total", labels), 1);
  labels.erase("grpc_code");
  EXPECT_EQ(Read("grpc_server_started_total", labels), 1);
  EXPECT_EQ(Read("grpc_server_handling_seconds", labels), 1);
  EXPECT_EQ(Read("grpc_server_msg_received_total", labels), 1);
  EXPECT_EQ(Read("grpc_server_msg_sent_total", labels), 1);
}

TEST_F(ServerMetricsTest, StreamsOfHealthAreNoRequestsInFlight) {
  metrics_.CallStarted(RpcMethod::kHealthWatch);
  EXPECT_EQ(Read("neumf_inflight_requests"), 0);
}

TEST_F(ServerMetricsTest, CodesThatNobodyKnowsAreUnknown) {
  metrics_.CallHandled(RpcMethod::kRecommend, 17, absl::ZeroDuration());
  metrics_.CallHandled(RpcMethod::kRecommend, -1, absl::ZeroDuration());
  EXPECT_EQ(Read("grpc_server_handled_total", RecommendWith("Unknown")), 2);
}

TEST_F(ServerMetricsTest, OneModelIsServedAtATime) {
  ServeVersion(1);
  ServeVersion(2);
  const std::string text = Scrape();
  EXPECT_THAT(text, testing::Not(HasSubstr("version=\"1\"")));
  EXPECT_EQ(Read("neumf_model_info", {{"version", "2"},
                                      {"digest", "d1935t"},
                                      {"kind", "neumf"},
                                      {"device", "fake"},
                                      {"precision", "float32"}}),
            1);
  EXPECT_EQ(Read("neumf_catalog_items"), 33);
  EXPECT_EQ(Read("neumf_known_users"), 7);
  EXPECT_EQ(Read("neumf_model_bytes", {{"kind", "file"}}), 2000);
  EXPECT_EQ(Read("neumf_model_bytes", {{"kind", "resident"}}), 3000);
  EXPECT_EQ(Read("neumf_model_loaded_timestamp_seconds"), 1'700'000'000);
  EXPECT_EQ(Read("neumf_model_trained_timestamp_seconds"), 0);
}

TEST_F(ServerMetricsTest, ShowsTheFirstPassAsThePrecision) {
  const auto precision_of = [](const char* scorer_name) {
    TestSnapshot made = MakeTestSnapshot(1);
    made.scorer->set_name(scorer_name);
    return ModelLabels(*made.snapshot)["precision"];
  };
  EXPECT_EQ(precision_of("cpu (AVX2)"), "float32");
  EXPECT_EQ(precision_of("cpu (AVX3, int8 first pass)"), "int8 first pass");
  EXPECT_EQ(precision_of("cuda (NVIDIA H200, float16 first pass)"),
            "float16 first pass");
}

TEST_F(ServerMetricsTest, TheGpusMemoryIsThereWhileThereIsAGpu) {
  const MetricLabels used = {{"kind", "used"}};
  EXPECT_EQ(Read("neumf_gpu_memory_bytes", used), -1);
  metrics_.SetGpuMemory(10, 4);
  EXPECT_EQ(Read("neumf_gpu_memory_bytes", used), 6);
  EXPECT_EQ(Read("neumf_gpu_memory_bytes", {{"kind", "free"}}), 4);
  EXPECT_EQ(Read("neumf_gpu_memory_bytes", {{"kind", "total"}}), 10);
  metrics_.ClearGpuMemory();
  metrics_.ClearGpuMemory();
  EXPECT_EQ(Read("neumf_gpu_memory_bytes", used), -1);
}

TEST_F(ServerMetricsTest, AnUnloadedModelLeavesNothingBehind) {
  ServeVersion(1);
  EXPECT_THAT(Scrape(), HasSubstr("neumf_model_info{"));
  metrics_.ModelUnloaded();
  metrics_.ModelUnloaded();
  EXPECT_THAT(Scrape(), testing::Not(HasSubstr("neumf_model_info{")));
  EXPECT_EQ(Read("neumf_model_bytes", {{"kind", "file"}}), 0);
  EXPECT_EQ(Read("neumf_model_bytes", {{"kind", "resident"}}), 0);
  EXPECT_EQ(Read("neumf_model_loaded_timestamp_seconds"), 0);
  EXPECT_EQ(Read("neumf_model_trained_timestamp_seconds"), 0);
  EXPECT_EQ(Read("neumf_catalog_items"), 0);
  EXPECT_EQ(Read("neumf_known_users"), 0);
  ServeVersion(2);
  EXPECT_THAT(Scrape(), HasSubstr("version=\"2\""));
}

TEST_F(ServerMetricsTest, NoLabelHoldsATextFromAFile) {
  const TestSnapshot made = MakeTestSnapshot(1);
  made.snapshot->kind = "evil\"kind";
  metrics_.ModelServed(*made.snapshot, absl::UnixEpoch());
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("kind=\"other\""));
  EXPECT_THAT(text, testing::Not(HasSubstr("evil")));
}

TEST_F(ServerMetricsTest, WhatIsExportedIsDocumentedAndTheOtherWayRound) {
  const std::string path = SourcePath("docs/metrics.md");
  if (path.empty()) GTEST_SKIP() << "NEUMF_SOURCE_DIR is not set";
  ServeVersion(1);
  metrics_.SetGpuMemory(10, 4);
  EXPECT_EQ(ExportedMetrics(metrics_), DocumentedMetrics(path));
}

TEST_F(ServerMetricsTest, PromtoolFindsNothingToComplainAbout) {
  const std::string promtool = SourcePath("build/tools/promtool");
  if (promtool.empty() || !std::ifstream(promtool)) {
    GTEST_SKIP() << "no promtool: scripts/setup fetches one";
  }
  ServeVersion(1);
  metrics_.SetGpuMemory(10, 4);
  const TempDirectory directory;
  std::ofstream(directory.Path("scrape")) << Scrape();
  const std::string command =
      absl::StrCat(promtool, " check metrics < ", directory.Path("scrape"));
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_F(ServerMetricsTest, AScrapeStaysSmall) {
  ServeVersion(1);
  EXPECT_LT(Scrape().size(), 200'000U);
}

TEST(LatencyHistogramTest, PutsDurationsIntoTheirBuckets) {
  LatencyHistogram histogram;
  histogram.Observe(absl::Microseconds(50));  // on a bound: in its bucket
  histogram.Observe(absl::Nanoseconds(50'001));
  histogram.Observe(absl::Seconds(5));
  histogram.Observe(absl::Seconds(6));
  histogram.Observe(-absl::Seconds(1));
  const auto collected = histogram.Collect();
  ASSERT_EQ(collected.bucket.size(), 26U);
  EXPECT_EQ(collected.bucket[0].upper_bound, 50e-6);
  EXPECT_EQ(collected.bucket[0].cumulative_count, 2U);
  EXPECT_EQ(collected.bucket[1].cumulative_count, 3U);
  EXPECT_EQ(collected.bucket[24].upper_bound, 5);
  EXPECT_EQ(collected.bucket[24].cumulative_count, 4U);
  EXPECT_EQ(collected.bucket[25].cumulative_count, 5U);
  EXPECT_EQ(collected.sample_count, 5U);
  EXPECT_NEAR(collected.sample_sum, 11.000100001, 1e-9);
}

TEST(LatencyHistogramTest, LosesNothingWhenManyThreadsObserve) {
  LatencyHistogram histogram;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) histogram.Observe(absl::Milliseconds(1));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.Collect().sample_count, 40'000U);
  EXPECT_NEAR(histogram.Collect().sample_sum, 40, 1e-6);
}

TEST(ProcessMetricsTest, TellsWhatProcSays) {
  const ProcessMetrics metrics;
  std::map<std::string, double> values;
  for (const auto& family : metrics.Collect()) {
    const auto& metric = family.metric.front();
    values[family.name] = metric.gauge.value + metric.counter.value;
  }
  EXPECT_EQ(values.size(), 7U);
  EXPECT_GE(values["process_open_fds"], 3);
  EXPECT_GE(values["process_max_fds"], values["process_open_fds"]);
  EXPECT_GE(values["process_threads"], 1);
  EXPECT_GT(values["process_resident_memory_bytes"], 1 << 20);
  EXPECT_GT(values["process_virtual_memory_bytes"],
            values["process_resident_memory_bytes"]);
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_NEAR(values["process_start_time_seconds"], now, 600);
}

}  // namespace
}  // namespace neumf
