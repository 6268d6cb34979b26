package seed

// #include "bridge.h"
import "C"

import "context"

// OptionZero is the value 0 in an option whose 0 is the default: a margin of 0, no replay.
const OptionZero = -1.0

// GateOptions say by how much a new student may be worse than the old; 0 is the default everywhere, [OptionZero] the value 0.
type GateOptions struct {
	// K is the number of neighbours of overlap and of kNN. Default: 10.
	K int
	// TemperatureStudent is as it was distilled. Default: 0.2.
	TemperatureStudent float64
	// TemperatureTeacher is as it was distilled. Default: 0.01.
	TemperatureTeacher float64
	// KLMargin is the share of the old student's KL that the new one's may be above it. Default: 0.02.
	KLMargin float64
	// OverlapMargin is by how much the overlap may be below. Default: 0.02.
	OverlapMargin float64
	// RecallMargin is by how much the balanced recall may be below. Default: 0.02.
	RecallMargin float64
	// LatencyFactor is how many times the old latency is allowed. Default: 1.1.
	LatencyFactor float64
	// Seed is that of the intervals and the parts of the reference set.
	Seed uint64
}

// Criterion is one thing that must hold for a new student.
type Criterion struct {
	// Old is the old student's value.
	Old float64
	// New is the new student's value.
	New float64
	// Difference is new less old, frame by frame.
	Difference Interval
	// Limit is what the worse bound of the difference must keep to.
	Limit float64
	// Holds tells that it does.
	Holds bool
}

func criterionFrom(c C.seed_criterion) Criterion {
	return Criterion{Old: float64(c.old_value), New: float64(c.new_value), Difference: intervalFrom(c.difference),
		Limit: float64(c.limit), Holds: c.holds != 0}
}

// GateVerdict is what the gate says.
type GateVerdict struct {
	// KL is the mean KL to the teacher, in nats.
	KL Criterion
	// Overlap is the mean overlap with the teacher's neighbours.
	Overlap Criterion
	// Recall is the balanced recall of kNN on the reference set.
	Recall Criterion
	// Latency is the median time of one frame, in milliseconds; the difference is that of pairs of times.
	Latency Criterion
	// Passes tells that all four hold.
	Passes bool
	// LatencyUnclear tells that the machine was too busy to tell which student is faster: Latency does not hold then, but nothing
	// was shown either; judge again.
	LatencyUnclear bool
}

// Candidates are the sessions that [JudgeGate] compares. All three give embeddings ("output" "embedding") of one width.
type Candidates struct {
	// Old is the student in use.
	Old *Session
	// New is the one that may take its place.
	New *Session
	// Teacher is what both were distilled from.
	Teacher *Session
}

// JudgeGate compares a new student with the old: on frames, by how well each agrees with the teacher; on reference, whose images
// have the classes labels, by kNN; and by their latency. Nothing is changed: [Session.Swap] puts the new student in, and the same
// call puts the old one back. progress (may be nil) receives how many of how many images are embedded; it and ctx end the call as
// they end [Session.EmbedDataset], but a paused context does not pause it.
//
// Errors: [ErrMismatch] for widths that differ, [ErrCancelled].
func JudgeGate(ctx context.Context, candidates Candidates, frames, reference *Dataset, labels []int64, options GateOptions,
	progress func(done, total int) error) (GateVerdict, error) {
	if options.K < 0 {
		return GateVerdict{}, invalid("K is %d, expected at least 1, or 0 for the default", options.K)
	}
	var sessions [3]*C.seed_session
	for i, session := range []*Session{candidates.Old, candidates.New, candidates.Teacher} {
		object, err := session.inner().acquire()
		if err != nil {
			return GateVerdict{}, err
		}
		defer session.handle.release()
		sessions[i] = object
	}
	var datasets [2]*C.seed_dataset
	for i, dataset := range []*Dataset{frames, reference} {
		object, err := dataset.inner().acquire()
		if err != nil {
			return GateVerdict{}, err
		}
		defer dataset.handle.release()
		datasets[i] = object
	}
	o := C.seed_gate_options{
		struct_size:         C.sizeof_seed_gate_options,
		k:                   C.size_t(options.K),
		temperature_student: C.double(options.TemperatureStudent),
		temperature_teacher: C.double(options.TemperatureTeacher),
		kl_margin:           C.double(options.KLMargin),
		overlap_margin:      C.double(options.OverlapMargin),
		recall_margin:       C.double(options.RecallMargin),
		latency_factor:      C.double(options.LatencyFactor),
		seed:                C.uint64_t(options.Seed),
	}
	c := C.seed_verdict{struct_size: C.sizeof_seed_verdict}
	err := counted(ctx, watching(ctx, progress), func(handle C.uintptr_t, _ *C.seed_cancel_token) error {
		return check(C.seed_go_gate_judge(sessions[0], sessions[1], sessions[2], datasets[0], datasets[1], numbers(labels),
			C.size_t(len(labels)), &o, handle, &c))
	})
	if err != nil {
		return GateVerdict{}, err
	}
	return GateVerdict{KL: criterionFrom(c.kl), Overlap: criterionFrom(c.overlap), Recall: criterionFrom(c.recall),
		Latency: criterionFrom(c.latency), Passes: c.passes != 0,
		LatencyUnclear: c.latency_unclear != 0}, nil
}
