#include "trainer/distributed/process_place.h"

#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr uint32_t kMaxSize = 4096;
constexpr uint32_t kMaxPort = 65535;

absl::StatusOr<std::string> Variable(const char* name) {
  const char* const value = std::getenv(name);
  if (value != nullptr && *value != '\0') return std::string(value);
  return absl::InvalidArgumentError(
      absl::StrCat(name,
                   " is not set: each process of a distributed run needs RANK, "
                   "WORLD_SIZE, MASTER_ADDR and MASTER_PORT"));
}

absl::StatusOr<uint32_t> Number(const char* name, uint32_t min, uint32_t max) {
  NEUMF_ASSIGN_OR_RETURN(const std::string text, Variable(name));
  uint32_t number = 0;
  if (absl::SimpleAtoi(text, &number) && number >= min && number <= max) {
    return number;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, " has to be a whole number from ", min, " to ", max,
                   ", not '", text, "'"));
}

std::string VariableOr(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

bool IsSet(const char* name) { return std::getenv(name) != nullptr; }

}  // namespace

absl::StatusOr<std::optional<ProcessPlace>> PlaceFromEnvironment() {
  if (!IsSet("RANK") && !IsSet("WORLD_SIZE")) {
    return std::optional<ProcessPlace>();
  }
  ProcessPlace place;
  NEUMF_ASSIGN_OR_RETURN(place.size, Number("WORLD_SIZE", 1, kMaxSize));
  NEUMF_ASSIGN_OR_RETURN(place.rank, Number("RANK", 0, place.size - 1));
  if (place.size == 1) return std::optional<ProcessPlace>();
  NEUMF_ASSIGN_OR_RETURN(place.host, Variable("MASTER_ADDR"));
  NEUMF_ASSIGN_OR_RETURN(const uint32_t port,
                         Number("MASTER_PORT", 1, kMaxPort));
  place.port = static_cast<uint16_t>(port);
  place.launcher_listens =
      VariableOr("TORCHELASTIC_USE_AGENT_STORE", "") == "True";
  place.attempt = VariableOr("TORCHELASTIC_RESTART_COUNT", "0");
  return std::optional<ProcessPlace>(place);
}

}  // namespace neumf
