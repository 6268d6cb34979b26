package seed

// #include "bridge.h"
import "C"

import (
	"errors"
	"fmt"
)

// ErrClosed is what the methods of a nil, closed or zero object give. Such errors match [ErrInvalidArgument] too.
var ErrClosed = errors.New("seed: object is nil or closed")

// Stop may be returned by a callback to end the call after this step without an error.
//
//lint:ignore ST1012 it is no failure, as fs.SkipAll is none
var Stop = errors.New("seed: stop")

// Error is an error of the library.
type Error struct {
	// Code says what kind it is.
	Code Code
	// Message says what was expected, what was found and what to do.
	Message string

	cause error
}

// Error is the message.
func (e *Error) Error() string {
	return "seed: " + e.Message
}

// Is tells errors.Is whether target is the error's code.
func (e *Error) Is(target error) bool {
	code, isCode := target.(Code)
	return isCode && code == e.Code
}

// Unwrap is what made the call end, such as [context.Canceled] or [ErrClosed]; nil when the library found it by itself.
func (e *Error) Unwrap() error {
	return e.cause
}

// check makes a Go error of a C one and frees it; nil for NULL.
func check(err *C.seed_error) error {
	if err == nil {
		return nil
	}
	defer C.seed_error_free(err)
	return &Error{Code: Code(C.seed_error_code(err)), Message: C.GoString(C.seed_error_message(err))}
}

// invalid is for arguments that never reach the library.
func invalid(format string, values ...any) error {
	return &Error{Code: ErrInvalidArgument, Message: fmt.Sprintf(format, values...)}
}

// placed says which image of a list the error is about.
func placed(index int, err error) error {
	var inner *Error
	if errors.As(err, &inner) {
		return &Error{Code: inner.Code, Message: fmt.Sprintf("image %d: %s", index, inner.Message), cause: inner.cause}
	}
	return err
}
