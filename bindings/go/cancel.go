package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
)

// cancel is a C token that a context triggers.
type cancel struct {
	handle *handle[*C.seed_cancel_token]
	// token is NULL for a context that never ends.
	token  *C.seed_cancel_token
	unlink func() bool
}

// cancelBy makes the token; free ends the link. It needs no goroutine of its own while the context lives.
func cancelBy(ctx context.Context) (*cancel, error) {
	if ctx == nil {
		return nil, invalid("the context is nil, expected one such as context.Background()")
	}
	if ctx.Done() == nil {
		return &cancel{}, nil
	}
	h, err := create("cancel token", func(object *C.seed_cancel_token) { C.seed_cancel_token_free(object) },
		func(out **C.seed_cancel_token) *C.seed_error { return C.seed_cancel_token_new(out) })
	if err != nil {
		return nil, err
	}
	trigger := func() {
		// It fails only when the call has ended and the token is gone.
		_ = with(h, func(object *C.seed_cancel_token) *C.seed_error { return C.seed_cancel_token_trigger(object) })
	}
	if ctx.Err() != nil {
		// At once, so that not a single step is made.
		trigger()
	}
	return &cancel{handle: h, token: h.object, unlink: context.AfterFunc(ctx, trigger)}, nil
}

func (c *cancel) free() {
	if c.handle != nil {
		c.unlink()
		c.handle.close()
	}
}

// cancelled is the error of a call that the context ended.
func cancelled(ctx context.Context) error {
	cause := context.Cause(ctx)
	return &Error{Code: ErrCancelled, Message: fmt.Sprintf("the context ended the call: %v", cause), cause: cause}
}
