package seed_test

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	seed "libseed/bindings/go"
)

const (
	side = 32
	dim  = 16
)

// must gives the value of a call that is to succeed.
func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails wants an error of this code that says something.
func fails(t testing.TB, code seed.Code, err error) {
	t.Helper()
	var found *seed.Error
	if !errors.As(err, &found) || !errors.Is(err, code) {
		t.Fatalf("error is %v, expected one of code %d (%v)", err, code, code)
	}
	if len(found.Message) < 8 {
		t.Fatalf("the message says nothing: %q", found.Message)
	}
}

// smallConfig suits runs of six steps on four tiny images each.
func smallConfig(t testing.TB) *seed.Config {
	t.Helper()
	config := must[*seed.Config](t)(seed.NewConfig())
	for key, value := range map[string]int64{
		"image_width": side, "image_height": side, "batch_size": 4, "steps": 6, "queue_capacity": 10,
		"embedding_dim": dim, "progress_every": 1, "workers": 1,
	} {
		ok(t, config.SetInt(key, value))
	}
	ok(t, config.SetString("precision", "fp32"))
	ok(t, config.SetString("device", "cpu"))
	// Tests count what a teacher is asked.
	ok(t, config.SetString("queue.fill", "noise"))
	t.Cleanup(func() { config.Close() })
	return config
}

func newStudent(t testing.TB, config *seed.Config) *seed.Student {
	t.Helper()
	student := must[*seed.Student](t)(seed.NewStudent("mobilenet_v3_small", config))
	t.Cleanup(func() { student.Close() })
	return student
}

// newTeacher makes a teacher out of a student's file.
func newTeacher(t testing.TB, config *seed.Config) *seed.Teacher {
	t.Helper()
	file := filepath.Join(t.TempDir(), "teacher.safetensors")
	ok(t, newStudent(t, config).Save(file))
	teacher := must[*seed.Teacher](t)(seed.LoadTeacher(file, "mobilenet_v3_small", config))
	t.Cleanup(func() { teacher.Close() })
	return teacher
}

func newSession(t testing.TB, config *seed.Config) *seed.Session {
	t.Helper()
	session := must[*seed.Session](t)(seed.SessionFromStudent(newStudent(t, config), config))
	t.Cleanup(func() { session.Close() })
	return session
}

// newTrainer makes a run over eight images of a folder.
func newTrainer(t testing.TB, config *seed.Config) *seed.Trainer {
	t.Helper()
	images := must[*seed.Dataset](t)(seed.OpenFolder(imageFolder(t, 8)))
	t.Cleanup(func() { images.Close() })
	teacher := newTeacher(t, config)
	ok(t, config.SetInt("seed", 5))
	trainer := must[*seed.Trainer](t)(seed.NewTrainer(config, newStudent(t, config), teacher, nil, images))
	t.Cleanup(func() { trainer.Close() })
	return trainer
}

// stripes is a grey image of the given period.
func stripes(period, width, height int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = 40
		if i%width/period%2 == 1 {
			img.Pix[i] = 220
		}
	}
	return img
}

// gradient is a colour image.
func gradient(width, height int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetNRGBA(x, y, color.NRGBA{R: uint8(255 * x / width), G: uint8(255 * y / height), B: 90, A: 255})
		}
	}
	return img
}

// imageFolder holds count PNG files, 00.png, 01.png and so on.
func imageFolder(t testing.TB, count int) string {
	t.Helper()
	folder := t.TempDir()
	for i := range count {
		file := must[*os.File](t)(os.Create(filepath.Join(folder, fmt.Sprintf("%02d.png", i))))
		ok(t, png.Encode(file, stripes(i+1, 40, 36)))
		ok(t, file.Close())
	}
	return folder
}

// collectUntil runs the garbage collector until done, for ten seconds at most.
func collectUntil(t testing.TB, done func() bool) {
	t.Helper()
	for range 1000 {
		if done() {
			return
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the garbage collector did not get there")
}

var telling struct {
	sync.Once
	session *seed.Session
}

// tellingSession tells images apart, which an untrained MobileNet does not. All tests share it.
func tellingSession(t testing.TB) *seed.Session {
	t.Helper()
	telling.Do(func() {
		config := smallConfig(t)
		student := must[*seed.Student](t)(seed.NewStudent("resnet18", config))
		defer student.Close()
		telling.session = must[*seed.Session](t)(seed.SessionFromStudent(student, config))
	})
	return telling.session
}
