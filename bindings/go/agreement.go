package seed

// #include "bridge.h"
import "C"

// Agreement says how well a student keeps its teacher's neighbourhoods: the share of each image's k nearest by the teacher
// that are among its k nearest by the student, mean over the images, 0 to 1. Both hold a row for each image.
func Agreement(student, teacher Embeddings, k int) (float64, error) {
	if err := student.check("the student's embeddings"); err != nil {
		return 0, err
	}
	if err := teacher.check("the teacher's embeddings"); err != nil {
		return 0, err
	}
	if student.Count() != teacher.Count() {
		return 0, invalid("the student has %d embeddings and the teacher %d", student.Count(), teacher.Count())
	}
	if k < 1 {
		return 0, invalid("k is %d, expected at least 1", k)
	}
	if err := Init(); err != nil {
		return 0, err
	}
	var share C.double
	err := check(C.seed_agreement(floats(student.Values), C.size_t(student.Dim), floats(teacher.Values),
		C.size_t(teacher.Dim), C.size_t(student.Count()), C.size_t(k), &share))
	return float64(share), err
}
