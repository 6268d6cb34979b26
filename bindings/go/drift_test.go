package seed_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	seed "libseed/bindings/go"
)

// cloud is normal noise around a direction.
func cloud(count int, towards int, random *rand.Rand) seed.Embeddings {
	rows := seed.Embeddings{Values: make([]float32, count*8), Dim: 8}
	for i := range rows.Values {
		rows.Values[i] = float32(random.NormFloat64()) / 4
		if i%8 == towards {
			rows.Values[i]++
		}
	}
	return rows
}

func TestDrift(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	drift := must[*seed.Drift](t)(seed.NewDrift(cloud(200, 0, random)))
	defer drift.Close()
	same, other := cloud(40, 0, random), cloud(40, 3, random)
	calm, alarmed := must[seed.DriftSignal](t)(drift.Measure(same)), must[seed.DriftSignal](t)(drift.Measure(other))
	if alarmed.Energy <= alarmed.Threshold || !alarmed.Raised || alarmed.Outside < .5 || alarmed.PValue > .01 {
		t.Errorf("another cloud gives %+v", alarmed)
	}
	if calm.Energy >= alarmed.Energy/4 || calm.Raised != (calm.Energy > calm.Threshold) || calm.Nearest >= alarmed.Nearest ||
		calm.NearestReference != alarmed.NearestReference {
		t.Errorf("the same cloud gives %+v", calm)
	}
	path := filepath.Join(t.TempDir(), "drift.safetensors")
	ok(t, drift.Save(path))
	again := must[*seed.Drift](t)(seed.LoadDrift(path))
	defer again.Close()
	if found := must[seed.DriftSignal](t)(again.Measure(other)); math.Abs(found.Energy-alarmed.Energy) > 1e-6 {
		t.Errorf("%+v, was %+v", found, alarmed)
	}
	_, err := again.Measure(seed.Embeddings{Values: make([]float32, 40), Dim: 4})
	fails(t, seed.ErrMismatch, err)
	_, err = seed.NewDrift(cloud(5, 0, random))
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.LoadDrift(path + ".none")
	fails(t, seed.ErrIO, err)
	ok(t, again.Close())
	if _, err := again.Measure(other); !errors.Is(err, seed.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestFidelity(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	teacher, queue, other := cloud(60, 0, random), cloud(100, 0, random), cloud(60, 3, random)
	best := must[seed.Fidelity](t)(seed.MeasureFidelity(teacher, teacher, queue, seed.FidelityOptions{K: 5, TemperatureStudent: .1,
		TemperatureTeacher: .1}))
	// The teacher is its own best student.
	if best.Frames != 60 || best.K != 5 || best.Queue != 100 || best.TemperatureStudent != .1 || math.Abs(best.KL.Value) > 1e-6 ||
		best.Overlap.Value != 1 || math.Abs(best.Cosine.Value-1) > 1e-6 {
		t.Errorf("the teacher by itself: %+v", best)
	}
	worst := must[seed.Fidelity](t)(seed.MeasureFidelity(other, teacher, queue, seed.FidelityOptions{K: 5, TemperatureStudent: .1,
		TemperatureTeacher: .1}))
	if worst.KL.Low > worst.KL.Value || worst.KL.High < worst.KL.Value {
		t.Errorf("an interval of %+v", worst.KL)
	}
	if worse := must[seed.Worse](t)(worst.WorseThan(best)); worse != (seed.Worse{KL: true, Overlap: true, Cosine: true}) {
		t.Errorf("worse are %+v", worse)
	}
	if worse := must[seed.Worse](t)(best.WorseThan(worst)); worse != (seed.Worse{}) {
		t.Errorf("the better is worse: %+v", worse)
	}
	otherwise := must[seed.Fidelity](t)(seed.MeasureFidelity(teacher, teacher, queue, seed.FidelityOptions{}))
	if otherwise.K != 10 || otherwise.TemperatureStudent != .2 || otherwise.TemperatureTeacher != .01 {
		t.Errorf("the defaults are %+v", otherwise)
	}
	_, err := otherwise.WorseThan(best)
	fails(t, seed.ErrMismatch, err)
	_, err = seed.MeasureFidelity(teacher, queue, queue, seed.FidelityOptions{})
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.MeasureFidelity(teacher, teacher, queue, seed.FidelityOptions{K: -1})
	fails(t, seed.ErrInvalidArgument, err)
}

func TestGate(t *testing.T) {
	config := smallConfig(t)
	labelled, _ := labelledStripes(t)
	var classes []int64
	for _, label := range labelled.Labels {
		classes = append(classes, int64(label))
	}
	same := tellingSession(t)
	candidates := seed.Candidates{Old: same, New: same, Teacher: same}
	seen := 0
	verdict := must[seed.GateVerdict](t)(seed.JudgeGate(t.Context(), candidates, labelled.Images, labelled.Images, classes,
		seed.GateOptions{K: 3, LatencyFactor: 100}, func(done, total int) error {
			seen = done
			return nil
		}))
	// A student that takes its own place is no worse.
	if !verdict.Passes || !verdict.KL.Holds || !verdict.Overlap.Holds || !verdict.Recall.Holds || !verdict.Latency.Holds ||
		verdict.KL.Old != verdict.KL.New || verdict.Overlap.Difference.Value != 0 || verdict.Latency.Old <= 0 {
		t.Errorf("the verdict on the same is %+v", verdict)
	}
	if seen == 0 {
		t.Error("nothing was counted")
	}
	// A fresh MobileNet gives nearly one vector for all, so the teacher's neighbours are lost.
	candidates.New = newSession(t, config)
	verdict = must[seed.GateVerdict](t)(seed.JudgeGate(t.Context(), candidates, labelled.Images, labelled.Images, classes,
		seed.GateOptions{K: 3}, nil))
	if verdict.Passes || verdict.Overlap.New >= verdict.Overlap.Old || verdict.Overlap.Holds {
		t.Errorf("the verdict on a fresh one is %+v", verdict)
	}
	trouble := errors.New("enough")
	_, err := seed.JudgeGate(t.Context(), candidates, labelled.Images, labelled.Images, classes, seed.GateOptions{},
		func(int, int) error { return trouble })
	if !errors.Is(err, trouble) {
		t.Errorf("the callback's error became %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	_, err = seed.JudgeGate(ended, candidates, labelled.Images, labelled.Images, classes, seed.GateOptions{}, nil)
	if !errors.Is(err, seed.ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("the context's end became %v", err)
	}
	_, err = seed.JudgeGate(t.Context(), candidates, labelled.Images, labelled.Images, classes[1:], seed.GateOptions{}, nil)
	fails(t, seed.ErrInvalidArgument, err)
	candidates.Old = nil
	_, err = seed.JudgeGate(t.Context(), candidates, labelled.Images, labelled.Images, classes, seed.GateOptions{}, nil)
	fails(t, seed.ErrInvalidArgument, err)
}
