// Tensors in and out as DLPack's DLManagedTensorVersioned. libtorch does the conversion; what it would trust is checked first.

#include "guarded.h"

#include <ATen/DLConvertor.h>
#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

constexpr int MAX_DIMS = 8;

// An empty text, or what is wrong with an address that is said to be on CUDA device `id`: a kernel would fail on memory of the host.
std::string place_fault(void *address, int32_t id) {
  try {
    auto device = at::detail::getCUDAHooks().getDeviceFromPtr(address);
    if (device.index() == id) return "";
    return "device_id " + std::to_string(id) + ", but its data is on CUDA device " + std::to_string(device.index());
  } catch (const c10::Error &error) {
    // Anything else is not about the address.
    if (std::string(error.what_without_backtrace()).find("resides on host memory") == std::string::npos) return "";
    return "device_id " + std::to_string(id) + " of CUDA, but its data is memory of the host";
  }
}

// The deleter's place is the same in every version.
void release(void *managed) {
  auto it = static_cast<DLManagedTensorVersioned *>(managed);
  if (it->deleter) it->deleter(it);
}

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
  int64_t last = 0; // place of the last element
  for (int i = 0; tensor.strides && count > 0 && i < tensor.ndim; i++) {
    int64_t steps = tensor.shape[i] - 1;
    if (steps > 0 && tensor.strides[i] > (INT64_MAX / 16 - last) / steps) {
      return "stride " + std::to_string(tensor.strides[i]) + " of dimension " + std::to_string(i);
    }
    last += steps * tensor.strides[i];
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
    return "device type " + std::to_string(static_cast<int>(kind)) + ", expected CPU, CUDA or CUDA's host memory";
  }
  if (kind == kDLCUDA) {
    int32_t id = tensor.device.device_id;
    int64_t devices = at::globalContext().hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
    if (id < 0 || id >= devices) {
      return "device_id " + std::to_string(id) + ", but there are " + std::to_string(devices) + " CUDA devices";
    }
    std::string elsewhere = count > 0 ? place_fault(static_cast<char *>(tensor.data) + tensor.byte_offset, id) : "";
    if (!elsewhere.empty()) return elsewhere;
  }
  if (tensor.byte_offset % (bits / 8) != 0) return "a byte offset that is no multiple of its type";
  return "";
}

} // namespace

extern "C" {

// Takes over `managed`: its deleter is called once, when the tensor goes or here on an error, whatever throws.
// at::fromDLPackVersioned knows no memory of kDLCUDAHost, and whoever calls it cannot tell whether an error came before it took over.
char *seed_shim_from_dlpack(DLManagedTensorVersioned *managed, at::Tensor **output) {
  return guarded([&] {
    std::unique_ptr<DLManagedTensorVersioned, void (*)(void *)> holder(managed, release);
    std::string found = fault(*managed);
    if (!found.empty()) throw std::invalid_argument("the DLPack tensor has " + found);
    const DLTensor &tensor = managed->dl_tensor;
    at::ScalarType type = tensor.dtype.code == kDLUInt    ? at::kByte
                          : tensor.dtype.code == kDLBfloat ? at::kBFloat16
                          : tensor.dtype.bits == 16        ? at::kHalf
                                                           : at::kFloat;
    // Pinned memory is memory of the host.
    at::Device device = tensor.device.device_type == kDLCUDA
                            ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(tensor.device.device_id))
                            : at::Device(at::kCPU);
    at::IntArrayRef shape(tensor.shape, tensor.ndim);
    auto maker = at::for_blob(static_cast<char *>(tensor.data) + tensor.byte_offset, shape);
    if (tensor.strides) maker.strides(at::IntArrayRef(tensor.strides, tensor.ndim));
    maker.options(at::TensorOptions(type).device(device)).target_device(device);
    // Nothing allocates or throws between the two owners.
    maker.context(holder.release(), release);
    *output = new at::Tensor(maker.make_tensor());
  });
}

// `managed` keeps the tensor's memory until its deleter is called, by whoever it was given to.
char *seed_shim_to_dlpack(const at::Tensor *input, DLManagedTensorVersioned **managed) {
  return guarded([&] { *managed = at::toDLPackVersioned(*input); });
}
}
