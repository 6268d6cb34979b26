package seed

// #include "bridge.h"
import "C"

// StoreKeep says which frames a full store keeps. Labelled frames stay before all others.
type StoreKeep int32

// What a full store keeps.
const (
	// KeepNewest lets the oldest go.
	KeepNewest StoreKeep = C.SEED_STORE_KEEP_NEWEST
	// KeepReservoir keeps every frame with the same probability.
	KeepReservoir StoreKeep = C.SEED_STORE_KEEP_RESERVOIR
	// KeepNovel keeps frames whose embeddings are unlike the others'; it needs MaxFrames, at most 1048576.
	KeepNovel StoreKeep = C.SEED_STORE_KEEP_NOVEL
)

// StoreEncoding is the file format of a stored frame.
type StoreEncoding int32

// The formats; a store encodes to PNG or JPEG, the others come from [Store.PushEncoded].
const (
	StorePNG  StoreEncoding = C.SEED_STORE_PNG
	StoreJPEG StoreEncoding = C.SEED_STORE_JPEG
	StoreBMP  StoreEncoding = C.SEED_STORE_BMP
	StoreTIFF StoreEncoding = C.SEED_STORE_TIFF
	StoreWebP StoreEncoding = C.SEED_STORE_WEBP
	StorePNM  StoreEncoding = C.SEED_STORE_PNM
)

// StoreLabelled says which frames a [StoreFilter] lets through by their labels.
type StoreLabelled int32

// By their labels.
const (
	// EitherLabelled lets all through.
	EitherLabelled StoreLabelled = C.SEED_STORE_EITHER
	// OnlyUnlabelled are those without a label.
	OnlyUnlabelled StoreLabelled = C.SEED_STORE_UNLABELLED
	// OnlyLabelled are those with any label.
	OnlyLabelled StoreLabelled = C.SEED_STORE_LABELLED
	// OnlyOfClass are those of the filter's Class.
	OnlyOfClass StoreLabelled = C.SEED_STORE_OF_CLASS
)
