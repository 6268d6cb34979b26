package seed_test

import (
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	seed "libseed/bindings/go"
)

// closed wants the error of an object that is nil or closed.
func closed(t *testing.T, err error) {
	t.Helper()
	fails(t, seed.ErrInvalidArgument, err)
	if !errors.Is(err, seed.ErrClosed) {
		t.Fatalf("%v does not match ErrClosed", err)
	}
}

func second[A any](_ A, err error) error { return err }

func third[A, B any](_ A, _ B, err error) error { return err }

// useClosed calls every method.
func useClosed(t *testing.T, config *seed.Config, images *seed.Dataset, teacher *seed.Teacher, student *seed.Student,
	queue *seed.Queue, bank *seed.Bank, trainer *seed.Trainer, session *seed.Session, report *seed.Report) {
	t.Helper()
	rows := seed.Embeddings{Values: []float32{1}, Dim: 1}
	for _, err := range []error{
		config.SetInt("epochs", 1), config.SetFloat("epochs", 1), config.SetString("device", ""),
		second(config.GetInt("epochs")), second(config.GetFloat("epochs")), second(config.GetString("device")),
		second(config.JSON()),
		second(images.Push(stripes(2, 8, 8), "")), second(images.Count()), second(images.Name(0)), second(images.Skipped()),
		second(images.PushEncoded(nil, "a")), second(images.Pixels(0)),
		second(seed.LoadTeacher("a", "b", config)), second(teacher.Dim()), second(teacher.ParameterCount()),
		second(seed.NewStudent("a", config)), second(seed.LoadStudent("a", config)), student.Save("a"),
		second(student.Dim()), second(student.ParameterCount()),
		queue.Save("a"), queue.Push(rows), second(queue.Length()), second(queue.Capacity()), second(queue.Dim()),
		second(queue.Similarities(rows)), second(queue.Nearest(rows, 1)), second(queue.Rows(0, 1)), second(queue.Snapshot()),
		queue.Restore(queue),
		second(seed.FillBank(t.Context(), "a", config, teacher, images, 0, nil)), bank.Verify(), third(bank.Rows()),
		second(bank.Dim()), second(bank.Images()), second(bank.Views()), second(bank.Header()),
		second(seed.TeacherFromBank(bank)),
		second(seed.NewTrainer(config, student, teacher, queue, images)), second(trainer.Run(t.Context(), 1, nil)),
		second(trainer.Start(t.Context(), 1).Wait()), second(trainer.Step(stripes(2, 8, 8))), third(trainer.Position()),
		trainer.Save("a"), trainer.Resume("a"),
		second(seed.OpenSession("a", config)), second(seed.SessionFromStudent(student, config)),
		second(seed.SessionFromTeacher(teacher, config)), second(session.Describe()), second(session.Engine()), second(session.Dim()),
		second(session.ParameterCount()), second(session.Embed()), second(session.EmbedInto(nil)),
		session.Swap(session), second(session.EmbedDLPack(nil)),
		second(session.EmbedDataset(t.Context(), images, nil)),
		report.AddParagraph("a"), report.AddTable("a", []string{"a"}, nil), report.AddPoint(seed.Chart{}, "a", 1, 1),
		report.AddNeighbours("a", images, nil, seed.Found{}, seed.Found{}), report.Write("a"),
	} {
		closed(t, err)
	}
	for _, object := range []io.Closer{config, images, teacher, student, queue, bank, trainer, session, report} {
		ok(t, object.Close())
	}
}

func TestNilObjects(t *testing.T) {
	useClosed(t, nil, nil, nil, nil, nil, nil, nil, nil, nil)
}

func TestZeroObjects(t *testing.T) {
	useClosed(t, &seed.Config{}, &seed.Dataset{}, &seed.Teacher{}, &seed.Student{}, &seed.Queue{}, &seed.Bank{},
		&seed.Trainer{}, &seed.Session{}, &seed.Report{})
}

