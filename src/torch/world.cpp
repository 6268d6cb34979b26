// Several processes that work together: a store through which they find each other, and Gloo's collectives; both are c10d's, in
// libtorch_cpu. Every function catches every exception, as in shim.cpp. A call that waits for other processes ends by an exception when
// the group's timeout is over or a connection is lost.

#define USE_C10D_GLOO

#include "guarded.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <pthread.h>

namespace {

using Milliseconds = std::chrono::milliseconds;

struct World {
  c10::intrusive_ptr<c10d::TCPStore> store;
  // Destroyed first: it uses the store.
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
};

// Writing to a process that has died raises SIGPIPE, which ends a program that does not expect it. It is blocked in this thread and, since
// threads inherit that, in those that c10d and Gloo start meanwhile; one that came is taken back. Nothing of the process's own is changed.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    waited_before_ = sigismember(&pending, SIGPIPE) == 1;
    sigset_t pipe = signals();
    pthread_sigmask(SIG_BLOCK, &pipe, &before_);
  }
  NoPipeSignal(const NoPipeSignal &) = delete;
  NoPipeSignal &operator=(const NoPipeSignal &) = delete;
  ~NoPipeSignal() {
    if (!waited_before_) {
      sigset_t pipe = signals();
      const timespec now{0, 0};
      while (sigtimedwait(&pipe, nullptr, &now) == -1 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  static sigset_t signals() {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    return pipe;
  }
  sigset_t before_;
  bool waited_before_ = false;
};

template <typename Body> char *quietly(Body body) noexcept {
  NoPipeSignal no_pipe_signal;
  return guarded(body);
}

c10d::ProcessGroupGloo &group_of(World *world) {
  TORCH_CHECK(world->group, "the process has not joined yet");
  return *world->group;
}

} // namespace

extern "C" {

// Opens the store at host:port. `listener` is a listening socket of that port for the process that serves the store, which takes it
// over; -1 for the others, which connect.
char *seed_shim_world_open(const char *host, uint16_t port, int32_t listener, int64_t timeout, World **out) {
  return quietly([&] {
    auto world = std::make_unique<World>();
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = listener >= 0;
    options.waitWorkers = false;
    options.timeout = Milliseconds(timeout);
    if (listener >= 0) options.masterListenFd = listener;
    world->store = c10::make_intrusive<c10d::TCPStore>(std::string(host), options);
    *out = world.release();
  });
}

// Puts a text under `key` of the store.
char *seed_shim_world_put(World *world, const char *key, const char *text) {
  return quietly([&] {
    std::string value(text);
    world->store->set(key, std::vector<uint8_t>(value.begin(), value.end()));
  });
}

// The text under `key`, which seed_shim_free releases; NULL where there is none yet. The store's own wait would print when it ends in vain.
char *seed_shim_world_take(World *world, const char *key, char **out) {
  return quietly([&] {
    *out = nullptr;
    if (!world->store->check({std::string(key)})) return;
    auto value = world->store->get(key);
    *out = message(std::string(value.begin(), value.end()).c_str());
  });
}

// Adds 1 to the number under `key`, which begins at 0; `out` becomes the sum.
char *seed_shim_world_count(World *world, const char *key, int64_t *out) {
  return quietly([&] { *out = world->store->add(key, 1); });
}

// Connects the process, `rank` of `size`, with all others; `host` is the address of its own by which they reach it.
char *seed_shim_world_connect(World *world, int32_t rank, int32_t size, const char *host, int64_t timeout) {
  return quietly([&] {
    auto options = c10d::ProcessGroupGloo::Options::create(Milliseconds(timeout));
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(host));
    // One collective runs at a time.
    options->threads = 1;
    world->group = c10::make_intrusive<c10d::ProcessGroupGloo>(world->store, rank, size, options);
  });
}

// Replaces the numbers of `tensor`, contiguous on the CPU, by their sums over all processes.
char *seed_shim_world_sum(World *world, const at::Tensor *tensor) {
  return quietly([&] {
    std::vector<at::Tensor> tensors{*tensor};
    group_of(world).allreduce(tensors)->wait();
  });
}

// The tensors of all processes, of one shape, one after another along a new first dimension.
char *seed_shim_world_gather(World *world, const at::Tensor *tensor, at::Tensor **out) {
  return quietly([&] {
    auto &group = group_of(world);
    std::vector<at::Tensor> own{tensor->contiguous()};
    std::vector<std::vector<at::Tensor>> all(1);
    for (int rank = 0; rank < group.getSize(); ++rank) all[0].push_back(at::empty_like(own[0]));
    group.allgather(all, own)->wait();
    *out = new at::Tensor(at::stack(all[0]));
  });
}

// Replaces the numbers of `tensor`, contiguous on the CPU, by those of the process of rank 0.
char *seed_shim_world_spread(World *world, const at::Tensor *tensor) {
  return quietly([&] {
    std::vector<at::Tensor> tensors{*tensor};
    group_of(world).broadcast(tensors)->wait();
  });
}

void seed_shim_world_close(World *world) {
  // A destructor that throws would end the process; there is nobody to tell.
  char *ignored = quietly([&] { delete world; });
  if (ignored != seed_shim_out_of_memory) free(ignored);
}

} // extern "C"
