// The example of docs/client.md, which stands there word for word.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ostream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/file_system.h"
#include "client/recommendation_client.h"
#include "tests/client/fake_server.h"
#include "tests/support/status_matchers.h"

namespace {

// Example:
absl::Status PrintTopItems(const std::string& target, std::ostream& out) {
  neumf::RecommendationClient::Options options;
  options.target = target;  // "dns:///recommender.example.com:50051"
  options.timeout = absl::Milliseconds(2000);
  options.balance = true;
  options.hedge = true;
  const auto client = neumf::RecommendationClient::Create(options);
  if (!client.ok()) return client.status();

  neumf::v1::RecommendRequest request;
  request.set_user_id("42");
  request.set_k(10);
  const auto response = (*client)->Recommend(request);
  if (!response.ok()) return response.status();
  for (const neumf::v1::ScoredItem& item : response->items()) {
    out << item.item_id() << " " << item.score() << "\n";
  }
  return absl::OkStatus();
}
// End of the example.

std::string ReadSource(const std::string& path) {
  const char* const root = std::getenv("NEUMF_SOURCE_DIR");
  const auto text = neumf::ReadWholeFile(
      *neumf::MakePosixFileSystem(), absl::StrCat(root, "/", path), 1 << 20);
  EXPECT_THAT(text, neumf::IsOk());
  return text.ok() ? *text : "";
}

TEST(ClientExampleTest, PrintsTheItemsOfTheAnswer) {
  neumf::FakeServer server;
  neumf::FakeServer::Reply reply;
  auto* const item = reply.response.add_items();
  item->set_item_id("50");
  item->set_score(2.5);
  server.ReplyWith({reply});
  std::ostringstream out;

  // A busy machine may need more than the example's time for a connection.
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (!PrintTopItems(server.address(), out).ok()) {
    ASSERT_LT(absl::Now(), give_up);
  }

  EXPECT_EQ(out.str(), "50 2.5\n");
}

TEST(ClientExampleTest, IsTheOneOfThePage) {
  const std::string source = ReadSource("tests/client/client_example_test.cc");
  const size_t begin = source.find("// Example:\n");
  ASSERT_NE(begin, std::string::npos);
  const size_t end = source.find("// End of the example.\n");
  const size_t first_line = source.find('\n', begin) + 1;
  std::string example;
  for (const absl::string_view line :
       absl::StrSplit(source.substr(first_line, end - first_line - 1), '\n')) {
    absl::StrAppend(&example, line.empty() ? "" : "    ", line, "\n");
  }

  EXPECT_THAT(ReadSource("docs/client.md"), testing::HasSubstr(example));
}

}  // namespace
