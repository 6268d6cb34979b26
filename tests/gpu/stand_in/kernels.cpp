// A pretend GPU: a stand-in for libtorch_cuda.so for tests on machines without one. It registers itself in libtorch_cpu as
// DeviceType::CUDA. Each kernel is libtorch's CPU kernel, run on a second mapping of the same pages; the address that a
// CUDA tensor carries is never readable, so host code that touches "device" memory crashes, as it should.
//
// It shows where data lies, what is copied and what waits. It cannot show what real kernels do: rounding, speed, errors that come late,
// races between streams, and types that only CUDA lacks.

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/native/Resize.h>
#include <torch/library.h>

#include <set>
#include <unordered_set>

#include "device.h"

namespace {

using at::Tensor;
using c10::IValue;
using Stack = torch::jit::Stack;

const c10::DispatchKeySet CUDA_KEYS(c10::DispatchKey::CUDA);

Tensor empty_on(Device device, c10::IntArrayRef sizes, c10::IntArrayRef strides, c10::ScalarType dtype) {
  at::globalContext().lazyInitDevice(c10::kCUDA);
  c10::DeviceGuard guard(device);
  return at::detail::empty_strided_generic(sizes, strides, &device_memory, CUDA_KEYS, dtype);
}
// Bytes from the first to past the last element.
size_t extent(const Tensor &t) {
  return t.numel() == 0 ? 0 : at::detail::computeStorageNbytes(t.sizes(), t.strides(), t.itemsize());
}

void grow(const Tensor &t, size_t bytes) {
  auto *storage = t.storage().unsafeGetStorageImpl();
  if (bytes <= storage->nbytes()) return;
  c10::DeviceGuard guard(t.device());
  c10::DataPtr fresh = device_memory.allocate(bytes);
  if (storage->nbytes()) std::memcpy(reach(fresh.get()), reach(storage->data()), storage->nbytes());
  storage->set_data_ptr_noswap(std::move(fresh));
  storage->set_nbytes(bytes);
}
void set_shape(const Tensor &t, c10::IntArrayRef sizes, c10::IntArrayRef strides, int64_t offset) {
  auto *impl = t.unsafeGetTensorImpl();
  impl->set_sizes_and_strides(sizes, strides);
  impl->set_storage_offset(offset);
}

// CPU tensors on the kernels' mapping for CUDA tensors, and back.
class Borrowed {
 public:
  std::optional<Device> device;

  Tensor lend(const Tensor &t) {
    if (!t.defined()) return t;
    if (!t.is_cuda()) {
      if (t.dim() > 0 && t.device().is_cpu()) host_tensor = true;
      return t;
    }
    TORCH_CHECK(!device || *device == t.device(), "Expected all tensors to be on the same device, but found at least two devices, ",
                device.value_or(t.device()), " and ", t.device(), "!");
    device = t.device();
    for (auto &[original, borrowed] : pairs)
      if (original.unsafeGetTensorImpl() == t.unsafeGetTensorImpl()) return borrowed;
    auto &storage = storages[t.storage().unsafeGetStorageImpl()];
    if (!storage) {
      auto *owner = t.storage().unsafeGetStorageImpl();
      // Resizable, so that a kernel may resize its output; that then lies in main memory and is fetched from there.
      storage = c10::make_intrusive<c10::StorageImpl>(
          c10::StorageImpl::use_byte_size_t(), owner->nbytes(),
          c10::DataPtr(reach(owner->data()), Device(c10::kCPU)), c10::GetCPUAllocator(), true);
    }
    auto borrowed = at::detail::make_tensor<TensorImpl>(c10::Storage(storage), c10::DispatchKeySet(c10::DispatchKey::CPU), t.dtype());
    set_shape(borrowed, t.sizes(), t.strides(), t.storage_offset());
    pairs.emplace_back(t, borrowed);
    return borrowed;
  }

