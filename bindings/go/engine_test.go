package seed_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	seed "libseed/bindings/go"
	"libseed/bindings/go/internal/dlpacktest"
)

// bands gives the mean level of each of dim bands of rows, of images of bytes.
func bands(batch *seed.TeacherBatch) error {
	size := batch.Height / batch.Dim * batch.Width * 3
	for i := range batch.Count * batch.Dim {
		sum := 1
		for _, level := range batch.Bytes[i*size : (i+1)*size] {
			sum += int(level)
		}
		batch.Embeddings[i] = float32(sum)
	}
	return nil
}

func newEngine(t *testing.T, config *seed.Config, embed seed.TeacherFunc) *seed.Teacher {
	t.Helper()
	teacher := must[*seed.Teacher](t)(seed.TeacherFromEngine(seed.Engine{Embed: embed, Dim: dim, Identity: "bands 1",
		Format: seed.Uint8NHWC}, config))
	t.Cleanup(func() { teacher.Close() })
	return teacher
}

func TestEngineTeaches(t *testing.T) {
	config := smallConfig(t)
	var calls atomic.Int64
	teacher := newEngine(t, config, func(batch *seed.TeacherBatch) error {
		calls.Add(1)
		if batch.Dim != dim || batch.Height != side || batch.Width != side || batch.CUDA != -1 || batch.Floats != nil ||
			batch.Count < 1 || len(batch.Bytes) != 3*side*side*batch.Count || len(batch.Embeddings) != dim*batch.Count ||
			batch.ImagesAddress == nil || batch.EmbeddingsAddress == nil {
			t.Errorf("%+v", batch)
		}
		return bands(batch)
	})
	if width := must[int](t)(teacher.Dim()); width != dim {
		t.Errorf("%d numbers", width)
	}
	fails(t, seed.ErrUnsupported, second(teacher.ParameterCount()))
	images := eightImages(t)
	trainer := must[*seed.Trainer](t)(seed.NewTrainer(config, newStudent(t, config), teacher, nil, images))
	defer trainer.Close()
	if outcome, err := trainer.Run(t.Context(), 0, nil); outcome != seed.Finished || err != nil || calls.Load() != 6 {
		t.Fatalf("%v, %v after %d calls", outcome, err, calls.Load())
	}

	// What a session gives is what the engine gave, at length 1: brighter bands have larger numbers.
	ok(t, config.SetString("output", "embedding"))
	session := must[*seed.Session](t)(seed.SessionFromTeacher(teacher, config))
	defer session.Close()
	vector := must[seed.Embeddings](t)(session.Embed(gradient(side, side))).Values
	length := 0.0
	for i := range vector {
		length += float64(vector[i]) * float64(vector[i])
		if i > 0 && vector[i] <= vector[i-1] {
			t.Errorf("band %d is not brighter than the one above: %v", i, vector)
		}
	}
	if math.Abs(length-1) > 1e-4 {
		t.Errorf("length² %v", length)
	}
}

func TestEngineIsShownFloats(t *testing.T) {
	config := smallConfig(t)
	teacher := must[*seed.Teacher](t)(seed.TeacherFromEngine(seed.Engine{Dim: dim, Identity: "floats",
		Embed: func(batch *seed.TeacherBatch) error {
			if batch.Bytes != nil || len(batch.Floats) != 3*side*side*batch.Count {
				t.Errorf("%d floats and %d bytes", len(batch.Floats), len(batch.Bytes))
			}
			tensor := batch.TakeTensor()
			if tensor == nil || batch.TakeTensor() != nil {
				t.Error("the tensor is not handed out once")
			}
			dlpacktest.Delete(tensor)
			for i := range batch.Embeddings {
				batch.Embeddings[i] = 1 + batch.Floats[i]
			}
			return nil
		}}, config))
	defer teacher.Close()
	trainer := must[*seed.Trainer](t)(seed.NewTrainer(config, newStudent(t, config), teacher, nil, eightImages(t)))
	defer trainer.Close()
	if outcome, err := trainer.Run(t.Context(), 0, nil); outcome != seed.Finished || err != nil {
		t.Errorf("%v, %v", outcome, err)
	}
}

