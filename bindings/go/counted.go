package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
)

// counted makes a call that reports how much is done, that ctx may end and that has no result then.
func counted(ctx context.Context, progress func(done, total int) error,
	call func(handle C.uintptr_t, token *C.seed_cancel_token) error) error {
	cancel, err := cancelBy(ctx)
	if err != nil {
		return err
	}
	defer cancel.free()
	observer := callback{count: progress}
	handle := observer.register()
	defer unregister(handle)

	err = call(handle, cancel.token)
	observer.raise()
	if _, reason := observer.stopped(); reason != nil {
		return reason
	}
	if errors.Is(err, ErrCancelled) && observer.err == nil {
		return cancelled(ctx)
	}
	return err
}

// watching is a progress that also ends the call with ctx, for functions of C that take no token.
func watching(ctx context.Context, progress func(done, total int) error) func(done, total int) error {
	return func(done, total int) error {
		// A nil context is refused before the call.
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		if progress == nil {
			return nil
		}
		return progress(done, total)
	}
}
