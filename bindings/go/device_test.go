package seed_test

import (
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

func TestDevices(t *testing.T) {
	if version := seed.LibtorchVersion(); !strings.HasPrefix(version, "2.") {
		t.Errorf("libtorch %q", version)
	}
	if count := must[int](t)(seed.DeviceCount()); count < 0 {
		t.Errorf("%d devices", count)
	}
	for _, device := range []string{"cpu", "auto"} {
		if name := must[string](t)(seed.DeviceName(device)); name == "" {
			t.Errorf("%s has no name", device)
		}
	}
	for _, device := range []string{"", "gpu", "cuda:4000", "c\x00pu"} {
		if second(seed.DeviceName(device)) == nil || second(seed.MemoryUse(device)) == nil {
			t.Errorf("%q is a device", device)
		}
	}
}

func TestMemoryUse(t *testing.T) {
	use := must[seed.Memory](t)(seed.MemoryUse("cpu"))
	if use.Process == 0 || use.ProcessPeak < use.Process || use.DeviceFree == 0 || use.DeviceTotal < use.DeviceFree ||
		use.DeviceTaken != use.Process {
		t.Errorf("%+v", use)
	}
	// 64 MiB of queue are seen.
	queue := must[*seed.Queue](t)(seed.NewQueue(1<<16, 256, 0))
	defer queue.Close()
	if more := must[seed.Memory](t)(seed.MemoryUse("cpu")); more.ProcessPeak < use.Process+(60<<20) {
		t.Errorf("%d bytes after %d", more.ProcessPeak, use.Process)
	}
}
