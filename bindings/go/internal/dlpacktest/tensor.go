// Package dlpacktest makes DLPack tensors in C's memory for tests, which cannot use cgo themselves.
package dlpacktest

/*
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// A DLManagedTensorVersioned, and behind it what it needs.
typedef struct batch {
  uint32_t major, minor;
  void *manager;
  void (*deleter)(struct batch *self);
  uint64_t flags;
  void *data;
  int32_t device_type, device_id, dimensions;
  uint8_t type_code, type_bits;
  uint16_t type_lanes;
  int64_t *shape, *strides;
  uint64_t byte_offset;

  int64_t sides[4];
} batch;

static int deleted;

static void delete(batch *self) {
  free(self->data);
  free(self);
  __atomic_add_fetch(&deleted, 1, __ATOMIC_SEQ_CST);
}

static int deletions(void) { return __atomic_load_n(&deleted, __ATOMIC_SEQ_CST); }

static batch *make(uint32_t major, const uint8_t *pixels, int64_t count, int64_t height, int64_t width, int64_t channels) {
  size_t size = (size_t)(count * height * width * channels);
  batch *self = calloc(1, sizeof *self);
  self->major = major;
  self->deleter = delete;
  self->data = malloc(size);
  memcpy(self->data, pixels, size);
  self->device_type = 1;
  self->dimensions = 4;
  self->type_code = 1;
  self->type_bits = 8;
  self->type_lanes = 1;
  self->sides[0] = count;
  self->sides[1] = height;
  self->sides[2] = width;
  self->sides[3] = channels;
  self->shape = self->sides;
  return self;
}

static void call_deleter(void *tensor) { ((batch *)tensor)->deleter(tensor); }
*/
import "C"

import "unsafe"

// Bytes is a tensor (count, height, width, channels) of bytes in main memory, a copy of pixels, of a major version of DLPack.
func Bytes(major int, pixels []byte, count, height, width, channels int) unsafe.Pointer {
	if len(pixels) != count*height*width*channels {
		panic("the pixels do not fill the tensor")
	}
	return unsafe.Pointer(C.make(C.uint32_t(major), (*C.uint8_t)(unsafe.SliceData(pixels)), C.int64_t(count),
		C.int64_t(height), C.int64_t(width), C.int64_t(channels)))
}

// Deleted is how many of the tensors of Bytes were deleted.
func Deleted() int { return int(C.deletions()) }

// Delete calls the deleter of any tensor.
func Delete(tensor unsafe.Pointer) { C.call_deleter(tensor) }
