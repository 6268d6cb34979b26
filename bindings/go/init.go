package seed

// #cgo pkg-config: seed
// #include "bridge.h"
import "C"

// Init prepares the library for this process and loads libtorch's CUDA part where it is found. Every other function calls
// it, so a program needs it only to hear of trouble early. Further calls do nothing.
//
// Errors: [ErrNotInitialized] when the library's ABI is not that of the header this package was compiled with,
// [ErrMismatch] when another version of libtorch is loaded.
func Init() error {
	return check(C.seed_init(C.SEED_ABI_VERSION))
}

// Version is the library's version, such as "0.1.0".
func Version() string {
	return C.GoString(C.seed_version())
}
