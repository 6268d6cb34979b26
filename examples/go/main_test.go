package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

// small makes a folder of twelve images, a teacher's file out of a student and the options of a short run.
func small(t *testing.T) options {
	t.Helper()
	folder := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 12 {
		img := image.NewNRGBA(image.Rect(0, 0, 40, 36))
		for y := range 36 {
			for x := range 40 {
				img.SetNRGBA(x, y, color.NRGBA{R: uint8(x * i), G: uint8(20 * i), B: uint8(y), A: 255})
			}
		}
		file, err := os.Create(filepath.Join(folder, fmt.Sprintf("%02d.png", i)))
		check(err)
		check(png.Encode(file, img))
		check(file.Close())
	}
	config, err := seed.NewConfig()
	check(err)
	defer config.Close()
	check(config.SetInt("embedding_dim", 16))
	student, err := seed.NewStudent("mobilenet_v3_small", config)
	check(err)
	defer student.Close()
	teacher := filepath.Join(t.TempDir(), "teacher.safetensors")
	check(student.Save(teacher))
	o, err := parse([]string{"-images", folder, "-teacher", teacher, "-teacher-arch", "mobilenet_v3_small", "-steps", "3",
		"-batch", "4", "-size", "32", "-out", filepath.Join(t.TempDir(), "student.safetensors")})
	check(err)
	return o
}

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), small(t), &out); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"12 images", "step 3/3", "ETA 0s", "finished", "of the teacher's 3 nearest", "00.png is most like"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the output lacks %q:\n%s", part, out.String())
		}
	}
}

func TestInterruptedRunSavesItsStudent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	o := small(t)
	if err := run(ctx, o, &out); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(o.out); err != nil || !strings.Contains(out.String(), "cancelled") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

func TestOptions(t *testing.T) {
	if _, err := parse([]string{"-images", "x"}); err == nil {
		t.Error("no teacher, no error")
	}
}
