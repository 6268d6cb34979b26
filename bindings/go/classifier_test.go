package seed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

// labelledStripes has a folder of narrow and one of wide stripes, twelve images each of several brightnesses.
func labelledStripes(t testing.TB) (seed.Labelled, []image.Image) {
	t.Helper()
	images := must[*seed.Dataset](t)(seed.NewDataset())
	t.Cleanup(func() { images.Close() })
	var pictures []image.Image
	for i := range 24 {
		period, class := 2, "narrow"
		if i%2 == 1 {
			period, class = 9, "wide"
		}
		picture := stripes(period, 40, 36)
		for j := range picture.Pix {
			picture.Pix[j] -= uint8(i)
		}
		pictures = append(pictures, picture)
		must[int](t)(images.Push(picture, fmt.Sprintf("%s/%d.png", class, i)))
	}
	labels := must[[]int64](t)(images.ClassLabels())
	return seed.Labelled{Images: images, Labels: labels, Classes: must[[]string](t)(images.Classes())}, pictures
}

func resnet(t testing.TB, config *seed.Config) *seed.Student {
	t.Helper()
	student := must[*seed.Student](t)(seed.NewStudent("resnet18", config))
	t.Cleanup(func() { student.Close() })
	return student
}

func TestClassesOfFolders(t *testing.T) {
	labelled, _ := labelledStripes(t)
	if !slices.Equal(labelled.Classes, []string{"narrow", "wide"}) {
		t.Errorf("classes %q", labelled.Classes)
	}
	must[int](t)(labelled.Images.Push(stripes(3, 8, 8), "loose.png"))
	labels := must[[]int64](t)(labelled.Images.ClassLabels())
	if len(labels) != 25 || labels[0] != 0 || labels[1] != 1 || labels[24] != -1 {
		t.Errorf("labels %v", labels)
	}
}