  Tensor give_back(const Tensor &t, bool always) {
    if (!t.defined() || !t.device().is_cpu()) return t;
    for (auto &[original, borrowed] : pairs)
      if (borrowed.unsafeGetTensorImpl() == t.unsafeGetTensorImpl()) return original;
    for (auto &[original, borrowed] : pairs) { // a view of an argument
      if (!t.has_storage() || borrowed.storage().unsafeGetStorageImpl() != t.storage().unsafeGetStorageImpl()) continue;
      auto view = at::detail::make_tensor<TensorImpl>(TensorImpl::VIEW, c10::Storage(original.storage()), original.key_set(), t.dtype());
      set_shape(view, t.sizes(), t.strides(), t.storage_offset());
      return view;
    }
    if (!device || !always) return t;
    Tensor fresh = empty_on(*device, t.sizes(), t.strides(), t.scalar_type());
    if (size_t bytes = extent(t)) std::memcpy(reach(fresh.data_ptr()), t.data_ptr(), bytes);
    return fresh;
  }

  // What kernels did to the shape of their outputs.
  void settle() {
    for (auto &[original, borrowed] : pairs) {
      bool moved = borrowed.storage().data() != reach(original.storage().data());
      if (moved) {
        grow(original, borrowed.storage().nbytes());
        if (borrowed.storage().nbytes()) std::memcpy(reach(original.storage().data()), borrowed.storage().data(), borrowed.storage().nbytes());
      }
      if (borrowed.sizes() != original.sizes() || borrowed.strides() != original.strides())
        set_shape(original, borrowed.sizes(), borrowed.strides(), borrowed.storage_offset());
    }
  }
  bool host_tensor = false;

 private:
  std::vector<std::pair<Tensor, Tensor>> pairs;
  std::unordered_map<c10::StorageImpl *, c10::intrusive_ptr<c10::StorageImpl>> storages;
};

// Kernels whose CUDA version waits for the device, since the shape of what they give depends on the numbers.
bool kernel_waits(const std::string &name) {
  static const std::unordered_set<std::string> names{
      "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::_unique", "aten::unique_dim", "aten::unique_consecutive",
      "aten::equal", "aten::repeat_interleave", "aten::bincount", "aten::multinomial", "aten::_linalg_eigh", "aten::_linalg_svd",
      "aten::linalg_cholesky_ex", "aten::histogram"};
  return names.count(name) > 0;
}
// Kernels that take host tensors beside CUDA ones.
bool takes_host_tensors(const std::string &name) {
  return name == "aten::index" || name == "aten::_index_put_impl_" || name == "aten::index_put_" || name == "aten::_foreach_mul" ||
         name == "aten::_foreach_copy_";
}

// What the real libtorch_cuda has kernels for, by the names of its headers (build.sh).
bool has_cuda_kernel(const std::string &name) {
  static const std::unordered_set<std::string> names{
#include "cuda_ops.inc"
      "aten::convolution", "aten::_convolution"};
  // In-place functions share the header of the others.
  return name.rfind("aten::", 0) != 0 || names.count(name) > 0 || (name.back() == '_' && names.count(name.substr(0, name.size() - 1)) > 0);
}

// Float32 numbers with the 10 bits of mantissa that TensorFloat-32 has, rounded to the nearest.
Tensor with_tf32_bits(const Tensor &t) {
  Tensor bits = t.contiguous().clone().view(at::kInt);
  bits.add_(0x1000).bitwise_and_(~0x1fff);
  return bits.view(at::kFloat);
}

// Rounds the factors of a matrix product where process and thread allow TensorFloat-32, as cuBLAS does.
void round_to_tf32(const c10::FunctionSchema &schema, IValue *arguments) {
  static const std::unordered_map<std::string, std::array<const char *, 2>> factors{
      {"aten::mm", {"self", "mat2"}},         {"aten::bmm", {"self", "mat2"}},
      {"aten::addmm", {"mat1", "mat2"}},      {"aten::addmm_", {"mat1", "mat2"}},
      {"aten::baddbmm", {"batch1", "batch2"}}, {"aten::baddbmm_", {"batch1", "batch2"}}};
  auto found = factors.find(schema.name());
  if (found == factors.end() || !at::globalContext().allowTF32CuBLAS() || at::NoTF32Guard::should_disable_tf32()) return;
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    const std::string &argument = schema.arguments()[i].name();
    if (argument != found->second[0] && argument != found->second[1]) continue;
    Tensor factor = arguments[i].toTensor();
    if (factor.scalar_type() != at::kFloat) return;
    arguments[i] = with_tf32_bits(factor);
  }
  count(FAKECUDA_TF32);
}

