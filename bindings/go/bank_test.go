package seed_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

// Eight images in more views than one chunk of 64 rows has, so that the filling can pause.
const (
	bankViews = 10
	bankRows  = 8 * bankViews
)

func eightImages(t *testing.T) *seed.Dataset {
	t.Helper()
	images := must[*seed.Dataset](t)(seed.NewDataset())
	t.Cleanup(func() { images.Close() })
	for i := range 8 {
		must[int](t)(images.Push(stripes(i+1, 40, 36), ""))
	}
	return images
}

// fullBank opens a finished bank of one view.
func fullBank(t *testing.T, config *seed.Config, teacher *seed.Teacher) *seed.Bank {
	t.Helper()
	ok(t, config.SetInt("view_count", 1))
	file, images := filepath.Join(t.TempDir(), "bank"), eightImages(t)
	defer images.Close()
	if outcome, err := seed.FillBank(t.Context(), file, config, teacher, images, 0, nil); outcome != seed.Finished || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
	return must[*seed.Bank](t)(seed.OpenBank(file, nil))
}

func TestBankStandsInForTheTeacher(t *testing.T) {
	config := smallConfig(t)
	ok(t, config.SetInt("view_count", bankViews))
	ok(t, config.SetString("queue.fill", "noise")) // as a queue of one's own starts
	teacher, images := newTeacher(t, config), eightImages(t)
	file := filepath.Join(t.TempDir(), "Bank ü.seedbank")

	outcome, err := seed.FillBank(t.Context(), file, config, teacher, images, 1, nil)
	if outcome != seed.Paused || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
	begun := must[*seed.Bank](t)(seed.OpenBank(file, teacher))
	finished, total, err := begun.Rows()
	if err != nil || finished < 1 || finished >= total || total != bankRows {
		t.Errorf("%d of %d rows, %v", finished, total, err)
	}
	half := must[*seed.Teacher](t)(seed.TeacherFromBank(begun))
	fails(t, seed.ErrMismatch, second(seed.NewTrainer(config, newStudent(t, config), half, nil, images)))
	fails(t, seed.ErrBusy, second(seed.FillBank(t.Context(), file, config, teacher, images, 0, nil)))
	ok(t, begun.Close())
	fails(t, seed.ErrBusy, second(seed.FillBank(t.Context(), file, config, teacher, images, 0, nil))) // half holds it
	ok(t, half.Close())
	closed(t, second(seed.TeacherFromBank(begun)))

	last := seed.BankProgress{Rows: finished}
	outcome, err = seed.FillBank(t.Context(), file, config, teacher, images, 0, func(p seed.BankProgress) error {
		if p.Rows <= last.Rows || p.TotalRows != bankRows || p.SkippedImages != 0 || p.RowsPerSecond <= 0 || p.ETA < 0 ||
			p.Elapsed <= 0 || p.WaitingShare < 0 || p.WaitingShare > 1 {
			t.Errorf("progress %+v after %+v", p, last)
		}
		last = p
		return nil
	})
	if outcome != seed.Finished || err != nil || last.Rows != bankRows {
		t.Fatalf("%v, %v at row %d", outcome, err, last.Rows)
	}
	if size := must[uint64](t)(seed.PredictBankSize(8, bankViews, dim)); size != uint64(must[os.FileInfo](t)(os.Stat(file)).Size()) {
		t.Errorf("%d bytes were predicted", size)
	}

	bank := must[*seed.Bank](t)(seed.OpenBank(file, nil))
	defer bank.Close()
	ok(t, bank.Verify())
	if images, views, width := must[int64](t)(bank.Images()), must[int64](t)(bank.Views()), must[int](t)(bank.Dim()); images != 8 ||
		views != bankViews || width != dim {
		t.Errorf("%d images, %d views, %d numbers", images, views, width)
	}
	if header := must[string](t)(bank.Header()); !strings.HasPrefix(header, "{") {
		t.Errorf("header %q", header)
	}
	queue := must[*seed.Queue](t)(seed.NewQueue(10, dim, 0))
	defer queue.Close()
	stored := must[*seed.Teacher](t)(seed.TeacherFromBank(bank))
	if width, lines := must[int](t)(stored.Dim()), must[[]string](t)(stored.Warnings()); width != dim || len(lines) != 0 {
		t.Errorf("%d numbers, warnings %q", width, lines)
	}
	fails(t, seed.ErrUnsupported, second(stored.ParameterCount()))
	fails(t, seed.ErrUnsupported, second(seed.SessionFromTeacher(stored, config)))
	fails(t, seed.ErrUnsupported, second(seed.FillBank(t.Context(), file+".2", config, stored, images, 0, nil)))
	fails(t, seed.ErrInvalidArgument, second(seed.NewTrainer(config, newStudent(t, config), stored, queue, nil)))
	ok(t, must[*seed.Bank](t)(seed.OpenBank(file, stored)).Close()) // of the same teacher
	byBank := must[*seed.Trainer](t)(seed.NewTrainer(config, newStudent(t, config), stored, queue, images))
	defer byBank.Close()
	ok(t, stored.Close())
	ok(t, bank.Close())
	byTeacher := must[*seed.Trainer](t)(seed.NewTrainer(config, newStudent(t, config), teacher, nil, images))
	defer byTeacher.Close()
	if a, b := lossOf(t, byBank), lossOf(t, byTeacher); math.Abs(a-b) > 2e-3 {
		t.Errorf("mean loss %v by the bank, %v by the teacher", a, b)
	}
	if length := must[int](t)(queue.Length()); length != 10 {
		t.Errorf("%d rows in the queue", length)
	}
	fails(t, seed.ErrInvalidArgument, second(byBank.Step(stripes(2, 16, 16))))
}

