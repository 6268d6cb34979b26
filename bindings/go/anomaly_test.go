package seed_test

import (
	"context"
	"encoding/json"
	"errors"
	"image"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

// goodPart is stripes of some brightness; a scratch is a white square in them.
func goodPart(number int, scratched bool) *image.Gray {
	picture := stripes(4, 64, 64)
	for i := range picture.Pix {
		picture.Pix[i] += uint8(number % 12)
		if x, y := i%64, i/64; scratched && x >= 40 && x < 56 && y >= 8 && y < 24 {
			picture.Pix[i] = 255
		}
	}
	return picture
}

func goodParts(t testing.TB, count int) *seed.Dataset {
	t.Helper()
	parts := must[*seed.Dataset](t)(seed.NewDataset())
	t.Cleanup(func() { parts.Close() })
	for i := range count {
		must[int](t)(parts.Push(goodPart(i, false), ""))
	}
	return parts
}

func TestAnomaly(t *testing.T) {
	config := smallConfig(t)
	ok(t, config.SetInt("image_width", 64))
	ok(t, config.SetInt("image_height", 64))
	student, parts := resnet(t, config), goodParts(t, 20)
	seen := 0
	anomaly := must[*seed.Anomaly](t)(seed.FitAnomaly(t.Context(), config, student, parts, func(done, total int) error {
		if total < 20 || done > total {
			t.Errorf("%d of %d", done, total)
		}
		seen = done
		return nil
	}))
	defer anomaly.Close()
	if seen == 0 {
		t.Error("nothing was counted")
	}
	threshold, rate, err := anomaly.Threshold()
	ok(t, err)
	// Of twenty parts four are held out.
	if !(threshold >= 0) || math.IsInf(float64(threshold), 0) || math.Abs(rate-.2) > 1e-9 {
		t.Errorf("the threshold is %v at a rate of %v", threshold, rate)
	}
	scores := must[[]seed.AnomalyScore](t)(anomaly.Score(goodPart(3, false), goodPart(3, true)))
	if !scores[1].Alarm || scores[1].Score <= scores[0].Score || scores[1].Alarm != (scores[1].Score > threshold) {
		t.Errorf("good and scratched: %+v, threshold %v", scores, threshold)
	}
	if none := must[[]seed.AnomalyScore](t)(anomaly.Score()); len(none) != 0 {
		t.Errorf("scores of nothing: %v", none)
	}
	found := must[seed.AnomalyMap](t)(anomaly.Map(goodPart(3, true)))
	if found.Width != 64 || found.Height != 64 || len(found.Distances) != 64*64 || !found.Alarm ||
		math.Abs(float64(found.Score-scores[1].Score)) > 1e-3*float64(found.Score) {
		t.Errorf("the map is %d × %d, %v", found.Width, found.Height, found.AnomalyScore)
	}
	frame := must[seed.Frame](t)(seed.FrameOf(goodPart(3, true)))
	painted := must[seed.Frame](t)(found.Picture(frame, float32(math.NaN()), float32(math.NaN())))
	decoded := must[seed.Frame](t)(seed.Decode(must[[]byte](t)(painted.PNG())))
	if painted.Width != 64 || painted.Format != seed.RGB8 || !slices.Equal(painted.Pix, decoded.Pix) {
		t.Errorf("the painted map is %d × %d", painted.Width, painted.Height)
	}
	ok(t, painted.SavePNG(filepath.Join(t.TempDir(), "map.png")))
	fails(t, seed.ErrIO, painted.SavePNG("/no/such/folder/map.png"))
	mask := make([]bool, 64*64)
	for i := range mask {
		x, y := i%64, i/64
		mask[i] = x >= 40 && x < 56 && y >= 8 && y < 24
	}
	// The scratch is where the map is high.
	if area := must[float64](t)(seed.AUROC(found.Distances, mask)); area < .8 {
		t.Errorf("the map finds the scratch with an AUROC of %v", area)
	}
	overlap := must[float64](t)(seed.RegionOverlap([]seed.DefectMap{{Scores: found.Distances, Defect: mask, Width: 64, Height: 64}}, .3))
	if overlap < .3 || overlap > 1 {
		t.Errorf("the overlap is %v", overlap)
	}

	// A single good part: the threshold comes of itself, and the warning says so.
	if all := must[[]string](t)(anomaly.Warnings()); len(all) != 1 || !strings.Contains(all[0], "too few") {
		t.Errorf("warnings of twenty parts: %q", all)
	}
	one := must[*seed.Anomaly](t)(seed.FitAnomaly(t.Context(), config, student, goodParts(t, 1), nil))
	defer one.Close()
	threshold, rate, err = one.Threshold()
	ok(t, err)
	if !(threshold > 0) || math.IsInf(float64(threshold), 0) || !math.IsNaN(rate) {
		t.Errorf("the threshold of one part is %v at a rate of %v", threshold, rate)
	}
	if all := must[[]string](t)(one.Warnings()); len(all) != 1 || !strings.HasPrefix(all[0], "none of the 1 good parts was held out") {
		t.Errorf("warnings of one part: %q", all)
	}

	path := filepath.Join(t.TempDir(), "good.safetensors")
	ok(t, anomaly.Save(path))
	again := must[*seed.Anomaly](t)(seed.OpenAnomaly(path, config))
	defer again.Close()
	for i, score := range must[[]seed.AnomalyScore](t)(again.Score(goodPart(3, false), goodPart(3, true))) {
		if score.Alarm != scores[i].Alarm || math.Abs(float64(score.Score-scores[i].Score)) > 1e-3 {
			t.Errorf("image %d: %+v, was %+v", i, score, scores[i])
		}
	}
	exported := filepath.Join(t.TempDir(), "good ü.onnx")
	ok(t, again.Export(exported, seed.InputBytes))
	model := must[*seed.Model](t)(seed.OpenModel(exported))
	defer model.Close()
	if info := must[seed.ModelInfo](t)(model.Info()); info.Head != seed.HeadNone {
		t.Errorf("the exported detector is %+v", info)
	}
	fails(t, seed.ErrInvalidArgument, again.Export(exported, 9))
	fails(t, seed.ErrIO, again.Export("/no/such/folder/good.onnx", seed.InputUnit))
	closed(t, (*seed.Anomaly)(nil).Export(exported, seed.InputUnit))
	held := func() int {
		var known struct {
			HeldOut int `json:"held_out"`
		}
		ok(t, json.Unmarshal([]byte(must[string](t)(again.Describe())), &known))
		return known.HeldOut
	}
	if before := held(); before != 4 {
		t.Errorf("%d are held out", before)
	}
	ok(t, again.Add(t.Context(), config, goodParts(t, 10), nil))
	if after := held(); after != 6 {
		t.Errorf("%d are held out after more parts", after)
	}
	_, err = seed.OpenAnomaly(path+".none", config)
	fails(t, seed.ErrIO, err)

	trouble := errors.New("enough")
	if _, err := seed.FitAnomaly(t.Context(), config, student, parts, func(int, int) error { return trouble }); !errors.Is(err, trouble) {
		t.Errorf("the callback's error became %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := again.Add(ended, config, parts, nil); !errors.Is(err, seed.ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("the context's end became %v", err)
	}
	if after := held(); after != 6 {
		t.Errorf("the cancelled addition has made it %d", after)
	}
	ok(t, again.Close())
	if _, err := again.Map(goodPart(1, false)); !errors.Is(err, seed.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestFeatureMaps(t *testing.T) {
	session := tellingSession(t)
	stages := must[[]seed.Stage](t)(session.Stages())
	if !slices.Equal(stages, []seed.Stage{{"layer1", 64, 4}, {"layer2", 128, 8}, {"layer3", 256, 16}, {"layer4", 512, 32}}) {
		t.Errorf("stages %+v", stages)
	}
	both := must[[]float32](t)(session.FeatureMap("layer2", stripes(3, 40, 36), gradient(32, 32)))
	if len(both) != 2*128*(side/8)*(side/8) {
		t.Fatalf("%d numbers", len(both))
	}
	alone := must[[]float32](t)(session.FeatureMap("layer2", gradient(32, 32)))
	for i, value := range alone {
		if math.Abs(float64(value-both[len(alone)+i])) > 1e-3 {
			t.Fatalf("number %d is %v alone and %v together", i, value, both[len(alone)+i])
		}
	}
	_, err := session.FeatureMap("layer9", gradient(32, 32))
	fails(t, seed.ErrInvalidArgument, err)
}

func TestMeasures(t *testing.T) {
	// Of four pairs of a positive and a negative three are in order, and one is half.
	if area := must[float64](t)(seed.AUROC([]float32{.9, .5, .5, .1}, []bool{true, true, false, false})); area != .875 {
		t.Errorf("the AUROC is %v", area)
	}
	_, err := seed.AUROC([]float32{1, 2}, []bool{true, true})
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.AUROC([]float32{1, 2}, []bool{true})
	fails(t, seed.ErrInvalidArgument, err)
	perfect := seed.DefectMap{Scores: []float32{0, 0, 1, 0, 0, 0}, Defect: []bool{false, false, true, false, false, false}, Width: 3, Height: 2}
	if overlap := must[float64](t)(seed.RegionOverlap([]seed.DefectMap{perfect, perfect}, .3)); math.Abs(overlap-1) > 1e-9 {
		t.Errorf("the overlap of a perfect map is %v", overlap)
	}
	perfect.Height = 3
	_, err = seed.RegionOverlap([]seed.DefectMap{perfect}, .3)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.RegionOverlap(nil, .3)
	fails(t, seed.ErrInvalidArgument, err)

	features := seed.Embeddings{Dim: 2}
	var labels []int64
	for i := range 30 {
		tilt := float32(i) / 100
		if i%2 == 0 {
			features.Values = append(features.Values, 1, tilt)
		} else {
			features.Values = append(features.Values, tilt, 1)
		}
		labels = append(labels, int64(i%2))
	}
	labels[4] = -1
	result := must[seed.LinearResult](t)(seed.Linear(t.Context(), features, labels, seed.LinearOptions{Splits: 3}))
	if result.AccuracyMean != 1 || result.BalancedRecallMean != 1 || result.AUROCMean != 1 || result.AccuracyDeviation != 0 ||
		!slices.Equal(result.Recalls, []float64{1, 1}) {
		t.Errorf("the result is %+v", result)
	}
	_, err = seed.Linear(t.Context(), features, labels[1:], seed.LinearOptions{})
	fails(t, seed.ErrInvalidArgument, err)
	labels[0] = math.MaxInt32
	_, err = seed.Linear(t.Context(), features, labels, seed.LinearOptions{})
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.Linear(t.Context(), features, labels, seed.LinearOptions{Splits: -1})
	fails(t, seed.ErrInvalidArgument, err)
}
