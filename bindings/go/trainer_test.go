package seed_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"testing"
	"time"

	seed "libseed/bindings/go"
)

func TestRunFinishes(t *testing.T) {
	config := smallConfig(t)
	trainer := newTrainer(t, config)
	var steps []uint64
	outcome, err := trainer.Run(t.Context(), 0, func(p seed.Progress) error {
		steps = append(steps, p.Step)
		if p.Step == 0 { // comes before the first step
			if p.TotalSteps != 6 || !math.IsNaN(p.Loss) || p.ETA != math.MaxInt64 || p.ImagesPerSecond != 0 {
				t.Errorf("the first report is %+v", p)
			}
			return nil
		}
		if !math.IsNaN(p.ProbeAgreement) || !math.IsNaN(p.ProbeRecall) || p.ProbeStep != 0 {
			t.Errorf("eight frames are too few for a probe: %+v", p)
		}
		if p.TotalSteps != 6 || math.IsNaN(p.Loss) || p.LearningRate <= 0 || p.ImagesPerSecond <= 0 || p.Elapsed <= 0 ||
			p.ETA < 0 || p.WaitingShare < 0 || p.WaitingShare > 1 || p.Epoch != p.Step/2 || p.SkippedImages != 0 {
			t.Errorf("progress %+v", p)
		}
		_, _, err := trainer.Position()
		fails(t, seed.ErrBusy, err)
		_, err = trainer.Run(t.Context(), 1, nil)
		fails(t, seed.ErrBusy, err)
		return nil
	})
	ok(t, err)
	if outcome != seed.Finished || len(steps) != 7 || steps[0] != 0 || steps[6] != 6 {
		t.Errorf("%v after %v", outcome, steps)
	}
	step, total, err := trainer.Position()
	ok(t, err)
	if step != 6 || total != 6 {
		t.Errorf("step %d of %d", step, total)
	}
}

func TestRunPausesAndStops(t *testing.T) {
	trainer := newTrainer(t, smallConfig(t))
	if outcome, err := trainer.Run(t.Context(), 2, nil); outcome != seed.Paused || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
	after := func(err error) func(seed.Progress) error { // ends the run after a step
		return func(p seed.Progress) error {
			if math.IsNaN(p.Loss) {
				return nil
			}
			return err
		}
	}
	if outcome, err := trainer.Run(t.Context(), 0, after(seed.Stop)); outcome != seed.Cancelled || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
	enough := errors.New("enough")
	if outcome, err := trainer.Run(t.Context(), 0, after(enough)); outcome != seed.Cancelled || err != enough {
		t.Fatalf("%v, %v", outcome, err)
	}
	if step, _, err := trainer.Position(); step != 4 || err != nil {
		t.Fatalf("step %d, %v", step, err)
	}
}

func TestContextEndsRun(t *testing.T) {
	config := smallConfig(t)
	ok(t, config.SetInt("steps", 1_000_000))
	trainer := newTrainer(t, config)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	outcome, err := trainer.Run(ctx, 0, func(p seed.Progress) error {
		if p.Step > 0 {
			t.Error("a step was made")
		}
		return nil
	})
	fails(t, seed.ErrCancelled, err)
	if outcome != seed.Cancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", outcome, err)
	}

	ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = trainer.Run(ctx, 0, nil)
	fails(t, seed.ErrCancelled, err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}

	lunch := errors.New("lunch")
	ctx, because := context.WithCancelCause(t.Context())
	_, err = trainer.Run(ctx, 0, func(seed.Progress) error {
		because(lunch)
		return nil
	})
	fails(t, seed.ErrCancelled, err)
	if !errors.Is(err, lunch) {
		t.Errorf("%v", err)
	}
	_, err = trainer.Run(nil, 0, nil) //nolint:staticcheck // that is the test
	fails(t, seed.ErrInvalidArgument, err)
}

func TestSaveAndResume(t *testing.T) {
	config := smallConfig(t)
	trainer := newTrainer(t, config)
	_, err := trainer.Run(t.Context(), 3, nil)
	ok(t, err)
	folder := filepath.Join(t.TempDir(), "checkpoint")
	ok(t, trainer.Save(folder))
	_, err = trainer.Run(t.Context(), 0, nil)
	ok(t, err)
	ok(t, trainer.Resume(folder))
	if step, _, err := trainer.Position(); step != 3 || err != nil {
		t.Errorf("step %d, %v", step, err)
	}
	fails(t, seed.ErrIO, trainer.Resume("/no/such/checkpoint"))
}

