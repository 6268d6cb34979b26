package seed

// #include "bridge.h"
import "C"

import "unsafe"

// PutMemoryFile copies content into an in-memory file named path ("memory://NAME"). All that opens or saves one file accepts such a name:
// for models that come encrypted or from a database. Saving to such a name makes a file; [MemoryFile] gives its content. An existing file of
// that name is replaced; open readers keep the old content.
//
// Errors: [ErrInvalidArgument] for another path, [ErrOutOfMemory], [ErrIO] without a free descriptor.
func PutMemoryFile(path string, content []byte) error {
	return memoryFile(path, func(name *C.char) *C.seed_error {
		return C.seed_memory_file_put(name, octets(content), C.size_t(len(content)))
	})
}

// MemoryFile is the content of an in-memory file.
//
// Errors: [ErrIO] where there is no such file, [ErrInvalidArgument] for another path.
func MemoryFile(path string) ([]byte, error) {
	var content []byte
	var failed error
	err := memoryFile(path, func(name *C.char) *C.seed_error {
		content, failed = fill(func(buffer *byte, capacity C.size_t, length *C.size_t) *C.seed_error {
			return C.seed_memory_file_get(name, (*C.uint8_t)(unsafe.Pointer(buffer)), capacity, length)
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return content, failed
}

// RemoveMemoryFile removes an in-memory file. Its memory is released when the last reader closes it.
//
// Errors: those of [MemoryFile].
func RemoveMemoryFile(path string) error {
	return memoryFile(path, func(name *C.char) *C.seed_error { return C.seed_memory_file_remove(name) })
}

func memoryFile(path string, call func(name *C.char) *C.seed_error) error {
	if err := Init(); err != nil {
		return err
	}
	var t texts
	defer t.free()
	name := t.add("path", path)
	if t.err != nil {
		return t.err
	}
	return check(call(name))
}
