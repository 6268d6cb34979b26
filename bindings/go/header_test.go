package seed_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notInGo are functions of seed.h that Go has another idiom for, and which.
var notInGo = map[string]string{
	"seed_cancel_token_reset": "each call has a token of its own, so that none is used again; take a new context",
}

// TestEveryFunctionOfTheHeaderIsCalled compares the calls of the package's sources with the header.
func TestEveryFunctionOfTheHeaderIsCalled(t *testing.T) {
	header := string(must[[]byte](t)(os.ReadFile("../../include/seed.h")))
	declared := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^[^ *\n].*[ *](seed_\w+)\(`).FindAllStringSubmatch(header, -1) {
		declared[match[1]] = true
	}
	if len(declared) < 100 {
		t.Fatalf("only %d functions were found in seed.h", len(declared))
	}
	for name := range strings.FieldsSeq(string(must[[]byte](t)(os.ReadFile("../../include/seed.sym")))) {
		if !declared[name] {
			t.Errorf("%s is exported and was not found in seed.h", name)
		}
	}

	called := map[string]bool{}
	comment := regexp.MustCompile(`(?m)//.*$`)
	call := regexp.MustCompile(`\bseed_\w+\b`)
	for _, file := range append(must[[]string](t)(filepath.Glob("*.go")), "bridge.c") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source := comment.ReplaceAllString(string(must[[]byte](t)(os.ReadFile(file))), "")
		for _, name := range call.FindAllString(source, -1) {
			called[name] = true
		}
	}
	var missing []string
	for name := range declared {
		if _, elsewhere := notInGo[name]; elsewhere == called[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("Go has no words for these, or has them though notInGo says otherwise: %v", missing)
	}
	for name := range notInGo {
		if !declared[name] {
			t.Errorf("%s of notInGo is no function of seed.h", name)
		}
	}
}
