// Counts of what a GPU would have done, and the faults that tests ask for.
//
// FAKECUDA_TRACE=1 prints each wait for the device on stderr, 2 with a backtrace.

#pragma once

#include <ATen/ATen.h>

#include <execinfo.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "fakecuda.h"

namespace {

int64_t setting(const char *name, int64_t otherwise) {
  const char *text = std::getenv(name);
  return text && *text ? std::atoll(text) : otherwise;
}

std::array<std::atomic<uint64_t>, FAKECUDA_KINDS> counts{};
const char *const kind_names[FAKECUDA_KINDS] = {
    "kernels", "kernels_that_wait", "items", "d2h_blocking", "d2h_async_pinned", "d2h_async_pageable", "h2d_blocking_pinned",
    "h2d_blocking_pageable", "h2d_async_pinned", "h2d_async_pageable", "d2d", "p2p", "stream_syncs", "device_syncs",
    "event_syncs", "allocations", "pinned_allocations", "index_tensors_moved", "tf32_products"};

// Faults to come: how many events are left, the last of which fails.
std::atomic<int64_t> allocations_left{0}, kernels_left{0};
std::atomic<bool> kernels_stay_broken{false}, broken{false};

// Counts one down; whether it was the last.
bool runs_out(std::atomic<int64_t> &left) {
  return left.load() > 0 && left.fetch_sub(1) == 1;
}

bool waits(int kind) {
  return kind == FAKECUDA_KERNEL_THAT_WAITS || kind == FAKECUDA_ITEM || kind == FAKECUDA_D2H_BLOCKING ||
         kind == FAKECUDA_D2H_ASYNC_PAGEABLE || kind == FAKECUDA_H2D_BLOCKING_PINNED ||
         kind == FAKECUDA_H2D_BLOCKING_PAGEABLE || kind == FAKECUDA_STREAM_SYNC || kind == FAKECUDA_DEVICE_SYNC ||
         kind == FAKECUDA_EVENT_SYNC;
}

void settle_pinned(); // memory.h

void count(int kind, const std::string &what = "") {
  counts[kind].fetch_add(1, std::memory_order_relaxed);
  static const int64_t trace = setting("FAKECUDA_TRACE", 0);
  if (!waits(kind)) return;
  settle_pinned();
  if (trace < 1) return;
  std::fprintf(stderr, "fakecuda: %s %s\n", kind_names[kind], what.c_str());
  if (trace < 2) return;
  void *frames[48];
  backtrace_symbols_fd(frames, backtrace(frames, 48), 2);
}

} // namespace
