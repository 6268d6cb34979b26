package seed_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	seed "libseed/bindings/go"
)

// readBroken makes the library warn of a broken image, on its own threads.
func readBroken(t *testing.T, session *seed.Session) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "größe.png")
	ok(t, os.WriteFile(file, []byte("no image"), 0o600))
	images := must[*seed.Dataset](t)(seed.OpenFiles(file))
	defer images.Close()
	fails(t, seed.ErrFormat, second(session.EmbedDataset(t.Context(), images, nil)))
}

func TestLog(t *testing.T) {
	session := newSession(t, smallConfig(t))
	var mutex sync.Mutex
	var lines []string
	ok(t, seed.SetLog(seed.LogWarn, func(level seed.LogLevel, message string) {
		mutex.Lock()
		defer mutex.Unlock()
		if level != seed.LogWarn {
			t.Errorf("level %d: %s", level, message)
		}
		lines = append(lines, message)
	}))
	readBroken(t, session)
	ok(t, seed.SetLog(seed.LogOff, nil))
	readBroken(t, session)
	mutex.Lock()
	defer mutex.Unlock()
	if len(lines) != 1 || !strings.Contains(lines[0], "größe.png") {
		t.Errorf("lines: %q", lines)
	}
	fails(t, seed.ErrInvalidArgument, seed.SetLog(9, func(seed.LogLevel, string) {}))
	fails(t, seed.ErrInvalidArgument, seed.LogToStderr("loud"))
	ok(t, seed.LogToStderr("off"))
}

func TestPanicInLog(t *testing.T) {
	session := newSession(t, smallConfig(t))
	ok(t, seed.SetLog(seed.LogWarn, func(seed.LogLevel, string) { panic("on purpose") }))
	readBroken(t, session)
	readBroken(t, session)
	var found *seed.PanicError
	if err := seed.SetLog(seed.LogOff, nil); !errors.As(err, &found) || found.Value != "on purpose" {
		t.Errorf("%v", err)
	}
	ok(t, seed.SetLog(seed.LogOff, nil))
}
