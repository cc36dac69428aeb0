#pragma once

// What systemd wants to hear of a service of Type=notify, in datagrams to the
// socket that it names in the environment. Without one this does nothing.
//
//   READY=1       somebody is answered, or will be once there is a checkpoint
//   STOPPING=1    the drain has begun
//   STATUS=...    a line for `systemctl status`, when it has changed
//   WATCHDOG=1    sent while the server is live; when it stays away for
//                 WatchdogSec, systemd ends the process and starts another
//
// RELOADING=1 is never sent. A new checkpoint or certificate is taken over while
// calls go on, and a unit that reloads holds up the jobs that wait for it.
//
// Written by hand: libsystemd would be a library for four lines of text.

#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "server/periodic_task.h"
#include "server/unique_fd.h"

namespace neumf {

class ServiceManager {
 public:
  struct Report {
    bool live = true;
    std::string status;  // one line
  };

  // As NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say. `clock` must outlive
  // this. Before other threads change the environment.
  static std::unique_ptr<ServiceManager> FromEnvironment(const Clock* clock);

  // `socket` is a path, or a name after '@' in the abstract namespace; empty:
  // nobody listens. `watchdog` is zero when nobody waits for it.
  ServiceManager(absl::string_view socket, absl::Duration watchdog,
                 const Clock* clock);

  // From now on a thread asks for `report` once a second, more often for a
  // shorter watchdog, until this dies. REQUIRES: not called before.
  void KeepInformed(std::function<Report()> report);

  // Any thread.
  void Ready() { Send("READY=1"); }
  void Stopping() { Send("STOPPING=1"); }

 private:
  void Turn(const Report& report);
  void Send(absl::string_view state) const;

  const Clock* const clock_;
  const std::string address_;  // a sockaddr_un, as far as it is used
  const absl::Duration watchdog_;
  const UniqueFd socket_;
  // Of the thread alone.
  std::string told_status_;
  absl::Duration next_feeding_;
  std::unique_ptr<PeriodicTask> turns_;
};

}  // namespace neumf
