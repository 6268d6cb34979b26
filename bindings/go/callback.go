package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/cgo"
	"runtime/debug"
)

// PanicError is what a call panics with after one of its callbacks has panicked.
type PanicError struct {
	// Value is what the callback panicked with.
	Value any
	// Stack is the callback's stack, as debug.Stack writes it.
	Stack []byte
}

// Error gives the value and the stack.
func (p *PanicError) Error() string {
	return fmt.Sprintf("seed: a callback panicked: %v\n\n%s", p.Value, p.Stack)
}

// Unwrap is the value where it is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// callback is the Go side of a C callback during one call. At most one of the functions is set.
type callback struct {
	report func(Progress) error
	fill   func(BankProgress) error
	count  func(done, total int) error
	fit    func(FitProgress) error
	night  func(NightProgress) error
	distil func(DistilProgress) error

	err      error
	panicked *PanicError
	exited   bool
}

// register gives the callback a number that C may hold, 0 for none, until unregister.
func (c *callback) register() C.uintptr_t {
	if c.report == nil && c.fill == nil && c.count == nil && c.fit == nil && c.night == nil && c.distil == nil {
		return 0
	}
	return C.uintptr_t(cgo.NewHandle(c))
}

func unregister(handle C.uintptr_t) {
	if handle != 0 {
		cgo.Handle(handle).Delete()
	}
}

// call runs the user's function and tells C whether to stop. The function has a goroutine of its own: neither a panic nor
// runtime.Goexit may unwind C's frames, and of the two only the panic could be caught here.
func (c *callback) call(function func() error) C.int32_t {
	done := make(chan struct{})
	go func() {
		returned := false
		defer close(done)
		defer func() {
			if value := recover(); value != nil {
				c.panicked = &PanicError{Value: value, Stack: debug.Stack()}
			} else if !returned {
				c.exited = true
			}
		}()
		c.err = function()
		returned = true
	}()
	<-done
	if c.err != nil || c.panicked != nil || c.exited {
		return 1
	}
	return 0
}

// raise goes on, outside of C, with what the callback's panic or Goexit began.
func (c *callback) raise() {
	if c.panicked != nil {
		panic(c.panicked)
	}
	if c.exited {
		runtime.Goexit()
	}
}

// observe makes a call that gives an outcome and that ctx may end.
func (c *callback) observe(ctx context.Context,
	call func(handle C.uintptr_t, token *C.seed_cancel_token, outcome *C.int32_t) *C.seed_error) (Outcome, error) {
	cancel, err := cancelBy(ctx)
	if err != nil {
		return Cancelled, err
	}
	defer cancel.free()
	handle := c.register()
	defer unregister(handle)

	var outcome C.int32_t
	err = check(call(handle, cancel.token, &outcome))
	c.raise()
	stopped, reason := c.stopped()
	switch {
	case err != nil:
		// The checkpoint of a run that was to stop may fail.
		return Cancelled, join(reason, err)
	case stopped:
		return Cancelled, reason
	case Outcome(outcome) == Cancelled:
		return Cancelled, cancelled(ctx)
	}
	return Outcome(outcome), nil
}

// join gives the error itself where there is only one.
func join(first, second error) error {
	if first == nil {
		return second
	}
	return errors.Join(first, second)
}

// stopped is the error that the callback ended the call with, nil for Stop; and whether it ended it.
func (c *callback) stopped() (bool, error) {
	if errors.Is(c.err, Stop) {
		return true, nil
	}
	return c.err != nil, c.err
}

//export seedGoProgress
func seedGoProgress(progress *C.seed_progress, handle C.uintptr_t) C.int32_t {
	c := cgo.Handle(handle).Value().(*callback)
	report := progressFrom(progress)
	return c.call(func() error { return c.report(report) })
}

//export seedGoRows
func seedGoRows(progress *C.seed_bank_progress, handle C.uintptr_t) C.int32_t {
	c := cgo.Handle(handle).Value().(*callback)
	report := bankProgressFrom(progress)
	return c.call(func() error { return c.fill(report) })
}

//export seedGoCount
func seedGoCount(done, total C.size_t, handle C.uintptr_t) C.int32_t {
	c := cgo.Handle(handle).Value().(*callback)
	return c.call(func() error { return c.count(int(done), int(total)) })
}

//export seedGoFit
func seedGoFit(progress *C.seed_finetune_progress, handle C.uintptr_t) C.int32_t {
	c := cgo.Handle(handle).Value().(*callback)
	report := fitProgressFrom(progress)
	return c.call(func() error { return c.fit(report) })
}

//export seedGoDistil
func seedGoDistil(progress *C.seed_distil_progress, handle C.uintptr_t) C.int32_t {
	c := cgo.Handle(handle).Value().(*callback)
	report := distilProgressFrom(progress)
	return c.call(func() error { return c.distil(report) })
}

//export seedGoNight
func seedGoNight(progress *C.seed_night_progress, handle C.uintptr_t) C.int32_t {
	c := cgo.Handle(handle).Value().(*callback)
	report := nightProgressFrom(progress)
	return c.call(func() error { return c.night(report) })
}
