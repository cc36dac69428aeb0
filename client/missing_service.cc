#include "client/missing_service.h"

#include "absl/strings/str_cat.h"

namespace neumf {

absl::Status ExplainMissingService(const absl::Status& status, const Args& args,
                                   absl::string_view option) {
  if (!absl::IsUnimplemented(status) || !status.message().empty()) {
    return status;
  }
  const absl::string_view listener =
      option == "--admin" ? "--admin_listen" : "--listen";
  return absl::UnimplementedError(absl::StrCat(
      "the server at ", args.value(option), " does not offer this service: ",
      option, " takes the address of neumf-server's ", listener));
}

}  // namespace neumf
