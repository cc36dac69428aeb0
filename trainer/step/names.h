#pragma once

// Names of enumerated settings, for flags and messages.

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace neumf {

template <class Value>
struct Named {
  const char* name;
  Value value;
};

// The value of that name; else INVALID_ARGUMENT with all names. `what` says
// what is named: "loss".
template <class Value>
absl::StatusOr<Value> ParseName(absl::string_view what, absl::string_view text,
                                absl::Span<const Named<Value>> all) {
  for (const Named<Value>& named : all) {
    if (named.name == text) return named.value;
  }
  const auto append_name = [](std::string* out, const Named<Value>& named) {
    out->append(named.name);
  };
  return absl::InvalidArgumentError(
      absl::StrCat("there is no ", what, " '", text, "'; there are ",
                   absl::StrJoin(all, ", ", append_name)));
}

// REQUIRES: the value is named.
template <class Value>
const char* NameOf(Value value, absl::Span<const Named<Value>> all) {
  for (const Named<Value>& named : all) {
    if (named.value == value) return named.name;
  }
  return "?";
}

}  // namespace neumf
