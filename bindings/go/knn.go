package seed

// #include "bridge.h"
import "C"

import (
	"math"
	"unsafe"
)

// KNNOptions say how [KNN] judges.
type KNNOptions struct {
	// K is the number of neighbours that vote; 0: 10.
	K int
	// Splits is the number of random splits; 0: 5.
	Splits int
	// Seed makes the splits; they depend on it and the number of vectors only, so different networks are judged on the
	// same ones.
	Seed uint64
}

// KNNResult is what [KNN] found; shares are 0 to 1.
type KNNResult struct {
	// AccuracyMean is the share of queries with the right class, mean over the splits.
	AccuracyMean float64
	// AccuracyDeviation is its standard deviation.
	AccuracyDeviation float64
	// BalancedRecallMean is the mean of the classes' recalls, mean over the splits.
	BalancedRecallMean float64
	// BalancedRecallDeviation is its standard deviation.
	BalancedRecallDeviation float64
}

// KNN judges vectors by weighted kNN (votes exp(similarity/.07)) over random splits into 2/3 gallery and 1/3 queries.
// labels holds a class number from 0 for each vector.
func KNN(embeddings Embeddings, labels []int64, options KNNOptions) (KNNResult, error) {
	if options.K == 0 {
		options.K = 10
	}
	if options.Splits == 0 {
		options.Splits = 5
	}
	if err := embeddings.check("embeddings"); err != nil {
		return KNNResult{}, err
	}
	if len(labels) != embeddings.Count() {
		return KNNResult{}, invalid("%d labels, expected one for each of %d embeddings", len(labels), embeddings.Count())
	}
	if options.K < 0 || options.Splits < 0 || options.Splits > math.MaxInt32 {
		return KNNResult{}, invalid("K is %d and Splits is %d, expected positive numbers", options.K, options.Splits)
	}
	if err := Init(); err != nil {
		return KNNResult{}, err
	}
	result := C.seed_knn_result{struct_size: C.sizeof_seed_knn_result}
	err := check(C.seed_knn_evaluate(floats(embeddings.Values), C.size_t(embeddings.Count()), C.size_t(embeddings.Dim),
		(*C.int64_t)(unsafe.Pointer(unsafe.SliceData(labels))), C.size_t(options.K), C.uint32_t(options.Splits),
		C.uint64_t(options.Seed), &result))
	if err != nil {
		return KNNResult{}, err
	}
	return KNNResult{
		AccuracyMean:            float64(result.accuracy_mean),
		AccuracyDeviation:       float64(result.accuracy_deviation),
		BalancedRecallMean:      float64(result.balanced_recall_mean),
		BalancedRecallDeviation: float64(result.balanced_recall_deviation),
	}, nil
}

// KNNClassify gives each query the class with the most votes of its k nearest vectors of a gallery by cosine, of which each votes
// exp(similarity/temperature); labels holds the gallery's class numbers from 0. The usual protocols on ImageNet are k 10, and k 200
// with a temperature of .07, with the training images as the gallery.
//
// Errors: [ErrInvalidArgument] unless 1 ≤ k ≤ gallery.Count(), for a label below 0, another number of labels, other widths or a
// temperature that is not above 0.
func KNNClassify(queries, gallery Embeddings, labels []int64, k int, temperature float64) ([]int64, error) {
	if err := queries.check("queries"); err != nil {
		return nil, err
	}
	if err := gallery.check("the gallery's embeddings"); err != nil {
		return nil, err
	}
	if queries.Dim != gallery.Dim {
		return nil, invalid("queries are %d wide, the gallery is %d", queries.Dim, gallery.Dim)
	}
	if len(labels) != gallery.Count() {
		return nil, invalid("%d labels, expected one for each of %d embeddings", len(labels), gallery.Count())
	}
	if k < 1 {
		return nil, invalid("k is %d, expected at least 1", k)
	}
	if err := Init(); err != nil {
		return nil, err
	}
	classes := make([]int64, queries.Count())
	var length C.size_t
	err := check(C.seed_knn_classify(floats(queries.Values), C.size_t(queries.Count()), floats(gallery.Values),
		(*C.int64_t)(unsafe.Pointer(unsafe.SliceData(labels))), C.size_t(gallery.Count()), C.size_t(queries.Dim), C.size_t(k),
		C.double(temperature), (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(classes))), C.size_t(len(classes)), &length))
	if err != nil {
		return nil, err
	}
	return classes, nil
}
