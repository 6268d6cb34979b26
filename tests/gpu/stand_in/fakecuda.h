// What tests ask of the stand-in for libtorch_cuda.so (kernels.cpp): counts of what a GPU would have done, and faults on demand.

#pragma once

#include <stddef.h>
#include <stdint.h>

#define FAKECUDA_EXPORT __attribute__((visibility("default")))

// Kinds of events. tests/gpu/stand_in.rs has them in the same order.
enum {
  FAKECUDA_KERNEL,
  FAKECUDA_KERNEL_THAT_WAITS,
  FAKECUDA_ITEM,
  FAKECUDA_D2H_BLOCKING,
  FAKECUDA_D2H_ASYNC_PINNED,
  FAKECUDA_D2H_ASYNC_PAGEABLE,
  FAKECUDA_H2D_BLOCKING_PINNED,
  FAKECUDA_H2D_BLOCKING_PAGEABLE,
  FAKECUDA_H2D_ASYNC_PINNED,
  FAKECUDA_H2D_ASYNC_PAGEABLE,
  FAKECUDA_D2D,
  FAKECUDA_P2P,
  FAKECUDA_STREAM_SYNC,
  FAKECUDA_DEVICE_SYNC,
  FAKECUDA_EVENT_SYNC,
  FAKECUDA_ALLOCATION,
  FAKECUDA_PINNED_ALLOCATION,
  FAKECUDA_INDEX_MOVED,
  FAKECUDA_TF32,
  FAKECUDA_KINDS
};

#ifdef __cplusplus
extern "C" {
#endif

// How often an event of this kind has happened since the last reset.
FAKECUDA_EXPORT uint64_t fakecuda_count(int kind);
// All counts are 0 from now on, and no fault is to come.
FAKECUDA_EXPORT void fakecuda_reset(void);
// The nth allocation from now, of device or pinned memory, is out of memory; 0: none.
FAKECUDA_EXPORT void fakecuda_fail_allocation(int64_t n);
// The nth kernel from now fails, and every kernel after it if `sticky`; 0: none.
FAKECUDA_EXPORT void fakecuda_fail_kernel(int64_t n, int sticky);
// Whether the process allows TensorFloat-32 in matrix products; they round their operands then, as a card's tensor cores do.
FAKECUDA_EXPORT void fakecuda_allow_tf32(int allow);
// Memory of a device, and where the host may look at it after all.
FAKECUDA_EXPORT void *fakecuda_malloc(int device, size_t bytes);
FAKECUDA_EXPORT void fakecuda_free(void *device_address);
FAKECUDA_EXPORT void *fakecuda_reach(void *device_address);

#ifdef __cplusplus
}
#endif
