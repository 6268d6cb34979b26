package seed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	seed "libseed/bindings/go"
)

func TestReport(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.OpenFolder(imageFolder(t, 3)))
	defer images.Close()
	report := must[*seed.Report](t)(seed.NewReport("a <title>"))
	defer report.Close()
	ok(t, report.AddParagraph("a paragraph"))
	ok(t, report.AddTable("a table", []string{"one", "two"}, [][]string{{"1", "2"}, {"3", "vier"}}))
	ok(t, report.AddTable("an empty table", []string{"one"}, nil))
	chart := seed.Chart{Title: "a chart", XLabel: "step", YLabel: "loss"}
	for x := range 3 {
		ok(t, report.AddPoint(chart, "a series", float64(x), 1))
	}
	left := seed.Found{Name: "student", Neighbours: [][]uint32{{1}, {2}}}
	right := seed.Found{Name: "teacher", Neighbours: [][]uint32{{2}, {0}}}
	ok(t, report.AddNeighbours("a sheet", images, []uint32{0, 1}, left, right))
	file := filepath.Join(t.TempDir(), "report.html")
	ok(t, report.Write(file))
	page := string(must[[]byte](t)(os.ReadFile(file)))
	for _, part := range []string{"a &lt;title&gt;", "a paragraph", "vier", "a chart", "a series", "a sheet", "01.png"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}

	fails(t, seed.ErrInvalidArgument, report.AddTable("ragged", []string{"one", "two"}, [][]string{{"1"}}))
	fails(t, seed.ErrInvalidArgument, report.AddTable("headless", nil, nil))
	fails(t, seed.ErrInvalidArgument, report.AddNeighbours("few", images, []uint32{0, 1}, left, seed.Found{Name: "x"}))
	ragged := seed.Found{Name: "x", Neighbours: [][]uint32{{1}, {}}}
	fails(t, seed.ErrInvalidArgument, report.AddNeighbours("ragged", images, []uint32{0, 1}, left, ragged))
	fails(t, seed.ErrInvalidArgument, report.AddNeighbours("absent", images, []uint32{0, 9}, left, right))
	fails(t, seed.ErrIO, report.Write("/no/such/folder/report.html"))
}

func TestReportOfImages(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.OpenFolder(imageFolder(t, 6)))
	defer images.Close()
	labelled := seed.Labelled{Images: images, Labels: []int64{0, 0, 1, 1, 1, -1}, Classes: []string{"good", "<crack>"}}
	rows := seed.Embeddings{Values: []float32{1, 0, 1, .1, 0, 1, .2, 1, .9, 1, 1, 1}, Dim: 2}
	answers, confidences := []int64{0, 1, 1, 1, 0, -1}, []float32{.9, .8, .7, .6, .5, .4}
	report := must[*seed.Report](t)(seed.NewReport("images"))
	defer report.Close()
	ok(t, report.AddHeading("a heading"))
	ok(t, report.AddClassSheet("plain", labelled, seed.ClassSheet{Answers: []int64{}, Confidences: []float32{}}))
	whole := seed.ClassSheet{Embeddings: rows, Answers: answers, Confidences: confidences, PerClass: 2}
	ok(t, report.AddClassSheet("whole", labelled, whole))
	ok(t, report.AddConfusionOf("confusion", labelled.Labels, answers, labelled.Classes))
	ok(t, report.AddMap("bare", rows, seed.Labelled{}, seed.MapOptions{}))
	ok(t, report.AddMap("map", rows, labelled, seed.MapOptions{Method: seed.MapPCA, MaxPoints: 5, Perplexity: 2, Seed: 3}))
	pixels := make([]byte, 12)
	figure := seed.HeatFigure{
		Caption: "a part", Frame: seed.Frame{Pix: pixels, Width: 4, Height: 3, Stride: 4, Format: seed.Mono8},
		Map:       seed.AnomalyMap{AnomalyScore: seed.AnomalyScore{Score: 2}, Distances: []float32{0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0}},
		Threshold: 1, Mask: []uint8{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0},
	}
	ok(t, report.AddHeatMap("heat", figure))
	bare := figure
	bare.Threshold, bare.Mask = 0, nil
	ok(t, report.AddHeatMap("heat", bare))
	file := filepath.Join(t.TempDir(), "report.html")
	ok(t, report.Write(file))
	page := string(must[[]byte](t)(os.ReadFile(file)))
	for _, part := range []string{"<h2>a heading</h2>", "→ &lt;crack&gt; 0.80", "most unusual", "5 images, accuracy 0.600", "05.png", "5 of 6 images",
		"<b>alarm</b> above 1.00", "class=\"truth\""} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}

	fails(t, seed.ErrInvalidArgument, report.AddClassSheet("few", labelled, seed.ClassSheet{Answers: answers[1:]}))
	fails(t, seed.ErrInvalidArgument, report.AddClassSheet("none", labelled, seed.ClassSheet{PerClass: -1}))
	fails(t, seed.ErrInvalidArgument, report.AddClassSheet("many", labelled, seed.ClassSheet{PerClass: 4000}))
	fails(t, seed.ErrInvalidArgument, report.AddConfusionOf("few", labelled.Labels, answers[1:], labelled.Classes))
	fails(t, seed.ErrInvalidArgument, report.AddConfusionOf("nameless", labelled.Labels, answers, nil))
	few := seed.Embeddings{Values: rows.Values[2:], Dim: 2}
	fails(t, seed.ErrInvalidArgument, report.AddMap("few", few, labelled, seed.MapOptions{}))
	fails(t, seed.ErrInvalidArgument, report.AddMap("few", few, seed.Labelled{Images: images}, seed.MapOptions{}))
	fails(t, seed.ErrInvalidArgument, report.AddMap("method", rows, labelled, seed.MapOptions{Method: 9}))
	fails(t, seed.ErrInvalidArgument, report.AddMap("points", rows, labelled, seed.MapOptions{MaxPoints: -1}))
	short := figure
	short.Mask = short.Mask[1:]
	fails(t, seed.ErrInvalidArgument, report.AddHeatMap("heat", short))
	short = figure
	short.Map.Distances, short.Mask = short.Map.Distances[1:], nil
	fails(t, seed.ErrInvalidArgument, report.AddHeatMap("heat", short))
}

