package seed_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	seed "libseed/bindings/go"
)

// panicOf gives what the function panics with.
func panicOf(function func()) (value any) {
	defer func() { value = recover() }()
	function()
	return nil
}

func TestPanicInProgress(t *testing.T) {
	trainer := newTrainer(t, smallConfig(t))
	found, _ := panicOf(func() {
		_, _ = trainer.Run(t.Context(), 0, func(p seed.Progress) error {
			if p.Step == 0 {
				return nil
			}
			panic("on purpose")
		})
	}).(*seed.PanicError)
	if found == nil || found.Value != "on purpose" || !strings.Contains(found.Error(), "TestPanicInProgress") {
		t.Fatalf("the panic is %v", found)
	}
	// The step counts, and the run goes on.
	if step, _, err := trainer.Position(); step != 1 || err != nil {
		t.Errorf("step %d, %v", step, err)
	}
	if outcome, err := trainer.Run(t.Context(), 0, nil); outcome != seed.Finished || err != nil {
		t.Errorf("%v, %v", outcome, err)
	}
}

func TestPanicInCount(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.OpenFolder(imageFolder(t, 2)))
	defer images.Close()
	session := newSession(t, smallConfig(t))
	err, _ := panicOf(func() {
		_, _ = session.EmbedDataset(t.Context(), images, func(int, int) error { panic(io.ErrUnexpectedEOF) })
	}).(error)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("the panic is %v", err)
	}
	must[seed.Embeddings](t)(session.EmbedDataset(t.Context(), images, nil))
}

func TestGoexitInProgress(t *testing.T) {
	trainer := newTrainer(t, smallConfig(t))
	var group sync.WaitGroup
	group.Add(1)
	returned := false
	go func() {
		defer group.Done()
		_, _ = trainer.Run(t.Context(), 0, func(p seed.Progress) error {
			if p.Step == 0 {
				return nil
			}
			runtime.Goexit()
			return nil
		})
		returned = true
	}()
	group.Wait()
	if returned {
		t.Error("Run returned after its callback had ended the goroutine")
	}
	if step, _, err := trainer.Position(); step != 1 || err != nil {
		t.Errorf("step %d, %v", step, err)
	}
}
