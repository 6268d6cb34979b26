package seed_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"math"
	"path/filepath"
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

func TestSegmenter(t *testing.T) {
	config := smallConfig(t)
	student := resnet(t, config)
	labelled, pictures := labelledStripes(t)
	masks := make([]*image.Gray, len(labelled.Labels))
	for i := range masks {
		bounds := pictures[i].Bounds()
		masks[i] = image.NewGray(image.Rect(0, 0, bounds.Dx(), bounds.Dy()))
		for at := range masks[i].Pix {
			if at%bounds.Dx() < bounds.Dx()/2 {
				masks[i].Pix[at] = 1
			}
		}
	}
	masks[0] = nil // has none
	names := []string{"right", "left"}
	segmenter := must[*seed.Segmenter](t)(seed.FitSegmenter(t.Context(), config, student, labelled.Images, masks, names, nil))
	if count := must[int](t)(segmenter.ClassCount()); count != 2 {
		t.Errorf("there are %d classes", count)
	}
	if warnings := must[[]string](t)(segmenter.Warnings()); len(warnings) != 0 {
		t.Errorf("it warns of %v", warnings)
	}
	found := must[seed.Segmented](t)(segmenter.Segment(pictures[1]))
	if len(found.Classes) != len(masks[1].Pix) || len(found.Confidences) != len(found.Classes) {
		t.Fatalf("%d classes for %d pixels", len(found.Classes), len(masks[1].Pix))
	}
	mean, ious, err := seed.MaskOverlap(found.Classes, masks[1].Pix, 2)
	ok(t, err)
	if len(ious) != 2 || math.Abs(mean-(ious[0]+ious[1])/2) > 1e-9 {
		t.Errorf("the overlap is %v of %v", mean, ious)
	}
	path := filepath.Join(t.TempDir(), "segmenter.safetensors")
	ok(t, segmenter.Save(path))
	opened := must[*seed.Segmenter](t)(seed.OpenSegmenter(path, config))
	if again := must[seed.Segmented](t)(opened.Segment(pictures[1])); !bytes.Equal(again.Classes, found.Classes) {
		t.Error("the opened segmenter gives other classes")
	}
	if about := must[string](t)(opened.Describe()); !strings.Contains(about, `"left"`) {
		t.Errorf("it says %s", about)
	}
	spread := must[seed.SegmentationResult](t)(seed.EvaluateSegmentation(t.Context(), config, student, labelled.Images, masks, 2, seed.ProtocolOptions{Splits: 2}))
	if len(spread.IoUs) != 2 || spread.MeanIoUMean <= 0 || spread.AccuracyMean <= 0 {
		t.Errorf("it found %+v", spread)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err = seed.FitSegmenter(ended, config, student, labelled.Images, masks, names, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gives %v", err)
	}
	trouble := errors.New("enough")
	_, err = seed.FitSegmenter(t.Context(), config, student, labelled.Images, masks, names, func(int, int) error { return trouble })
	if !errors.Is(err, trouble) {
		t.Errorf("the callback's error became %v", err)
	}
	_, err = seed.FitSegmenter(t.Context(), config, student, labelled.Images, masks[1:], names, nil)
	fails(t, seed.ErrInvalidArgument, err)
	_, _, err = seed.MaskOverlap([]byte{0}, nil, 2)
	fails(t, seed.ErrInvalidArgument, err)
	ok(t, opened.Close())
	_, err = opened.Segment(pictures[1])
	fails(t, seed.ErrInvalidArgument, err)
	ok(t, segmenter.Close())
}
