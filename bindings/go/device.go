package seed

// #include "bridge.h"
import "C"

// LibtorchVersion is the version of the libtorch that is loaded, such as "2.11.0+cu130"; "" where none can be used.
func LibtorchVersion() string {
	if text := C.seed_libtorch_version(); text != nil {
		return C.GoString(text)
	}
	return ""
}

// DeviceCount is the number of CUDA devices that can be used, "cuda:0" and on; 0 where there is none or libtorch_cuda was
// not found.
func DeviceCount() (int, error) {
	if err := Init(); err != nil {
		return 0, err
	}
	var count C.uint32_t
	err := check(C.seed_device_count(&count))
	return int(count), err
}

// DeviceName is the product name of a device: "cpu", "cuda:N" or "auto".
//
// Errors: [ErrDevice] for a device that is not there.
func DeviceName(device string) (string, error) {
	if err := Init(); err != nil {
		return "", err
	}
	var t texts
	defer t.free()
	name := t.add("device", device)
	if t.err != nil {
		return "", t.err
	}
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_device_name(name, buffer, capacity, length)
	})
}

// Memory is how much memory of this process and of a device is used, in bytes.
type Memory struct {
	// Process is the main memory that this process holds now.
	Process uint64
	// ProcessPeak is the most that it has held so far.
	ProcessPeak uint64
	// DeviceFree is free on the device; of main memory what can be had without swapping. A container's own limit is not
	// seen.
	DeviceFree uint64
	// DeviceTotal is all of the device.
	DeviceTotal uint64
	// DeviceTaken is taken on the device by this process's tensors; for "cpu", Process.
	DeviceTaken uint64
}

// MemoryUse tells how memory is used by this process and on a device: "cpu", "cuda:N" or "auto".
func MemoryUse(device string) (Memory, error) {
	if err := Init(); err != nil {
		return Memory{}, err
	}
	var t texts
	defer t.free()
	name := t.add("device", device)
	if t.err != nil {
		return Memory{}, t.err
	}
	memory := C.seed_memory{struct_size: C.sizeof_seed_memory}
	if err := check(C.seed_memory_use(name, &memory)); err != nil {
		return Memory{}, err
	}
	return Memory{
		Process:     uint64(memory.process_bytes),
		ProcessPeak: uint64(memory.process_peak_bytes),
		DeviceFree:  uint64(memory.device_free_bytes),
		DeviceTotal: uint64(memory.device_total_bytes),
		DeviceTaken: uint64(memory.device_taken_bytes),
	}, nil
}
