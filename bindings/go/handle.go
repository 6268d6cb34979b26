package seed

// #include "bridge.h"
import "C"

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// open counts the C objects that were made and not freed yet; tests watch it.
var open atomic.Int64

// handle owns one C object. Users are counted, so that close never waits and never takes the object from under a call: the
// last user frees it. That also makes runtime.KeepAlive needless: an object that the collector closes during a call lives
// until the call ends.
type handle[P comparable] struct {
	kind string
	free func(P)

	mutex  sync.Mutex
	object P
	users  int
	closed bool
}

// create makes an object by a C constructor, which writes it to its argument.
func create[P comparable](kind string, free func(P), construct func(*P) *C.seed_error) (*handle[P], error) {
	if err := Init(); err != nil {
		return nil, err
	}
	var object P
	if err := check(construct(&object)); err != nil {
		return nil, err
	}
	return adopt(kind, free, object), nil
}

// adopt takes over an object that C has made.
func adopt[P comparable](kind string, free func(P), object P) *handle[P] {
	open.Add(1)
	return &handle[P]{kind: kind, free: free, object: object}
}

// absent stands for the handle of a nil or zero object.
func absent[P comparable](kind string) *handle[P] {
	return &handle[P]{kind: kind, closed: true}
}

// owned closes the handle when its owner is forgotten.
func owned[T any, P comparable](owner *T, h *handle[P]) *T {
	runtime.AddCleanup(owner, (*handle[P]).close, h)
	return owner
}

// acquire gives the object until release.
func (h *handle[P]) acquire() (P, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed {
		var none P
		return none, &Error{Code: ErrInvalidArgument, Message: "the " + h.kind + " is nil or closed", cause: ErrClosed}
	}
	h.users++
	return h.object, nil
}

func (h *handle[P]) release() {
	h.mutex.Lock()
	h.users--
	last := h.closed && h.users == 0
	h.mutex.Unlock()
	if last {
		h.drop()
	}
}

func (h *handle[P]) close() {
	h.mutex.Lock()
	last := !h.closed && h.users == 0
	h.closed = true
	h.mutex.Unlock()
	if last {
		h.drop()
	}
}

// take hands the object out: whoever called frees it. It gives the zero value where there is none, or where it is in use.
func (h *handle[P]) take() (object P) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed || h.users > 0 {
		return object
	}
	h.closed = true
	open.Add(-1)
	return h.object
}

// drop is reached once: by the last release after close, or by close when there is no user; no acquire succeeds after.
func (h *handle[P]) drop() {
	h.free(h.object)
	open.Add(-1)
}

// with runs a C function on the object.
func with[P comparable](h *handle[P], call func(P) *C.seed_error) error {
	object, err := h.acquire()
	if err != nil {
		return err
	}
	defer h.release()
	return check(call(object))
}

// save calls with the object and the C copy of path.
func save[P comparable](h *handle[P], path string, call func(object P, file *C.char) *C.seed_error) error {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return t.err
	}
	return with(h, func(object P) *C.seed_error { return call(object, file) })
}

// openFile makes an object of a file, on the device and in the precision of config.
func openFile[P comparable](kind string, free func(P), path string, config *Config, construct func(file *C.char, settings *C.seed_config, out *P) *C.seed_error) (*handle[P], error) {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return nil, t.err
	}
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	return create(kind, free, func(out *P) *C.seed_error { return construct(file, settings, out) })
}

// noCopy makes go vet report copies of an object: the copy would be closed with the original.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}
