package seed_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

// TestReadme runs the program of README.md on small frames for some seconds.
func TestReadme(t *testing.T) {
	page := string(must[[]byte](t)(os.ReadFile("../../README.md")))
	_, rest, _ := strings.Cut(page, "```go\n")
	program, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("README.md has no program in Go")
	}
	for _, words := range [][2]string{{"/data/frames", "frames"}, {"resnet50.pth", "teacher.safetensors"},
		{`"resnet50"`, `"mobilenet_v3_small"`}, {"600*time.Second", "2*time.Second"}} {
		if !strings.Contains(program, words[0]) {
			t.Fatalf("README.md's program in Go has no %s", words[0])
		}
		program = strings.ReplaceAll(program, words[0], words[1])
	}
	folder := t.TempDir()
	ok(t, os.Rename(imageFolder(t, 12), filepath.Join(folder, "frames")))
	student := must[*seed.Student](t)(seed.NewStudent("mobilenet_v3_small", smallConfig(t)))
	defer student.Close()
	ok(t, student.Save(filepath.Join(folder, "teacher.safetensors")))
	binding := must[string](t)(filepath.Abs("."))
	module := "module readme\n\ngo 1.24\n\nrequire libseed/bindings/go v0.0.0\n\nreplace libseed/bindings/go => " + binding + "\n"
	ok(t, os.WriteFile(filepath.Join(folder, "go.mod"), []byte(module), 0o600))
	ok(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(program), 0o600))
	command := exec.Command("go", "run", ".")
	command.Dir = folder
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "agreement with the teacher: ") || strings.Contains(string(output), "NaN") {
		t.Errorf("%v:\n%s", err, output)
	}
	if _, err := os.Stat(filepath.Join(folder, "out", "student.safetensors")); err != nil {
		t.Error(err)
	}
}
