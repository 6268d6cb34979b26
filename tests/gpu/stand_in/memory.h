// Memory of the devices, which the host cannot read, and pinned memory, which is closed to the host while a copy may be under way.
//
// FAKECUDA_DEVICES (2), FAKECUDA_MEMORY (bytes a device, 8 GiB), FAKECUDA_POISON=0 (fresh memory is not filled with NaN).

#pragma once

#include <ATen/core/CachingHostAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>

#include "counts.h"

namespace {

using c10::Device;
using c10::DeviceIndex;
using c10::Stream;

constexpr int MAX_DEVICES = 8;
constexpr size_t SPAN = size_t(64) << 30; // addresses a device
constexpr size_t GRAIN = 512;

struct Arena {
  char *shown = nullptr; // PROT_NONE for ever: what CUDA tensors carry
  char *real = nullptr;  // where the kernels work
  size_t used = 0;       // bytes from the start that were ever handed out
  size_t taken = 0, peak = 0, total = 0;
  std::multimap<size_t, char *> free;
  std::unordered_map<char *, size_t> blocks; // shown address → bytes
  std::mutex mutex;

  void open() {
    if (shown) return;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *a = mmap(nullptr, SPAN, PROT_NONE, flags, -1, 0), *b = mmap(nullptr, SPAN, PROT_READ | PROT_WRITE, flags, -1, 0);
    TORCH_CHECK(a != MAP_FAILED && b != MAP_FAILED, "fakecuda: no addresses");
    total = static_cast<size_t>(setting("FAKECUDA_MEMORY", int64_t(8) << 30));
    shown = static_cast<char *>(a), real = static_cast<char *>(b);
  }
  bool holds(const void *p) const { return shown && p >= shown && p < shown + SPAN; }
};
Arena arenas[MAX_DEVICES];
thread_local DeviceIndex current = 0;

// Whether libtorch has initialised the device; the real allocator knows no device before.
std::atomic<bool> initialised{false};

void refuse_when_out() {
  TORCH_CHECK_WITH(OutOfMemoryError, !runs_out(allocations_left), "CUDA out of memory. The test asked for it.");
}

DeviceIndex device_count() {
  static const auto n = static_cast<DeviceIndex>(std::min<int64_t>(setting("FAKECUDA_DEVICES", 2), MAX_DEVICES));
  return n;
}

// The address at which kernels reach what a CUDA tensor's address means.
char *reach(const void *p) {
  if (!p) return nullptr;
  for (auto &arena : arenas)
    if (arena.holds(p)) return arena.real + (static_cast<const char *>(p) - arena.shown);
  TORCH_CHECK(false, "fakecuda: CUDA error: an illegal memory access was encountered: ", p, " is no device memory");
}

void release(void *p) {
  for (auto &arena : arenas) {
    if (!arena.holds(p)) continue;
    std::lock_guard<std::mutex> lock(arena.mutex);
    auto found = arena.blocks.find(static_cast<char *>(p));
    if (found == arena.blocks.end()) std::abort();
    arena.taken -= found->second;
    if (found->second >= (size_t(1) << 20)) madvise(reach(p), found->second, MADV_DONTNEED);
    arena.free.emplace(found->second, found->first);
    arena.blocks.erase(found);
    return;
  }
}

struct DeviceMemory final : c10::DeviceAllocator {
  c10::DataPtr allocate(size_t bytes) override {
    Device device(c10::kCUDA, current);
    if (bytes == 0) return {nullptr, nullptr, &release_nothing, device};
    count(FAKECUDA_ALLOCATION);
    refuse_when_out();
    auto &arena = arenas[current];
    size_t size = (bytes + GRAIN - 1) / GRAIN * GRAIN;
    if (size >= (size_t(1) << 20)) size = (size + 65535) / 65536 * 65536;
    std::lock_guard<std::mutex> lock(arena.mutex);
    arena.open();
    char *p = nullptr;
    auto found = arena.free.lower_bound(size);
    if (found != arena.free.end() && found->first <= size + size / 4) {
      size = found->first, p = found->second;
      arena.free.erase(found);
    }
    TORCH_CHECK_WITH(OutOfMemoryError, arena.taken + size <= arena.total && (p || arena.used + size <= SPAN),
                     "CUDA out of memory. Tried to allocate ", size, " bytes. GPU ", int(current), " has ", arena.total, " bytes, ",
                     arena.taken, " are taken.");
    if (!p) p = arena.shown + arena.used, arena.used += size;
    arena.blocks[p] = size;
    arena.taken += size, arena.peak = std::max(arena.peak, arena.taken);
    static const bool poison = setting("FAKECUDA_POISON", 1) != 0;
    if (poison) std::memset(reach(p), 0xff, size); // NaN in every float format
    return {p, p, &release, device};
  }
  static void release_nothing(void *) {}
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void *to, const void *from, size_t n) const override { std::memcpy(reach(to), reach(from), n); }
  bool initialized() override { return initialised; }
  void emptyCache(c10::MempoolId_t) override {}
  void recordStream(const c10::DataPtr &, Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(DeviceIndex device) override {
    TORCH_CHECK(initialised, "Allocator not initialized for device ", int(device), ": did you call init?");
    c10::CachingDeviceAllocator::DeviceStats stats;
    std::lock_guard<std::mutex> lock(arenas[device].mutex);
    auto &bytes = stats.allocated_bytes[0];
    bytes.current = static_cast<int64_t>(arenas[device].taken), bytes.peak = static_cast<int64_t>(arenas[device].peak);
    return stats;
  }
  void resetAccumulatedStats(DeviceIndex) override {}
  void resetPeakStats(DeviceIndex device) override { arenas[device].peak = arenas[device].taken; }
  std::pair<size_t, size_t> getMemoryInfo(DeviceIndex device) override {
    std::lock_guard<std::mutex> lock(arenas[device].mutex);
    arenas[device].open();
    return {arenas[device].total - arenas[device].taken, arenas[device].total};
  }
};
DeviceMemory device_memory;

// Between an asynchronous copy and the next wait the pages are closed to the host: not to be written while the device may
// still read them, not to be read while it may still write them.
struct Pinned {
  size_t bytes = 0;
  bool closed = false;
};
std::mutex pinned_mutex;
std::map<char *, Pinned> pinned;

std::map<char *, Pinned>::iterator find_pinned(const void *p) { // under the lock
  auto after = pinned.upper_bound(static_cast<char *>(const_cast<void *>(p)));
  if (after == pinned.begin()) return pinned.end();
  --after;
  return p < after->first + after->second.bytes ? after : pinned.end();
}
bool is_pinned(const void *p) {
  std::lock_guard<std::mutex> lock(pinned_mutex);
  return find_pinned(p) != pinned.end();
}
void close_pinned(const void *p, int protection) {
  std::lock_guard<std::mutex> lock(pinned_mutex);
  auto found = find_pinned(p);
  if (found == pinned.end()) return;
  mprotect(found->first, found->second.bytes, protection);
  found->second.closed = true;
}
void settle_pinned() {
  std::lock_guard<std::mutex> lock(pinned_mutex);
  for (auto &[p, block] : pinned)
    if (block.closed) mprotect(p, block.bytes, PROT_READ | PROT_WRITE), block.closed = false;
}
void release_pinned(void *p) {
  if (!p) return;
  std::lock_guard<std::mutex> lock(pinned_mutex);
  auto found = pinned.find(static_cast<char *>(p));
  munmap(p, found->second.bytes);
  pinned.erase(found);
}
struct PinnedMemory final : at::HostAllocator {
  c10::DataPtr allocate(size_t bytes) override {
    count(FAKECUDA_PINNED_ALLOCATION);
    refuse_when_out();
    if (bytes == 0) return {nullptr, nullptr, &release_pinned, Device(c10::kCPU)};
    size_t size = (bytes + 4095) / 4096 * 4096;
    void *p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TORCH_CHECK_WITH(OutOfMemoryError, p != MAP_FAILED, "fakecuda: no pinned memory");
    std::lock_guard<std::mutex> lock(pinned_mutex);
    pinned[static_cast<char *>(p)] = {size, false};
    return {p, p, &release_pinned, Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release_pinned; }
  void copy_data(void *to, const void *from, size_t n) const override { std::memcpy(to, from, n); }
  bool record_event(void *, void *, Stream) override { return true; }
  void empty_cache() override {}
  at::HostStats get_stats() override { return {}; }
  void reset_accumulated_stats() override {}
  void reset_peak_stats() override {}
};
PinnedMemory pinned_memory;

} // namespace