void run_on_cpu(const c10::OperatorHandle &op, Stack *stack) {
  const auto &schema = op.schema();
  const std::string &name = schema.name();
  size_t n = schema.arguments().size(), base = stack->size() - n;
  Borrowed borrowed;
  // Devices first: a factory has no tensor that tells it.
  for (size_t i = 0; i < n; ++i) {
    IValue &value = (*stack)[base + i];
    if (value.isDevice() && value.toDevice().is_cuda()) borrowed.device = indexed(value.toDevice()), value = IValue(Device(c10::kCPU));
  }
  for (size_t i = 0; i < n; ++i) {
    IValue &value = (*stack)[base + i];
    if (value.isTensor()) {
      value = borrowed.lend(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor &t : value.toTensorVector()) list.push_back(borrowed.lend(t));
      value = IValue(std::move(list));
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> list;
      for (const std::optional<Tensor> &t : value.toOptionalTensorVector())
        list.push_back(t ? std::optional<Tensor>(borrowed.lend(*t)) : std::nullopt);
      value = IValue(std::move(list));
    } else if (value.isGenerator() && value.toGenerator().device().is_cuda()) {
      value = IValue(inner(value.toGenerator()));
    }
  }
  if (borrowed.device) {
    for (size_t i = 0; i < n; ++i) { // no generator means the device's own
      IValue &value = (*stack)[base + i];
      const auto &type = schema.arguments()[i].type();
      if (value.isNone() && type->kind() == c10::TypeKind::OptionalType &&
          type->expectRef<c10::OptionalType>().getElementType()->kind() == c10::TypeKind::GeneratorType)
        value = IValue(inner(default_generator(borrowed.device->index())));
    }
    if (borrowed.host_tensor) {
      TORCH_CHECK(takes_host_tensors(name), "Expected all tensors to be on the same device, but found at least two devices, cpu and ",
                  *borrowed.device, "! (", name, ")");
      count(FAKECUDA_INDEX_MOVED, name);
    }
  }
  count(FAKECUDA_KERNEL);
  if (runs_out(kernels_left)) broken = true;
  if (broken) {
    broken = kernels_stay_broken.load();
    TORCH_CHECK(false, "CUDA error: unspecified launch failure (the test asked for it)");
  }
  if (kernel_waits(name)) count(FAKECUDA_KERNEL_THAT_WAITS, name);
  {
    at::AutoDispatchBelowADInplaceOrView below;
    c10::impl::ExcludeDispatchKeyGuard exact(c10::DispatchKeySet({c10::DispatchKey::AutocastCUDA, c10::DispatchKey::AutocastCPU}));
    round_to_tf32(schema, stack->data() + base);
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  }
  borrowed.settle();
  size_t results = schema.returns().size();
  for (size_t i = stack->size() - results; i < stack->size(); ++i) {
    IValue &value = (*stack)[i];
    if (value.isTensor()) {
      value = borrowed.give_back(value.toTensor(), true);
    } else if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor &t : value.toTensorVector()) list.push_back(borrowed.give_back(t, true));
      value = IValue(std::move(list));
    }
  }
}

Tensor empty_memory_format(c10::IntArrayRef sizes, std::optional<c10::ScalarType> dtype, std::optional<c10::Layout>,
                           std::optional<Device> device, std::optional<bool> pin, std::optional<c10::MemoryFormat> format) {
  TORCH_CHECK(!pin.value_or(false), "Only dense CPU tensors can be pinned");
  at::globalContext().lazyInitDevice(c10::kCUDA);
  c10::DeviceGuard guard(indexed(c10::device_or_default(device)));
  return at::detail::empty_generic(sizes, &device_memory, CUDA_KEYS, c10::dtype_or_default(dtype), format);
}
Tensor empty_strided(c10::IntArrayRef sizes, c10::IntArrayRef strides, std::optional<c10::ScalarType> dtype, std::optional<c10::Layout>,
                     std::optional<Device> device, std::optional<bool> pin) {
  TORCH_CHECK(!pin.value_or(false), "Only dense CPU tensors can be pinned");
  return empty_on(indexed(c10::device_or_default(device)), sizes, strides, c10::dtype_or_default(dtype));
}

