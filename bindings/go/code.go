package seed

// #include "bridge.h"
import "C"

import "strconv"

// Code says what kind of error happened. Codes are errors, to be asked for with errors.Is.
type Code int32

// The library's codes; they are never renumbered.
const (
	// ErrInvalidArgument: an argument is nil, out of bounds or contradicts another one.
	ErrInvalidArgument Code = C.SEED_ERROR_INVALID_ARGUMENT
	// ErrConfig: a configuration key is unknown or its value is out of bounds.
	ErrConfig Code = C.SEED_ERROR_CONFIG
	// ErrIO: the operating system refused to read or write a file, or the other processes of a world do not answer.
	ErrIO Code = C.SEED_ERROR_IO
	// ErrFormat: a file or image is damaged, hostile or of a kind that is not read.
	ErrFormat Code = C.SEED_ERROR_FORMAT
	// ErrMismatch: a file is sound but does not fit: another architecture, shape, version or data set.
	ErrMismatch Code = C.SEED_ERROR_MISMATCH
	// ErrOutOfMemory: memory, on the host or on the device, could not be had.
	ErrOutOfMemory Code = C.SEED_ERROR_OUT_OF_MEMORY
	// ErrDevice: the device is absent, or its driver or libtorch part is.
	ErrDevice Code = C.SEED_ERROR_DEVICE
	// ErrBusy: the object is in use by another goroutine, or by the caller of the callback that asks.
	ErrBusy Code = C.SEED_ERROR_BUSY
	// ErrPoisoned: an earlier internal error left the object in an unknown state; close it.
	ErrPoisoned Code = C.SEED_ERROR_POISONED
	// ErrCancelled: the context or a callback ended the call.
	ErrCancelled Code = C.SEED_ERROR_CANCELLED
	// ErrTorch: libtorch reported an error.
	ErrTorch Code = C.SEED_ERROR_TORCH
	// ErrUnsupported: not supported by this version.
	ErrUnsupported Code = C.SEED_ERROR_UNSUPPORTED
	// ErrNotInitialized: the library has another ABI than the header this package was compiled with.
	ErrNotInitialized Code = C.SEED_ERROR_NOT_INITIALIZED
	// ErrInternal: a bug in libseed; please report the message.
	ErrInternal Code = C.SEED_ERROR_INTERNAL
	// ErrBufferTooSmall: the caller's buffer is too small; nothing was written.
	ErrBufferTooSmall Code = C.SEED_ERROR_BUFFER_TOO_SMALL
)

var codeTexts = map[Code]string{
	ErrInvalidArgument: "invalid argument",
	ErrConfig:          "invalid configuration",
	ErrIO:              "input or output failed",
	ErrFormat:          "damaged or unknown format",
	ErrMismatch:        "does not fit",
	ErrOutOfMemory:     "out of memory",
	ErrDevice:          "device not available",
	ErrBusy:            "object in use",
	ErrPoisoned:        "object poisoned by an internal error",
	ErrCancelled:       "cancelled",
	ErrTorch:           "libtorch error",
	ErrUnsupported:     "not supported",
	ErrNotInitialized:  "library not initialized",
	ErrInternal:        "internal error",
	ErrBufferTooSmall:  "buffer too small",
}

// Error is the code in a few words; an [Error] says more.
func (c Code) Error() string {
	if text, known := codeTexts[c]; known {
		return "seed: " + text
	}
	return "seed: error " + strconv.Itoa(int(c))
}