func TestStepOnOwnImages(t *testing.T) {
	config := smallConfig(t)
	queue := must[*seed.Queue](t)(seed.NewQueue(8, dim, 1))
	defer queue.Close()
	teacher, student := newTeacher(t, config), newStudent(t, config)
	trainer := must[*seed.Trainer](t)(seed.NewTrainer(config, student, teacher, queue, nil))
	defer trainer.Close()
	loss := must[float64](t)(trainer.Step(stripes(3, 24, 20), gradient(50, 40)))
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		t.Errorf("loss %v", loss)
	}
	deep := seed.Mono16Frame(make([]uint16, 400), 20, 20)
	must[float64](t)(trainer.StepFrames(deep, deep))
	if length := must[int](t)(queue.Length()); length != 4 {
		t.Errorf("%d rows in the queue", length)
	}
	_, err := trainer.Step()
	fails(t, seed.ErrInvalidArgument, err)
	_, err = trainer.Run(t.Context(), 0, nil)
	fails(t, seed.ErrInvalidArgument, err)
}

func TestTrainerNeedsOneWidth(t *testing.T) {
	config := smallConfig(t)
	teacher := newTeacher(t, config)
	if width := must[int](t)(teacher.Dim()); width != dim {
		t.Fatalf("the teacher's width is %d", width)
	}
	if count := must[int64](t)(teacher.ParameterCount()); count < 1000 {
		t.Errorf("%d parameters", count)
	}
	ok(t, config.SetInt("embedding_dim", 8))
	_, err := seed.NewTrainer(config, newStudent(t, config), teacher, nil, nil)
	fails(t, seed.ErrMismatch, err)
	_, err = seed.LoadTeacher("/no/such/file", "resnet18", config)
	fails(t, seed.ErrIO, err)
	_, err = seed.NewStudent("mobilenet_v9", config)
	fails(t, seed.ErrInvalidArgument, err)
}

func TestStudentLearnsWithoutATeacher(t *testing.T) {
	config := smallConfig(t)
	images := must[*seed.Dataset](t)(seed.OpenFolder(imageFolder(t, 8)))
	t.Cleanup(func() { images.Close() })
	_, err := seed.NewTrainer(config, newStudent(t, config), nil, nil, images)
	fails(t, seed.ErrInvalidArgument, err)
	for _, method := range []string{"moco_v2", "simclr", "swav"} {
		ok(t, config.SetString("method", method))
		student := newStudent(t, config)
		trainer := must[*seed.Trainer](t)(seed.NewTrainer(config, student, nil, nil, images))
		losses := 0
		outcome, err := trainer.Run(t.Context(), 0, func(p seed.Progress) error {
			if p.Loss > 0 {
				losses++
			}
			return nil
		})
		if outcome != seed.Finished || err != nil || losses != 6 {
			t.Errorf("%s: %v, %v, %d losses", method, outcome, err, losses)
		}
		ok(t, trainer.Close())
		// It becomes a teacher.
		file := filepath.Join(t.TempDir(), "teacher.safetensors")
		ok(t, student.Save(file))
		teacher := must[*seed.Teacher](t)(seed.LoadTeacher(file, "mobilenet_v3_small", config))
		ok(t, teacher.Close())
		_, err = seed.NewTrainer(config, newStudent(t, config), newTeacher(t, config), nil, images)
		fails(t, seed.ErrInvalidArgument, err)
	}
}

func TestPartsMayBeClosedDuringARun(t *testing.T) {
	config := smallConfig(t)
	trainer := newTrainer(t, config)
	outcome, err := trainer.Run(t.Context(), 0, func(p seed.Progress) error {
		if p.Step == 2 {
			ok(t, trainer.Close())
			ok(t, config.Close())
		}
		return nil
	})
	if outcome != seed.Finished || err != nil {
		t.Errorf("%v, %v", outcome, err)
	}
	_, _, err = trainer.Position()
	if !errors.Is(err, seed.ErrClosed) {
		t.Errorf("%v", err)
	}
}
