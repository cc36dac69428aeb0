#pragma once

// What readers give: every event of a data set in file order, ids as rows.
//
// Item rows ascend by id, numerically when every id is a number, else bytewise.
// User rows ascend by IdHash() of the id, which is the order of `user.id.hash`
// in a checkpoint.

#include <cstdint>
#include <string>
#include <vector>

namespace neumf {

struct Event {
  uint32_t user = 0;
  uint32_t item = 0;
  float rating = 1;
  int64_t time = 0;  // seconds since the epoch, or any number that orders
};

struct EventLog {
  std::vector<std::string> user_ids;  // by user row
  std::vector<std::string> item_ids;  // by item row
  std::vector<Event> events;          // in file order
  bool has_times = false;             // whether the data says when

  // Some data sets come with a test part of their own. Its users and items have
  // rows like all others, and no user has an item both here and in `events`.
  // NCF's `events` have places in the user's order for times, its test events
  // seconds, which are larger.
  bool has_given_test = false;
  std::vector<Event> given_test;  // in file order
  // By place in `given_test`: the items that the data set lists for ranking the
  // test event among, in file order, as they are written: the item of the event
  // may be one of them, and an item may repeat. Empty when nothing is listed.
  std::vector<std::vector<uint32_t>> given_negatives;

  uint64_t num_users() const { return user_ids.size(); }
  uint64_t num_items() const { return item_ids.size(); }
};

// What was left out on the way, for the program to print.
struct ReadReport {
  uint64_t num_lines = 0;  // with data, the header not counted
  uint64_t num_duplicates =
      0;  // later events of the same user and item: dropped
  uint64_t num_bad_lines = 0;
  std::vector<std::string> bad_lines;  // the first few, "file:line: reason"
};

}  // namespace neumf