func lossOf(t *testing.T, trainer *seed.Trainer) float64 {
	t.Helper()
	sum := 0.0
	outcome, err := trainer.Run(t.Context(), 0, func(p seed.Progress) error {
		if p.Step > 0 { // the first report comes before the first step
			sum += p.Loss
		}
		return nil
	})
	if outcome != seed.Finished || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
	return sum / 6
}

func TestFillingEnds(t *testing.T) {
	config := smallConfig(t)
	ok(t, config.SetInt("view_count", 60))
	teacher, images := newTeacher(t, config), eightImages(t)
	file := filepath.Join(t.TempDir(), "bank")
	fill := func(ctx context.Context, progress func(seed.BankProgress) error) (seed.Outcome, error) {
		return seed.FillBank(ctx, file, config, teacher, images, 0, progress)
	}
	ctx, cancel := context.WithCancel(t.Context())
	outcome, err := fill(ctx, func(seed.BankProgress) error {
		cancel()
		return nil
	})
	fails(t, seed.ErrCancelled, err)
	if outcome != seed.Cancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", outcome, err)
	}
	if outcome, err := fill(t.Context(), func(seed.BankProgress) error { return seed.Stop }); outcome != seed.Cancelled || err != nil {
		t.Errorf("%v, %v", outcome, err)
	}
	if found, _ := panicOf(func() {
		_, _ = fill(t.Context(), func(seed.BankProgress) error { panic("on purpose") })
	}).(*seed.PanicError); found == nil || found.Value != "on purpose" {
		t.Errorf("the panic is %v", found)
	}
	if outcome, err := fill(t.Context(), nil); outcome != seed.Finished || err != nil {
		t.Errorf("%v, %v", outcome, err)
	}
}

func TestWrongBanksAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bank")
	fails(t, seed.ErrIO, second(seed.OpenBank(file, nil)))
	ok(t, os.WriteFile(file, []byte("no bank, but long enough: "+strings.Repeat("x", 10000)), 0o600))
	fails(t, seed.ErrFormat, second(seed.OpenBank(file, nil)))
	closed(t, second(seed.OpenBank(file, &seed.Teacher{})))
	fails(t, seed.ErrInvalidArgument, second(seed.OpenBank("a\x00b", nil)))
	fails(t, seed.ErrInvalidArgument, second(seed.PredictBankSize(0, 1, 1)))
	fails(t, seed.ErrInvalidArgument, second(seed.PredictBankSize(math.MaxUint64, 1, 1)))
}
