#include "base/utf8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace neumf {
namespace {

// `code_point` in `length` bytes, as a careless encoder would write it.
std::string Encode(uint32_t code_point, int length) {
  if (length == 1) return std::string(1, static_cast<char>(code_point));
  std::string text(length, '\0');
  for (int i = length - 1; i > 0; --i) {
    text[i] = static_cast<char>(0x80 | (code_point & 0x3F));
    code_point >>= 6;
  }
  constexpr uint8_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0, 0xF8};
  text[0] = static_cast<char>(kLead[length] | code_point);
  return text;
}

int ShortestLength(uint32_t code_point) {
  if (code_point < 0x80) return 1;
  if (code_point < 0x800) return 2;
  return code_point < 0x10000 ? 3 : 4;
}

bool IsSurrogate(uint32_t code_point) {
  return code_point >= 0xD800 && code_point <= 0xDFFF;
}

TEST(Utf8Test, TakesEveryCodePointButSurrogates) {
  for (uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    const std::string text = Encode(code_point, ShortestLength(code_point));
    ASSERT_EQ(IsValidUtf8(text), !IsSurrogate(code_point)) << code_point;
  }
}

TEST(Utf8Test, RefusesOverlongForms) {
  for (uint32_t code_point = 0; code_point <= 0xFFFF; ++code_point) {
    for (int length = ShortestLength(code_point) + 1; length <= 4; ++length) {
      ASSERT_FALSE(IsValidUtf8(Encode(code_point, length))) << code_point;
    }
  }
}

TEST(Utf8Test, RefusesWhatLiesAboveTheLastCodePoint) {
  EXPECT_TRUE(IsValidUtf8("\xF4\x8F\xBF\xBF"));
  EXPECT_FALSE(IsValidUtf8("\xF4\x90\x80\x80"));
  EXPECT_FALSE(IsValidUtf8("\xF5\x80\x80\x80"));
  EXPECT_FALSE(IsValidUtf8(Encode(0x200000, 5)));
}

TEST(Utf8Test, RefusesTruncatedSequences) {
  for (const uint32_t code_point : {0xE9U, 0x20ACU, 0x1F3ACU}) {
    const std::string whole = Encode(code_point, ShortestLength(code_point));
    for (size_t kept = 1; kept < whole.size(); ++kept) {
      EXPECT_FALSE(IsValidUtf8(whole.substr(0, kept)));
      EXPECT_FALSE(IsValidUtf8(whole.substr(0, kept) + "aaa"));
      EXPECT_FALSE(IsValidUtf8(whole.substr(0, kept) + whole));
    }
  }
}

TEST(Utf8Test, RefusesStrayBytes) {
  EXPECT_FALSE(IsValidUtf8("\x80"));
  EXPECT_FALSE(IsValidUtf8("a\xBF"));
  EXPECT_FALSE(IsValidUtf8("\xFE"));
  EXPECT_FALSE(IsValidUtf8("\xFF"));
}

TEST(Utf8Test, TakesTextOfAllLengthsAndTheEmptyOne) {
  EXPECT_TRUE(IsValidUtf8(""));
  EXPECT_TRUE(IsValidUtf8(absl::string_view("a\0b", 3)));
  EXPECT_TRUE(IsValidUtf8("A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8E\xAC!"));
}

TEST(ExcerptTest, KeepsWhatIsShort) {
  EXPECT_EQ(Excerpt(""), "");
  EXPECT_EQ(Excerpt("abc", 3), "abc");
  EXPECT_EQ(Excerpt(std::string(100, 'a')), std::string(100, 'a'));
}

TEST(ExcerptTest, CutsBetweenCharacters) {
  const std::string text = "a\xE2\x82\xAC\xF0\x9F\x8E\xAC";
  EXPECT_EQ(Excerpt(text, 7), "a\xE2\x82\xAC...");
  EXPECT_EQ(Excerpt(text, 4), "a\xE2\x82\xAC...");
  EXPECT_EQ(Excerpt(text, 3), "a...");
  EXPECT_EQ(Excerpt(text, 1), "a...");
}

TEST(ExcerptTest, CutsWhatIsNoTextToo) {
  EXPECT_EQ(Excerpt(std::string(9, '\x80'), 2), "\x80\x80...");
}

}  // namespace
}  // namespace neumf