func TestClosedObjects(t *testing.T) {
	before := seed.OpenObjects()
	config := must[*seed.Config](t)(seed.NewConfig())
	ok(t, config.SetInt("steps", 3))
	ok(t, config.SetInt("embedding_dim", dim))
	ok(t, config.SetInt("image_width", side))
	ok(t, config.SetInt("image_height", side))
	ok(t, config.SetString("device", "cpu"))
	images := must[*seed.Dataset](t)(seed.NewDataset())
	queue := must[*seed.Queue](t)(seed.NewQueue(4, dim, 0))
	student := must[*seed.Student](t)(seed.NewStudent("mobilenet_v3_small", config))
	file := t.TempDir() + "/teacher.safetensors"
	ok(t, student.Save(file))
	teacher := must[*seed.Teacher](t)(seed.LoadTeacher(file, "mobilenet_v3_small", config))
	trainer := must[*seed.Trainer](t)(seed.NewTrainer(config, student, teacher, queue, images))
	bank := fullBank(t, config, teacher)
	session := must[*seed.Session](t)(seed.SessionFromStudent(student, config))
	report := must[*seed.Report](t)(seed.NewReport("a title"))
	for _, object := range []io.Closer{config, images, teacher, student, queue, bank, trainer, session, report} {
		ok(t, object.Close())
		ok(t, object.Close())
	}
	if left := seed.OpenObjects() - before; left != 0 {
		t.Errorf("%d objects are still there", left)
	}
	useClosed(t, config, images, teacher, student, queue, bank, trainer, session, report)
}

func TestForgottenObjectsAreFreed(t *testing.T) {
	before := seed.OpenObjects()
	for range 300 {
		must[*seed.Queue](t)(seed.NewQueue(64, 64, 0))
		must[*seed.Config](t)(seed.NewConfig())
		must[*seed.Dataset](t)(seed.NewDataset())
	}
	// Objects of other tests may be freed meanwhile.
	collectUntil(t, func() bool { return seed.OpenObjects() <= before })
}

// A collection during a call must not take the object from under it.
func TestCollectionDuringCalls(t *testing.T) {
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	rows := seed.Embeddings{Values: make([]float32, 64*256), Dim: 256}
	for range 100 {
		// Nothing refers to the queue once the call has begun.
		ok(t, must[*seed.Queue](t)(seed.NewQueue(128, 256, 0)).Push(rows))
	}
	close(stop)
	group.Wait()
}

func TestCloseDuringCalls(t *testing.T) {
	for range 20 {
		queue := must[*seed.Queue](t)(seed.NewQueue(128, 64, 0))
		rows := seed.Embeddings{Values: make([]float32, 64*64), Dim: 64}
		var group sync.WaitGroup
		var calls atomic.Int64
		for range 4 {
			group.Add(2)
			go func() {
				defer group.Done()
				for {
					if err := queue.Push(rows); err != nil {
						if !errors.Is(err, seed.ErrClosed) {
							t.Error(err)
						}
						return
					}
					calls.Add(1)
				}
			}()
			go func() {
				defer group.Done()
				for calls.Load() < 5 {
					runtime.Gosched()
				}
				queue.Close()
			}()
		}
		group.Wait()
	}
}

// Contexts that outlive many runs must not gather tokens or goroutines.
func TestRunsLeaveNothingBehind(t *testing.T) {
	config := smallConfig(t)
	ok(t, config.SetInt("steps", 1000))
	trainer := newTrainer(t, config)
	ctx := t.Context()
	if _, err := trainer.Run(ctx, 1, func(seed.Progress) error { return nil }); err != nil {
		t.Fatal(err)
	}
	objects, goroutines := seed.OpenObjects(), runtime.NumGoroutine()
	for range 20 {
		if _, err := trainer.Run(ctx, 1, func(seed.Progress) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	collectUntil(t, func() bool { return seed.OpenObjects() <= objects && runtime.NumGoroutine() <= goroutines })
}
