package seed

// #include "bridge.h"
import "C"

import "unsafe"

// PutMemoryFile puts a copy of content into a file in memory, which all that takes the path of one file takes by path, "memory://NAME":
// models that come encrypted or from a database. What saves or exports to such a path leaves a file there ([MemoryFile]). Another one of
// that name is replaced whole; who has it open keeps what it had.
//
// Errors: [ErrInvalidArgument] for another path, [ErrIO] without memory or descriptors.
func PutMemoryFile(path string, content []byte) error {
	return memoryFile(path, func(name *C.char) *C.seed_error {
		return C.seed_memory_file_put(name, octets(content), C.size_t(len(content)))
	})
}

// MemoryFile is the content of the file in memory.
//
// Errors: [ErrIO] where no file in memory has this name, [ErrInvalidArgument] for another path.
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

// RemoveMemoryFile takes the name away from a file in memory; its memory is free when nothing has it open any more.
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
