#include "server/batch_outline.h"

#include <gtest/gtest.h>

#include <string>

#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "neumf/v1/recommendation_service.pb.h"

namespace neumf {
namespace {

BatchOutline OutlineOf(const std::string& bytes) {
  google::protobuf::io::ArrayInputStream stream(
      bytes.data(), static_cast<int>(bytes.size()), /*block_size=*/7);
  return OutlineBatch(&stream);
}

v1::BatchRecommendRequest BatchOf(int num_requests, int num_excluded) {
  v1::BatchRecommendRequest batch;
  for (int i = 0; i < num_requests; ++i) {
    v1::RecommendRequest* const request = batch.add_requests();
    request->set_user_id("user");
    request->set_k(300);
    for (int j = 0; j < num_excluded; ++j)
      request->add_exclude_item_ids("item");
  }
  return batch;
}

TEST(BatchOutlineTest, CountsRequestsAndWhatTheyExclude) {
  const BatchOutline outline = OutlineOf(BatchOf(3, 5).SerializeAsString());
  EXPECT_EQ(outline.num_requests, 3);
  EXPECT_EQ(outline.num_excluded, 15);
}

TEST(BatchOutlineTest, AnEmptyBatchHasNothing) {
  EXPECT_EQ(OutlineOf("").num_requests, 0);
  EXPECT_EQ(OutlineOf("").num_excluded, 0);
}

TEST(BatchOutlineTest, SkipsFieldsThatNobodyKnows) {
  v1::BatchRecommendRequest batch = BatchOf(2, 1);
  batch.GetReflection()->MutableUnknownFields(&batch)->AddVarint(99, 1);
  v1::RecommendRequest* const first = batch.mutable_requests(0);
  first->GetReflection()->MutableUnknownFields(first)->AddLengthDelimited(
      98, "abc");
  const BatchOutline outline = OutlineOf(batch.SerializeAsString());
  EXPECT_EQ(outline.num_requests, 2);
  EXPECT_EQ(outline.num_excluded, 2);
}

TEST(BatchOutlineTest, ReadsBrokenBytesAsFarAsTheyGo) {
  const std::string bytes = BatchOf(2, 3).SerializeAsString();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const BatchOutline outline = OutlineOf(bytes.substr(0, size));
    EXPECT_LE(outline.num_requests, 2);
    EXPECT_LE(outline.num_excluded, 6);
  }
  EXPECT_EQ(OutlineOf("\xff\xff\xff").num_requests, 0);
}

}  // namespace
}  // namespace neumf
