#pragma once

// Command-line flags over the fields of an options struct: one table for
// parsing and for --help, and the defaults are those of the struct.
//
//   Options options;
//   FlagTable flags;
//   flags.Group("Listening");
//   flags.Add("listen", &options.listen, "Where to serve: HOST:PORT.");
//   NEUMF_RETURN_IF_ERROR(flags.Parse(args, *files));
//
// Accepts --name=value, --name value, and --name or --noname for booleans.
// Values are those of absl's flags: "2s", "100ms", "true".
// Belongs to one thread.

#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/flags/marshalling.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file_system.h"

namespace neumf {

class FlagTable {
 public:
  // The title of the flags that are added next.
  void Group(absl::string_view title);

  // `field` must outlive this; what it holds is the default.
  template <typename T>
  void Add(absl::string_view name, T* field, absl::string_view help) {
    AddFlag(name, help, absl::UnparseFlag<T>(*field),
            std::is_same<T, bool>::value, [field](absl::string_view text) {
              std::string error;
              if (absl::ParseFlag<T>(text, field, &error)) return std::string();
              return error.empty() ? absl::StrCat("\"", text, "\" is no value")
                                   : error;
            });
  }
  // The same, for values from `min` to `max`.
  template <typename T>
  void Add(absl::string_view name, T* field, T min, T max,
           absl::string_view help) {
    AddFlag(name, help, absl::UnparseFlag<T>(*field), false,
            [=](absl::string_view text) {
              std::string error;
              if (absl::ParseFlag<T>(text, field, &error) && *field >= min &&
                  *field <= max) {
                return std::string();
              }
              return absl::StrCat("must be from ", absl::UnparseFlag<T>(min),
                                  " to ", absl::UnparseFlag<T>(max));
            });
  }

  // Sets the fields. --flagfile=FILE inserts the lines of a file, where '#'
  // starts a comment. INVALID_ARGUMENT names the flag.
  absl::Status Parse(absl::Span<const std::string> args, FileSystem& files);

  // All flags by group, with what they mean and their defaults.
  std::string Help() const;

 private:
  struct Flag {
    std::string name;
    std::string help;
    std::string default_text;
    bool is_bool = false;
    // Empty when the field was set; otherwise what is wrong.
    std::function<std::string(absl::string_view)> set;
  };
  // "--name=value", taken apart.
  struct Argument {
    absl::string_view name;
    std::optional<absl::string_view> value;
  };
  struct FlagGroup {
    std::string title;
    std::vector<Flag> flags;
  };

  void AddFlag(absl::string_view name, absl::string_view help,
               std::string default_text, bool is_bool,
               std::function<std::string(absl::string_view)> set);
  static absl::StatusOr<Argument> SplitArgument(absl::string_view text);
  const Flag* Find(absl::string_view name) const;
  // The flag of `argument`; fills in the value where the name alone says it.
  const Flag* Match(Argument* argument) const;
  static absl::Status Set(const Flag& flag, absl::string_view value);
  // Its lines; none of them may name a file.
  static absl::StatusOr<std::vector<std::string>> ReadFlagFile(
      absl::string_view path, FileSystem& files);

  std::vector<FlagGroup> groups_;
};

}  // namespace neumf
