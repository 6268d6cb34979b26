// A reserve of memory that tensors leave untouched. oneDNN writes machine code for each new shape of an operation, and where
// no memory is left for that code it goes on without it and calls a null pointer. So tensors' memory is asked for through
// this allocator: libtorch's own, which then looks whether the reserve could still be had, and else gives back what it took
// and reports that memory is out. That is an error with a name, and it comes before anything below runs dry.

#include "guarded.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <sys/mman.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <atomic>
#include <cstddef>
#include <stdexcept>

namespace {

// Enough for the code of one operation: oneDNN maps 256 KiB for each of the some ten to hundred kernels that it may consist of.
constexpr size_t RESERVE = size_t(32) << 20;
// What may be taken of the reserve, so that small work goes on while memory is short.
constexpr size_t SMALL = size_t(64) << 10;
// Between two looks no more than this is handed out; a look costs two system calls.
constexpr size_t STRIDE = size_t(8) << 20;

// Whether the reserve could be had now.
bool there() noexcept {
  void *probe = mmap(nullptr, RESERVE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return probe != MAP_FAILED && munmap(probe, RESERVE) == 0;
}

// Has malloc return what was freed and what it keeps for later; whether there was any.
bool give_back() noexcept {
#ifdef __GLIBC__
  return malloc_trim(0) == 1;
#else
  return false;
#endif
}

class Reserving final : public c10::Allocator {
 public:
  Reserving(c10::Allocator *below, bool (*stops)()) : below_(below), stops_(stops) {}

  c10::DataPtr allocate(size_t bytes) override {
    // Every operation makes a tensor, so a call is stopped here before the next one where the process ends.
    if (stops_()) throw std::runtime_error("the process is ending");
    c10::DataPtr data = below_->allocate(bytes);
    if (bytes < SMALL || unseen_.fetch_add(bytes, std::memory_order_relaxed) + bytes < STRIDE) return data;
    TORCH_CHECK_WITH(OutOfMemoryError, there() || (give_back() && there()), "not enough memory: ", bytes,
                     " bytes for a tensor would leave less than the ", RESERVE, " bytes that libtorch itself may need");
    unseen_.store(0, std::memory_order_relaxed);
    return data;
  }

  // The memory is libtorch's, so it is released as libtorch does.
  c10::DeleterFnPtr raw_deleter() const override { return below_->raw_deleter(); }

  void copy_data(void *to, const void *from, std::size_t count) const override { below_->copy_data(to, from, count); }

 private:
  c10::Allocator *below_;
  bool (*stops_)();
  std::atomic<size_t> unseen_{0};
};

} // namespace

extern "C" {

// Puts the reserve before the allocator that libtorch has for tensors in main memory; `stops` is asked before each tensor (src/shutdown.rs).
// Once a process.
char *seed_shim_keep_reserve(bool (*stops)()) {
  return guarded([&] {
    // Never freed: tensors may outlive everything.
    auto *reserving = new Reserving(c10::GetCPUAllocator(), stops);
    c10::SetCPUAllocator(reserving);
  });
}

} // extern "C"
