package seed

// #include "bridge.h"
import "C"

// Interval is a mean and its 95 % confidence interval.
type Interval struct {
	// Value is the mean.
	Value float64
	// Low is the interval's lower end.
	Low float64
	// High is the interval's upper end.
	High float64
}

func intervalFrom(c C.seed_interval) Interval {
	return Interval{Value: float64(c.value), Low: float64(c.low), High: float64(c.high)}
}

func (i Interval) c() C.seed_interval {
	return C.seed_interval{value: C.double(i.Value), low: C.double(i.Low), high: C.double(i.High)}
}

// Fidelity is how well a student reproduces its teacher.
type Fidelity struct {
	// Frames is the number of frames that were measured.
	Frames int
	// K is the number of neighbours of the overlap.
	K int
	// Queue is the number of embeddings of the queue.
	Queue int
	// TemperatureStudent is that of the student's softmax.
	TemperatureStudent float64
	// TemperatureTeacher is that of the teacher's softmax.
	TemperatureTeacher float64
	// KL is the mean Kullback–Leibler divergence of the student's softmax over the queue from the teacher's, in nats.
	KL Interval
	// Overlap is the mean share of the teacher's K nearest among the student's, 0 to 1.
	Overlap Interval
	// Cosine is the mean cosine between both embeddings, −1 to 1.
	Cosine Interval
}

// FidelityOptions say how [MeasureFidelity] measures.
type FidelityOptions struct {
	// K is the number of neighbours of the overlap; 0: 10.
	K int
	// TemperatureStudent is that of the student's softmax; 0: the paper's, .2.
	TemperatureStudent float64
	// TemperatureTeacher is that of the teacher's softmax; 0: the paper's, .01.
	TemperatureTeacher float64
	// Seed is that of the intervals.
	Seed uint64
}

// MeasureFidelity measures a student by its teacher: embeddings of both for the same frames, against a queue of the teacher's. Keep
// the result when the student is made ([Student.SetProvenance]) and measure again with the same queue and as many frames of today.
func MeasureFidelity(student, teacher, queue Embeddings, options FidelityOptions) (Fidelity, error) {
	for name, rows := range map[string]Embeddings{"student": student, "teacher": teacher, "queue": queue} {
		if err := rows.check(name); err != nil {
			return Fidelity{}, err
		}
		if rows.Dim != student.Dim {
			return Fidelity{}, invalid("the student's embeddings are %d wide, those of the %s %d", student.Dim, name, rows.Dim)
		}
	}
	if student.Count() != teacher.Count() {
		return Fidelity{}, invalid("the student has %d embeddings and the teacher %d", student.Count(), teacher.Count())
	}
	k := options.K
	if k == 0 {
		k = 10
	}
	if k < 1 {
		return Fidelity{}, invalid("K is %d, expected at least 1", k)
	}
	if err := Init(); err != nil {
		return Fidelity{}, err
	}
	c := C.seed_fidelity{struct_size: C.sizeof_seed_fidelity}
	err := check(C.seed_fidelity_measure(floats(student.Values), floats(teacher.Values), C.size_t(student.Count()),
		C.size_t(student.Dim), floats(queue.Values), C.size_t(queue.Count()), C.size_t(k), C.double(options.TemperatureStudent),
		C.double(options.TemperatureTeacher), C.uint64_t(options.Seed), &c))
	if err != nil {
		return Fidelity{}, err
	}
	return Fidelity{
		Frames:             int(c.frames),
		K:                  int(c.k),
		Queue:              int(c.queue),
		TemperatureStudent: float64(c.temperature_student),
		TemperatureTeacher: float64(c.temperature_teacher),
		KL:                 intervalFrom(c.kl),
		Overlap:            intervalFrom(c.overlap),
		Cosine:             intervalFrom(c.cosine),
	}, nil
}

func (f Fidelity) c() C.seed_fidelity {
	return C.seed_fidelity{
		struct_size:         C.sizeof_seed_fidelity,
		frames:              C.size_t(f.Frames),
		k:                   C.size_t(f.K),
		queue:               C.size_t(f.Queue),
		temperature_student: C.double(f.TemperatureStudent),
		temperature_teacher: C.double(f.TemperatureTeacher),
		kl:                  f.KL.c(),
		overlap:             f.Overlap.c(),
		cosine:              f.Cosine.c(),
	}
}

// Worse are the figures of a [Fidelity] that have become worse.
type Worse struct {
	// KL has.
	KL bool
	// Overlap has.
	Overlap bool
	// Cosine has.
	Cosine bool
}

// WorseThan tells which figures have become worse since then, so that the intervals do not touch.
//
// Errors: [ErrMismatch] when the two were not measured alike.
func (f Fidelity) WorseThan(then Fidelity) (Worse, error) {
	if err := Init(); err != nil {
		return Worse{}, err
	}
	before, now := then.c(), f.c()
	var worse C.int32_t
	if err := check(C.seed_fidelity_compare(&before, &now, &worse)); err != nil {
		return Worse{}, err
	}
	return Worse{KL: worse&C.SEED_WORSE_KL != 0, Overlap: worse&C.SEED_WORSE_OVERLAP != 0, Cosine: worse&C.SEED_WORSE_COSINE != 0}, nil
}
