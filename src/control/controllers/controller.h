// Controller: the shell every controller shares: a work queue of keys and one reconcile of a key at a time. One loop.
#pragma once

#include <memory>

#include "client/client.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/work_queue.h"

namespace rs::control {

using api::ObjectKey;
using client::Next;
using client::ObjectPtr;
template <class T>
using awaitable = async::awaitable<T>;

// What controllers are given; everything outlives them.
struct Context {
  client::Client& client;
  client::Informers& informers;
  client::EventRecorder& events;
};

// A controller registers its informer handlers in its constructor (before the informers start), works from start() (the
// informers have synced) until stop(). Keys that arrive in between wait.
class Controller {
 public:
  virtual ~Controller() = default;
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;
  virtual void start() { queue_.start(workers_); }
  virtual awaitable<void> stop() { co_await queue_.stop(); }

 protected:
  Controller(Context context, std::string name, size_t workers = 4)
      : context_(context),
        workers_(workers),
        queue_(context.client.loop(), std::move(name), [this](ObjectKey key) { return reconcile(std::move(key)); }) {}

  // Level-based and idempotent: reads the state from the informers, makes one step, returns when to look again unasked.
  virtual awaitable<Result<Next>> reconcile(ObjectKey key) = 0;

  client::Client& client() { return context_.client; }
  client::Informer& informer(const client::Resource& resource) { return context_.informers.of(resource); }
  async::Loop& loop() { return context_.client.loop(); }
  WallTime wall() { return loop().wall(); }

  Context context_;
  size_t workers_;
  client::WorkQueue queue_;
};

// A create was refused because the namespace is being deleted: not worth an event or a retry soon.
inline bool is_namespace_terminating(const Error& error) {
  if (error.code != Code::kForbidden || error.details == nullptr) return false;
  for (const auto& cause : error.details->causes)
    if (cause.reason == "NamespaceTerminating") return true;
  return false;
}

}  // namespace rs::control
