package seed

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"strings"
	"unsafe"
)

// texts holds C copies of Go strings for the length of a call. The first string that C cannot hold is kept as err.
type texts struct {
	copies []unsafe.Pointer
	err    error
}

// add copies a string; C texts end at the first NUL, so one inside is refused. That it is UTF-8 is checked by the library.
func (t *texts) add(name, text string) *C.char {
	if place := strings.IndexByte(text, 0); place >= 0 {
		if t.err == nil {
			t.err = invalid("%s holds a NUL byte at position %d", name, place)
		}
		return nil
	}
	copied := C.CString(text)
	t.copies = append(t.copies, unsafe.Pointer(copied))
	return copied
}

// array copies strings and an array of pointers to them, all in C memory; NULL for none.
func (t *texts) array(name string, lines []string) **C.char {
	if len(lines) == 0 {
		return nil
	}
	memory := C.calloc(C.size_t(len(lines)), C.size_t(unsafe.Sizeof((*C.char)(nil))))
	if memory == nil {
		t.err = &Error{Code: ErrOutOfMemory, Message: "no memory for " + name}
		return nil
	}
	t.copies = append(t.copies, memory)
	pointers := unsafe.Slice((**C.char)(memory), len(lines))
	for i, line := range lines {
		pointers[i] = t.add(name, line)
	}
	return (**C.char)(memory)
}

func (t *texts) free() {
	for _, copied := range t.copies {
		C.free(copied)
	}
}
