package seed_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"testing"

	seed "libseed/bindings/go"
)

func TestNight(t *testing.T) {
	config := smallConfig(t)
	student := must[*seed.Student](t)(seed.NewStudent("resnet10_w0.25", config))
	t.Cleanup(func() { student.Close() })
	session := must[*seed.Session](t)(seed.SessionFromStudent(student, config))
	t.Cleanup(func() { session.Close() })
	store, _ := newStore(t, seed.StoreOptions{})
	for i := range 60 {
		entry := seed.StoreEntry{}
		if i%2 == 0 {
			entry.Label = &seed.StoreLabel{Class: int64(i / 2 % 2), Text: []string{"narrow", "wide"}[i/2%2]}
		}
		picture := stripes([]int{2, 9}[i/2%2], 40, 36)
		for j := range picture.Pix {
			picture.Pix[j] -= uint8(i)
		}
		must[int64](t)(store.Push(picture, entry, seed.WaitForever))
	}
	ok(t, store.Flush())
	folder := filepath.Join(t.TempDir(), "station")
	// Whatever six steps bring, and whatever else the machine does.
	night := seed.Night{Config: config, Store: store, Teacher: newTeacher(t, config), Folder: folder, Session: session,
		Options: seed.NightOptions{MinNewFrames: 20, HeldOut: .4, K: 3, KLMargin: 1e12, OverlapMargin: 1, LatencyFactor: 1e6}}
	_, err := seed.DescribeNight(folder)
	fails(t, seed.ErrIO, err)
	_, err = night.Run(t.Context())
	fails(t, seed.ErrInvalidArgument, err)
	night.First = student

	ended, end := context.WithCancel(t.Context())
	end()
	if _, err = night.Run(ended); !errors.Is(err, seed.ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Fatalf("the context's end became %v", err)
	}
	trouble := errors.New("enough")
	night.Progress = func(progress seed.NightProgress) error {
		if progress.Stage == seed.NightEvaluate {
			return trouble
		}
		return nil
	}
	if _, err = night.Run(t.Context()); !errors.Is(err, trouble) {
		t.Fatalf("the callback's error became %v", err)
	}
	night.Progress = func(seed.NightProgress) error { return seed.Stop }
	result := must[seed.NightResult](t)(night.Run(t.Context()))
	if result.Outcome != seed.NightCancelled || !math.IsNaN(result.KLNew) {
		t.Errorf("Stop gives %+v", result)
	}
	var last seed.NightProgress
	night.Progress = func(progress seed.NightProgress) error {
		last = progress
		return nil
	}
	result = must[seed.NightResult](t)(night.Run(t.Context()))
	if result.Outcome != seed.NightLive || result.Night != 1 || result.NewFrames != 60 || result.Reason != "" ||
		result.LabelledFrames == 0 || math.IsNaN(result.ClassifierRecall) || last.Stage != seed.NightReport {
		t.Errorf("the night ended with %+v after %+v", result, last)
	}
	result = must[seed.NightResult](t)(night.Run(t.Context()))
	if result.Outcome != seed.NightNothingNew || result.Reason == "" {
		t.Errorf("another night ended with %+v", result)
	}
	ok(t, seed.RestoreNight(folder, config, session))
	var said struct {
		Nights   int
		Live     struct{ Night int }
		Previous struct{ Night int }
	}
	ok(t, json.Unmarshal([]byte(must[string](t)(seed.DescribeNight(folder))), &said))
	if said.Nights != 1 || said.Live.Night != 0 || said.Previous.Night != 1 {
		t.Errorf("the folder says %+v", said)
	}
	night.Options.K = -1
	_, err = night.Run(t.Context())
	fails(t, seed.ErrInvalidArgument, err)
	night.Folder = "a\x00b"
	night.Options.K = 0
	_, err = night.Run(t.Context())
	fails(t, seed.ErrInvalidArgument, err)
	night.Store = nil
	_, err = night.Run(t.Context())
	fails(t, seed.ErrInvalidArgument, err)
}