// What goes wrong in the engine fails the call with its words, and the run goes on afterwards.
func TestEngineFails(t *testing.T) {
	config := smallConfig(t)
	var how func() error
	teacher := newEngine(t, config, func(batch *seed.TeacherBatch) error {
		if how != nil {
			act := how
			how = nil
			return act()
		}
		return bands(batch)
	})
	trainer := must[*seed.Trainer](t)(seed.NewTrainer(config, newStudent(t, config), teacher, nil, eightImages(t)))
	defer trainer.Close()
	long := strings.Repeat("ü", 5000)
	for _, failure := range []struct {
		act   func() error
		words string
	}{
		{func() error { return errors.New("no paper") }, "no paper"},
		{func() error { panic("on purpose") }, "it panicked: on purpose"},
		{func() error { runtime.Goexit(); return nil }, "it ended its goroutine"},
		{func() error { return errors.New(long) }, "üüü"},
		{func() error { _, err := trainer.Run(t.Context(), 1, nil); return err }, "in use"},
	} {
		how = failure.act
		outcome, err := trainer.Run(t.Context(), 1, nil)
		fails(t, seed.ErrCancelled, err)
		if outcome != seed.Cancelled || !strings.Contains(err.Error(), failure.words) || !strings.HasSuffix(strings.ToValidUTF8(err.Error(), "?"), err.Error()) {
			t.Errorf("%v, %v, expected %q", outcome, err, failure.words)
		}
	}
	if outcome, err := trainer.Run(t.Context(), 0, nil); outcome != seed.Finished || err != nil {
		t.Errorf("%v, %v", outcome, err)
	}
}

// The library's own threads may be the ones that ask.
func TestEngineOnOtherThreads(t *testing.T) {
	config := smallConfig(t)
	ok(t, config.SetInt("nice", 3))
	teacher := newEngine(t, config, bands)
	trainer := must[*seed.Trainer](t)(seed.NewTrainer(config, newStudent(t, config), teacher, nil, eightImages(t)))
	defer trainer.Close()
	if outcome, err := trainer.Run(t.Context(), 0, nil); outcome != seed.Finished || err != nil {
		t.Errorf("%v, %v", outcome, err)
	}
}

// The engine is kept as long as something was made of it, and no longer.
func TestEngineIsReleased(t *testing.T) {
	config := smallConfig(t)
	gone := make(chan struct{})
	trainer := func() *seed.Trainer {
		kept := &struct{ numbers [1000]int }{}
		runtime.AddCleanup(kept, func(gone chan struct{}) { close(gone) }, gone)
		teacher := must[*seed.Teacher](t)(seed.TeacherFromEngine(seed.Engine{Dim: dim, Identity: "kept", Format: seed.Uint8NHWC,
			Embed: func(batch *seed.TeacherBatch) error {
				kept.numbers[0]++
				return bands(batch)
			}}, config))
		defer teacher.Close()
		return must[*seed.Trainer](t)(seed.NewTrainer(config, newStudent(t, config), teacher, nil, eightImages(t)))
	}()
	runtime.GC()
	if outcome, err := trainer.Run(t.Context(), 2, nil); outcome != seed.Paused || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
	ok(t, trainer.Close())
	collectUntil(t, func() bool {
		select {
		case <-gone:
			return true
		default:
			return false
		}
	})
}

func TestWrongEnginesAreRefused(t *testing.T) {
	config := smallConfig(t)
	for _, engine := range []seed.Engine{
		{Dim: dim, Identity: "a"}, {Embed: bands, Identity: "a"}, {Embed: bands, Dim: -1, Identity: "a"},
		{Embed: bands, Dim: dim}, {Embed: bands, Dim: dim, Identity: "a", Format: 77},
		{Embed: bands, Dim: dim, Identity: strings.Repeat("a", 1025)}, {Embed: bands, Dim: dim, Identity: "a\x00b"},
	} {
		fails(t, seed.ErrInvalidArgument, second(seed.TeacherFromEngine(engine, config)))
	}
	closed(t, second(seed.TeacherFromEngine(seed.Engine{Embed: bands, Dim: dim, Identity: "a"}, nil)))
	// Zeros have no direction.
	teacher := newEngine(t, config, func(batch *seed.TeacherBatch) error { clear(batch.Embeddings); return nil })
	trainer := must[*seed.Trainer](t)(seed.NewTrainer(config, newStudent(t, config), teacher, nil, eightImages(t)))
	defer trainer.Close()
	fails(t, seed.ErrMismatch, second(trainer.Run(t.Context(), 0, nil)))
}

