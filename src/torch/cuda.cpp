// What libseed asks of a CUDA device beyond operations: copies from and to it that wait as little as they can, its memory, what it computes in.

#include "guarded.h"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/core/grad_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace {

at::Device cuda(int32_t index) {
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

// Page-locked memory for the numbers of `tensor`, in its strides where they leave no gaps.
at::Tensor pinned_like(const at::Tensor &tensor) {
  return at::empty_like(tensor, tensor.options().device(at::kCPU).pinned_memory(true));
}

} // namespace

extern "C" {

// `input` on a CUDA device, from page-locked memory and without waiting: the copy runs while the host goes on, and
// libtorch's caching host allocator hands the locked buffer out again only when the copy is done.
char *seed_shim_copy_pinned(const at::Tensor *input, int32_t device_index, at::Tensor **output) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    at::Tensor pinned = pinned_like(*input);
    pinned.copy_(*input);
    *output = new at::Tensor(pinned.to(cuda(device_index), /*non_blocking=*/true));
  });
}

// `count` tensors of one CUDA device in page-locked memory of the host: all copies are queued, then the host waits once, for the
// stream that they are queued on.
char *seed_shim_copy_to_host(const at::Tensor *const *inputs, size_t count, at::Tensor **outputs) {
  return guarded([&] {
    if (count == 0) return;
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> copies;
    copies.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      copies.push_back(pinned_like(*inputs[i]));
      copies.back().copy_(*inputs[i], /*non_blocking=*/true);
    }
    c10::impl::VirtualGuardImpl(at::kCUDA).getStream(inputs[0]->device()).synchronize();
    std::vector<std::unique_ptr<at::Tensor>> owned;
    for (at::Tensor &copy : copies) owned.push_back(std::make_unique<at::Tensor>(std::move(copy)));
    for (size_t i = 0; i < count; ++i) outputs[i] = owned[i].release();
  });
}

// Waits until a CUDA device has done what was queued so far on this thread's current stream; other streams may go on.
char *seed_shim_finish(int32_t device_index) {
  return guarded([&] {
    c10::Event reached(at::kCUDA);
    reached.record(c10::impl::VirtualGuardImpl(at::kCUDA).getStream(cuda(device_index)));
    reached.synchronize();
  });
}

// Waits until a CUDA device has done all that was asked of it.
char *seed_shim_synchronise(int32_t device_index) {
  return guarded([&] { at::accelerator::synchronizeDevice(static_cast<at::DeviceIndex>(device_index)); });
}

// Bytes of a CUDA device: free, all, and taken by this process's tensors. The allocator knows no device before libtorch has
// initialised CUDA, which the first tensor does else.
char *seed_shim_device_memory(int32_t device_index, uint64_t *free, uint64_t *total, uint64_t *taken) {
  return guarded([&] {
    at::globalContext().lazyInitDevice(at::kCUDA);
    auto index = static_cast<at::DeviceIndex>(device_index);
    auto [left, whole] = at::accelerator::getMemoryInfo(index);
    auto stats = at::accelerator::getDeviceStats(index);
    auto all = static_cast<size_t>(at::CachingAllocator::StatType::AGGREGATE);
    *taken = static_cast<uint64_t>(stats.allocated_bytes[all].current);
    *free = left;
    *total = whole;
  });
}

// Whether a CUDA device computes products and convolutions in bfloat16 (compute capability 8.0 and above).
char *seed_shim_has_bfloat16(int32_t device_index, int32_t *has) {
  return guarded([&] {
    at::globalContext().lazyInitDevice(at::kCUDA);
    c10::DeviceGuard guard(cuda(device_index)); // the question is about the current device
    *has = at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8() ? 1 : 0;
  });
}

// On this thread matrix products of float32 are exact on CUDA devices until seed_shim_exact_leave, whatever the process
// allows: no TensorFloat-32, which has 10 bits of mantissa.
char *seed_shim_exact_enter(void **guard) {
  return guarded([&] { *guard = new at::NoTF32Guard(); });
}

void seed_shim_exact_leave(void *guard) {
  delete static_cast<at::NoTF32Guard *>(guard);
}

} // extern "C"