func TestReportOverTime(t *testing.T) {
	report := must[*seed.Report](t)(seed.NewReport("time"))
	defer report.Close()
	chart := seed.TimeChart{Title: "agreement", YLabel: "KL"}
	for night := range 3 {
		at := time.Date(2026, 2, 27+night, 3, 0, 0, 0, time.UTC)
		ok(t, report.AddInterval(chart, "student", at, seed.Interval{Value: .5, Low: .4, High: .6}))
		ok(t, report.AddTimePoint(chart, "teacher", at, 0))
		ok(t, report.AddDrift("drift", at, seed.DriftSignal{Energy: float64(night), Threshold: 1.5, Raised: night == 2}))
	}
	ok(t, report.AddLimit("agreement", "worst", .7))
	file := filepath.Join(t.TempDir(), "report.html")
	ok(t, report.Write(file))
	page := string(must[[]byte](t)(os.ReadFile(file)))
	for _, part := range []string{"0.5 (0.4 to 0.6) at 2026-02-27 03:00 UTC", "worst: 0.7", "drift: 2 at 2026-03-01 03:00 UTC, alarm", "alarm above"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	fails(t, seed.ErrInvalidArgument, report.AddInterval(chart, "student", time.Now(), seed.Interval{Value: 1, Low: 2, High: 3}))
	fails(t, seed.ErrInvalidArgument, report.AddLimit("no such chart", "l", 1))
}

func TestEventFile(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "board")
	for first := range uint64(2) {
		events := must[*seed.EventFile](t)(seed.NewEventFile(folder, first))
		ok(t, events.AddScalar("agreement/KL", first, .5))
		fails(t, seed.ErrInvalidArgument, events.AddScalar("", 1, 1))
		ok(t, events.Close())
		fails(t, seed.ErrInvalidArgument, events.AddScalar("late", 1, 1))
	}
	files := must[[]os.DirEntry](t)(os.ReadDir(folder))
	if len(files) != 2 || !strings.HasPrefix(files[0].Name(), "events.out.tfevents.") {
		t.Errorf("%v", files)
	}
	must[*seed.EventFile](t)(seed.NewEventFile(folder, 0)).Close()
	_, err := seed.NewEventFile(filepath.Join(folder, files[0].Name()), 0)
	fails(t, seed.ErrIO, err)
}
