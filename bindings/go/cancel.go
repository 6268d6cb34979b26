package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
)

// cancel is a C token that a context triggers, and that its pausers pause.
type cancel struct {
	handle *handle[*C.seed_cancel_token]
	// token is NULL for a context that never ends nor pauses.
	token  *C.seed_cancel_token
	unlink func() bool
	pauser *Pauser
}

// cancelBy makes the token; free ends the link. It needs no goroutine of its own while the context lives.
func cancelBy(ctx context.Context) (*cancel, error) {
	if ctx == nil {
		return nil, invalid("the context is nil, expected one such as context.Background()")
	}
	pauser, _ := ctx.Value(pauserKey{}).(*Pauser)
	if ctx.Done() == nil && pauser == nil {
		return &cancel{}, nil
	}
	h, err := create("cancel token", func(object *C.seed_cancel_token) { C.seed_cancel_token_free(object) },
		func(out **C.seed_cancel_token) *C.seed_error { return C.seed_cancel_token_new(out) })
	if err != nil {
		return nil, err
	}
	c := &cancel{handle: h, token: h.object, pauser: pauser}
	if ctx.Err() != nil {
		// At once, so that not a single step is made.
		c.trigger()
	}
	c.unlink = context.AfterFunc(ctx, c.trigger)
	pauser.add(c)
	return c, nil
}

// trigger fails only when the call has ended and the token is gone; so do pause and resume.
func (c *cancel) trigger() {
	_ = with(c.handle, func(object *C.seed_cancel_token) *C.seed_error { return C.seed_cancel_token_trigger(object) })
}

func (c *cancel) pause() {
	_ = with(c.handle, func(object *C.seed_cancel_token) *C.seed_error { return C.seed_cancel_token_pause(object) })
}

func (c *cancel) resume() {
	_ = with(c.handle, func(object *C.seed_cancel_token) *C.seed_error { return C.seed_cancel_token_resume(object) })
}

func (c *cancel) free() {
	if c.handle != nil {
		c.pauser.remove(c)
		c.unlink()
		c.handle.close()
	}
}

// cancelled is the error of a call that the context ended.
func cancelled(ctx context.Context) error {
	cause := context.Cause(ctx)
	return &Error{Code: ErrCancelled, Message: fmt.Sprintf("the context ended the call: %v", cause), cause: cause}
}
