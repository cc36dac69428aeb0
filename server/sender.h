#pragma once

// What one connection sends, set against what became of it.
//
// gRPC gathers a request's message before any handler hears of the call, and
// 1.51 tells nobody what it has gathered. But the kernel counts what has come,
// and handlers what they have seen: the rest is held for messages that are not
// whole, or wait. A little more than a call takes on the wire is taken off for
// it, so the estimate of an honest connection does not grow with its age.
//
// Calls that are cancelled before they are whole are in no handler's books, nor
// are messages of methods that no service has, nor questions that nobody had
// read when their stream of reflection ended: what came of them counts as held
// until the connection ends. So this tells who holds most, but not who has held
// a call for too long.
//
// Knows nothing of unix sockets, which the kernel keeps no such books of.
// Belongs to one thread.

#include <cstdint>
#include <string>

#include "server/reset_guard.h"
#include "server/tcp_progress.h"

namespace neumf {

class Sender {
 public:
  // Of the socket `fd`, which must outlive this as `guard` must; `name` is as
  // grpc::ServerContext::peer() says it.
  Sender(int fd, const std::string& name, ResetGuard* guard);
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // Looks into all books; those below tell what was found.
  void Look();

  // It sends on and on and gets no answer: headers that never end (VU#421644),
  // of which gRPC 1.51 keeps every byte.
  bool is_monologue() const { return is_monologue_; }
  // What we hold of its requests, at least 0.
  int64_t held_bytes() const { return held_bytes_; }

 private:
  const int fd_;
  ResetGuard* const guard_;
  ResetGuard::Peer* const peer_;

  // When we last were seen to have sent something.
  TcpProgress last_answer_;
  bool is_monologue_ = false;

  // What handlers saw of an earlier connection of that name, and what was taken
  // off for calls beyond what came for them.
  int64_t excess_;
  int64_t held_bytes_ = 0;
};

}  // namespace neumf
