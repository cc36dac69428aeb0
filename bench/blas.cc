#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "bench/peers.h"

namespace neumf {
namespace {

absl::Status CheckThreadVariable(const char* name, size_t num_threads) {
  const char* const value = std::getenv(name);
  const std::string wanted = absl::StrCat(num_threads);
  if (value != nullptr && value == wanted) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "no ratio without ", name, "=", wanted, " in the environment"));
}

bool IsOpenBlasLoaded() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (absl::StrContains(line, "openblas")) return true;
  }
  return false;
}

}  // namespace

absl::Status CheckBlas(size_t num_threads) {
  NEUMF_RETURN_IF_ERROR(
      CheckThreadVariable("OPENBLAS_NUM_THREADS", num_threads));
  NEUMF_RETURN_IF_ERROR(CheckThreadVariable("OMP_NUM_THREADS", num_threads));
  if (IsOpenBlasLoaded()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "no ratio on the reference BLAS: install libopenblas0-pthread");
}

}  // namespace neumf
