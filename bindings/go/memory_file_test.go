package seed_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	seed "libseed/bindings/go"
)

// A student that is saved to memory is the file that the disk has, and a session opens it.
func TestMemoryFiles(t *testing.T) {
	config := smallConfig(t)
	student := newStudent(t, config)
	path := filepath.Join(t.TempDir(), "student.safetensors")
	ok(t, student.Save(path))
	ok(t, student.Save("memory://student"))
	onDisk, err := os.ReadFile(path)
	ok(t, err)
	if held := must[[]byte](t)(seed.MemoryFile("memory://student")); !bytes.Equal(held, onDisk) {
		t.Errorf("%d bytes in memory, %d on the disk", len(held), len(onDisk))
	}
	ok(t, seed.PutMemoryFile("memory://models/ä", onDisk))
	session := must[*seed.Session](t)(seed.OpenSession("memory://models/ä", config))
	session.Close()
	ok(t, seed.PutMemoryFile("memory://models/ä", nil))
	if held := must[[]byte](t)(seed.MemoryFile("memory://models/ä")); len(held) != 0 {
		t.Errorf("%d bytes, expected none", len(held))
	}
	ok(t, seed.RemoveMemoryFile("memory://models/ä"))
	fails(t, seed.ErrIO, seed.RemoveMemoryFile("memory://models/ä"))
	fails(t, seed.ErrInvalidArgument, seed.PutMemoryFile("student", onDisk))
	fails(t, seed.ErrInvalidArgument, seed.PutMemoryFile("memory://a\x00b", onDisk))
	_, err = seed.MemoryFile("memory://none")
	fails(t, seed.ErrIO, err)
}