func TestTorchScript(t *testing.T) {
	config := smallConfig(t)
	fails(t, seed.ErrIO, second(seed.LoadTorchScript("/no/such/module.pt", "", config)))
	file := filepath.Join(t.TempDir(), "module.pt")
	ok(t, os.WriteFile(file, []byte("no module"), 0o600))
	fails(t, seed.ErrFormat, second(seed.LoadTorchScript(file, "rows", config)))
	fails(t, seed.ErrInvalidArgument, second(seed.LoadTorchScript("a\x00b", "", config)))
	// A network of PyTorch's, as the library's own tests have it.
	teacher := must[*seed.Teacher](t)(seed.LoadTorchScript("../../tests/golden/teachers/tensor.pt", "", config))
	defer teacher.Close()
	if width := must[int](t)(teacher.Dim()); width < 1 {
		t.Errorf("%d numbers", width)
	}
	session := must[*seed.Session](t)(seed.SessionFromTeacher(teacher, config))
	defer session.Close()
	if vectors := must[seed.Embeddings](t)(session.Embed(gradient(40, 30))); vectors.Count() != 1 {
		t.Errorf("%d vectors", vectors.Count())
	}
}

func TestEmbeddingTable(t *testing.T) {
	config := smallConfig(t)
	rows := seed.Embeddings{Values: make([]float32, 8*dim), Dim: dim}
	for i := range rows.Values {
		rows.Values[i] = .1
		if i%dim == i/dim {
			rows.Values[i] = 1
		}
	}
	table := must[*seed.EmbeddingTable](t)(seed.NewEmbeddingTable(rows))
	defer table.Close()
	if count, width := must[int](t)(table.Count()), must[int](t)(table.Dim()); count != 8 || width != dim {
		t.Errorf("%d rows of %d", count, width)
	}
	images, student := eightImages(t), newStudent(t, config)
	teacher := must[*seed.Teacher](t)(seed.TeacherFromEmbeddings(table))
	defer teacher.Close()
	if width := must[int](t)(teacher.Dim()); width != dim {
		t.Errorf("%d numbers", width)
	}
	fails(t, seed.ErrUnsupported, second(seed.SessionFromTeacher(teacher, config)))
	fails(t, seed.ErrInvalidArgument, second(seed.NewTrainer(config, student, teacher, nil, nil)))
	trainer := must[*seed.Trainer](t)(seed.NewTrainer(config, student, teacher, nil, images))
	defer trainer.Close()
	ok(t, table.Close()) // the teacher holds it
	if outcome, err := trainer.Run(t.Context(), 0, nil); outcome != seed.Finished || err != nil {
		t.Errorf("%v, %v", outcome, err)
	}
	fails(t, seed.ErrInvalidArgument, second(trainer.Step(stripes(2, 16, 16))))
	short := must[*seed.EmbeddingTable](t)(seed.NewEmbeddingTable(seed.Embeddings{Values: rows.Values[:dim], Dim: dim}))
	small := must[*seed.Teacher](t)(seed.TeacherFromEmbeddings(short))
	defer small.Close()
	fails(t, seed.ErrMismatch, second(seed.NewTrainer(config, student, small, nil, images)))
	ok(t, short.Close())
	closed(t, second(seed.TeacherFromEmbeddings(short)))
	closed(t, second(seed.TeacherFromEmbeddings(nil)))
	closed(t, second(short.Count()))
	closed(t, second((*seed.EmbeddingTable)(nil).Dim()))

	read := must[*seed.EmbeddingTable](t)(seed.LoadEmbeddingTable("../../tests/golden/teachers/single.npy"))
	defer read.Close()
	if must[int](t)(read.Count()) < 1 || must[int](t)(read.Dim()) < 1 {
		t.Error("the table that was read has no rows")
	}
	fails(t, seed.ErrIO, second(seed.LoadEmbeddingTable("/no/such/table.npy")))
	fails(t, seed.ErrInvalidArgument, second(seed.NewEmbeddingTable(seed.Embeddings{})))
	fails(t, seed.ErrInvalidArgument, second(seed.NewEmbeddingTable(seed.Embeddings{Dim: 4})))
}
