package seed_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

func TestErrorsCarryCodeAndMessage(t *testing.T) {
	_, err := seed.OpenFolder("/no/such/folder")
	fails(t, seed.ErrIO, err)
	if errors.Is(err, seed.ErrFormat) || errors.Is(err, seed.ErrClosed) {
		t.Fatal("the error matches too much")
	}
	var found *seed.Error
	if wrapped := fmt.Errorf("around: %w", err); !errors.As(wrapped, &found) || found.Code != seed.ErrIO {
		t.Fatalf("code is %v", found)
	}
	if !strings.Contains(err.Error(), "/no/such/folder") {
		t.Fatalf("the message does not name the folder: %v", err)
	}
}

func TestCodesSpeak(t *testing.T) {
	for code := seed.ErrInvalidArgument; code <= seed.ErrBufferTooSmall; code++ {
		if strings.Contains(code.Error(), "error 1") {
			t.Errorf("code %d has no text", code)
		}
	}
	if text := seed.Code(99).Error(); text != "seed: error 99" {
		t.Errorf("an unknown code says %q", text)
	}
}
