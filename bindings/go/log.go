package seed

// #include "bridge.h"
import "C"

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// LogLevel says how much of the log is wanted; a level includes those before it.
type LogLevel int32

// The library's log levels.
const (
	// LogOff: nothing is logged.
	LogOff LogLevel = C.SEED_LOG_OFF
	// LogError: errors that no return value can carry.
	LogError LogLevel = C.SEED_LOG_ERROR
	// LogWarn: broken images and the like.
	LogWarn LogLevel = C.SEED_LOG_WARN
	// LogInfo: what was loaded, recognised, chosen.
	LogInfo LogLevel = C.SEED_LOG_INFO
	// LogDebug: details for finding faults.
	LogDebug LogLevel = C.SEED_LOG_DEBUG
)

var (
	logMutex   sync.Mutex
	logHandler atomic.Pointer[func(LogLevel, string)]
	logPanic   atomic.Pointer[PanicError]
)

// SetLog sends log lines up to level to handler from now on; nil or LogOff ends it. The handler is called on any thread,
// possibly on several at once, and must not call this package. A line that is on its way may still arrive just after this
// call, at the new handler.
//
// A handler that panics is taken away; the next call of SetLog returns the first such panic as a *[PanicError], and does
// its work all the same.
func SetLog(level LogLevel, handler func(level LogLevel, message string)) error {
	logMutex.Lock()
	defer logMutex.Unlock()
	var wanted *func(LogLevel, string)
	if handler == nil {
		level = LogOff
	} else {
		wanted = &handler
	}
	before := logHandler.Swap(wanted)
	if err := check(C.seed_go_log_set(C.int32_t(level))); err != nil {
		logHandler.Store(before)
		return err
	}
	if panicked := logPanic.Swap(nil); panicked != nil {
		return panicked
	}
	return nil
}

// LogToStderr writes log lines to standard error from now on, chosen by filter, such as "info" or "warn".
func LogToStderr(filter string) error {
	logMutex.Lock()
	defer logMutex.Unlock()
	var t texts
	defer t.free()
	text := t.add("filter", filter)
	if t.err != nil {
		return t.err
	}
	return check(C.seed_log_to_stderr(text))
}

//export seedGoLine
func seedGoLine(level C.int32_t, message *C.char) {
	handler := logHandler.Load()
	if handler == nil {
		return
	}
	text := C.GoString(message)
	// On a goroutine of its own for the same reason as callback.call.
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if value := recover(); value != nil {
				logHandler.CompareAndSwap(handler, nil)
				logPanic.CompareAndSwap(nil, &PanicError{Value: value, Stack: debug.Stack()})
			}
		}()
		(*handler)(LogLevel(level), text)
	}()
	<-done
}
