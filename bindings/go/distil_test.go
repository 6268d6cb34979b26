package seed_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	seed "libseed/bindings/go"
)

// fewSettings are those that keep a run small; the plan chooses the rest.
func fewSettings(t *testing.T) *seed.Config {
	t.Helper()
	config := must[*seed.Config](t)(seed.NewConfig())
	t.Cleanup(func() { config.Close() })
	for key, value := range map[string]int64{"image_width": side, "image_height": side, "batch_size": 8, "workers": 1} {
		ok(t, config.SetInt(key, value))
	}
	ok(t, config.SetString("precision", "fp32"))
	ok(t, config.SetString("device", "cpu"))
	return config
}

// classesOfFrames holds 48 frames in folders of two classes.
func classesOfFrames(t *testing.T) *seed.Dataset {
	t.Helper()
	images := must[*seed.Dataset](t)(seed.NewDataset())
	t.Cleanup(func() { images.Close() })
	for i := range 48 {
		name := fmt.Sprintf("%s/%d", []string{"narrow", "wide"}[i%2], i)
		picture := stripes(2+i%2*7, 40, 36)
		for j := range picture.Pix {
			picture.Pix[j] -= uint8(i / 2)
		}
		must[int](t)(images.Push(picture, name))
	}
	return images
}

func TestDistil(t *testing.T) {
	config, images := fewSettings(t), classesOfFrames(t)
	teacher := newTeacher(t, smallConfig(t))
	weights := filepath.Join(t.TempDir(), "weights.safetensors")
	ok(t, newStudent(t, smallConfig(t)).Save(weights))
	folder := filepath.Join(t.TempDir(), "out")
	distil := func(ctx context.Context, progress func(seed.DistilProgress) error) (*seed.Distilled, error) {
		return seed.Distil(ctx, images, teacher, "mobilenet_v3_small", 3*time.Second, folder, seed.DistilWith(config),
			seed.DistilFrom(weights), seed.DistilReporting(progress))
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := distil(ended, nil); !errors.Is(err, seed.ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Fatalf("the context's end became %v", err)
	}
	trouble := errors.New("enough")
	if _, err := distil(t.Context(), func(seed.DistilProgress) error { return trouble }); !errors.Is(err, trouble) {
		t.Fatalf("the callback's error became %v", err)
	}
	begun := must[*seed.Distilled](t)(distil(t.Context(), func(p seed.DistilProgress) error {
		if p.Stage != seed.DistilPlan || !math.IsNaN(p.Loss) || !math.IsNaN(p.ProbeAgreement) {
			t.Errorf("the first report is %+v", p)
		}
		return seed.Stop
	}))
	if summary := must[seed.DistilSummary](t)(begun.Summary()); summary.Outcome != seed.Cancelled || summary.Steps != 0 ||
		!math.IsNaN(summary.AgreementAfter) {
		t.Errorf("Stop gives %+v", summary)
	}
	ok(t, begun.Close())
	if _, err := os.Stat(filepath.Join(folder, "student.safetensors")); !os.IsNotExist(err) {
		t.Errorf("a student of a call that was stopped: %v", err)
	}

	var last seed.DistilProgress
	distilled := must[*seed.Distilled](t)(distil(t.Context(), func(p seed.DistilProgress) error {
		if p.Stage < last.Stage || p.Done > p.Total || p.Elapsed < last.Elapsed {
			t.Errorf("%+v after %+v", p, last)
		}
		last = p
		return nil
	}))
	summary := must[seed.DistilSummary](t)(distilled.Summary())
	if summary.Outcome != seed.Finished || summary.Images != 48 || summary.Classes != 2 || summary.Steps == 0 ||
		summary.RecallChance != .5 || math.IsNaN(summary.RecallAfter) || math.IsNaN(summary.AgreementBefore) ||
		summary.Duration <= 0 {
		t.Errorf("the summary is %+v", summary)
	}
	if last.Stage != seed.DistilReport || last.ProbeAgreement < 0 || last.Stage.String() != "report" {
		t.Errorf("the last report is %+v", last)
	}
	must[[]string](t)(distilled.Warnings())
	settings := must[*seed.Config](t)(seed.ConfigFromJSON(must[string](t)(distilled.Settings())))
	defer settings.Close()
	if size := must[int64](t)(settings.GetInt("batch_size")); size != 8 {
		t.Errorf("batch_size is %d", size)
	}
	student := must[*seed.Student](t)(distilled.Student())
	defer student.Close()
	ok(t, distilled.Close())
	if width := must[int](t)(student.Dim()); width != dim {
		t.Errorf("the student's width is %d, not its teacher's", width)
	}
	closed(t, second(distilled.Student()))
	closed(t, second(distilled.Summary()))
	closed(t, second(distilled.Warnings()))
	closed(t, second(distilled.Settings()))
	session := must[*seed.Session](t)(seed.OpenSession(filepath.Join(folder, "student.safetensors"), config))
	ok(t, session.Close())
}

func TestDistilRefuses(t *testing.T) {
	images, teacher, folder := classesOfFrames(t), newTeacher(t, smallConfig(t)), t.TempDir()
	distil := func(images *seed.Dataset, architecture, folder string, duration time.Duration, options ...seed.DistilOption) error {
		return second(seed.Distil(t.Context(), images, teacher, architecture, duration, folder, options...))
	}
	fails(t, seed.ErrInvalidArgument, distil(images, "mobilenet_v9", folder, time.Minute))
	fails(t, seed.ErrInvalidArgument, distil(images, "resnet18", folder, time.Second/2))
	fails(t, seed.ErrInvalidArgument, distil(images, "resnet18", "a\x00b", time.Minute))
	fails(t, seed.ErrIO, distil(images, "resnet18", folder, time.Minute, seed.DistilFrom("/no/such/file")))
	fails(t, seed.ErrInvalidArgument, distil(images, "resnet18", folder, time.Minute, seed.DistilFrom("")))
	closed(t, distil(images, "resnet18", folder, time.Minute, seed.DistilWith(nil)))
	closed(t, distil(nil, "resnet18", folder, time.Minute))
	closed(t, second(seed.Distil(t.Context(), images, nil, "resnet18", time.Minute, folder)))
	fails(t, seed.ErrInvalidArgument, second(seed.Distil(nil, images, teacher, "resnet18", time.Minute, folder))) //nolint:staticcheck // that is the test
}

func TestPresetAndPlan(t *testing.T) {
	config, images, teacher := fewSettings(t), classesOfFrames(t), newTeacher(t, smallConfig(t))
	fails(t, seed.ErrConfig, config.Preset("sight"))
	fails(t, seed.ErrInvalidArgument, config.Plan(images, teacher, "mobilenet_v3_small", time.Second/2, false))
	closed(t, config.Plan(images, nil, "mobilenet_v3_small", time.Minute, false))
	if rate := must[float64](t)(config.GetFloat("learning_rate")); rate != .03 {
		t.Errorf("learning_rate is %v", rate)
	}
	ok(t, config.Plan(images, teacher, "mobilenet_v3_small", 3*time.Second, true))
	if rate, rows := must[float64](t)(config.GetFloat("learning_rate")), must[int64](t)(config.GetInt("queue_capacity")); rate != .05 ||
		rows != 48 || must[int64](t)(config.GetInt("image_width")) != side {
		t.Errorf("learning_rate is %v, queue_capacity %d", rate, rows)
	}
	ok(t, config.Preset("site"))
	if rate := must[float64](t)(config.GetFloat("learning_rate")); rate != .2 {
		t.Errorf("learning_rate is %v", rate)
	}
}
