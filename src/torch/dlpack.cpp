// Tensors in and out as DLPack's DLManagedTensorVersioned. libtorch does the conversion; what it would trust is checked first.

#include "guarded.h"

#include <ATen/DLConvertor.h>
#include <ATen/ATen.h>

#include <cstdint>
#include <string>

namespace {

constexpr int MAX_DIMS = 8;

// An empty text, or what is wrong with a foreign tensor.
std::string fault(const DLManagedTensorVersioned &managed) {
  if (managed.version.major != DLPACK_MAJOR_VERSION) {
    return "DLPack version " + std::to_string(managed.version.major) + "." + std::to_string(managed.version.minor) +
           ", expected " + std::to_string(DLPACK_MAJOR_VERSION) + ".x";
  }
  const DLTensor &tensor = managed.dl_tensor;
  if (tensor.ndim < 1 || tensor.ndim > MAX_DIMS) {
    return std::to_string(tensor.ndim) + " dimensions, expected 1 to " + std::to_string(MAX_DIMS);
  }
  if (!tensor.shape) return "no shape";
  int64_t count = 1;
  for (int i = 0; i < tensor.ndim; i++) {
    if (tensor.shape[i] < 0 || (tensor.shape[i] > 0 && count > INT64_MAX / 16 / tensor.shape[i])) {
      return "dimension " + std::to_string(i) + " is " + std::to_string(tensor.shape[i]);
    }
    count *= tensor.shape[i];
    if (tensor.strides && tensor.strides[i] < 0) return "a negative stride";
  }
  if (!tensor.data && count > 0) return "no data";
  auto bits = tensor.dtype.bits;
  auto code = tensor.dtype.code;
  bool known = (code == kDLUInt && bits == 8) || (code == kDLFloat && (bits == 16 || bits == 32)) ||
               (code == kDLBfloat && bits == 16);
  if (!known || tensor.dtype.lanes != 1) {
    return "type code " + std::to_string(code) + " of " + std::to_string(bits) + " bits in " +
           std::to_string(tensor.dtype.lanes) + " lanes, expected uint8, float16, float32 or bfloat16";
  }
  auto kind = tensor.device.device_type;
  if (kind != kDLCPU && kind != kDLCUDA && kind != kDLCUDAHost) {
    return "device type " + std::to_string(static_cast<int>(kind)) + ", expected CPU or CUDA";
  }
  if (kind == kDLCUDA && !at::globalContext().hasCUDA()) return "its data on a GPU, but no CUDA device can be used";
  if (tensor.byte_offset % (bits / 8) != 0) return "a byte offset that is no multiple of its type";
  return "";
}

} // namespace

extern "C" {

// Takes over `managed`: its deleter is called when the tensor goes, or here on an error.
char *seed_shim_from_dlpack(DLManagedTensorVersioned *managed, at::Tensor **output) {
  return guarded([&] {
    std::string found = fault(*managed);
    if (!found.empty()) {
      // The deleter's place is the same in every version.
      if (managed->deleter) managed->deleter(managed);
      throw std::invalid_argument("the DLPack tensor has " + found);
    }
    // What could make this throw was looked at, so that who calls the deleter is certain.
    at::Tensor tensor = at::fromDLPackVersioned(managed);
    *output = new at::Tensor(std::move(tensor));
  });
}

// `managed` keeps the tensor's memory until its deleter is called, by whoever it was given to.
char *seed_shim_to_dlpack(const at::Tensor *input, DLManagedTensorVersioned **managed) {
  return guarded([&] { *managed = at::toDLPackVersioned(*input); });
}
}
