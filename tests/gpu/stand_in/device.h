// Streams, events, generators and the hooks by which libtorch_cpu knows that there is a CUDA device.

#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "memory.h"

namespace {

using c10::TensorImpl;

thread_local c10::StreamId streams[MAX_DEVICES] = {};
std::atomic<c10::StreamId> next_stream{1};

void set_device(Device d) {
  TORCH_CHECK(d.is_cuda() && d.index() < device_count(), "fakecuda: CUDA error: invalid device ordinal ", int(d.index()));
  if (d.index() >= 0) current = d.index();
}
Device indexed(Device d) { return d.has_index() ? d : Device(c10::kCUDA, current); }

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static constexpr c10::DeviceType static_type = c10::kCUDA;
  Guard() = default;
  explicit Guard(c10::DeviceType) {}
  c10::DeviceType type() const override { return c10::kCUDA; }
  Device exchangeDevice(Device d) const override {
    Device old(c10::kCUDA, current);
    set_device(d);
    return old;
  }
  Device getDevice() const override { return Device(c10::kCUDA, current); }
  void setDevice(Device d) const override { set_device(d); }
  void uncheckedSetDevice(Device d) const noexcept override {
    if (d.index() >= 0) current = d.index();
  }
  Stream getStream(Device d) const override {
    d = indexed(d);
    return Stream(Stream::UNSAFE, d, streams[d.index()]);
  }
  Stream getDefaultStream(Device d) const override { return Stream(Stream::UNSAFE, indexed(d), 0); }
  Stream getStreamFromGlobalPool(Device d, bool) const override {
    return Stream(Stream::UNSAFE, indexed(d), next_stream.fetch_add(1));
  }
  Stream getNewStream(Device d, int) const override { return getStreamFromGlobalPool(d, false); }
  Stream exchangeStream(Stream s) const override {
    Stream old = getStream(s.device());
    streams[s.device_index()] = s.id();
    return old;
  }
  // All work is done when it is asked for, so an event only has to be something.
  void record(void **event, const Stream &, DeviceIndex, c10::EventFlag) const override {
    if (!*event) *event = std::malloc(1);
  }
  void destroyEvent(void *event, DeviceIndex) const noexcept override { std::free(event); }
  void block(void *, const Stream &) const override {}
  bool queryEvent(void *) const override { return true; }
  bool queryStream(const Stream &) const override { return true; }
  void synchronizeStream(const Stream &) const override { count(FAKECUDA_STREAM_SYNC); }
  void synchronizeEvent(void *) const override { count(FAKECUDA_EVENT_SYNC); }
  void synchronizeDevice(DeviceIndex) const override { count(FAKECUDA_DEVICE_SYNC); }
  double elapsedTime(void *, void *, DeviceIndex) const override { return 0.; }
  DeviceIndex deviceCount() const noexcept override { return device_count(); }
  c10::DeviceCapability getDeviceCapability(Device) const override { return {}; }
};

struct Generator final : c10::GeneratorImpl {
  explicit Generator(DeviceIndex i)
      : c10::GeneratorImpl(Device(c10::kCUDA, i), c10::DispatchKeySet(c10::DispatchKey::CUDA)), inner(at::detail::createCPUGenerator()) {}
  void set_current_seed(uint64_t seed) override { inner.set_current_seed(seed); }
  void set_offset(uint64_t) override {}
  uint64_t get_offset() const override { return 0; }
  uint64_t current_seed() const override { return inner.current_seed(); }
  uint64_t seed() override { return inner.seed(); }
  void set_state(const TensorImpl &state) override { inner.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<TensorImpl> get_state() const override { return inner.unsafeGetGeneratorImpl()->get_state(); }
  Generator *clone_impl() const override {
    auto *copy = new Generator(device().index());
    copy->inner = inner.clone();
    return copy;
  }
  at::Generator inner;
};
const at::Generator &default_generator(DeviceIndex i) {
  static std::vector<at::Generator> all = [] {
    std::vector<at::Generator> made;
    for (DeviceIndex i = 0; i < device_count(); ++i) made.push_back(at::make_generator<Generator>(i));
    return made;
  }();
  return all.at(i < 0 ? current : i);
}
const at::Generator &inner(const at::Generator &g) { return static_cast<Generator *>(g.unsafeGetGeneratorImpl())->inner; }

struct Hooks final : at::CUDAHooksInterface {
  explicit Hooks(at::CUDAHooksArgs) {}
  void init() const override { initialised = true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return device_count() > 0; }
  bool hasCUDA() const override { return device_count() > 0; }
  bool hasCUDART() const override { return true; }
  const at::Generator &getDefaultGenerator(DeviceIndex i) const override { return default_generator(i); }
  at::Generator getNewGenerator(DeviceIndex i) const override { return at::make_generator<Generator>(i < 0 ? current : i); }
  Device getDeviceFromPtr(void *p) const override {
    for (DeviceIndex i = 0; i < MAX_DEVICES; ++i)
      if (arenas[i].holds(p)) return Device(c10::kCUDA, i);
    TORCH_CHECK(false, "The specified pointer resides on host memory and is not registered with any CUDA device.");
  }
  // Of the current device, by its compute capability: FAKECUDA_CAPABILITY, 80.
  bool supportsBFloat16ConvolutionWithCuDNNv8() const override { return setting("FAKECUDA_CAPABILITY", 80) >= 80; }
  bool isPinnedPtr(const void *p) const override { return is_pinned(p); }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex current_device() const override { return current; }
  c10::Allocator *getPinnedMemoryAllocator() const override { return &pinned_memory; }
  c10::Allocator *getCUDADeviceAllocator() const override { return &device_memory; }
  std::string showConfig() const override { return "fakecuda"; }
  long versionCUDART() const override { return 13000; }
  int getNumGPUs() const override { return device_count(); }
  DeviceIndex deviceCount() const override { return device_count(); }
  void setCurrentDevice(DeviceIndex i) const override { set_device(Device(c10::kCUDA, i)); }
  DeviceIndex getCurrentDevice() const override { return current; }
  DeviceIndex exchangeDevice(DeviceIndex i) const override {
    auto old = current;
    if (i >= 0) set_device(Device(c10::kCUDA, i));
    return old;
  }
  DeviceIndex maybeExchangeDevice(DeviceIndex i) const override { return exchangeDevice(i); }
  void deviceSynchronize(DeviceIndex) const override { count(FAKECUDA_DEVICE_SYNC); }
};

} // namespace