const Tensor &resize_(const Tensor &self, c10::IntArrayRef sizes, std::optional<c10::MemoryFormat> format) {
  auto *impl = self.unsafeGetTensorImpl();
  if (self.sizes() != sizes) impl->set_sizes_contiguous(sizes);
  if (format) impl->empty_tensor_restride(*format);
  grow(self, (self.storage_offset() * self.itemsize()) + extent(self));
  return self;
}
Tensor &set_storage(Tensor &self, c10::Storage source, int64_t offset, c10::IntArrayRef sizes, c10::IntArrayRef strides) {
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(std::move(source));
  auto dense = strides.empty() ? c10::contiguous_strides(sizes) : c10::DimVector(strides);
  set_shape(self, sizes, dense, offset);
  grow(self, (offset * self.itemsize()) + extent(self));
  return self;
}
Tensor &set_whole_storage(Tensor &self, c10::Storage source) {
  int64_t n = static_cast<int64_t>(source.nbytes() / self.itemsize());
  return set_storage(self, std::move(source), 0, {n}, {});
}
Tensor &set_tensor(Tensor &self, const Tensor &source) {
  return set_storage(self, source.storage(), source.storage_offset(), source.sizes(), source.strides());
}

Tensor &copy_(Tensor &self, const Tensor &source, bool non_blocking) {
  if (self.unsafeGetTensorImpl() == source.unsafeGetTensorImpl()) return self;
  bool to_device = self.is_cuda(), from_device = source.is_cuda();
  if (self.numel() == 0 && source.numel() <= 1) return self;
  // Only a dense tensor of the same type is copied as it is; else a copy in main memory would lie between, which is pageable.
  bool direct = self.scalar_type() == source.scalar_type() && self.strides() == source.strides() && source.is_non_overlapping_and_dense();
  if (!to_device) {
    bool locked = direct && is_pinned(self.storage().data());
    count(!non_blocking ? FAKECUDA_D2H_BLOCKING : locked ? FAKECUDA_D2H_ASYNC_PINNED : FAKECUDA_D2H_ASYNC_PAGEABLE);
  } else if (!from_device) {
    bool locked = direct && is_pinned(source.storage().data());
    count(!non_blocking ? (locked ? FAKECUDA_H2D_BLOCKING_PINNED : FAKECUDA_H2D_BLOCKING_PAGEABLE)
                        : (locked ? FAKECUDA_H2D_ASYNC_PINNED : FAKECUDA_H2D_ASYNC_PAGEABLE));
  } else {
    count(self.device() == source.device() ? FAKECUDA_D2D : FAKECUDA_P2P);
  }
  {
    Borrowed to, from; // apart, since the devices may differ
    Tensor target = to.lend(self), origin = from.lend(source);
    at::AutoDispatchBelowADInplaceOrView below;
    c10::impl::ExcludeDispatchKeyGuard exact(c10::DispatchKeySet({c10::DispatchKey::AutocastCUDA, c10::DispatchKey::AutocastCPU}));
    if (to_device && from_device && self.storage().unsafeGetStorageImpl() == source.storage().unsafeGetStorageImpl()) origin = to.lend(source);
    target.copy_(origin);
  }
  if (non_blocking && to_device && !from_device) close_pinned(source.storage().data(), PROT_READ);
  if (non_blocking && !to_device) close_pinned(self.storage().data(), PROT_NONE);
  return self;
}
Tensor copy_from(const Tensor &self, const Tensor &to, bool non_blocking) {
  Tensor target = to;
  return copy_(target, self, non_blocking);
}
Tensor copy_from_and_resize(const Tensor &self, const Tensor &to) {
  Tensor target = to;
  target.resize_(self.sizes());
  return copy_(target, self, false);
}
at::Scalar local_scalar(const Tensor &self) {
  count(FAKECUDA_ITEM);
  Borrowed borrowed;
  Tensor here = borrowed.lend(self);
  c10::impl::ExcludeDispatchKeyGuard exact(c10::DispatchKeySet({c10::DispatchKey::AutocastCUDA, c10::DispatchKey::AutocastCPU}));
  return at::_local_scalar_dense(here);
}
void record_stream(Tensor &, Stream) {}

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", empty_memory_format);
  m.impl("empty_strided", empty_strided);
  m.impl("resize_", resize_);
  m.impl("set_.source_Storage_storage_offset", set_storage);
  m.impl("set_.source_Storage", set_whole_storage);
  m.impl("set_.source_Tensor", set_tensor);
  m.impl("copy_", copy_);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_local_scalar_dense", local_scalar);
  m.impl("record_stream", record_stream);
  // Everything that has a CPU kernel of its own runs that one, so that both devices round alike.
  std::set<std::string> taken{"aten::empty.memory_format", "aten::empty_strided", "aten::resize_", "aten::set_.source_Storage_storage_offset",
                              "aten::set_.source_Storage", "aten::set_.source_Tensor", "aten::copy_", "aten::_copy_from",
                              "aten::_copy_from_and_resize", "aten::_local_scalar_dense", "aten::record_stream"};
  auto &dispatcher = c10::Dispatcher::singleton();
  std::set<std::string> wanted{"aten::convolution", "aten::convolution_backward", "aten::_convolution"};
  for (const auto &name : dispatcher.getAllOpNames()) {
    if (name.name.rfind("aten::", 0) != 0) continue;
    std::string full = name.name + (name.overload_name.empty() ? "" : "." + name.overload_name);
    auto op = dispatcher.findOp(name);
    if (!op || taken.count(full) || !has_cuda_kernel(name.name)) continue;
    if (!op->hasKernelForDispatchKey(c10::DispatchKey::CPU) && !wanted.count(full)) continue;
    m.impl(full.substr(6).c_str(), torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
  }
}
void fall_back(const c10::OperatorHandle &op, Stack *stack) {
  TORCH_CHECK_NOT_IMPLEMENTED(has_cuda_kernel(op.schema().name()), "Could not run '", op.schema().operator_name(),
                              "' with arguments from the 'CUDA' backend.");
  run_on_cpu(op, stack);
}
TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&fall_back>()); }

