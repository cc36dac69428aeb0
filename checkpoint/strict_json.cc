#include "checkpoint/strict_json.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace neumf {
namespace {

using nlohmann::json;

// Walks through the text without building it, and stops at the first value that
// passes a limit.
class LimitChecker : public json::json_sax_t {
 public:
  explicit LimitChecker(const JsonLimits& limits) : limits_(limits) {}

  const std::string& error() const { return error_; }

  bool null() override { return CountValue(); }
  bool boolean(bool /*value*/) override { return CountValue(); }
  bool number_integer(number_integer_t /*value*/) override {
    return CountValue();
  }
  bool number_unsigned(number_unsigned_t /*value*/) override {
    return CountValue();
  }
  bool number_float(number_float_t /*value*/,
                    const string_t& /*text*/) override {
    return CountValue();
  }
  bool string(string_t& /*value*/) override { return CountValue(); }
  bool binary(binary_t& /*value*/) override { return CountValue(); }

  bool start_object(size_t /*elements*/) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool start_array(size_t /*elements*/) override { return Enter(); }
  bool end_array() override { return Leave(); }

  bool key(string_t& name) override {
    std::set<std::string>& names = names_.back();
    if (names.size() == limits_.max_members) {
      return Refuse(absl::StrCat("an object has more than ",
                                 limits_.max_members, " entries"));
    }
    if (names.insert(name).second) return true;
    return Refuse(
        absl::StrCat("the key \"", Excerpt(name), "\" is there twice"));
  }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const json::exception& /*error*/) override {
    return Refuse(absl::StrCat("not valid JSON at byte ", position));
  }

 private:
  bool Refuse(std::string error) {
    error_ = std::move(error);
    return false;
  }

  bool CountValue() {
    if (++num_values_ <= limits_.max_values) return true;
    return Refuse(absl::StrCat("more than ", limits_.max_values, " values"));
  }

  bool Enter() {
    if (names_.size() == limits_.max_depth) {
      return Refuse(
          absl::StrCat("nested deeper than ", limits_.max_depth, " levels"));
    }
    names_.emplace_back();
    return CountValue();
  }

  bool Leave() {
    names_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  std::vector<std::set<std::string>> names_;  // of each open object or list
  size_t num_values_ = 0;
  std::string error_;
};

}  // namespace

absl::StatusOr<json> ParseStrictJson(absl::string_view text,
                                     const JsonLimits& limits) {
  // The parser takes a zero byte for the end of the text.
  if (absl::StrContains(text, '\0')) {
    return absl::DataLossError("a zero byte in the JSON text");
  }
  absl::string_view trimmed = text;
  while (absl::ConsumeSuffix(&trimmed, " ")) {
  }
  if (!absl::StartsWith(trimmed, "{") || !absl::EndsWith(trimmed, "}")) {
    return absl::DataLossError("not one JSON object from '{' to '}'");
  }
  const char* const end = trimmed.data() + trimmed.size();
  LimitChecker checker(limits);
  if (!json::sax_parse(trimmed.data(), end, &checker)) {
    return absl::DataLossError(checker.error());
  }
  return json::parse(trimmed.data(), end, nullptr, /*allow_exceptions=*/false);
}

const json* FindMember(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

const std::string* AsText(const json& value) {
  return value.get_ptr<const std::string*>();
}

std::optional<uint64_t> AsPlainInteger(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<uint64_t>();
}

absl::StatusOr<std::vector<uint64_t>> AsPlainIntegers(const json& value) {
  if (!value.is_array()) return absl::DataLossError("not a list");
  std::vector<uint64_t> numbers;
  numbers.reserve(value.size());
  for (const json& element : value) {
    const std::optional<uint64_t> number = AsPlainInteger(element);
    if (!number.has_value()) {
      return absl::DataLossError(
          absl::StrCat("element ", numbers.size(), " is not a plain integer"));
    }
    numbers.push_back(*number);
  }
  return numbers;
}

}  // namespace neumf
