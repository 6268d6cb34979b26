package seed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
