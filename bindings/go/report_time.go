package seed

// #include "bridge.h"
import "C"

import (
	"math"
	"time"
)

// TimeChart names a chart over time and its axis.
type TimeChart struct {
	Title, YLabel string
}

// AddTimePoint adds a measurement to a series of a chart over time; chart and series stand where they were first named.
func (r *Report) AddTimePoint(chart TimeChart, series string, at time.Time, value float64) error {
	return r.addTimePoint(chart, series, at, Interval{Value: value, Low: math.NaN(), High: math.NaN()})
}

// AddInterval is AddTimePoint for a mean with its confidence interval, such as [Fidelity.KL], which is drawn as a band.
func (r *Report) AddInterval(chart TimeChart, series string, at time.Time, interval Interval) error {
	return r.addTimePoint(chart, series, at, interval)
}

func (r *Report) addTimePoint(chart TimeChart, series string, at time.Time, interval Interval) error {
	var t texts
	defer t.free()
	title, label, line := t.add("chart", chart.Title), t.add("y label", chart.YLabel), t.add("series", series)
	if t.err != nil {
		return t.err
	}
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_time_point(object, title, label, line, C.int64_t(at.UnixMicro()), C.double(interval.Value),
			C.double(interval.Low), C.double(interval.High))
	})
}

// AddDrift adds what a batch of images said ([Drift.Measure]) to a chart over time: its energy, marked where the signal was raised, and
// the threshold of that batch.
func (r *Report) AddDrift(chart string, at time.Time, signal DriftSignal) error {
	var t texts
	defer t.free()
	title := t.add("chart", chart)
	if t.err != nil {
		return t.err
	}
	c := C.seed_drift_signal{
		struct_size:       C.sizeof_seed_drift_signal,
		energy:            C.double(signal.Energy),
		threshold:         C.double(signal.Threshold),
		p_value:           C.double(signal.PValue),
		nearest:           C.double(signal.Nearest),
		nearest_reference: C.double(signal.NearestReference),
		outside:           C.double(signal.Outside),
	}
	if signal.Raised {
		c.raised = 1
	}
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_drift(object, title, C.int64_t(at.UnixMicro()), &c)
	})
}

// AddLimit draws a level across a chart, such as a threshold. One of the same name takes the place of the earlier one.
//
// Errors: [ErrInvalidArgument] when the report has no such chart yet.
func (r *Report) AddLimit(chart, name string, y float64) error {
	var t texts
	defer t.free()
	title, line := t.add("chart", chart), t.add("name", name)
	if t.err != nil {
		return t.err
	}
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_limit(object, title, line, C.double(y))
	})
}