func TestClassifier(t *testing.T) {
	config := smallConfig(t)
	labelled, pictures := labelledStripes(t)
	stages := map[seed.FitStage]bool{}
	classifier := must[*seed.Classifier](t)(seed.FitClassifier(t.Context(), config, resnet(t, config), labelled, seed.FitOptions{
		Progress: func(p seed.FitProgress) error {
			if p.Done > p.Total || p.Elapsed < 0 {
				t.Errorf("a report of %+v", p)
			}
			stages[p.Stage] = true
			return nil
		}}))
	defer classifier.Close()
	if !stages[seed.StageEmbedding] || !stages[seed.StageLinear] || stages[seed.StageFull] {
		t.Errorf("stages %v", stages)
	}
	if classes := must[[]string](t)(classifier.Classes()); !slices.Equal(classes, labelled.Classes) {
		t.Errorf("classes %q", classes)
	}
	verdicts := must[[]seed.Verdict](t)(classifier.Classify(pictures...))
	right := 0
	for i, verdict := range verdicts {
		sum := float64(verdict.Probabilities[0]) + float64(verdict.Probabilities[1])
		if len(verdict.Probabilities) != 2 || math.Abs(sum-1) > 1e-5 || verdict.Confidence != verdict.Probabilities[verdict.Class] {
			t.Errorf("image %d: %+v", i, verdict)
		}
		if verdict.Class == int(labelled.Labels[i]) {
			right++
		}
	}
	if right != len(pictures) {
		t.Errorf("%d of %d stripes are told apart", right, len(pictures))
	}
	if none := must[[]seed.Verdict](t)(classifier.Classify()); len(none) != 0 {
		t.Errorf("verdicts on nothing: %v", none)
	}

	var known struct {
		Names   []string
		HeldOut *struct{ Accuracy float64 } `json:"held_out"`
	}
	ok(t, json.Unmarshal([]byte(must[string](t)(classifier.Describe())), &known))
	if !slices.Equal(known.Names, labelled.Classes) || known.HeldOut == nil {
		t.Errorf("the description is %+v", known)
	}
	confusion := must[[][]uint64](t)(classifier.Confusion())
	if len(confusion) != 2 || len(confusion[0]) != 2 || confusion[0][0]+confusion[0][1] == 0 {
		t.Errorf("the confusion is %v", confusion)
	}
	if csv := must[string](t)(classifier.ConfusionCSV()); !strings.Contains(csv, "narrow") || !strings.Contains(csv, "wide") {
		t.Errorf("the table is %q", csv)
	}
	report := must[*seed.Report](t)(seed.NewReport("Classes"))
	defer report.Close()
	ok(t, report.AddConfusion("Held out", classifier))
	page := filepath.Join(t.TempDir(), "report.html")
	ok(t, report.Write(page))
	if text := string(must[[]byte](t)(os.ReadFile(page))); !strings.Contains(text, "narrow") {
		t.Error("the report lacks the confusion")
	}

	path := filepath.Join(t.TempDir(), "classifier.safetensors")
	ok(t, classifier.Save(path))
	again := must[*seed.Classifier](t)(seed.OpenClassifier(path, config))
	defer again.Close()
	for i, verdict := range must[[]seed.Verdict](t)(again.Classify(pictures...)) {
		if verdict.Class != verdicts[i].Class || math.Abs(float64(verdict.Confidence-verdicts[i].Confidence)) > 1e-4 {
			t.Errorf("image %d: %+v, was %+v", i, verdict, verdicts[i])
		}
	}
	exported := filepath.Join(t.TempDir(), "classifier ü.onnx")
	ok(t, again.Export(exported, seed.InputBytes))
	model := must[*seed.Model](t)(seed.OpenModel(exported))
	defer model.Close()
	if info := must[seed.ModelInfo](t)(model.Info()); info.Head != seed.HeadClassifier || info.EmbeddingDim != len(must[[]string](t)(again.Classes())) {
		t.Errorf("the exported classifier is %+v", info)
	}
	fails(t, seed.ErrInvalidArgument, again.Export(exported, 9))
	fails(t, seed.ErrIO, again.Export("/no/such/folder/classifier.onnx", seed.InputUnit))
	closed(t, (*seed.Classifier)(nil).Export(exported, seed.InputUnit))
	_, err := seed.OpenClassifier(page, config)
	fails(t, seed.ErrFormat, err)

	seen := 0
	count := func(done, total int) error {
		seen = done
		return nil
	}
	for i, verdict := range must[[]seed.Verdict](t)(again.ClassifyDataset(t.Context(), labelled.Images, count)) {
		if verdict.Class != verdicts[i].Class {
			t.Errorf("image %d of the data set: %+v, alone %+v", i, verdict, verdicts[i])
		}
	}
	if seen != len(pictures) {
		t.Errorf("%d were counted", seen)
	}
	var judged struct {
		Images   int
		Accuracy float64
	}
	ok(t, json.Unmarshal([]byte(must[string](t)(again.Judge(t.Context(), labelled.Images, labelled.Labels, nil))), &judged))
	if judged.Images != len(pictures) || judged.Accuracy != 1 {
		t.Errorf("judged %+v", judged)
	}
	_, err = again.Judge(t.Context(), labelled.Images, labelled.Labels[1:], nil)
	fails(t, seed.ErrInvalidArgument, err)
	trouble := errors.New("enough")
	if _, err := again.ClassifyDataset(t.Context(), labelled.Images, func(int, int) error { return trouble }); !errors.Is(err, trouble) {
		t.Errorf("the callback's error became %v", err)
	}

	// A third class joins the two.
	for i := range 6 {
		must[int](t)(labelled.Images.Push(gradient(30+i, 30), fmt.Sprintf("xgradient/%d", i)))
	}
	labelled.Labels, labelled.Classes = must[[]int64](t)(labelled.Images.ClassLabels()), must[[]string](t)(labelled.Images.Classes())
	wider := must[*seed.Classifier](t)(seed.ExtendClassifier(t.Context(), config, again, labelled, seed.FitOptions{}))
	defer wider.Close()
	if verdict := must[[]seed.Verdict](t)(wider.Classify(gradient(30, 30)))[0]; verdict.Class != 2 {
		t.Errorf("the new class is told as %+v", verdict)
	}
	ok(t, again.Close())
	if _, err := again.Classify(pictures[0]); !errors.Is(err, seed.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestProtocolsAndTeachersClassifiers(t *testing.T) {
	config := smallConfig(t)
	student := resnet(t, config)
	labelled, _ := labelledStripes(t)
	teacher := must[*seed.Classifier](t)(seed.FitClassifier(t.Context(), config, student, labelled, seed.FitOptions{}))
	defer teacher.Close()
	taught := seed.FitOptions{TaughtBy: teacher}
	_, err := seed.FitClassifier(t.Context(), config, student, labelled, taught)
	fails(t, seed.ErrInvalidArgument, err) // the mode is linear

	classed := seed.Classed{Images: labelled.Images, Labels: labelled.Labels}
	carried := must[seed.LinearResult](t)(seed.Transfer(t.Context(), config, student, classed, &classed, seed.ProtocolOptions{Splits: 1}))
	if carried.AccuracyMean < .5 || len(carried.Recalls) != 2 {
		t.Errorf("carried over it is %+v", carried)
	}
	must[seed.LinearResult](t)(seed.Transfer(t.Context(), config, student, classed, nil, seed.ProtocolOptions{Splits: 2}))

	ok(t, config.SetString("finetune.mode", "full"))
	ok(t, config.SetInt("finetune.epochs", 1))
	pupil := must[*seed.Classifier](t)(seed.FitClassifier(t.Context(), config, student, labelled, taught))
	ok(t, pupil.Close())
	done, total := 0, 0
	count := func(d, all int) error {
		done, total = d, all
		return nil
	}
	found := must[seed.LinearResult](t)(seed.SemiSupervised(t.Context(), config, student, classed, seed.ProtocolOptions{Splits: 2, Progress: count}))
	if done != total || total != 4 || math.Abs(found.BalancedRecallMean-(found.Recalls[0]+found.Recalls[1])/2) > 1e-9 {
		t.Errorf("%d of %d, %+v", done, total, found)
	}
	trouble := errors.New("enough")
	_, err = seed.SemiSupervised(t.Context(), config, student, classed, seed.ProtocolOptions{Progress: func(int, int) error { return trouble }})
	if !errors.Is(err, trouble) {
		t.Errorf("the callback's error became %v", err)
	}
	_, err = seed.SemiSupervised(t.Context(), config, student, classed, seed.ProtocolOptions{Splits: -1})
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.Transfer(t.Context(), config, nil, classed, nil, seed.ProtocolOptions{})
	fails(t, seed.ErrInvalidArgument, err)
}

func TestLinearProbeBySGD(t *testing.T) {
	config := smallConfig(t)
	student := resnet(t, config)
	labelled, _ := labelledStripes(t)
	ok(t, config.SetInt("linear.epochs", 3))
	classed := seed.Classed{Images: labelled.Images, Labels: labelled.Labels}
	var last seed.FitProgress
	note := func(p seed.FitProgress) error {
		last = p
		return nil
	}
	found := must[seed.LinearSGDResult](t)(seed.LinearSGD(t.Context(), config, student, classed, classed, note))
	count := len(labelled.Labels)
	if found.Images != count || found.TestImages != count || found.Top5Accuracy != 1 || len(found.Recalls) != 2 ||
		math.Abs(found.BalancedRecall-(found.Recalls[0]+found.Recalls[1])/2) > 1e-9 || math.IsNaN(found.Loss+found.TrainLoss) {
		t.Errorf("it found %+v", found)
	}
	if last.Stage != seed.StageTest || last.Done != uint64(count) {
		t.Errorf("the last report is %+v", last)
	}
	trouble := errors.New("enough")
	_, err := seed.LinearSGD(t.Context(), config, student, classed, classed, func(seed.FitProgress) error { return trouble })
	if !errors.Is(err, trouble) {
		t.Errorf("the callback's error became %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err = seed.LinearSGD(ended, config, student, classed, classed, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gives %v", err)
	}
	_, err = seed.LinearSGD(t.Context(), config, student, classed, seed.Classed{}, nil)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.LinearSGD(t.Context(), config, student, seed.Classed{Images: classed.Images, Labels: []int64{1 << 40}}, classed, nil)
	fails(t, seed.ErrInvalidArgument, err)
}

func TestClassifierFitEnds(t *testing.T) {
	config := smallConfig(t)
	student := resnet(t, config)
	labelled, _ := labelledStripes(t)
	ended, end := context.WithCancel(t.Context())
	end()
	classifier, err := seed.FitClassifier(ended, config, student, labelled, seed.FitOptions{})
	if classifier != nil || !errors.Is(err, seed.ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gives %v, %v", classifier, err)
	}
	ok(t, config.SetString("finetune.mode", "full"))
	ok(t, config.SetInt("finetune.batch_size", 4))
	trouble := errors.New("enough")
	classifier, err = seed.FitClassifier(t.Context(), config, student, labelled, seed.FitOptions{Progress: func(p seed.FitProgress) error {
		if p.Stage == seed.StageFull {
			return trouble
		}
		return nil
	}})
	if classifier == nil || !errors.Is(err, trouble) {
		t.Fatalf("the callback's error gives %v, %v", classifier, err)
	}
	// It is the linear one, whole.
	if classes := must[[]string](t)(classifier.Classes()); len(classes) != 2 {
		t.Errorf("classes %q", classes)
	}
	ok(t, classifier.Close())
	func() {
		defer func() {
			if value, isPanic := recover().(*seed.PanicError); !isPanic || value.Value != "boom" {
				t.Errorf("the panic became %v", value)
			}
		}()
		_, _ = seed.FitClassifier(t.Context(), config, student, labelled, seed.FitOptions{Progress: func(p seed.FitProgress) error {
			if p.Stage == seed.StageFull {
				panic("boom")
			}
			return nil
		}})
		t.Error("no panic")
	}()
	for _, wrong := range []seed.Labelled{
		{Images: labelled.Images, Labels: labelled.Labels[1:], Classes: labelled.Classes},
		{Images: labelled.Images, Labels: labelled.Labels, Classes: []string{"a", "a"}},
		{Images: labelled.Images, Labels: labelled.Labels},
		{Images: labelled.Images, Labels: labelled.Labels, Classes: []string{"a", "b\x00"}},
		{Labels: labelled.Labels, Classes: labelled.Classes},
	} {
		_, err := seed.FitClassifier(t.Context(), config, student, wrong, seed.FitOptions{})
		fails(t, seed.ErrInvalidArgument, err)
	}
	_, err = seed.ExtendClassifier(t.Context(), config, nil, labelled, seed.FitOptions{})
	fails(t, seed.ErrInvalidArgument, err)
}
