#include "client/recommend_command.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/missing_service.h"
#include "client/recommendation_client.h"
#include "client/security_options.h"
#include "client/text_table.h"
#include "client/titles.h"
#include "google/protobuf/util/json_util.h"

namespace neumf {
namespace {

absl::StatusOr<v1::SeenPolicy> ParseSeenPolicy(absl::string_view text) {
  if (text == "drop") return v1::SEEN_POLICY_DROP;
  if (text == "keep") return v1::SEEN_POLICY_KEEP;
  if (text == "only") return v1::SEEN_POLICY_ONLY;
  return absl::InvalidArgumentError(
      absl::StrCat("--seen: '", text, "' is not drop, keep or only"));
}

absl::StatusOr<v1::RecommendRequest> MakeRequest(const Args& args) {
  v1::RecommendRequest request;
  NEUMF_RETURN_IF_ERROR(args.CheckUtf8("--user"));
  NEUMF_RETURN_IF_ERROR(args.CheckUtf8("--exclude"));
  request.set_user_id(std::string(args.value("--user")));
  NEUMF_ASSIGN_OR_RETURN(const int32_t k, args.Number("-k", 10));
  request.set_k(k);
  for (const std::string& id : args.values("--exclude")) {
    request.add_exclude_item_ids(id);
  }
  NEUMF_ASSIGN_OR_RETURN(const v1::SeenPolicy seen_policy,
                         ParseSeenPolicy(args.value("--seen", "drop")));
  request.set_seen_policy(seen_policy);
  if (args.has("--popular")) {
    request.set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_POPULAR);
  }
  return request;
}

absl::string_view ServedFromText(v1::ServedFrom served_from) {
  switch (served_from) {
    case v1::SERVED_FROM_MODEL:
      return "the model";
    case v1::SERVED_FROM_HISTORY:
      return "the history";
    case v1::SERVED_FROM_POPULAR:
      return "popularity";
    default:
      return "an unknown source";
  }
}

// `titles` may be null.
std::string ResponseTable(const v1::RecommendResponse& response,
                          const Titles* titles) {
  using Align = TextTable::Align;
  std::vector<TextTable::Column> columns = {{"rank", Align::kRight},
                                            {"item_id", Align::kLeft},
                                            {"score", Align::kRight}};
  if (titles != nullptr) columns.push_back({"title", Align::kLeft});
  TextTable table(std::move(columns));
  for (int i = 0; i < response.items_size(); ++i) {
    const v1::ScoredItem& item = response.items(i);
    std::vector<std::string> cells = {absl::StrCat(i + 1), item.item_id(),
                                      absl::StrFormat("%.6f", item.score())};
    if (titles != nullptr) {
      const auto title = titles->find(item.item_id());
      cells.push_back(title == titles->end() ? "" : title->second);
    }
    table.AddRow(std::move(cells));
  }
  return table.ToString();
}

std::string ResponseSummary(const v1::RecommendResponse& response) {
  std::string text =
      absl::StrCat(response.items_size(), " of ", response.candidate_count(),
                   " candidates, from ", ServedFromText(response.served_from()),
                   ", model version ", response.model_version());
  if (response.shortfall_reason() == v1::SHORTFALL_REASON_ELIGIBLE_ITEMS) {
    absl::StrAppend(&text, " (there are no more eligible items)");
  }
  return Printable(text);
}

absl::StatusOr<std::string> ToJson(const v1::RecommendResponse& response) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  const auto status =
      google::protobuf::util::MessageToJsonString(response, &json, options);
  if (!status.ok()) {
    return absl::InternalError("the answer cannot be printed as JSON");
  }
  return json;
}

absl::Status Recommend(const Args& args, std::ostream& out) {
  NEUMF_ASSIGN_OR_RETURN(const v1::RecommendRequest request, MakeRequest(args));
  Titles titles;
  const bool with_titles = args.has("--titles");
  if (with_titles) {
    const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
    NEUMF_ASSIGN_OR_RETURN(titles, ReadTitles(*files, args.value("--titles")));
  }
  RecommendationClient::Options options;
  options.target = std::string(args.value("--server"));
  NEUMF_ASSIGN_OR_RETURN(options.timeout,
                         args.Time("--timeout", options.timeout));
  NEUMF_ASSIGN_OR_RETURN(options.security, ReadSecurity(args));
  NEUMF_ASSIGN_OR_RETURN(const auto client,
                         RecommendationClient::Create(options));
  const absl::StatusOr<v1::RecommendResponse> response =
      client->Recommend(request);
  if (!response.ok()) {
    return ExplainMissingService(response.status(), args, "--server");
  }
  if (args.has("--json")) {
    NEUMF_ASSIGN_OR_RETURN(const std::string json, ToJson(*response));
    out << json;
  } else {
    out << ResponseTable(*response, with_titles ? &titles : nullptr)
        << ResponseSummary(*response) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

Command RecommendCommand() {
  Command command;
  command.name = "recommend";
  command.summary = "recommend items to a user";
  command.description =
      "Prints the best items for a user, best first, and where they come from.";
  command.options = {
      {"--server", "ADDR", "the server: host:port or unix:PATH",
       OptionSpec::kRequired},
      {"--user", "ID", "the user's id, as in the training data",
       OptionSpec::kRequired},
      {"-k", "N", "how many items; 0 is the server's default (10)"},
      {"--titles", "FILE", "print titles from a CSV file of item_id,title"},
      {"--exclude", "ID", "leave out this item, too", OptionSpec::kRepeated},
      {"--seen", "POLICY", "drop (default), keep or only: items seen already"},
      {"--popular", "", "popular items when the user is unknown, not an error"},
      {"--json", "", "print the response message as JSON"},
      {"--timeout", "TIME", "give up after this time (2s)"}};
  AddSecurityOptions(&command.options);
  command.run = Recommend;
  return command;
}

}  // namespace neumf
