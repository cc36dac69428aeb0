#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

// A header of one tensor of 8 bytes, or what a test makes of it.
constexpr char kHeader[] =
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

absl::Status Parse(absl::string_view header, uint64_t data_bytes = 8) {
  return ParseSafetensorsHeader(header, 8 + header.size() + data_bytes)
      .status();
}

absl::Status ParseWith(absl::string_view from, absl::string_view to) {
  std::string header = kHeader;
  const size_t at = header.find(std::string(from));
  EXPECT_NE(at, std::string::npos);
  header.replace(at, from.size(), std::string(to));
  return Parse(header);
}

auto Refused(absl::string_view reason) {
  return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(std::string(reason)));
}

TEST(SafetensorsTest, TakesASmallHeader) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const SafetensorsHeader header,
                             ParseSafetensorsHeader(kHeader, 8 + 54 + 8));
  ASSERT_NE(header.Find("a"), nullptr);
  EXPECT_EQ(header.Find("a")->num_elements(), 2U);
  EXPECT_EQ(header.Find("b"), nullptr);
  EXPECT_EQ(header.data_begin, 62U);
}

TEST(SafetensorsTest, TakesSpacesAfterTheHeaderAndNothingElse) {
  NEUMF_EXPECT_OK(Parse(absl::StrCat(kHeader, "   ")));
  EXPECT_THAT(Parse(absl::StrCat(kHeader, " \n")), Refused("'{' to '}'"));
  EXPECT_THAT(Parse(absl::StrCat(" ", kHeader)), Refused("'{' to '}'"));
  EXPECT_THAT(Parse(absl::StrCat(kHeader, "{}")), Refused("not valid JSON"));
  EXPECT_THAT(Parse(absl::string_view("{}\0}", 4)), Refused("zero byte"));
}

TEST(SafetensorsTest, RefusesSizesThatAreNotPlainIntegers) {
  for (const char* size : {"2.0", "2e0", "-2", "-0", "\"2\"", "null", "[2]",
                           "18446744073709551616", "true", "02", "+2", "0x2"}) {
    EXPECT_THAT(ParseWith("[2]", absl::StrCat("[", size, "]")), Refused(""))
        << size;
    EXPECT_THAT(ParseWith("[0,8]", absl::StrCat("[", size, ",8]")), Refused(""))
        << size;
  }
}

TEST(SafetensorsTest, RefusesAKeyTwice) {
  EXPECT_THAT(ParseWith("\"shape\":[2]", "\"shape\":[2],\"shape\":[2]"),
              Refused("\"shape\" is there twice"));
  EXPECT_THAT(ParseWith("\"dtype\"", "\"\\u0073hape\":[2],\"dtype\""),
              Refused("\"shape\" is there twice"));
}

TEST(SafetensorsTest, QuotesTheStartOfALongKey) {
  const std::string key(10'000, 'k');
  const std::string members =
      absl::StrCat("\"", key, "\":1,\"", key, "\":1,\"dtype\"");
  EXPECT_THAT(ParseWith("\"dtype\"", members.c_str()),
              Refused("kkk...\" is there twice"));
}

TEST(SafetensorsTest, RefusesEntriesThatAreNoTensors) {
  EXPECT_THAT(Parse(R"({"a":1})", 0), Refused("tensor a: not an object"));
  EXPECT_THAT(ParseWith("dtype", "type"), Refused("tensor a: lacks"));
  EXPECT_THAT(ParseWith("\"F32\"", "32"), Refused("tensor a: dtype"));
  EXPECT_THAT(ParseWith("[0,8]", "[0,8,8]"), Refused("not a pair"));
  EXPECT_THAT(ParseWith("[2]", "2"), Refused("shape: not a list"));
  EXPECT_THAT(ParseWith("[2]", "[1,1,1,1,1,1,1,1,2]"), Refused("dimensions"));
  EXPECT_THAT(ParseWith("{\"dtype", "{\"x\":1,\"dtype"), Refused("alone"));
}

TEST(SafetensorsTest, RefusesMetadataThatIsNoText) {
  EXPECT_THAT(Parse(R"({"__metadata__":{"a":1}})", 0), Refused("a is no text"));
  EXPECT_THAT(Parse(R"({"__metadata__":["a"]})", 0), Refused("no object"));
}

TEST(SafetensorsTest, RefusesTextThatIsNotUtf8) {
  EXPECT_THAT(Parse("{\"\xff\":1}", 0), Refused("not valid JSON"));
  EXPECT_THAT(Parse("{\"\xc0\x80\":1}", 0), Refused("not valid JSON"));
  EXPECT_THAT(Parse("{\"\\ud800\":1}", 0), Refused("not valid JSON"));
}

TEST(SafetensorsTest, RefusesDeepNesting) {
  const std::string deep(500'000, '[');
  EXPECT_THAT(Parse(absl::StrCat("{\"a\":", deep, "}"), 0),
              Refused("nested deeper than 4"));
}

TEST(SafetensorsTest, RefusesTooManyEntries) {
  std::string header = "{";
  for (int i = 0; i < 100'000; ++i) {
    absl::StrAppend(&header, i == 0 ? "" : ",", "\"", i, "\":0");
  }
  EXPECT_THAT(Parse(header + "}", 0), Refused("more than 256 entries"));
}

TEST(SafetensorsTest, RefusesTooManyValues) {
  std::string header = "{\"a\":[0";
  for (int i = 0; i < 400'000; ++i) header += ",0";
  EXPECT_THAT(Parse(header + "]}", 0), Refused("more than 8192 values"));
}

TEST(SafetensorsTest, RefusesLongNames) {
  EXPECT_THAT(
      ParseWith("\"a\"", absl::StrCat("\"", std::string(257, 'a'), "\"")),
      Refused("too long"));
}

std::string LengthBytes(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i));
  return bytes;
}

TEST(SafetensorsTest, RefusesHeaderLengthsThatLie) {
  EXPECT_THAT(ParseHeaderLength(LengthBytes(100), 108), IsOkAndHolds(100U));
  EXPECT_THAT(ParseHeaderLength(LengthBytes(100), 107), Refused("passes"));
  EXPECT_THAT(ParseHeaderLength(LengthBytes(1), 108), Refused("length 1 "));
  EXPECT_THAT(ParseHeaderLength(LengthBytes(1'048'577), 1 << 30),
              Refused("length 1048577 "));
  EXPECT_THAT(ParseHeaderLength(LengthBytes(~uint64_t{0}), 108),
              Refused("length"));
  EXPECT_THAT(ParseHeaderLength("1234567", 7), Refused("too short"));
}

TEST(SafetensorsTest, ReadsWhatItWrote) {
  SafetensorsHeader header;
  header.metadata["note"] = "\"quoted\" \n";
  header.tensors = {{"a", TensorType::kF32, "F32", {2, 3}, 0, 24},
                    {"b", TensorType::kOther, "BF16", {2}, 24, 28}};
  const std::string bytes = SerializeSafetensorsHeader(header);
  EXPECT_EQ(bytes.size() % 64, 0U);
  EXPECT_THAT(ParseHeaderLength(bytes.substr(0, 8), bytes.size() + 28),
              IsOkAndHolds(bytes.size() - 8));
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const SafetensorsHeader parsed,
      ParseSafetensorsHeader(bytes.substr(8), bytes.size() + 28));
  EXPECT_EQ(parsed.metadata, header.metadata);
  EXPECT_EQ(SerializeSafetensorsHeader(parsed), bytes);
}

}  // namespace
}  // namespace neumf
