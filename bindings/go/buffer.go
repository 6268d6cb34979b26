package seed

// #include "bridge.h"
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// More bytes than any machine has; make would panic somewhat above.
const mostBytes = 1 << 46

// fill follows the library's rule for results of varying size: ask for the size, then give a buffer. What grew in between
// is asked for again.
func fill[T any](call func(buffer *T, capacity C.size_t, length *C.size_t) *C.seed_error) ([]T, error) {
	var length C.size_t
	if err := check(call(nil, 0, &length)); err != nil {
		return nil, err
	}
	for {
		if err := fits(length, unsafe.Sizeof(*new(T))); err != nil {
			return nil, err
		}
		buffer := make([]T, int(length))
		// Of an empty slice too this is not nil, which would only ask for the size again.
		err := check(call(unsafe.SliceData(buffer), C.size_t(len(buffer)), &length))
		if errors.Is(err, ErrBufferTooSmall) && uint64(length) > uint64(len(buffer)) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buffer[:min(len(buffer), int(length))], nil
	}
}

// fits tells whether so many elements of a size can be made.
func fits(length C.size_t, size uintptr) error {
	if uint64(length) > mostBytes/uint64(size) {
		return &Error{Code: ErrOutOfMemory, Message: fmt.Sprintf("the result has %d elements", uint64(length))}
	}
	return nil
}

// fillText is fill for a text that ends in NUL.
func fillText(call func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error) (string, error) {
	buffer, err := fill(func(buffer *byte, capacity C.size_t, length *C.size_t) *C.seed_error {
		return call((*C.char)(unsafe.Pointer(buffer)), capacity, length)
	})
	text, _, _ := bytes.Cut(buffer, []byte{0})
	return string(text), err
}

// warnings is the list of an object's warnings; C has one a line.
func warnings[O comparable](h *handle[O], call func(object O, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error) ([]string, error) {
	object, err := h.acquire()
	if err != nil {
		return nil, err
	}
	defer h.release()
	text, err := fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return call(object, buffer, capacity, length)
	})
	if err != nil || text == "" {
		return nil, err
	}
	return strings.Split(text, "\n"), nil
}

// floats is the C view of a slice; the call must keep to its length.
func floats(values []float32) *C.float {
	return (*C.float)(unsafe.Pointer(unsafe.SliceData(values)))
}

// indices is the C view of a slice; the call must keep to its length.
func indices(values []uint32) *C.uint32_t {
	return (*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(values)))
}
