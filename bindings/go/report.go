package seed

// #include "bridge.h"
import "C"

// Report grows from top to bottom and becomes one HTML file, with nothing outside it. For one goroutine at a time.
type Report struct {
	_      noCopy
	handle *handle[*C.seed_report]
}

// NewReport makes an empty report.
func NewReport(title string) (*Report, error) {
	var t texts
	defer t.free()
	head := t.add("title", title)
	if t.err != nil {
		return nil, t.err
	}
	h, err := create("Report", func(object *C.seed_report) { C.seed_report_free(object) },
		func(out **C.seed_report) *C.seed_error { return C.seed_report_new(head, out) })
	if err != nil {
		return nil, err
	}
	return owned(&Report{handle: h}, h), nil
}

func (r *Report) inner() *handle[*C.seed_report] {
	if r == nil || r.handle == nil {
		return absent[*C.seed_report]("Report")
	}
	return r.handle
}

// Close releases the report. The error is always nil.
func (r *Report) Close() error {
	r.inner().close()
	return nil
}

// AddParagraph adds a paragraph of plain text.
func (r *Report) AddParagraph(paragraph string) error {
	var t texts
	defer t.free()
	text := t.add("paragraph", paragraph)
	if t.err != nil {
		return t.err
	}
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_paragraph(object, text)
	})
}

// AddHeading adds a heading between parts.
func (r *Report) AddHeading(heading string) error {
	var t texts
	defer t.free()
	text := t.add("heading", heading)
	if t.err != nil {
		return t.err
	}
	return with(r.inner(), func(object *C.seed_report) *C.seed_error { return C.seed_report_add_heading(object, text) })
}

// AddTable adds a table; each row has as many cells as there are heads.
func (r *Report) AddTable(title string, heads []string, rows [][]string) error {
	var cells []string
	for i, row := range rows {
		if len(row) != len(heads) {
			return invalid("row %d of the table has %d cells, expected %d", i, len(row), len(heads))
		}
		cells = append(cells, row...)
	}
	var t texts
	defer t.free()
	text, head, body := t.add("title", title), t.array("heads", heads), t.array("cells", cells)
	if t.err != nil {
		return t.err
	}
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_table(object, text, head, C.size_t(len(heads)), body, C.size_t(len(rows)))
	})
}

// Chart names a chart of a report and its axes.
type Chart struct {
	Title, XLabel, YLabel string
}

// AddPoint adds a point to a series of a chart; chart and series stand where they were first named.
func (r *Report) AddPoint(chart Chart, series string, x, y float64) error {
	var t texts
	defer t.free()
	title, line := t.add("chart", chart.Title), t.add("series", series)
	xLabel, yLabel := t.add("x label", chart.XLabel), t.add("y label", chart.YLabel)
	if t.err != nil {
		return t.err
	}
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_point(object, title, xLabel, yLabel, line, C.double(x), C.double(y))
	})
}

// Found is what one network found for a sheet of neighbours.
type Found struct {
	// Name is the network's, for the column's head.
	Name string
	// Neighbours holds for each query its k nearest, as [Neighbours] gives them for those queries.
	Neighbours [][]uint32
}

// AddNeighbours adds a sheet of pictures: for each query its nearest by two networks, side by side; what both found is
// marked. queries are numbers of images of dataset.
func (r *Report) AddNeighbours(title string, dataset *Dataset, queries []uint32, left, right Found) error {
	k := 0
	if len(left.Neighbours) > 0 {
		k = len(left.Neighbours[0])
	}
	leftRows, err := left.flat(len(queries), k)
	if err != nil {
		return err
	}
	rightRows, err := right.flat(len(queries), k)
	if err != nil {
		return err
	}
	var t texts
	defer t.free()
	text, leftName, rightName := t.add("title", title), t.add("left name", left.Name), t.add("right name", right.Name)
	if t.err != nil {
		return t.err
	}
	images, err := dataset.inner().acquire()
	if err != nil {
		return err
	}
	defer dataset.handle.release()
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_neighbours(object, text, images, indices(queries), C.size_t(len(queries)), C.size_t(k),
			leftName, indices(leftRows), rightName, indices(rightRows))
	})
}

// flat gives the numbers query after query and checks that C finds as many as it will read.
func (f Found) flat(queries, k int) ([]uint32, error) {
	if len(f.Neighbours) != queries {
		return nil, invalid("%q has neighbours of %d queries, expected %d", f.Name, len(f.Neighbours), queries)
	}
	flat := make([]uint32, 0, queries*k)
	for i, row := range f.Neighbours {
		if len(row) != k {
			return nil, invalid("%q has %d neighbours of query %d, expected %d", f.Name, len(row), i, k)
		}
		flat = append(flat, row...)
	}
	return flat, nil
}

// AddConfusion adds the confusion matrix of a classifier's held-out images: true class by row, answered class by column, with counts,
// shares of the row, recall and precision.
//
// Errors: [ErrInvalidArgument] when no image was held out.
func (r *Report) AddConfusion(title string, classifier *Classifier) error {
	var t texts
	defer t.free()
	head := t.add("title", title)
	if t.err != nil {
		return t.err
	}
	judged, err := classifier.inner().acquire()
	if err != nil {
		return err
	}
	defer classifier.handle.release()
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_confusion(object, head, judged)
	})
}

// Write writes the report to an HTML file, atomically. More may be added and written again.
func (r *Report) Write(path string) error {
	return save(r.inner(), path, func(object *C.seed_report, file *C.char) *C.seed_error { return C.seed_report_write(object, file) })
}