struct Start {
  Start() {
    c10::SetAllocator(c10::kCUDA, &device_memory, 255);
    at::setHostAllocator(c10::kCUDA, &pinned_memory, 255);
  }
} start;

} // namespace

namespace c10::impl {
C10_REGISTER_GUARD_IMPL(CUDA, Guard)
}
namespace at {
using CUDAHooks = Hooks;
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, CUDAHooks)
} // namespace at

extern "C" {

uint64_t fakecuda_count(int kind) {
  return counts.at(kind).load();
}
void fakecuda_reset() {
  for (auto &c : counts) c = 0;
  allocations_left = 0, kernels_left = 0;
  kernels_stay_broken = false, broken = false;
}
void fakecuda_fail_allocation(int64_t n) {
  allocations_left = n;
}
void fakecuda_fail_kernel(int64_t n, int sticky) {
  kernels_stay_broken = sticky != 0;
  kernels_left = n;
}
void fakecuda_allow_tf32(int allow) {
  at::globalContext().setAllowTF32CuBLAS(allow != 0);
}
void *fakecuda_malloc(int device, size_t bytes) {
  c10::DeviceGuard guard(Device(c10::kCUDA, static_cast<DeviceIndex>(device)));
  return device_memory.allocate(bytes).release_context();
}
void fakecuda_free(void *device_address) {
  release(device_address);
}
void *fakecuda_reach(void *device_address) {
  return reach(device_address);
}

} // extern "C"
