package seed_test

import (
	"strings"
	"sync"
	"testing"

	seed "libseed/bindings/go"
)

func TestInitMayBeCalledByAll(t *testing.T) {
	var group sync.WaitGroup
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := seed.Init(); err != nil {
				t.Error(err)
			}
		}()
	}
	group.Wait()
}

func TestVersion(t *testing.T) {
	if version := seed.Version(); !strings.HasPrefix(version, "0.1.") {
		t.Fatalf("version is %q", version)
	}
}
