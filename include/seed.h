/* libseed: self-supervised distillation (SEED) of compact vision networks, on your own GPU and your own unlabelled frames.
 *
 * Every fallible function returns seed_error *: NULL is success, anything else belongs to the caller and is released by
 * seed_error_free. Out-parameters are untouched on an error (but the needed size of SEED_ERROR_BUFFER_TOO_SMALL). Handles are
 * released by their _free function, in any order and from any thread; NULL is fine. What a call works with lives until that call
 * ends, also when its handle is freed meanwhile. A handle that is passed as const may be used by several threads at once;
 * otherwise concurrent use gives SEED_ERROR_BUSY. A freed handle gives SEED_ERROR_INVALID_ARGUMENT until 1,024 more were freed. A
 * C++ exception of a callback ends its call with SEED_ERROR_CANCELLED. Threads that call need a stack of 256 KiB. Texts are UTF-8 and end in NUL. Call seed_init first. */

#ifndef SEED_H
#define SEED_H

/* Generated from src/ffi by `cargo xtask header`; do not edit. */

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus) && __cplusplus >= 201703L
#define SEED_MUST_USE [[nodiscard]]
#elif defined(__GNUC__)
#define SEED_MUST_USE __attribute__((warn_unused_result))
#else
#define SEED_MUST_USE
#endif

/* Of dlpack.h, version 1; only for functions that end in _dlpack. */
struct DLManagedTensorVersioned;

/*
 Major version of the header; changes when old programs no longer work.
 */
#define SEED_VERSION_MAJOR 0

/*
 Minor version of the header; changes when functions are added (and, while the major version is 0, with the ABI).
 */
#define SEED_VERSION_MINOR 1

/*
 Patch version of the header.
 */
#define SEED_VERSION_PATCH 0

/*
 The ABI that this header describes; pass it to seed_init.
 */
#define SEED_ABI_VERSION 2

/*
 No error.
 */
#define SEED_OK 0

/*
 An argument is NULL, out of bounds or contradicts another one.
 */
#define SEED_ERROR_INVALID_ARGUMENT 1

/*
 A configuration key is unknown or its value is out of bounds.
 */
#define SEED_ERROR_CONFIG 2

/*
 The operating system refused to read or write a file, or the other processes of a world do not answer.
 */
#define SEED_ERROR_IO 3

/*
 A file or image is damaged, hostile or of a kind that is not read.
 */
#define SEED_ERROR_FORMAT 4

/*
 A file is sound but does not fit: another architecture, shape, version or data set.
 */
#define SEED_ERROR_MISMATCH 5

/*
 Memory, on the host or on the device, could not be had.
 */
#define SEED_ERROR_OUT_OF_MEMORY 6

/*
 The device is absent, or its driver or libtorch part is.
 */
#define SEED_ERROR_DEVICE 7

/*
 The handle is in use by another thread, or by the caller of the callback that asks.
 */
#define SEED_ERROR_BUSY 8

/*
 An earlier internal error left the handle in an unknown state; only freeing it is allowed.
 */
#define SEED_ERROR_POISONED 9

/*
 A cancel token was triggered, a callback asked to stop, or the process is ending.
 */
#define SEED_ERROR_CANCELLED 10

/*
 libtorch reported an error, or there is none that could be loaded.
 */
#define SEED_ERROR_TORCH 11

/*
 Not supported by this version.
 */
#define SEED_ERROR_UNSUPPORTED 12

/*
 seed_init has not been called, or was called with another SEED_ABI_VERSION.
 */
#define SEED_ERROR_NOT_INITIALIZED 13

/*
 A bug in libseed: a panic was caught at the border. Nothing crossed it; please report the message.
 */
#define SEED_ERROR_INTERNAL 14

/*
 The caller's buffer is too small; the needed size has been written and nothing else.
 */
#define SEED_ERROR_BUFFER_TOO_SMALL 15

/*
 Nothing is logged.
 */
#define SEED_LOG_OFF 0

/*
 Errors that no return value can carry.
 */
#define SEED_LOG_ERROR 1

/*
 Broken images and the like.
 */
#define SEED_LOG_WARN 2

/*
 What was loaded, recognised, chosen.
 */
#define SEED_LOG_INFO 3

/*
 Details for finding faults.
 */
#define SEED_LOG_DEBUG 4

/*
 One byte of grey a pixel.
 */
#define SEED_PIXEL_MONO8 1

/*
 Two bytes of grey a pixel in the machine's byte order, full range 0 to 65535.
 */
#define SEED_PIXEL_MONO16 2

/*
 Red, green, blue, one byte each.
 */
#define SEED_PIXEL_RGB8 3

/*
 Blue, green, red, one byte each.
 */
#define SEED_PIXEL_BGR8 4

/*
 Red, green, blue and an alpha that is ignored, one byte each.
 */
#define SEED_PIXEL_RGBA8 5

/*
 Blue, green, red and an alpha that is ignored, one byte each.
 */
#define SEED_PIXEL_BGRA8 6

/*
 Three planes of float, red, green, blue, each height·row_stride bytes, values 0 to 1. Values outside are clamped, of which the
 …_warnings of the object that took the image tell; NaN is SEED_ERROR_INVALID_ARGUMENT.
 */
#define SEED_PIXEL_PLANAR_F32 7

/*
 Two bytes of grey a pixel in the machine's byte order, 0 to 1023 in the low bits. A larger value is SEED_ERROR_INVALID_ARGUMENT here and
 in all formats of 10, 12 and 14 bits: samples in the upper bits are SEED_PIXEL_MONO16.
 */
#define SEED_PIXEL_MONO10 8

/*
 Two bytes of grey a pixel in the machine's byte order, 0 to 4095 in the low bits.
 */
#define SEED_PIXEL_MONO12 9

/*
 Two bytes of grey a pixel in the machine's byte order, 0 to 16383 in the low bits.
 */
#define SEED_PIXEL_MONO14 10

/*
 Four pixels of grey in five bytes, the lowest bit first: Mono10p of GenICam's PFNC. Each row begins with a byte of its own and has
 (width·10 + 7)/8 bytes, rounded down.
 */
#define SEED_PIXEL_MONO10P 11

/*
 Two pixels of grey in three bytes, the lowest bit first: Mono12p of GenICam's PFNC. A row has (width·12 + 7)/8 bytes.
 */
#define SEED_PIXEL_MONO12P 12

/*
 Two pixels of grey in three bytes: Mono12Packed of GigE Vision, the upper 8 bits of each in the first and the third byte, the lower 4 of
 both in the second, the first pixel's in its lower half. A row has (width·12 + 7)/8 bytes.
 */
#define SEED_PIXEL_MONO12PACKED 13

/*
 A mosaic of one byte a pixel whose first row is red, green, red, …, the second green, blue, …; made to colours by bilinear
 interpolation, the frame mirrored at its outermost pixels. At least 2 × 2 pixels.
 */
#define SEED_PIXEL_BAYER_RG8 14

/*
 The same whose first row is green, red, …
 */
#define SEED_PIXEL_BAYER_GR8 15

/*
 The same whose first row is green, blue, …
 */
#define SEED_PIXEL_BAYER_GB8 16

/*
 The same whose first row is blue, green, …
 */
#define SEED_PIXEL_BAYER_BG8 17

/*
 SEED_PIXEL_BAYER_RG8 of two bytes a pixel as in SEED_PIXEL_MONO12.
 */
#define SEED_PIXEL_BAYER_RG12 18

/*
 SEED_PIXEL_BAYER_GR8 of two bytes a pixel as in SEED_PIXEL_MONO12.
 */
#define SEED_PIXEL_BAYER_GR12 19

/*
 SEED_PIXEL_BAYER_GB8 of two bytes a pixel as in SEED_PIXEL_MONO12.
 */
#define SEED_PIXEL_BAYER_GB12 20

/*
 SEED_PIXEL_BAYER_BG8 of two bytes a pixel as in SEED_PIXEL_MONO12.
 */
#define SEED_PIXEL_BAYER_BG12 21

/*
 Red, green, blue of two bytes each in the machine's byte order, full range 0 to 65535.
 */
#define SEED_PIXEL_RGB16 22

/*
 One float of grey a pixel, any finite number; NaN and infinity are SEED_ERROR_INVALID_ARGUMENT. The full range is 0 to 1.
 */
#define SEED_PIXEL_MONO_F32 23

/*
 The pixels are in main memory.
 */
#define SEED_DEVICE_CPU 0

/*
 Batches are (B, 3, H, W) floats, normalised by "mean" and "std".
 */
#define SEED_BATCH_FLOAT_NCHW 1

/*
 Batches are (B, H, W, 3) bytes: red, green and blue levels, exactly those that were normalised.
 */
#define SEED_BATCH_UINT8_NHWC 2

/*
 Batches are on the CUDA device of the run, and embeddings are expected there.
 */
#define SEED_DEVICE_CUDA 1

/*
 The last step of the run was made.
 */
#define SEED_OUTCOME_FINISHED 0

/*
 The given number of steps was made; more are left.
 */
#define SEED_OUTCOME_PAUSED 1

/*
 The cancel token or the callback ended the call after a whole step.
 */
#define SEED_OUTCOME_CANCELLED 2

/*
 Both networks are measured and the settings decided on.
 */
#define SEED_DISTIL_PLAN 1

/*
 The teacher sees the views that the student will learn from.
 */
#define SEED_DISTIL_BANK 2

/*
 The student learns.
 */
#define SEED_DISTIL_RUN 3

/*
 The student is judged and the report written.
 */
#define SEED_DISTIL_REPORT 4

/*
 The backbone embeds the labelled images; done and total count images.
 */
#define SEED_STAGE_EMBEDDING 0

/*
 The linear classifier is fitted; done and total count values of the penalty.
 */
#define SEED_STAGE_LINEAR 1

/*
 All layers learn; done and total count steps.
 */
#define SEED_STAGE_FULL 2

/*
 A linear classifier learns by SGD on frozen features (seed_linear_sgd_evaluate); done and total count steps.
 */
#define SEED_STAGE_SGD 3

/*
 What has learned is tested (seed_linear_sgd_evaluate); done and total count images.
 */
#define SEED_STAGE_TEST 4

/*
 The class of a mask's pixel that is ignored.
 */
#define SEED_MASK_IGNORED 255

/*
 Nothing follows the features.
 */
#define SEED_HEAD_NONE 0

/*
 Linear, ReLU, linear.
 */
#define SEED_HEAD_PROJECTION 1

/*
 Linear, batch norm, ReLU, linear.
 */
#define SEED_HEAD_NORMED_PROJECTION 2

/*
 A linear layer to classes.
 */
#define SEED_HEAD_CLASSIFIER 3

/*
 One linear layer to the embedding, as MoCo-v1's.
 */
#define SEED_HEAD_LINEAR_PROJECTION 4

/*
 All of a frame, each side resized to the network's.
 */
#define SEED_RESIZE_WHOLE 0

/*
 All of a frame with its aspect ratio, padded by the mean colour.
 */
#define SEED_RESIZE_LETTERBOX 1

/*
 The shorter side resized to size · 256/224 and the middle cut out.
 */
#define SEED_RESIZE_CENTRE 2

/*
 An ONNX model, operator set 17, with a free batch size.
 */
#define SEED_EXPORT_ONNX 1

/*
 A TorchScript module, for torch::jit::load and torch.jit.load.
 */
#define SEED_EXPORT_TORCHSCRIPT 2

/*
 safetensors with torchvision's names; a projection stands in place of the classifier's last linear layer.
 */
#define SEED_EXPORT_TORCHVISION 3

/*
 safetensors with torchvision's names, without the head.
 */
#define SEED_EXPORT_BACKBONE 4

/*
 The network takes float32 (B, 3, H, W), red, green, blue, normalised by the caller with the student's mean and std.
 */
#define SEED_EXPORT_INPUT_NORMALISED 0

/*
 The network takes float32 (B, 3, H, W) in [0, 1] and normalises.
 */
#define SEED_EXPORT_INPUT_UNIT 1

/*
 The network takes bytes (B, H, W, 3), red, green, blue, and does the rest.
 */
#define SEED_EXPORT_INPUT_BYTES 2

/*
 The network gives "embedding" (B, C), unit rows; with a classifier "logits".
 */
#define SEED_EXPORT_OUTPUT_EMBEDDING 0

/*
 The network gives "features" (B, D), not normalised.
 */
#define SEED_EXPORT_OUTPUT_FEATURES 1

/*
 Both, the embedding first.
 */
#define SEED_EXPORT_OUTPUT_BOTH 2

/*
 The feature maps "c2", "c3", "c4" and "c5" (B, C, H/stride, W/stride), rounded up, of strides 4, 8, 16 and 32, as the neck of a detector
 takes them. Vision Transformers have none.
 */
#define SEED_EXPORT_OUTPUT_STAGES 3

/*
 The frames that were pushed last stay.
 */
#define SEED_STORE_KEEP_NEWEST 1

/*
 A uniform sample of all frames that were pushed stays, the same for the same seed.
 */
#define SEED_STORE_KEEP_RESERVOIR 2

/*
 Frames that are far from their nearest stored neighbour by the cosine of their embeddings stay.
 */
#define SEED_STORE_KEEP_NOVEL 3

/*
 Lossless PNG of 8 to 16 bits a sample; an sBIT chunk says how many of 16 are real.
 */
#define SEED_STORE_PNG 1

/*
 JPEG: the upper 8 bits of each sample, so a range in samples of more bits does not fit what is stored; a frame of more than 8 bits is a
 warning in the log.
 */
#define SEED_STORE_JPEG 2

/*
 BMP, of images that were pushed encoded.
 */
#define SEED_STORE_BMP 3

/*
 TIFF, of images that were pushed encoded.
 */
#define SEED_STORE_TIFF 4

/*
 WebP, of images that were pushed encoded.
 */
#define SEED_STORE_WEBP 5

/*
 PBM, PGM or PPM, of images that were pushed encoded.
 */
#define SEED_STORE_PNM 6

/*
 Frames with a label or without.
 */
#define SEED_STORE_EITHER 0

/*
 Frames without a label.
 */
#define SEED_STORE_UNLABELLED 1

/*
 Frames with any label.
 */
#define SEED_STORE_LABELLED 2

/*
 Frames of one class.
 */
#define SEED_STORE_OF_CLASS 3

/*
 What a frame is called.
 */
#define SEED_STORE_TEXT_NAME 1

/*
 What was kept with it.
 */
#define SEED_STORE_TEXT_METADATA 2

/*
 What its class is called.
 */
#define SEED_STORE_TEXT_LABEL 3

/*
 KL is worse.
 */
#define SEED_WORSE_KL 1

/*
 Overlap is worse.
 */
#define SEED_WORSE_OVERLAP 2

/*
 Cosine is worse.
 */
#define SEED_WORSE_COSINE 4

/*
 The value 0 in an option whose 0 is the default: a margin of 0, no replay. Any other negative number says the same.
 */
#define SEED_OPTION_ZERO -1.0

/*
 The two principal components.
 */
#define SEED_MAP_PCA 1

/*
 t-SNE: who is near whom.
 */
#define SEED_MAP_TSNE 2

/*
 The student learns; done and total count steps.
 */
#define SEED_NIGHT_DISTIL 1

/*
 A classifier is made; done and total count as for seed_classifier_fit.
 */
#define SEED_NIGHT_FINETUNE 2

/*
 Both students and the teacher embed frames, and the gate judges; done and total count images.
 */
#define SEED_NIGHT_EVALUATE 3

/*
 Files and session are exchanged.
 */
#define SEED_NIGHT_SWAP 4

/*
 The report and the line of the history are written.
 */
#define SEED_NIGHT_REPORT 5

/*
 There were too few new frames; nothing was changed.
 */
#define SEED_NIGHT_NOTHING_NEW 0

/*
 The token or the callback ended the call; the same call goes on.
 */
#define SEED_NIGHT_CANCELLED 1

/*
 The night is done and the old student stays live.
 */
#define SEED_NIGHT_KEPT 2

/*
 The night is done and the new student is live.
 */
#define SEED_NIGHT_LIVE 3

/*
 A memory of good parts that says how far an image is from all of them, and where. All functions may be called from
 several threads at once, seed_anomaly_add among them.
 */
typedef struct seed_anomaly seed_anomaly;

/*
 A finished or unfinished bank that is open for reading; its file is locked against seed_bank_fill. Teachers and trainers hold
 what they use. All functions may be called from several threads at once.
 */
typedef struct seed_bank seed_bank;

/*
 Ends or pauses long calls at their next step. One token may serve several calls.
 */
typedef struct seed_cancel_token seed_cancel_token;

/*
 A network that says which class an image is of, how sure it is, and when it is not. It never changes; all functions may
 be called from several threads at once.
 */
typedef struct seed_classifier seed_classifier;

/*
 Settings of a run or a session, under string keys; docs/settings.md lists them with bounds and defaults. Objects made with a
 configuration keep a copy: changing it later changes nothing of theirs.

 "learning_rate" is for 256 images a step: a run's highest rate is learning_rate·batch_size/256, so 0.2 at a batch of 32 is 0.025.
 "finetune.learning_rate" and "anomaly.learning_rate" are taken as they are.
 */
typedef struct seed_config seed_config;

/*
 Images without labels. Trainers and sessions hold what they use, so it may be freed in any order. All functions may be
 called from several threads at once, pushing while a trainer reads included.
 */
typedef struct seed_dataset seed_dataset;

/*
 What seed_distil made. It may be used by several threads at once.
 */
typedef struct seed_distilled seed_distilled;

/*
 A sample of a student's embeddings from good days, which batches of later days are compared with. All functions may be
 called from several threads at once.
 */
typedef struct seed_drift seed_drift;

/*
 A table of embeddings, one row an image, that a teacher made elsewhere. Never changes; teachers and trainers hold what they use. All
 functions may be called from several threads at once.
 */
typedef struct seed_embeddings seed_embeddings;

/*
 An error: a code for the program and a message for a person. Functions return NULL for success; what is not NULL
 belongs to the caller and is released by seed_error_free.
 */
typedef struct seed_error seed_error;

/*
 A file of scalars that TensorBoard reads, for what the application measures: agreement, drift. Distillation and full
 fine-tuning write their own where "tensorboard_folder" is set. Used by one thread at a time.
 */
typedef struct seed_event_file seed_event_file;

/*
 What a network is, as it was when this was made. All functions may be called from several threads at once.
 */
typedef struct seed_model seed_model;

/*
 A first-in-first-out queue of K unit rows of width C. Trainers hold what they use. All functions may be called from
 several threads at once; they wait for a step that is using the queue.
 */
typedef struct seed_queue seed_queue;

/*
 A report that grows from top to bottom and becomes one HTML file, with nothing outside it. Used by one thread at a
 time.
 */
typedef struct seed_report seed_report;

/*
 A linear layer on a student's feature maps that says which class each pixel of a frame has. It never changes; all functions may be
 called from several threads at once.
 */
typedef struct seed_segmenter seed_segmenter;

/*
 A snapshot of a network that turns images into vectors. It changes by seed_session_swap only; all functions may be
 called from several threads at once.
 */
typedef struct seed_session seed_session;

/*
 A bounded store of frames on disk: the line pushes, a thread of the store's encodes and writes, and any number of
 threads and processes read meanwhile. One process writes. The file is an SQLite data base (docs/store.md). All functions
 may be called from several threads at once.
 */
typedef struct seed_store seed_store;

/*
 A compact network with a projection head. Trainers share it; sessions take a copy of its weights as they are when the
 session is made. All functions but seed_student_load_weights may be called from several threads at once; they wait for a
 step that is writing the weights.
 */
typedef struct seed_student seed_student;

/*
 What is learned from: a frozen network, a TorchScript file, an engine of the application (seed_teacher_from_callback), or what
 a teacher said before and that was stored (seed_teacher_from_bank, seed_teacher_from_embeddings). A stored one serves
 seed_trainer_new; what has to show a teacher images refuses it with SEED_ERROR_UNSUPPORTED. Trainers and sessions hold what they
 use. All functions may be called from several threads at once.
 */
typedef struct seed_teacher seed_teacher;

/*
 One distillation run. Used by one thread at a time; it holds what it was made of.
 */
typedef struct seed_trainer seed_trainer;

/*
 The processes of which this is one, each with a rank from 0 on (docs/world.md). One trainer at a time works with it.
 */
typedef struct seed_world seed_world;

/*
 Receives one line of the log: a level (SEED_LOG_*) and UTF-8 text that is valid during the call. It fires on any
 thread, the library's own workers included, possibly on several at once, and must not call back into the library.
 What it throws is dropped.
 */
typedef void (*seed_log_callback)(int32_t level, const char *message, void *user_data);

/*
 Memory of this process and of a device, in bytes. Set struct_size to sizeof(seed_memory) first.
 */
typedef struct {
  /*
   sizeof(seed_memory).
   */
  size_t struct_size;
  /*
   Main memory that this process holds now.
   */
  uint64_t process_bytes;
  /*
   The most that it has held so far.
   */
  uint64_t process_peak_bytes;
  /*
   Free on the device; of main memory what can be had without swapping. A container's own limit is not seen.
   */
  uint64_t device_free_bytes;
  /*
   All of the device.
   */
  uint64_t device_total_bytes;
  /*
   Taken on the device by this process's tensors; for "cpu", process_bytes.
   */
  uint64_t device_taken_bytes;
} seed_memory;

/*
 A view of an image in the application's memory. The library reads it during the call only and keeps no pointer.
 Set struct_size to sizeof(seed_image) first.
 */
typedef struct {
  /*
   sizeof(seed_image).
   */
  size_t struct_size;
  /*
   The first pixel of the first row.
   */
  const void *data;
  /*
   Pixels a row.
   */
  uint32_t width;
  /*
   Rows.
   */
  uint32_t height;
  /*
   Bytes from one row to the next.
   */
  size_t row_stride;
  /*
   SEED_PIXEL_*.
   */
  int32_t format;
  /*
   SEED_DEVICE_CPU.
   */
  int32_t device;
} seed_image;

/*
 A batch for a teacher's callback. Everything in it is valid during the call only.
 */
typedef struct {
  /*
   sizeof(seed_teacher_batch) of the library.
   */
  size_t struct_size;
  /*
   The first number of B images, which lie one after another without gaps; to be read only.
   */
  const void *images;
  /*
   B, at most "batch_size" of the run divided by "accumulation_steps"; a last batch may be smaller.
   */
  size_t count;
  /*
   H.
   */
  uint32_t height;
  /*
   W.
   */
  uint32_t width;
  /*
   SEED_BATCH_*.
   */
  int32_t format;
  /*
   SEED_DEVICE_*: where `images` and `embeddings` are.
   */
  int32_t device;
  /*
   Number of the CUDA device; 0 on the CPU.
   */
  int32_t device_index;
  /*
   D.
   */
  size_t dim;
  /*
   Where B·D floats are expected, row after row; they are divided by their rows' lengths afterwards.
   */
  float *embeddings;
  /*
   The same images as a DLPack tensor. Whoever takes it over writes NULL here, calls its deleter later, and must not
   write to it; else the library releases it after the call.
   */
  struct DLManagedTensorVersioned *tensor;
  /*
   Where a reason may be written, ending in NUL, before returning something else than 0.
   */
  char *message;
  /*
   Bytes of `message`, the NUL included.
   */
  size_t message_capacity;
} seed_teacher_batch;

/*
 Fills `embeddings` of a batch and returns 0; another number fails the call that asked for them.
 */
typedef int32_t (*seed_teacher_callback)(seed_teacher_batch *batch, void *user_data);

/*
 Is told that `user_data` is not needed any more.
 */
typedef void (*seed_release_callback)(void *user_data);

/*
 One report of a run.
 */
typedef struct {
  /*
   sizeof(seed_progress) of the library.
   */
  size_t struct_size;
  /*
   Steps made since the very first start, resumed runs included.
   */
  uint64_t step;
  /*
   Steps of the whole run.
   */
  uint64_t total_steps;
  /*
   Epoch of the next image, from 0.
   */
  uint64_t epoch;
  /*
   Images that could not be read so far.
   */
  uint64_t skipped_images;
  /*
   Mean loss since the report before; NaN in the first report, which comes before the first step.
   */
  double loss;
  /*
   Learning rate of the last step: "learning_rate"·"batch_size"/256 at its highest.
   */
  double learning_rate;
  /*
   Images a second since the report before.
   */
  double images_per_second;
  /*
   Estimated seconds to the last step; NaN in the first report.
   */
  double eta_seconds;
  /*
   Seconds since the call began.
   */
  double elapsed_seconds;
  /*
   Share of the time since the report before in which the step waited for images, 0 to 1.
   */
  double waiting_share;
  /*
   Share of the teacher's ten nearest frames that are the student's too, over the frames of the run's probe ("probe.images"), 0
   to 1: at the last look. NaN where the run is not probed.
   */
  double probe_agreement;
  /*
   The same at the first look.
   */
  double probe_agreement_start;
  /*
   The same of the best look so far.
   */
  double probe_agreement_best;
  /*
   Balanced 10-NN recall over these frames by the classes of their folders, 0 to 1, at the last look. NaN without classes.
   */
  double probe_recall;
  /*
   Steps made before the last look.
   */
  uint64_t probe_step;
} seed_progress;

/*
 Receives a report before the first step, after it and then every "progress_every" steps, on the thread that called seed_trainer_run; the report is valid during
 the call. A return other than 0 ends the run after this step. The trainer itself is busy meanwhile; the student may be
 saved, and sessions may be made of it.
 */
typedef int32_t (*seed_progress_callback)(const seed_progress *progress, void *user_data);

/*
 One report of seed_distil.
 */
typedef struct {
  /*
   sizeof(seed_distil_progress) of the library.
   */
  size_t struct_size;
  /*
   What is being done, one of SEED_DISTIL_*.
   */
  int32_t stage;
  /*
   Views that the teacher has seen, or steps that were made. 0 in the other stages.
   */
  uint64_t done;
  /*
   Of how many; 0 where that is not known.
   */
  uint64_t total;
  /*
   Seconds since the call began.
   */
  double elapsed_seconds;
  /*
   Estimated seconds to the end of the stage; NaN where they are not known.
   */
  double eta_seconds;
  /*
   Images a second; 0 where they are not known.
   */
  double images_per_second;
  /*
   Mean loss since the report before; NaN outside of SEED_DISTIL_RUN and before the first step.
   */
  double loss;
  /*
   Share of the teacher's ten nearest frames that are the student's too, 0 to 1, at the last look; NaN before the first.
   */
  double probe_agreement;
  /*
   Balanced 10-NN recall by the classes of the frames' folders, 0 to 1, at the last look; NaN without classes.
   */
  double probe_recall;
} seed_distil_progress;

/*
 Receives the reports of seed_distil, on the thread that called it; the report is valid during the call. The first comes at once.
 A return other than 0 ends the work where it can be gone on with.
 */
typedef int32_t (*seed_distil_callback)(const seed_distil_progress *progress, void *user_data);

/*
 How good a student is. Figures are NaN where they are not known: those by labels without classes of folders, all of a call that
 was cancelled.
 */
typedef struct {
  /*
   Set to sizeof(seed_distil_summary) before the call.
   */
  size_t struct_size;
  /*
   SEED_OUTCOME_FINISHED or SEED_OUTCOME_CANCELLED.
   */
  int32_t outcome;
  /*
   Frames that the figures are of.
   */
  uint64_t images;
  /*
   Classes of folders among them; 0 without.
   */
  uint64_t classes;
  /*
   Steps that were made.
   */
  uint64_t steps;
  /*
   Seconds that the call took.
   */
  double seconds;
  /*
   Share of the teacher's ten nearest frames that are the student's too, by the embedding, before the run.
   */
  double agreement_before;
  /*
   The same after it.
   */
  double agreement_after;
  /*
   What two spaces share that have nothing to do with each other.
   */
  double agreement_chance;
  /*
   Mean balanced recall of 10-NN by the embedding over five splits into two thirds and one, before the run.
   */
  double recall_before;
  /*
   The same after it.
   */
  double recall_after;
  /*
   Sample deviation of the five splits, after it.
   */
  double recall_after_deviation;
  /*
   The teacher's.
   */
  double recall_teacher;
  /*
   1 / classes.
   */
  double recall_chance;
  /*
   How many warnings there are; seed_distilled_warnings gives them.
   */
  uint64_t warnings;
} seed_distil_summary;

/*
 One report of the filling of a bank.
 */
typedef struct {
  /*
   sizeof(seed_bank_progress) of the library.
   */
  size_t struct_size;
  /*
   Rows that are finished, of earlier calls too.
   */
  uint64_t rows;
  /*
   Rows of the whole bank: views times images.
   */
  uint64_t total_rows;
  /*
   Images that could not be read so far.
   */
  uint64_t skipped_images;
  /*
   Rows a second since the report before.
   */
  double rows_per_second;
  /*
   Estimated seconds to the last row.
   */
  double eta_seconds;
  /*
   Seconds since the call began.
   */
  double elapsed_seconds;
  /*
   Share of the time since the report before in which the teacher waited for images, 0 to 1.
   */
  double waiting_share;
} seed_bank_progress;

/*
 Receives a report every "progress_every" chunks of rows, on the thread that called seed_bank_fill; the report is valid
 during the call. A return other than 0 ends the filling; what is finished is kept.
 */
typedef int32_t (*seed_bank_callback)(const seed_bank_progress *progress, void *user_data);

/*
 Receives how many images of how many are done, on the thread that called; a return other than 0 cancels.
 */
typedef int32_t (*seed_count_callback)(size_t done, size_t total, void *user_data);

/*
 How a student, a classifier or a detector is exported. Set all of it to 0 and struct_size to sizeof(seed_export_options) first.
 */
typedef struct {
  /*
   sizeof(seed_export_options).
   */
  size_t struct_size;
  /*
   SEED_EXPORT_ONNX, _TORCHSCRIPT, _TORCHVISION or _BACKBONE; of a classifier or a detector SEED_EXPORT_ONNX.
   */
  int32_t format;
  /*
   SEED_EXPORT_INPUT_*; a file of weights has no input.
   */
  int32_t input;
  /*
   SEED_EXPORT_OUTPUT_*; a file of weights has no outputs. Of a classifier or a detector 0, since it gives all it has.
   */
  int32_t outputs;
  /*
   0.
   */
  int32_t reserved;
} seed_export_options;

/*
 One report of seed_classifier_fit or seed_linear_sgd_evaluate.
 */
typedef struct {
  /*
   sizeof(seed_finetune_progress) of the library.
   */
  size_t struct_size;
  /*
   SEED_STAGE_*: what is being done.
   */
  int32_t stage;
  /*
   0.
   */
  int32_t reserved;
  /*
   How much of it is done.
   */
  uint64_t done;
  /*
   How much there is to do at most.
   */
  uint64_t total;
  /*
   Passes over the images so far (SEED_STAGE_FULL, SEED_STAGE_SGD).
   */
  uint64_t epoch;
  /*
   Mean loss of the last pass (SEED_STAGE_FULL) or of the steps since the report before (SEED_STAGE_SGD); NaN where there is none.
   */
  double loss;
  /*
   Calibrated loss on the held-out images, the last that was measured; NaN where there is none.
   */
  double held_out_loss;
  /*
   Share of the held-out images that got their class then; NaN where there is none.
   */
  double held_out_accuracy;
  /*
   Estimated seconds to the end of this stage.
   */
  double eta_seconds;
  /*
   Seconds since the call began.
   */
  double elapsed_seconds;
} seed_finetune_progress;

/*
 Receives a report on the thread that called; it is valid during the call. A return other than 0 ends seed_classifier_fit with the
 best classifier so far, and seed_linear_sgd_evaluate with SEED_ERROR_CANCELLED.
 */
typedef int32_t (*seed_finetune_callback)(const seed_finetune_progress *progress, void *user_data);

/*
 What seed_segmentation_evaluate found. Set struct_size to sizeof(seed_segmentation_result) first.
 */
typedef struct {
  /*
   sizeof(seed_segmentation_result).
   */
  size_t struct_size;
  /*
   Mean IoU over the classes that occur, mean over the splits.
   */
  double mean_iou_mean;
  /*
   Its standard deviation.
   */
  double mean_iou_deviation;
  /*
   Share of the test frames' pixels that got their class, mean over the splits.
   */
  double accuracy_mean;
  /*
   Its standard deviation.
   */
  double accuracy_deviation;
} seed_segmentation_result;

/*
 A network in figures. Set struct_size to sizeof(seed_model_info) first.
 */
typedef struct {
  /*
   sizeof(seed_model_info).
   */
  size_t struct_size;
  /*
   Numbers that a run learns, head included, running statistics not; 0 where only the application knows, of a teacher of its own.
   */
  int64_t parameters;
  /*
   Multiplications with addition for one image of this size, head included, as torchvision counts them (GMac times 10⁹);
   0 where they cannot be counted: of a teacher that is no network of libseed.
   */
  uint64_t multiply_adds;
  /*
   Width of the features before the head; 0 for a teacher that is no network of libseed.
   */
  int64_t feature_dim;
  /*
   Width of the embedding; with a classifier the number of classes, without a head feature_dim.
   */
  int64_t embedding_dim;
  /*
   Subtracted from red, green and blue in [0, 1].
   */
  double mean[3];
  /*
   Divides red, green and blue afterwards.
   */
  double std[3];
  /*
   Pixels in a row of the network's images; others are resized to this size.
   */
  uint32_t input_width;
  /*
   Rows of the network's images.
   */
  uint32_t input_height;
  /*
   Channels of the network's images.
   */
  uint32_t input_channels;
  /*
   SEED_HEAD_*.
   */
  int32_t head;
  /*
   SEED_RESIZE_*: how a frame becomes the network's image.
   */
  int32_t resize;
  /*
   0.
   */
  int32_t reserved;
} seed_model_info;

/*
 How a store is opened. Set struct_size to sizeof(seed_store_options); 0 elsewhere is the default.
 */
typedef struct {
  /*
   sizeof(seed_store_options).
   */
  size_t struct_size;
  /*
   Most bytes of images, embeddings and texts; the file is a few per cent larger. Default: 8 GiB.
   */
  uint64_t max_bytes;
  /*
   Most frames. Default: no limit.
   */
  uint64_t max_frames;
  /*
   Unlabelled frames older than this are let go. Default: no limit.
   */
  uint64_t max_age_seconds;
  /*
   Of the reservoir's choice.
   */
  uint64_t seed;
  /*
   Most bytes of pixels that wait for the store's thread. Default: 256 MiB.
   */
  uint64_t queue_bytes;
  /*
   Most frames that wait for the store's thread, up to 65536. Default: 32.
   */
  uint32_t queue_frames;
  /*
   SEED_STORE_KEEP_*. Default: the newest. Novel needs max_frames, at most 1048576. Labelled frames stay before all others.
   */
  int32_t keep;
  /*
   SEED_STORE_PNG (the default) or SEED_STORE_JPEG.
   */
  int32_t encoding;
  /*
   1 to 100, for SEED_STORE_JPEG alone. Default: 90.
   */
  int32_t jpeg_quality;
} seed_store_options;

/*
 What goes with a frame. Set struct_size to sizeof(seed_store_entry); NULL and 0 elsewhere are fine.
 */
typedef struct {
  /*
   sizeof(seed_store_entry).
   */
  size_t struct_size;
  /*
   What the frame is called; need not be unique.
   */
  const char *name;
  /*
   Whatever shall be kept with it, JSON say.
   */
  const char *metadata;
  /*
   Microseconds since 1970, UTC; 0: the clock's now.
   */
  int64_t time_us;
  /*
   embedding_dim floats, kept with length 1. All of a store must be as wide and come from one network.
   */
  const float *embedding;
  /*
   Their number; 0: no embedding.
   */
  size_t embedding_dim;
  /*
   The frame's class, from 0 on, if has_label is not 0.
   */
  int64_t label;
  /*
   What the class is called.
   */
  const char *label_text;
  /*
   Whether the frame has a label.
   */
  int32_t has_label;
} seed_store_entry;

/*
 Which frames are listed. Set struct_size to sizeof(seed_store_filter); 0 elsewhere asks for all.
 */
typedef struct {
  /*
   sizeof(seed_store_filter).
   */
  size_t struct_size;
  /*
   Smallest id.
   */
  int64_t first_id;
  /*
   Largest id; 0: no bound.
   */
  int64_t last_id;
  /*
   Earliest time, in microseconds since 1970; 0: no bound.
   */
  int64_t from_us;
  /*
   Latest time; 0: no bound.
   */
  int64_t until_us;
  /*
   The class, for SEED_STORE_OF_CLASS.
   */
  int64_t label;
  /*
   Only the last so many of them; 0: all.
   */
  uint64_t last;
  /*
   SEED_STORE_EITHER, _UNLABELLED, _LABELLED or _OF_CLASS.
   */
  int32_t labelled;
} seed_store_filter;

/*
 A stored frame. Set struct_size to sizeof(seed_store_record) first.
 */
typedef struct {
  /*
   sizeof(seed_store_record).
   */
  size_t struct_size;
  /*
   Its number.
   */
  int64_t id;
  /*
   Microseconds since 1970, UTC.
   */
  int64_t time_us;
  /*
   Its class; −1 where it has no label.
   */
  int64_t label;
  /*
   Length of the encoded image.
   */
  uint64_t bytes;
  /*
   Pixels a row.
   */
  uint32_t width;
  /*
   Rows.
   */
  uint32_t height;
  /*
   1 or 3.
   */
  uint32_t channels;
  /*
   8 to 16 bits a sample, as it is stored.
   */
  uint32_t bits;
  /*
   CRC-32 of the encoded image.
   */
  uint32_t crc32;
  /*
   SEED_STORE_PNG, _JPEG, _BMP, _TIFF, _WEBP or _PNM.
   */
  int32_t encoding;
} seed_store_record;

/*
 What a store has done since it was opened, and holds. Set struct_size to sizeof(seed_store_stats) first.
 */
typedef struct {
  /*
   sizeof(seed_store_stats).
   */
  size_t struct_size;
  /*
   Frames that were offered: the sum of stored, dropped, passed_over, failed and queue_frames.
   */
  uint64_t pushed;
  /*
   Written, some of which may have gone since.
   */
  uint64_t stored;
  /*
   Found no room in the queue in time.
   */
  uint64_t dropped;
  /*
   Not chosen by the reservoir or as novel.
   */
  uint64_t passed_over;
  /*
   Could not be encoded or written; the log says why.
   */
  uint64_t failed;
  /*
   Have made room for others or were too old.
   */
  uint64_t evicted;
  /*
   Wait for the store's thread.
   */
  uint64_t queue_frames;
  /*
   Bytes of pixels that wait.
   */
  uint64_t queue_bytes;
  /*
   Frames in the store.
   */
  uint64_t frames;
  /*
   What they count for against max_bytes.
   */
  uint64_t bytes;
  /*
   Of the file and its write-ahead log.
   */
  uint64_t file_bytes;
} seed_store_stats;

/*
 What seed_knn_evaluate found. Set struct_size to sizeof(seed_knn_result) first.
 */
typedef struct {
  /*
   sizeof(seed_knn_result).
   */
  size_t struct_size;
  /*
   Share of queries with the right class, mean over the splits.
   */
  double accuracy_mean;
  /*
   Its standard deviation.
   */
  double accuracy_deviation;
  /*
   Mean of the classes' recalls, mean over the splits.
   */
  double balanced_recall_mean;
  /*
   Its standard deviation.
   */
  double balanced_recall_deviation;
} seed_knn_result;

/*
 What seed_linear_evaluate, seed_semi_supervised_evaluate and seed_transfer_evaluate found. Set struct_size to
 sizeof(seed_linear_result) first.
 */
typedef struct {
  /*
   sizeof(seed_linear_result).
   */
  size_t struct_size;
  /*
   Share of test images with the right class, mean over the splits.
   */
  double accuracy_mean;
  /*
   Its standard deviation.
   */
  double accuracy_deviation;
  /*
   Mean of the classes' recalls, mean over the splits.
   */
  double balanced_recall_mean;
  /*
   Its standard deviation.
   */
  double balanced_recall_deviation;
  /*
   Mean over classes of the AUROC against all others, mean over the splits in which it is defined; NaN where it is in none,
   since no split has test images of two classes.
   */
  double auroc_mean;
  /*
   Its standard deviation; NaN as the mean.
   */
  double auroc_deviation;
} seed_linear_result;

/*
 What seed_linear_sgd_evaluate found. Set struct_size to sizeof(seed_linear_sgd_result) first.
 */
typedef struct {
  /*
   sizeof(seed_linear_sgd_result).
   */
  size_t struct_size;
  /*
   Labelled images that were learned from.
   */
  uint64_t images;
  /*
   Labelled images that were tested on; broken ones are left out.
   */
  uint64_t test_images;
  /*
   Share of the test images whose class is the most probable one (top-1).
   */
  double accuracy;
  /*
   Share of the test images whose class is among the five most probable ones (top-5); 1 where there are at most five classes.
   */
  double top5_accuracy;
  /*
   Mean recall of the classes that have a test image.
   */
  double balanced_recall;
  /*
   Mean −log of the probability that the test images' classes were given.
   */
  double loss;
  /*
   Mean loss of the steps of the last pass over the images that were learned from.
   */
  double train_loss;
} seed_linear_sgd_result;

/*
 What a batch says. Set struct_size to sizeof(seed_drift_signal) first.
 */
typedef struct {
  /*
   sizeof(seed_drift_signal).
   */
  size_t struct_size;
  /*
   Energy distance of the batch from the reference; about 0 when nothing has changed.
   */
  double energy;
  /*
   What one of a hundred batches of the reference's own rows exceeds.
   */
  double threshold;
  /*
   Share of the reference's own batches that reach this energy, from 1/1000 on.
   */
  double p_value;
  /*
   Mean of 1 − cosine to the nearest reference row.
   */
  double nearest;
  /*
   The same of the reference's own rows.
   */
  double nearest_reference;
  /*
   Share of the batch that is farther from the reference than 99 % of its own rows.
   */
  double outside;
  /*
   1 when the energy is above the threshold, else 0.
   */
  int32_t raised;
} seed_drift_signal;

/*
 A mean and its 95 % confidence interval.
 */
typedef struct {
  /*
   The mean.
   */
  double value;
  /*
   The interval's lower end.
   */
  double low;
  /*
   The interval's upper end.
   */
  double high;
} seed_interval;

/*
 How well a student reproduces its teacher. Set struct_size to sizeof(seed_fidelity) first.
 */
typedef struct {
  /*
   sizeof(seed_fidelity).
   */
  size_t struct_size;
  /*
   Frames that were measured.
   */
  size_t frames;
  /*
   Neighbours of the overlap.
   */
  size_t k;
  /*
   Embeddings of the queue.
   */
  size_t queue;
  /*
   Of the student's softmax.
   */
  double temperature_student;
  /*
   Of the teacher's softmax.
   */
  double temperature_teacher;
  /*
   Mean Kullback–Leibler divergence of the student's softmax over the queue from the teacher's, in nats.
   */
  seed_interval kl;
  /*
   Mean share of the teacher's k nearest among the student's, 0 to 1.
   */
  seed_interval overlap;
  /*
   Mean cosine between both embeddings, −1 to 1.
   */
  seed_interval cosine;
} seed_fidelity;

/*
 By how much a new student may be worse than the old. Set struct_size to sizeof(seed_gate_options); 0 elsewhere is the default,
 SEED_OPTION_ZERO the value 0.
 */
typedef struct {
  /*
   sizeof(seed_gate_options).
   */
  size_t struct_size;
  /*
   Neighbours of overlap and of kNN. Default: 10.
   */
  size_t k;
  /*
   As it was distilled. Default: 0.2.
   */
  double temperature_student;
  /*
   As it was distilled. Default: 0.01.
   */
  double temperature_teacher;
  /*
   Share of the old student's KL that the new one's may be above it. Default: 0.02: at two temperatures KL is far
   above 0 for any student.
   */
  double kl_margin;
  /*
   By how much the overlap may be below. Default: 0.02.
   */
  double overlap_margin;
  /*
   By how much the balanced recall may be below. Default: 0.02.
   */
  double recall_margin;
  /*
   How many times the old latency is allowed. Default: 1.1.
   */
  double latency_factor;
  /*
   Of the intervals and the parts of the reference set.
   */
  uint64_t seed;
} seed_gate_options;

/*
 One thing that must hold for a new student.
 */
typedef struct {
  /*
   Of the old student.
   */
  double old_value;
  /*
   Of the new student.
   */
  double new_value;
  /*
   New less old, frame by frame.
   */
  seed_interval difference;
  /*
   What the worse bound of the difference must keep to.
   */
  double limit;
  /*
   1 when it does, else 0.
   */
  int32_t holds;
} seed_criterion;

/*
 What the gate says. Set struct_size to sizeof(seed_verdict) first.
 */
typedef struct {
  /*
   sizeof(seed_verdict).
   */
  size_t struct_size;
  /*
   Mean KL to the teacher, in nats.
   */
  seed_criterion kl;
  /*
   Mean overlap with the teacher's neighbours.
   */
  seed_criterion overlap;
  /*
   Balanced recall of kNN on the reference set.
   */
  seed_criterion recall;
  /*
   Median time of one frame, in milliseconds; the difference is that of pairs of times.
   */
  seed_criterion latency;
  /*
   1 when all four hold, else 0.
   */
  int32_t passes;
  /*
   1 when the machine was too busy to tell which student is faster: latency does not hold then, but nothing was shown
   either; judge again. Else 0.
   */
  int32_t latency_unclear;
} seed_verdict;

/*
 How embeddings come onto a plane. Set struct_size to sizeof(seed_map_options); 0 elsewhere is the default.
 */
typedef struct {
  /*
   sizeof(seed_map_options).
   */
  size_t struct_size;
  /*
   Points that are drawn, at most 5000; of more embeddings a random part, of the largest classes least. Default: 2000.
   */
  size_t max_points;
  /*
   About how many neighbours count, of t-SNE, 1 to 1000. Default: 30.
   */
  double perplexity;
  /*
   Of the random part.
   */
  uint64_t seed;
  /*
   SEED_MAP_*. Default: SEED_MAP_TSNE.
   */
  int32_t method;
  /*
   0.
   */
  int32_t reserved;
} seed_map_options;

/*
 How much of what a night takes. Set struct_size to sizeof(seed_night_options); 0 elsewhere is the default. Where 0 is wanted as a
 value, set SEED_OPTION_ZERO.
 */
typedef struct {
  /*
   sizeof(seed_night_options).
   */
  size_t struct_size;
  /*
   New frames without which there is nothing to do. Default: 64.
   */
  uint64_t min_new_frames;
  /*
   Most held-out frames that the students are compared on, the newest, from 12 on. Default: 500.
   */
  uint64_t max_compared;
  /*
   Labelled frames that a class needs to be learned, at least 2. Default: 5.
   */
  uint64_t min_labels;
  /*
   Labelled frames of the reference below which kNN and the classifier are measured but decide nothing. Default: 100; 1 lets them
   decide always.
   */
  uint64_t min_reference;
  /*
   Frames whose teacher embeddings are the queue of the KL. Default: 512.
   */
  uint64_t queue_frames;
  /*
   Neighbours of overlap and of kNN. Default: 10.
   */
  size_t k;
  /*
   Share of all frames that is held out of training, by the frame's number, and of each class's labelled frames that is the
   reference, .01 to .9. Default: .2.
   */
  double held_out;
  /*
   Share of older frames among those that are distilled on, up to .95; 0 is the default of .5, SEED_OPTION_ZERO is none.
   */
  double replay;
  /*
   Share of the old student's KL that the new one's may be above it. Default: 0.02.
   */
  double kl_margin;
  /*
   By how much the overlap may be below. Default: 0.02.
   */
  double overlap_margin;
  /*
   By how much the balanced recall may be below, of kNN, and how much worse the classifier may be shown to be. Default: 0.02.
   */
  double recall_margin;
  /*
   How many times the old latency is allowed. Default: 1.1.
   */
  double latency_factor;
} seed_night_options;

/*
 One report of a night. Each stage begins with one whose done and total are 0.
 */
typedef struct {
  /*
   sizeof(seed_night_progress) of the library.
   */
  size_t struct_size;
  /*
   Number of the night, from 1 on.
   */
  uint64_t night;
  /*
   How much of the stage is done.
   */
  uint64_t done;
  /*
   How much there is to do at most.
   */
  uint64_t total;
  /*
   Mean loss since the report before, of the stages that learn; NaN where there is none.
   */
  double loss;
  /*
   Images a second since the report before; 0 where nothing was measured.
   */
  double images_per_second;
  /*
   Estimated seconds to the end of the stage.
   */
  double eta_seconds;
  /*
   Seconds since the call began.
   */
  double elapsed_seconds;
  /*
   SEED_NIGHT_DISTIL to SEED_NIGHT_REPORT: what is being done.
   */
  int32_t stage;
  /*
   0.
   */
  int32_t reserved;
} seed_night_progress;

/*
 Receives a report on the thread that called seed_night_run; it is valid during the call. A return other than 0 ends the call
 as a cancel token does.
 */
typedef int32_t (*seed_night_callback)(const seed_night_progress *progress, void *user_data);

/*
 How a night ended. Set struct_size to sizeof(seed_night_result) first. Figures of the night are 0, those that were not
 measured NaN; seed_night_describe has their intervals.
 */
typedef struct {
  /*
   sizeof(seed_night_result).
   */
  size_t struct_size;
  /*
   Number of the night, from 1 on.
   */
  uint64_t night;
  /*
   New frames in the store.
   */
  uint64_t new_frames;
  /*
   Frames that were distilled on, older ones included.
   */
  uint64_t learned_frames;
  /*
   How many of these are older.
   */
  uint64_t older_frames;
  /*
   Labelled frames that a classifier was fitted to.
   */
  uint64_t labelled_frames;
  /*
   Held-out frames that the students were compared on.
   */
  uint64_t compared_frames;
  /*
   Labelled frames that were judged.
   */
  uint64_t reference_frames;
  /*
   Seconds from the night's beginning to its end, interruptions included.
   */
  double seconds;
  /*
   Loss of the distillation at its end.
   */
  double loss;
  /*
   Mean KL of the student that was live, in nats.
   */
  double kl_old;
  /*
   Mean KL of the new student.
   */
  double kl_new;
  /*
   Overlap with the teacher's neighbours, of the student that was live.
   */
  double overlap_old;
  /*
   Overlap of the new student.
   */
  double overlap_new;
  /*
   Balanced recall of kNN on the reference, of the student that was live.
   */
  double recall_old;
  /*
   Balanced recall of the new student.
   */
  double recall_new;
  /*
   Balanced recall of the new classifier on the reference.
   */
  double classifier_recall;
  /*
   Median milliseconds of one frame, of the student that was live.
   */
  double latency_old;
  /*
   Median milliseconds of the new student.
   */
  double latency_new;
  /*
   SEED_NIGHT_NOTHING_NEW, _CANCELLED, _KEPT or _LIVE.
   */
  int32_t outcome;
  /*
   0.
   */
  int32_t reserved;
  /*
   Why there was nothing to do or the old student stays, for a person, cut to fit; else empty. UTF-8, ends with NUL.
   */
  char reason[256];
} seed_night_result;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Prepares the library for this process; call it before anything else, with SEED_ABI_VERSION. Further calls, from any
 thread, do nothing. Loads libtorch's CUDA part where it is found; this must come before the application itself asks
 libtorch for CUDA. A process that forks does so before its first call after this one: in a child that comes later
 every call gives SEED_ERROR_UNSUPPORTED, since threads, files and devices do not come along. It changes no signal
 handler, locale, thread count or other state of the process but two: a panic hook is chained so that internal errors
 of this library are logged instead of printed, and libtorch's allocator for main memory is wrapped so that tensors
 leave the last 32 MiB to libtorch itself.

 The process may end at any time, by a return from main or by exit, while other threads are inside the library: their calls
 do not return then, and files are whole. A destructor or an exit handler that joins such a thread waits for at most a
 second; the call ends with SEED_ERROR_CANCELLED then (docs/safety.md).

 Errors: SEED_ERROR_NOT_INITIALIZED when the header's ABI is not the library's; SEED_ERROR_MISMATCH when another
 version of libtorch is found; SEED_ERROR_TORCH when none is. The message of the last two says which version is wanted,
 where it was looked for and what to do; every other call gives the same error then.
 */
SEED_MUST_USE seed_error *seed_init(uint32_t abi_version);

/*
 The library's version, such as "0.1.0". Static text; may be called before seed_init, from any thread.
 */
const char *seed_version(void);

/*
 The code of an error, one of SEED_ERROR_*; SEED_OK for NULL, SEED_ERROR_INVALID_ARGUMENT for an error that was freed. From
 any thread.
 */
int32_t seed_error_code(const seed_error *error);

/*
 The message of an error, UTF-8: what was expected, what was found and what to do. Valid until the error is freed;
 an empty text for NULL. From any thread.
 */
const char *seed_error_message(const seed_error *error);

/*
 Releases an error. NULL is fine. From any thread.
 */
void seed_error_free(seed_error *error);

/*
 Sends log lines up to `level` (SEED_LOG_*) to `callback` from now on; NULL or SEED_LOG_OFF ends it. May be called
 before seed_init. A line that is on its way in another thread may still arrive just after this call.
 */
SEED_MUST_USE seed_error *seed_log_set_callback(int32_t level, seed_log_callback callback, void *user_data);

/*
 Writes log lines to standard error from now on, chosen by `filter` in env_logger's syntax, such as "info". May be
 called before seed_init.
 */
SEED_MUST_USE seed_error *seed_log_to_stderr(const char *filter);

/*
 The version of the libtorch that is loaded, such as "2.11.0+cu130"; static text. NULL where none can be used.
 */
const char *seed_libtorch_version(void);

/*
 The number of CUDA devices that can be used, "cuda:0" and on; 0 where there is none or libtorch_cuda was not found.
 */
SEED_MUST_USE seed_error *seed_device_count(uint32_t *out);

/*
 The product name of `device` ("cpu", "cuda:N" or "auto"), by the rule of seed_config_get_string.
 */
SEED_MUST_USE seed_error *seed_device_name(const char *device, char *buffer, size_t capacity, size_t *length);

/*
 How memory is used by this process and on `device` ("cpu", "cuda:N" or "auto").
 */
SEED_MUST_USE seed_error *seed_memory_use(const char *device, seed_memory *memory);

/*
 Makes a configuration with the paper's values. The caller frees it with seed_config_free.
 */
SEED_MUST_USE seed_error *seed_config_new(seed_config **out);

/*
 Makes a configuration from a flat JSON object of keys and values, as seed_config_to_json writes it; keys that are not
 there keep their defaults.

 Errors: SEED_ERROR_CONFIG for unknown keys, values out of bounds and text that is no such JSON.
 */
SEED_MUST_USE seed_error *seed_config_from_json(const char *json, seed_config **out);

/*
 Releases a configuration. NULL is fine.
 */
void seed_config_free(seed_config *config);

/*
 Sets a whole number (or a fractional key to a whole number).

 Errors: SEED_ERROR_CONFIG naming the key, the value, the bounds and, for an unknown key, the nearest known one.
 */
SEED_MUST_USE seed_error *seed_config_set_int(seed_config *config, const char *key, int64_t value);

/*
 Sets a number; a whole-number key takes one without a fraction. Errors as seed_config_set_int.
 */
SEED_MUST_USE seed_error *seed_config_set_float(seed_config *config, const char *key, double value);

/*
 Sets a text (UTF-8, copied). Errors as seed_config_set_int.
 */
SEED_MUST_USE seed_error *seed_config_set_string(seed_config *config, const char *key, const char *value);

/*
 Changes settings by a text of pairs key=value with whitespace, line breaks or commas between them, such as
 "steps=200 learning_rate=0.1"; a value that holds one of these is put in double quotes. All are set or, on an error, none.

 Errors: as seed_config_set_int, and SEED_ERROR_CONFIG for what is not a pair.
 */
SEED_MUST_USE seed_error *seed_config_parse(seed_config *config,
                              const char *pairs);

/*
 Reads a whole number. Errors: SEED_ERROR_CONFIG for an unknown key or one of another kind.
 */
SEED_MUST_USE seed_error *seed_config_get_int(const seed_config *config, const char *key, int64_t *out);

/*
 Reads a number, fractional or whole. Errors as seed_config_get_int.
 */
SEED_MUST_USE seed_error *seed_config_get_float(const seed_config *config, const char *key, double *out);

/*
 Reads a text into `buffer`: NULL asks for the size; too small a buffer is left alone; `*length` receives the bytes
 needed, the NUL included. Errors as seed_config_get_int, and SEED_ERROR_BUFFER_TOO_SMALL.
 */
SEED_MUST_USE seed_error *seed_config_get_string(const seed_config *config,
                                   const char *key,
                                   char *buffer,
                                   size_t capacity,
                                   size_t *length);

/*
 Writes all settings as a flat JSON object into `buffer`, by the rule of seed_config_get_string.
 */
SEED_MUST_USE seed_error *seed_config_to_json(const seed_config *config, char *buffer, size_t capacity, size_t *length);

/*
 Makes a token that asks for nothing. The caller frees it with seed_cancel_token_free.
 */
SEED_MUST_USE seed_error *seed_cancel_token_new(seed_cancel_token **out);

/*
 Asks the calls that hold the token to end, paused ones too. From any thread, at any time before the token is freed.
 */
SEED_MUST_USE seed_error *seed_cancel_token_trigger(const seed_cancel_token *token);

/*
 Takes seed_cancel_token_trigger back, so that the token can be used again.
 */
SEED_MUST_USE seed_error *seed_cancel_token_reset(const seed_cancel_token *token);

/*
 Asks the calls that hold the token to wait at their next step, idle, until seed_cancel_token_resume or
 seed_cancel_token_trigger. A call that begins later waits too. From any thread.
 */
SEED_MUST_USE seed_error *seed_cancel_token_pause(const seed_cancel_token *token);

/*
 Lets paused calls go on. From any thread.
 */
SEED_MUST_USE seed_error *seed_cancel_token_resume(const seed_cancel_token *token);

/*
 Releases a token. NULL is fine. A call that was given the token keeps what it needs of it.
 */
void seed_cancel_token_free(seed_cancel_token *token);

/*
 Decodes the JPEG, PNG, BMP, TIFF, WebP or PNM in `bytes` into `buffer`: rows without padding, SEED_PIXEL_MONO8 where every pixel is
 grey and SEED_PIXEL_RGB8 else, 8 bits whatever the file has. `buffer` NULL asks for the size; too small a buffer is left
 alone; `*needed` receives the bytes needed. `image` (may be NULL) is filled to be a view of the buffer, its struct_size
 too; data is NULL when only the size was asked for.

 Every image is decoded as one of a folder or a store is: turned upright as its orientation says, the EXIF of a JPEG, PNG or WebP and the
 tag of a TIFF. Samples of more than 8 bits keep their upper 8; of several pages the first is read. seed_dataset_push_encoded, at a data
 set with settings of its own (seed_dataset_set_reading), reads otherwise.

 Errors: SEED_ERROR_FORMAT when the bytes are not a sound image, or use a feature that is not supported; the message names it.
 */
SEED_MUST_USE seed_error *seed_image_decode(const uint8_t *bytes,
                              size_t length,
                              seed_image *image,
                              uint8_t *buffer,
                              size_t capacity,
                              size_t *needed);

/*
 Encodes an image as a PNG file, every bit kept (alpha is dropped, a float becomes 8 bits by the range 0 to 1, a mosaic colours). Samples
 of 10 to 14 bits lie in the upper bits of 16, and an sBIT chunk says how many they are; libseed reads them back as they were. The
 file's bytes into `buffer` by the rule of seed_neighbours. Each call encodes.
 */
SEED_MUST_USE seed_error *seed_image_encode(const seed_image *image,
                              uint8_t *buffer,
                              size_t capacity,
                              size_t *length);

/*
 Writes the PNG file of seed_image_encode to `path`, atomically.

 Errors: SEED_ERROR_IO.
 */
SEED_MUST_USE seed_error *seed_image_save(const seed_image *image, const char *path);

/*
 Paints the heat map of seed_anomaly_map over its image, as the report shows it: a picture in SEED_PIXEL_RGB8 of the image's size into
 `buffer`, by the rule of seed_image_decode; seed_image_encode and seed_image_save make a PNG of it. `map` has `pixels` =
 width·height distances. A distance of `low` leaves the pixel as it is, one of `high` gives it the darkest colour; NAN is the map's
 own lowest or highest value. Pictures that are to be compared need the same bounds: 0 and twice the threshold, say.

 Errors: SEED_ERROR_INVALID_ARGUMENT when `pixels` is not width·height, a distance is not finite or a bound infinite.
 */
SEED_MUST_USE seed_error *seed_heat_map_picture(const seed_image *image,
                                  const float *map,
                                  size_t pixels,
                                  float low,
                                  float high,
                                  seed_image *picture,
                                  uint8_t *buffer,
                                  size_t capacity,
                                  size_t *needed);

/*
 Opens every JPEG, PNG, BMP, TIFF, WebP and PNM in `folder` and below, sorted by name. A relative path is resolved now: the process may change
 its directory later. Files are read when they are needed: a broken one is skipped, counted and named then. What cannot be read (a
 disk that is away) is asked for again by every later call, and in training in every pass; a damaged file is read again when it has
 changed. The caller frees the data set with seed_dataset_free.

 Errors: SEED_ERROR_IO when the folder cannot be read, SEED_ERROR_INVALID_ARGUMENT when it holds no image.
 */
SEED_MUST_USE seed_error *seed_dataset_open_folder(const char *folder,
                                     seed_dataset **out);

/*
 Opens `count` image files by path, in this order; otherwise as seed_dataset_open_folder.
 */
SEED_MUST_USE seed_error *seed_dataset_open_files(const char *const *paths, size_t count, seed_dataset **out);

/*
 Makes an empty data set in memory, to be filled by seed_dataset_push.
 */
SEED_MUST_USE seed_error *seed_dataset_new(seed_dataset **out);

/*
 Copies an image into the data set, with all bits of its samples, under `name` (UTF-8; NULL: its number). `*index` (may be NULL) receives its number.
 Works on every data set, one of a folder too.
 */
SEED_MUST_USE seed_error *seed_dataset_push(const seed_dataset *dataset,
                              const seed_image *image,
                              const char *name,
                              size_t *index);

/*
 Decodes the JPEG, PNG, BMP, TIFF, WebP or PNM in `bytes` and pushes it, as seed_dataset_push. The pixels are kept, not the file. It is
 read as seed_dataset_set_reading says: upright, and of several pages the first, unless that was called; with page 0 each page is pushed,
 the second as "NAME#2", and `*index` receives the number of the first.

 Errors: SEED_ERROR_FORMAT when the bytes are no sound image.
 */
SEED_MUST_USE seed_error *seed_dataset_push_encoded(const seed_dataset *dataset,
                                      const uint8_t *bytes,
                                      size_t length,
                                      const char *name,
                                      size_t *index);

/*
 The pixels of image `index`, by the rule of seed_image_decode.

 Errors: SEED_ERROR_IO or SEED_ERROR_FORMAT when the image is broken; it is counted as skipped then.
 */
SEED_MUST_USE seed_error *seed_dataset_pixels(const seed_dataset *dataset,
                                size_t index,
                                seed_image *image,
                                uint8_t *buffer,
                                size_t capacity,
                                size_t *length);

/*
 Says which samples of the data set's images become which of the 256 levels that networks see: by "range", "range.low", "range.high",
 "range.low_percentile", "range.high_percentile" and "range.gamma" of `config`, whose meaning docs/abi.md and docs/settings.md tell. It holds
 for all images, those that are pushed later included, and for whoever asks: trainers, banks, seed_session_embed_dataset,
 seed_dataset_pixels. A student, classifier or detector that learns from the data set keeps the range and sees frames by it.
 "dataset" reads every image now, measures the percentiles over all of them and is "fixed" from then on; seed_dataset_range tells low
 and high. Without this call images are seen by the range of whoever asks: a session's, or the configuration's.

 Set it before trainers and banks are made: it is part of what the data set is. Frames that were decoded before are forgotten.

 Errors: SEED_ERROR_CONFIG where low is not below high; of "dataset" SEED_ERROR_INVALID_ARGUMENT where there is no image, images have
 different bits or there is one sample only between the percentiles, and SEED_ERROR_IO or SEED_ERROR_FORMAT where no image can be read.
 The data set is as it was then.
 */
SEED_MUST_USE seed_error *seed_dataset_set_range(const seed_dataset *dataset,
                                   const seed_config *config);

/*
 Says how the data set's image files are read, by "exif" and "page" of `config`: "exif" "apply" turns frames upright as the orientation in
 their file says, "ignore" takes them as they are stored; "page" N reads page N of each TIFF, 0 makes every page of a TIFF an image of its
 own, behind each other, called NAME, NAME#2 and so on. Without this call frames are turned and the first page is read; a file with more
 is a warning of seed_dataset_warnings then. Coordinates, of heat maps and regions say, are those of the turned frame. Images pushed as
 pixels stay as they are; those pushed encoded afterwards are read so too. Files of other kinds than TIFF have one page, whatever "page" is.

 Set it before images are asked for and before trainers and banks are made: it is part of what the data set is, and page 0, which looks
 into every TIFF now, numbers the images anew. Frames that were decoded before are forgotten. A page that a file does not have makes
 it a broken image.
 */
SEED_MUST_USE seed_error *seed_dataset_set_reading(const seed_dataset *dataset,
                                     const seed_config *config);

/*
 Says which pixels of image `index`, or with SIZE_MAX of every image, count for nothing: those of `mask` that are not black. `mask` has 8 bits a
 sample and the image's size, in its own pixels, turned as the data set reads it; NULL takes back what was set. Several polygons make one mask by
 seed_polygon_mask. A detector that learns from the data set (seed_anomaly_fit, seed_anomaly_add) sees the mean colour there: nothing that
 lies there reaches its memory, its threshold, a score or a heat map, which is 0 there. What is ignored of every image it ignores in
 the images that it judges, and its file keeps it; these must be of the mask's size then. Others take no notice of it.

 Errors: SEED_ERROR_INVALID_ARGUMENT where there is no such image, the mask has deeper samples, is black, or all of it is not; what was set is as it was
 then. A mask of another size than its image is an error of who learns from it, naming the image.
 */
SEED_MUST_USE seed_error *seed_dataset_set_ignored(const seed_dataset *dataset,
                                     size_t index,
                                     const seed_image *mask);

/*
 Draws a polygon as a mask for seed_dataset_set_ignored: 255 for each pixel of a frame of `width` × `height` whose middle lies inside, 0 else,
 width·height bytes into `buffer` by the rule of seed_neighbours. `corners` are 2·`count` numbers, x and y of each corner in pixels, counted
 from the left upper corner of the first one; where the polygon crosses itself, inside is what an odd number of edges encloses.

 Errors: SEED_ERROR_INVALID_ARGUMENT for fewer than 3 corners or more than 4096, a number that is NaN or infinite, and where no pixel of
 the frame lies inside, or every one.
 */
SEED_MUST_USE seed_error *seed_polygon_mask(const float *corners,
                              size_t count,
                              uint32_t width,
                              uint32_t height,
                              uint8_t *buffer,
                              size_t capacity,
                              size_t *length);

/*
 The range that was set, as pairs that seed_config_parse takes, "range=fixed range.low=96 range.high=3871 range.gamma=1" say, by the rule of
 seed_config_get_string; empty where none was set.
 */
SEED_MUST_USE seed_error *seed_dataset_range(const seed_dataset *dataset,
                               char *buffer,
                               size_t capacity,
                               size_t *length);

/*
 The number of images, broken ones included.
 */
SEED_MUST_USE seed_error *seed_dataset_count(const seed_dataset *dataset, size_t *out);

/*
 The name of image `index`, relative to the folder with '/', into `buffer`: NULL asks for the size; too small a buffer
 is left alone; `*length` receives the bytes needed, the NUL included. It is UTF-8: of a file's name that is not, each bad byte
 stands there as a backslash, x and two hexadecimal digits, and so does a backslash before an x: different files always have
 different names.
 */
SEED_MUST_USE seed_error *seed_dataset_name(const seed_dataset *dataset,
                              size_t index,
                              char *buffer,
                              size_t capacity,
                              size_t *length);

/*
 How many images, and folders within the folder, could not be used when they were last asked for. An image that can be read
 again leaves the list.
 */
SEED_MUST_USE seed_error *seed_dataset_skipped_count(const seed_dataset *dataset,
                                       size_t *out);

/*
 Which image was skipped as number `index` of seed_dataset_skipped_count and why, as "name: reason", into `buffer` by
 the rule of seed_dataset_name.
 */
SEED_MUST_USE seed_error *seed_dataset_skipped(const seed_dataset *dataset,
                                 size_t index,
                                 char *buffer,
                                 size_t capacity,
                                 size_t *length);

/*
 What you should know about the images although they can be used, such as numbers outside [0, 1] that were clamped: one warning a line,
 each once, by the rule of seed_config_get_string; empty where there is none. Images that could not be read are told by seed_dataset_skipped.
 */
SEED_MUST_USE seed_error *seed_dataset_warnings(const seed_dataset *dataset,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

/*
 Which images could not be used when they were last asked for: a byte for each image of the data set, 1 for such a one and 0 for
 others, into `buffer` by the rule of seed_neighbours. After seed_session_embed_dataset these are the rows of zeros, unless another
 thread has used the data set since.
 */
SEED_MUST_USE seed_error *seed_dataset_broken(const seed_dataset *dataset,
                                uint8_t *buffer,
                                size_t capacity,
                                size_t *length);

/*
 Releases a data set. NULL is fine.
 */
void seed_dataset_free(seed_dataset *dataset);

/*
 A label for each image of the data set: the number of its class, which is the first folder of its name; −1 for an image
 outside of all folders. Classes are numbered by their names in order. Into `buffer` by the rule of seed_neighbours.
 */
SEED_MUST_USE seed_error *seed_dataset_class_labels(const seed_dataset *dataset,
                                      int64_t *buffer,
                                      size_t capacity,
                                      size_t *length);

/*
 How many classes seed_dataset_class_labels tells apart.
 */
SEED_MUST_USE seed_error *seed_dataset_class_count(const seed_dataset *dataset, size_t *out);

/*
 The name of class `index` of seed_dataset_class_labels, its folder's, by the rule of seed_config_get_string.
 */
SEED_MUST_USE seed_error *seed_dataset_class_name(const seed_dataset *dataset,
                                    size_t index,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *length);

/*
 Copies `length` bytes into an in-memory file named `path` ("memory://NAME"). Any function that opens or saves one file accepts such a
 name: use it for models that come encrypted or from a database. Saving to such a name makes a file, whose bytes
 seed_memory_file_get gives. An existing file of that name is replaced; open readers keep the old content. The file belongs to the process and
 lies on no disk, except for what the system swaps out. Checkpoints, stores, nights, folders and lists of images, event files and banks that are
 being filled lie on a disk and refuse such a name with SEED_ERROR_INVALID_ARGUMENT. May be called from several threads at once.

 Errors: SEED_ERROR_INVALID_ARGUMENT for another path, SEED_ERROR_OUT_OF_MEMORY, SEED_ERROR_IO without a free descriptor.
 */
SEED_MUST_USE seed_error *seed_memory_file_put(const char *path,
                                 const uint8_t *bytes,
                                 size_t length);

/*
 Copies the bytes of an in-memory file into `buffer`, by the rule of seed_neighbours.

 Errors: SEED_ERROR_BUFFER_TOO_SMALL (`*length` is set), SEED_ERROR_IO where there is no such file,
 SEED_ERROR_INVALID_ARGUMENT for another path.
 */
SEED_MUST_USE seed_error *seed_memory_file_get(const char *path, uint8_t *buffer, size_t capacity, size_t *length);

/*
 Removes an in-memory file. Its memory is released when the last reader closes it.

 Errors: SEED_ERROR_IO where there is no such file, SEED_ERROR_INVALID_ARGUMENT for another path.
 */
SEED_MUST_USE seed_error *seed_memory_file_remove(const char *path);

/*
 Says what a file of weights holds, as JSON, by the rule of seed_config_get_string: "format" ("safetensors", "torch_zip" or
 "torch_legacy"), "metadata" (the texts in the file) and "states", one for each state dict, with the keys it lies "under", the
 number of "tensors" and "elements", the element "types", the "first_names", and "networks": each architecture whose weights
 all are there, by names and shapes, with "architecture" (for seed_teacher_load and seed_student_new), "layout" (whose names
 they are), "prefix" (what stands before each name) and "head" ("kind" and widths). Where there is none, "nearest" is the
 architecture that has the largest share of its tensors there. The file is read as data, and its tensors' bytes are not read.
 May be called from several threads at once.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_BUFFER_TOO_SMALL.
 */
SEED_MUST_USE seed_error *seed_weights_describe(const char *path,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

/*
 Reads a teacher's weights from a safetensors file or a torch checkpoint (.pt, .pth, .pth.tar; zip or legacy format),
 which is read as data: nothing in it is executed. Without a projection head in the file the embedding is the backbone's
 features. A Vision Transformer keeps the file's grid of positions, which must be square. `architecture` as for
 seed_student_new; "device" comes from `config`. The caller frees it.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_MISMATCH listing missing, unexpected
 and misshapen keys.
 */
SEED_MUST_USE seed_error *seed_teacher_load(const char *path,
                              const char *architecture,
                              const seed_config *config,
                              seed_teacher **out);

/*
 Makes a teacher of a TorchScript file, written by torch.jit.save: any PyTorch network that takes float images
 (B, 3, H, W), normalised by "mean" and "std" of the run, and gives floating-point rows (B, D), or (B, D, 1, 1). Where it
 gives a tuple, a list or a dict, `output` says which tensor to take, by its key, field or number from 0; NULL takes the
 first. It is put into eval mode, frozen, moved to the "device" of `config` and tried on images of "image_width" and
 "image_height", which tells D. It computes in the type of its weights, whatever "precision" says. The caller frees it.

 A TorchScript file is a program, unlike a file of weights: what it contains is run in this process, with all rights of
 this process. Load only what you would also run.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT when the file is no TorchScript module, SEED_ERROR_MISMATCH when it refuses such
 images or gives something else, with what it gave.
 */
SEED_MUST_USE seed_error *seed_teacher_load_torchscript(const char *path,
                                          const char *output,
                                          const seed_config *config,
                                          seed_teacher **out);

/*
 Makes a teacher of `embeddings`: every view of an image has one target, the image's own row. Rows are found by the names of the
 images (seed_dataset_name) where the embeddings have names, else row i is image i's, when seed_trainer_new is given the data set,
 which is not NULL then. An image may lack a row, or have one of zeros, only where it cannot be read. seed_trainer_step is refused.
 The teacher holds the embeddings, also after seed_embeddings_free. The caller frees it.

 The target does not follow the crop, as it does with a network or a bank, so keep the views mild ("view.crop_scale_min"
 near 1); where the teacher can be run here, seed_bank_fill learns more from it.

 Errors: SEED_ERROR_INVALID_ARGUMENT; whether the embeddings fit a data set is judged by seed_trainer_new.
 */
SEED_MUST_USE seed_error *seed_teacher_from_embeddings(const seed_embeddings *embeddings,
                                         seed_teacher **out);

/*
 The width of the teacher's embedding; set "embedding_dim" to it before making the student.
 */
SEED_MUST_USE seed_error *seed_teacher_dim(const seed_teacher *teacher, int64_t *out);

/*
 The number of parameters.

 Errors: SEED_ERROR_UNSUPPORTED for an engine of the application, which libseed cannot look into, and a stored teacher.
 */
SEED_MUST_USE seed_error *seed_teacher_parameter_count(const seed_teacher *teacher, int64_t *out);

/*
 What you should know about the teacher although nothing failed, such as tensors of its file that were not understood: one warning a line,
 each once, by the rule of seed_config_get_string; empty where there is none.
 */
SEED_MUST_USE seed_error *seed_teacher_warnings(const seed_teacher *teacher,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

/*
 Releases a teacher. NULL is fine.
 */
void seed_teacher_free(seed_teacher *teacher);

/*
 Makes a teacher of an engine of the application: `callback` is given each batch of views and fills their embeddings of
 `dim` numbers. Such a teacher serves trainers, seed_bank_fill and sessions ("output" "embedding") as any other; with an
 engine that is slow, fill a bank once.

 `identity` is a text that changes when the embeddings do, such as the engine's file and its hash: a bank of another
 identity is stale, and a checkpoint is not resumed. `format` is SEED_BATCH_* and says how images are shown. `device` is
 SEED_DEVICE_CPU, whatever the run's device is, or SEED_DEVICE_CUDA where "device" of `config` is a CUDA device. "mean" and
 "std" of `config` must be the run's. The caller frees the teacher.

 The callback fires on the thread that computes: the one that called seed_trainer_run, seed_trainer_step,
 seed_bank_fill or a function of a session; a thread of the library with "nice" from 1 on. Where several calls use
 one teacher at the same time, it fires on several threads at once. An exception that it throws is an error of the
 call, SEED_ERROR_CANCELLED; it must not longjmp. It may call the library, but the trainer and bank it is called for
 answer SEED_ERROR_BUSY. On a CUDA device the images are there when it fires, and the embeddings must be there when
 it returns (synchronise your stream).

 `user_data` is passed to the callback. `release`, which may be NULL, is called with it once, when the teacher is freed and
 nothing that was made of it is left, on the thread that lets the last of them go; not where this function fails.

 A return other than 0 fails the call that needed the embeddings with SEED_ERROR_CANCELLED, "the teacher's callback
 returned N" and the callback's own reason; finished steps and rows of a bank stay, and another call goes on after them. A
 row of zeros, or with NaN or infinity, is SEED_ERROR_MISMATCH.

 Errors: SEED_ERROR_INVALID_ARGUMENT for a callback that is NULL, `dim` outside 1 to 65536, an empty `identity` or one of
 more than 1024 bytes, or an unknown `format` or `device`.
 */
SEED_MUST_USE seed_error *seed_teacher_from_callback(seed_teacher_callback callback,
                                       void *user_data,
                                       seed_release_callback release,
                                       int64_t dim,
                                       const char *identity,
                                       int32_t format,
                                       int32_t device,
                                       const seed_config *config,
                                       seed_teacher **out);

/*
 Makes a student with random weights, drawn from the configuration's "seed". `architecture` is a name that seed_architecture_name gives
 (docs/models.md has them all): "resnet18", narrow "resnet18_w0.5", "mobilenet_v3_large", "vit_small_patch16" and so on. Image width and
 height must be multiples of a Vision Transformer's patch.

 "embedding_dim", "projection_hidden", "device", image size, channels, "resize", range, mean and std come from `config`. With "embedding_dim" 0 (the
 default) the student gets a projection head of the teacher's width when its first trainer is made; until then it has none,
 and its embedding is its features. With
 "image_channels" 1 the network takes one grey channel; teachers still see three. The caller frees it.

 Errors: SEED_ERROR_INVALID_ARGUMENT for an unknown architecture, or a Vision Transformer whose image size is no multiple of its patch.
 */
SEED_MUST_USE seed_error *seed_student_new(const char *architecture,
                             const seed_config *config,
                             seed_student **out);

/*
 Reads a student that seed_student_save wrote, to the configuration's "device". Image size, mean and std are the file's.
 */
SEED_MUST_USE seed_error *seed_student_load(const char *path, const seed_config *config, seed_student **out);

/*
 Lets the student start from earlier weights, before it is trained: ImageNet's as torchvision, timm or Hugging Face publish
 them, another student's, or a checkpoint of SEED's (its student) and other self-supervised methods. The file is safetensors or a
 torch checkpoint, is read as data, and must hold the whole backbone of the student's architecture. A projection head in it
 is taken if it has the student's widths, and else the student keeps its own. Weights of three channels are folded to one
 for a student of "image_channels" 1; a Vision Transformer's positions of another square grid are resampled to the
 student's, as timm does. All or nothing. Image size, mean and std stay those of the student: set them to what the weights
 were trained with. What was done is told by seed_student_weights_report.
 Wants the handle alone; a run that trains the student goes on from the new weights with its next step.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_MISMATCH listing missing, unexpected and
 misshapen keys and the architecture whose weights they are, SEED_ERROR_BUSY. The student is as it was then.
 */
SEED_MUST_USE seed_error *seed_student_load_weights(seed_student *student,
                                      const char *path);

/*
 What the last seed_student_load_weights of this student did, as JSON, by the rule of seed_config_get_string: "layout" (whose
 names the file had), "prefix" (what was taken off each name), "head" (whether the file's was taken), "loaded" and "converted"
 (numbers of tensors), "defaulted" (counters that the file lacks) and "ignored" (the file's tensors that were not used).

 Errors: SEED_ERROR_INVALID_ARGUMENT where none were loaded, SEED_ERROR_BUFFER_TOO_SMALL.
 */
SEED_MUST_USE seed_error *seed_student_weights_report(const seed_student *student,
                                        char *buffer,
                                        size_t capacity,
                                        size_t *length);

/*
 Writes the student to a safetensors file with torchvision's key names, atomically.
 */
SEED_MUST_USE seed_error *seed_student_save(const seed_student *student, const char *path);

/*
 Notes where the student comes from, for every file that is written of it: `json` under `key`, any JSON value; null removes the
 key. Scores, a line's name, a date. A run notes its teacher, the number of images, steps, loss and settings by itself under
 "distillation", the library its version under "library"; these two cannot be set. seed_model_provenance reads all of it.

 Errors: SEED_ERROR_INVALID_ARGUMENT for text that is no JSON, an empty or reserved key, or more than 256 KiB in all; nothing is
 changed then.
 */
SEED_MUST_USE seed_error *seed_student_set_provenance(const seed_student *student,
                                        const char *key,
                                        const char *json);

/*
 The student's provenance as a JSON object into `buffer`: NULL asks for the size; too small a buffer is left alone; `*length`
 receives the bytes needed, the NUL included.
 */
SEED_MUST_USE seed_error *seed_student_provenance(const seed_student *student,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *length);

/*
 The number of parameters, projection head included.
 */
SEED_MUST_USE seed_error *seed_student_parameter_count(const seed_student *student, int64_t *out);

/*
 The width of the embedding, C; of a student that has no head yet ("embedding_dim" 0), that of its features.
 */
SEED_MUST_USE seed_error *seed_student_dim(const seed_student *student, int64_t *out);

/*
 What you should know about the student although nothing failed, such as tensors of a file of weights that were not understood: one
 warning a line, each once, by the rule of seed_config_get_string; empty where there is none.
 */
SEED_MUST_USE seed_error *seed_student_warnings(const seed_student *student,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

/*
 Releases a student. NULL is fine.
 */
void seed_student_free(seed_student *student);

/*
 Makes a queue of `capacity` rows (K) of width `dim` (C), filled with normalised Gaussian noise drawn from `seed`, as
 SEED starts. The caller frees it with seed_queue_free.
 */
SEED_MUST_USE seed_error *seed_queue_new(size_t capacity, size_t dim, uint64_t seed, seed_queue **out);

/*
 Reads a queue that seed_queue_save wrote.
 */
SEED_MUST_USE seed_error *seed_queue_load(const char *path, seed_queue **out);

/*
 Writes the queue to a safetensors file, atomically.
 */
SEED_MUST_USE seed_error *seed_queue_save(const seed_queue *queue, const char *path);

/*
 Enqueues `count` embeddings of `dim` floats, row after row; each is normalised. The oldest make room.
 */
SEED_MUST_USE seed_error *seed_queue_push(const seed_queue *queue, const float *embeddings, size_t count, size_t dim);

/*
 The number of rows that were pushed, at most the capacity; the others are noise still.
 */
SEED_MUST_USE seed_error *seed_queue_length(const seed_queue *queue, size_t *out);

/*
 K, the number of rows.
 */
SEED_MUST_USE seed_error *seed_queue_capacity(const seed_queue *queue, size_t *out);

/*
 C, the width of a row.
 */
SEED_MUST_USE seed_error *seed_queue_dim(const seed_queue *queue, size_t *out);

/*
 Similarities of `count` queries of `dim` floats with every row: count·K floats, query after query, into `buffer`. NULL
 asks for the size; too small a buffer is left alone; `*length` receives the number of floats needed.
 */
SEED_MUST_USE seed_error *seed_queue_similarities(const seed_queue *queue,
                                    const float *queries,
                                    size_t count,
                                    size_t dim,
                                    float *buffer,
                                    size_t capacity,
                                    size_t *length);

/*
 `count` rows from row `first` on: count·C floats into `buffer`, by the rule of seed_queue_similarities. Row j is its
 column j; rows from seed_queue_length on are noise.
 */
SEED_MUST_USE seed_error *seed_queue_rows(const seed_queue *queue,
                            size_t first,
                            size_t count,
                            float *buffer,
                            size_t capacity,
                            size_t *length);

/*
 The `k` rows nearest to each of `count` queries of `dim` floats by cosine, nearest first, among those that were pushed:
 count·k row numbers into `indices` and, unless it is NULL, as many cosines into `similarities`. `indices` NULL asks for
 the size; too small a buffer is left alone; `*length` receives the numbers needed.
 */
SEED_MUST_USE seed_error *seed_queue_nearest(const seed_queue *queue,
                               const float *queries,
                               size_t count,
                               size_t dim,
                               size_t k,
                               uint32_t *indices,
                               float *similarities,
                               size_t capacity,
                               size_t *length);

/*
 A copy of the queue as it is now, to be put back by seed_queue_restore. The caller frees it with seed_queue_free.
 */
SEED_MUST_USE seed_error *seed_queue_snapshot(const seed_queue *queue, seed_queue **out);

/*
 Makes the queue what `snapshot` is: any queue of the same K and C, which is left as it is.

 Errors: SEED_ERROR_MISMATCH when K or C differ; the queue is left as it was.
 */
SEED_MUST_USE seed_error *seed_queue_restore(const seed_queue *queue, const seed_queue *snapshot);

/*
 Releases a queue. NULL is fine.
 */
void seed_queue_free(seed_queue *queue);

/*
 Reads embeddings from a file: .npy, (N, D) of float16, float32 or float64, row i for image i of the data set; or
 safetensors with a tensor "embeddings" (N, D). With "names" in the metadata of a safetensors file, a JSON list of N names
 as seed_dataset_name has them, rows are found by name, in any order, and may be more than the data set's. Lengths of
 rows do not matter. Which one it is shows in the file's content. The caller frees the embeddings.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file or another table.
 */
SEED_MUST_USE seed_error *seed_embeddings_load(const char *path,
                                 seed_embeddings **out);

/*
 Takes a copy of `count` embeddings of `dim` floats, row after row; row i is image i's. The caller frees the embeddings.

 Errors: SEED_ERROR_INVALID_ARGUMENT when there is none or `dim` is out of bounds (1 to 65536).
 */
SEED_MUST_USE seed_error *seed_embeddings_new(const float *rows, size_t count, size_t dim, seed_embeddings **out);

/*
 The number of rows.
 */
SEED_MUST_USE seed_error *seed_embeddings_count(const seed_embeddings *embeddings, size_t *out);

/*
 The width of a row; set "embedding_dim" to it before making the student.
 */
SEED_MUST_USE seed_error *seed_embeddings_dim(const seed_embeddings *embeddings, int64_t *out);

/*
 Releases embeddings. NULL is fine.
 */
void seed_embeddings_free(seed_embeddings *embeddings);

/*
 Makes a run that distils `teacher` into `student` by "method". `teacher` NULL: a method that needs none ("moco_v2", "simclr",
 "swav"), by which the student becomes a teacher for another run (seed_teacher_load of its file). `queue` NULL: a new one of "queue_capacity". `dataset` NULL: the
 application brings its own batches by seed_trainer_step, and "steps" must be set; a stored teacher (seed_teacher_from_bank,
 seed_teacher_from_embeddings) knows the images of a data set only, so it needs one. A student that has a range keeps it where neither the data set nor `config` says one.
 The caller frees the trainer.

 Errors: SEED_ERROR_INVALID_ARGUMENT for a method that learns from a teacher without one, or the reverse; SEED_ERROR_MISMATCH when the widths
 of the embeddings or the devices differ; for a stored teacher, with the reason, when
 the bank is stale or not finished, or images have no row, listing their names.
 */
SEED_MUST_USE seed_error *seed_trainer_new(const seed_config *config,
                             const seed_student *student,
                             const seed_teacher *teacher,
                             const seed_queue *queue,
                             const seed_dataset *dataset,
                             seed_trainer **out);

/*
 Distils until the end of the run, or for `max_steps` more steps (0: no limit), and writes one of SEED_OUTCOME_* to
 `*outcome`. `callback`, `user_data`, `cancel` and `outcome` may be NULL. With "checkpoint_path" set, the run is saved
 every "checkpoint_every" steps (0: every twentieth of the run), on cancel and at the end. After an error or a cancel another call goes on where this
 one ended.
 */
SEED_MUST_USE seed_error *seed_trainer_run(seed_trainer *trainer,
                             uint64_t max_steps,
                             seed_progress_callback callback,
                             void *user_data,
                             const seed_cancel_token *cancel,
                             int32_t *outcome);

/*
 Makes one step on `count` images of the application's own, of any sizes; one augmented view of each is used. `*loss`
 (may be NULL) receives the loss.
 */
SEED_MUST_USE seed_error *seed_trainer_step(seed_trainer *trainer, const seed_image *images, size_t count, double *loss);

/*
 How many steps were made and how many the run has.
 */
SEED_MUST_USE seed_error *seed_trainer_position(const seed_trainer *trainer, uint64_t *step, uint64_t *total_steps);

/*
 Writes everything that the run needs to go on to the folder `path`, atomically: kill -9 at any moment leaves the old
 checkpoint or the new one.
 */
SEED_MUST_USE seed_error *seed_trainer_save(const seed_trainer *trainer, const char *path);

/*
 Goes on where the checkpoint in the folder `path` stopped: the same run, on the CPU bit for bit. Images that could not be read are
 asked for again; those with damaged content stay skipped.

 Errors: SEED_ERROR_FORMAT for a damaged checkpoint, SEED_ERROR_MISMATCH when teacher, data set, architecture or a
 setting that shapes the numbers is another; the trainer is left as it was.
 */
SEED_MUST_USE seed_error *seed_trainer_resume(seed_trainer *trainer,
                                const char *path);

/*
 What you should know about the run although nothing failed, such as a student that has collapsed: one warning a line, each once, by the rule of seed_config_get_string;
 empty where there is none. It may be called at any time, from the progress callback too.
 */
SEED_MUST_USE seed_error *seed_trainer_warnings(const seed_trainer *trainer,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

/*
 Releases a trainer. NULL is fine.
 */
void seed_trainer_free(seed_trainer *trainer);

/*
 Joins, as `rank` of `size` processes, those that give the same `address`, and waits until all have joined. `address` is "host:port" of
 rank 0, which listens there, an address of its machine that the others can reach; or "file:PATH" for processes of one machine: rank 0
 chooses a free port and writes it to that file. Further ports are the system's choice, so a firewall between the machines must let all
 of them pass. Nothing is encrypted and nobody is asked for a password: use it in a network that you trust.

 `timeout_ms` (0: 600,000) is how long the others are waited for, here and whenever an answer of theirs is needed. A process that ends is
 noticed at once, one whose machine or network vanishes after this time. The caller frees the world.

 Errors: SEED_ERROR_INVALID_ARGUMENT for a rank from `size` on, a size of 0 or above 1024, a malformed address, and a rank
 that another process has; SEED_ERROR_MISMATCH, on all of them, where processes disagree about the size or run different versions of the
 library; SEED_ERROR_IO where the address cannot be listened at or reached, and where not all have joined in time.
 */
SEED_MUST_USE seed_error *seed_world_new(uint32_t rank,
                           uint32_t size,
                           const char *address,
                           uint64_t timeout_ms,
                           seed_world **out);

/*
 The rank of this process and the number of processes.
 */
SEED_MUST_USE seed_error *seed_world_position(const seed_world *world, uint32_t *rank, uint32_t *size);

/*
 Leaves the others. NULL is fine. A trainer that was given the world keeps it until it is freed itself.
 */
void seed_world_free(seed_world *world);

/*
 Makes the run of `trainer` together with the same run in the other processes of `world`: from now on all of them call seed_trainer_run
 at once, with the same number of steps. "batch_size" is the number of images of a step over all processes, each of which takes its
 equal share; their gradients are averaged, and the queue holds the teacher's rows of all. Rank 0 writes "checkpoint_path" and
 "tensorboard_folder" and looks at the probe's frames; all resume from the same checkpoint. A process that cancels, pauses or fails does
 so for all.

 Errors: SEED_ERROR_INVALID_ARGUMENT for a trainer with a working world or without a data set, and where "batch_size" is no multiple of the
 number of processes; SEED_ERROR_UNSUPPORTED for a method of which a process would need more than its share of the images (all but
 "seed", "l2" and "binary_contrastive"), and on a GPU. seed_trainer_run gives SEED_ERROR_MISMATCH, on every process, where their
 runs are not the same, and SEED_ERROR_IO where the others are gone; then the trainer takes a new world.
 */
SEED_MUST_USE seed_error *seed_trainer_set_world(seed_trainer *trainer,
                                   const seed_world *world);

/*
 Sets what the preset `name` says, whatever it was: "paper" for comparisons with the paper, "site" for a student from random weights
 on some thousand frames, "site_from_weights" for one that starts from weights of its own; "moco_v2", "simclr" and "swav" for these
 methods, which have no teacher, at their published sizes. docs/distil.md has the values. What is set afterwards counts.

 Errors: SEED_ERROR_CONFIG for another name, listing them.
 */
SEED_MUST_USE seed_error *seed_config_preset(seed_config *config,
                               const char *name);

/*
 Fits the settings of `config` to a run that is to take `seconds`: the preset "site" or, where `from_weights` is not 0,
 "site_from_weights"; then both networks are measured on this machine for a moment (about a hundredth of the time, ten seconds at
 most), and size of the images, batch, views, queue, warm-up and epochs follow. What was set in `config` by its key before is kept. The
 reasons go to the log. Make the student with `config` afterwards, since the plan decides on the size of its images. Where "view_count" is above 0 afterwards, the plan is that the teacher's embeddings are kept in a bank first (seed_bank_fill).

 Errors: SEED_ERROR_INVALID_ARGUMENT for an empty data set or a time below a second, SEED_ERROR_UNSUPPORTED for a stored teacher;
 `config` is as it was then.
 */
SEED_MUST_USE seed_error *seed_config_plan(seed_config *config,
                             const seed_dataset *dataset,
                             const seed_teacher *teacher,
                             const char *architecture,
                             int32_t from_weights,
                             double seconds);

/*
 Distils a student of `architecture` from `teacher` on the frames of `dataset` within about `seconds`, and writes
 `folder`/student.safetensors and `folder`/report.html. No setting is needed: both networks are measured for a moment, and size of the
 images, views, batch, learning rate, temperatures, queue and epochs follow from the frames, this machine and the time
 (seed_config_plan). What is set in `config` by its key is kept; `config` may be NULL. `weights` is a file that the student starts
 from, as for seed_student_load_weights, or NULL: at random.

 No label is used to learn. Where the frames lie in folders of classes, these tell how good the student is.

 `callback`, `user_data` and `cancel` may be NULL. A call that was cancelled, or killed, left its work in `folder`: the same call goes
 on with it, with the settings that were decided on then. The result has the outcome. The caller frees it.

 The best student of the run is kept, by its agreement with the teacher on some frames that are looked at now and then ("probe.images").
 A student that is no better than before, or than chance, is told by seed_distilled_warnings, in the report and the log.

 Errors: SEED_ERROR_INVALID_ARGUMENT for an empty data set or a time below a second, SEED_ERROR_BUSY where another call works in the
 folder, SEED_ERROR_MISMATCH where it holds unfinished work of another run, SEED_ERROR_IO, SEED_ERROR_OUT_OF_MEMORY,
 SEED_ERROR_TORCH when the run diverges, SEED_ERROR_UNSUPPORTED for a stored teacher; those of seed_student_load_weights.
 */
SEED_MUST_USE seed_error *seed_distil(const seed_dataset *dataset,
                        const seed_teacher *teacher,
                        const char *architecture,
                        const char *weights,
                        double seconds,
                        const char *folder,
                        const seed_config *config,
                        seed_distil_callback callback,
                        void *user_data,
                        const seed_cancel_token *cancel,
                        seed_distilled **out);

/*
 The student that was made; of a call that was cancelled, as far as it is. The caller frees it; it stays when the result is freed.
 */
SEED_MUST_USE seed_error *seed_distilled_student(const seed_distilled *distilled,
                                   seed_student **out);

/*
 How good the student is, into `*summary`, whose struct_size is set.

 Errors: SEED_ERROR_INVALID_ARGUMENT for another struct_size than the library knows.
 */
SEED_MUST_USE seed_error *seed_distilled_summary(const seed_distilled *distilled, seed_distil_summary *summary);

/*
 What a caller should know although nothing failed, one warning a line, by the rule of seed_config_get_string; empty where there is
 none.
 */
SEED_MUST_USE seed_error *seed_distilled_warnings(const seed_distilled *distilled,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *length);

/*
 The settings of the run, as seed_config_to_json gives them, by the rule of seed_config_get_string.
 */
SEED_MUST_USE seed_error *seed_distilled_settings(const seed_distilled *distilled, char *buffer, size_t capacity, size_t *length);

/*
 Releases a result. NULL is fine.
 */
void seed_distilled_free(seed_distilled *distilled);

/*
 Writes to `*bytes` the size of the file of a bank of `views` views of `images` images, `dim` numbers each: about
 images·views·(2·dim + 4). `dim` is the width of the teacher's embedding, times 1 + "small.count" where small views stand beside the large ones.

 Errors: SEED_ERROR_INVALID_ARGUMENT for 0, above 2^32 - 1 images, 10^6 views or 2^22 numbers, or a size above 63 bits.
 */
SEED_MUST_USE seed_error *seed_bank_predict_size(uint64_t images,
                                   uint64_t views,
                                   uint64_t dim,
                                   uint64_t *bytes);

/*
 Fills the bank in the file `path`: "view_count" views of every image of `dataset`, and "small.count" small ones beside each, seen by `teacher`. Begins a new file or
 goes on with the one that is there, to its end or for at least `max_rows` more rows (0: no limit), and writes one of
 SEED_OUTCOME_* to `*outcome`. `callback`, `user_data`, `cancel` and `outcome` may be NULL. The whole file is reserved at
 the start. kill -9 at any moment costs a few seconds of work: the next call goes on from the last rows that are sound.

 Errors: SEED_ERROR_IO when the disk is too small (says the bytes that are missing) or full, SEED_ERROR_MISMATCH when
 the teacher gives NaN or infinity, naming the image, or with the reason when the bank there is of another teacher,
 precision, data set, seed or of other views, SEED_ERROR_FORMAT when the file there is no bank, SEED_ERROR_BUSY while
 it is open, SEED_ERROR_UNSUPPORTED for a stored teacher.
 */
SEED_MUST_USE seed_error *seed_bank_fill(const char *path,
                           const seed_config *config,
                           const seed_teacher *teacher,
                           const seed_dataset *dataset,
                           uint64_t max_rows,
                           seed_bank_callback callback,
                           void *user_data,
                           const seed_cancel_token *cancel,
                           int32_t *outcome);

/*
 Opens the bank in the file `path`, finished or not. With a `teacher`, which may be NULL, a bank of another one is refused; one
 made by seed_teacher_from_bank stands for the teacher that filled that bank.
 The header is checked now, rows when they are first used; seed_bank_verify checks them all. Trainers check views and
 data set. The file must not be cut or written over by others while it is open. The caller frees the bank with
 seed_bank_free.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_MISMATCH for a stale bank,
 SEED_ERROR_BUSY while it is being filled, SEED_ERROR_UNSUPPORTED for a teacher of embeddings, which fills no bank.
 */
SEED_MUST_USE seed_error *seed_bank_open(const char *path,
                           const seed_teacher *teacher,
                           seed_bank **out);

/*
 Reads all finished rows and compares their checksums: one pass over the file, at the disk's speed.

 Errors: SEED_ERROR_FORMAT naming the rows that are damaged; seed_bank_fill repairs them.
 */
SEED_MUST_USE seed_error *seed_bank_verify(const seed_bank *bank);

/*
 How many rows are finished and how many the bank has. Any of the two may be NULL.
 */
SEED_MUST_USE seed_error *seed_bank_rows(const seed_bank *bank, uint64_t *finished, uint64_t *total);

/*
 The width of an embedding; set "embedding_dim" to it before making the student.
 */
SEED_MUST_USE seed_error *seed_bank_dim(const seed_bank *bank, int64_t *out);

/*
 The number of images that the bank was filled from.
 */
SEED_MUST_USE seed_error *seed_bank_images(const seed_bank *bank, int64_t *out);

/*
 The number of views of each image; a run over the bank needs "view_count" set to it.
 */
SEED_MUST_USE seed_error *seed_bank_views(const seed_bank *bank, int64_t *out);

/*
 What the bank holds, as JSON (teacher, precision, data set, seed, settings of the views), into `buffer`: NULL asks for
 the size; too small a buffer is left alone; `*length` receives the bytes needed, the NUL included.
 */
SEED_MUST_USE seed_error *seed_bank_header(const seed_bank *bank, char *buffer, size_t capacity, size_t *length);

/*
 Makes a teacher of `bank`: a run over it has the loss of the run with the teacher in the loop, to float16 rounding, and no network
 of the teacher is needed. seed_trainer_new wants a finished bank that holds the views that its configuration asks for
 ("view_count", "seed", "small.count" and the settings of the views) of its data set, which is not NULL then. seed_trainer_step is refused. The
 teacher holds the bank, also after seed_bank_free. The caller frees it.

 Errors: SEED_ERROR_INVALID_ARGUMENT; whether the bank fits a run is judged by seed_trainer_new.
 */
SEED_MUST_USE seed_error *seed_teacher_from_bank(const seed_bank *bank,
                                   seed_teacher **out);

/*
 Releases a bank. NULL is fine.
 */
void seed_bank_free(seed_bank *bank);

/*
 Opens a student file. Input size, resize, mean and std are the file's; "device", "precision", "output" and "workers" come from
 `config`. So does the range where one of its keys ("range", "range.low", …) was set; else, and with
 "dataset", it is the file's. "precision" "auto" is bfloat16 where the device computes in it and vectors keep a cosine of .999 to float32 on
 calibration images; seed_session_embed says what that does to equal images. Opening tries out the fastest way to compute, some tens of forward passes. The caller frees the
 session.
 */
SEED_MUST_USE seed_error *seed_session_open(const char *path,
                              const seed_config *config,
                              seed_session **out);

/*
 Makes a session of a student's weights as they are now; the student may go on learning. Input size, resize, mean and std are
 the student's, and so is the range unless `config` sets one.
 */
SEED_MUST_USE seed_error *seed_session_from_student(const seed_student *student,
                                      const seed_config *config,
                                      seed_session **out);

/*
 Makes a session of a teacher. Image size, "resize", range, mean and std come from `config`.

 Errors: SEED_ERROR_UNSUPPORTED for a stored teacher.
 */
SEED_MUST_USE seed_error *seed_session_from_teacher(const seed_teacher *teacher, const seed_config *config, seed_session **out);

/*
 How the session computes, for a person: "cpu, bfloat16, 8 images at once". By the rule of
 seed_config_get_string.
 */
SEED_MUST_USE seed_error *seed_session_describe(const seed_session *session, char *buffer, size_t capacity, size_t *length);

/*
 What runs the session's network, and why it was taken, for a person: "libtorch: the setting "engine" is "libtorch"", or
 "embedded (AVX2): …", "onnxruntime 1.32.0 (cpu): …" with the figures that "auto" went by. By the rule of seed_config_get_string.
 docs/engines.md says how an ONNX Runtime is found; where a named one could not be used and "engine" is "auto", seed_session_warnings says so too.
 */
SEED_MUST_USE seed_error *seed_session_engine(const seed_session *session,
                                char *buffer,
                                size_t capacity,
                                size_t *length);

/*
 D, the number of floats that one image gives.
 */
SEED_MUST_USE seed_error *seed_session_dim(const seed_session *session, int64_t *out);

/*
 The number of parameters, head included.
 */
SEED_MUST_USE seed_error *seed_session_parameter_count(const seed_session *session, int64_t *out);

/*
 Vectors of `count` images of any sizes: count·D floats, image after image, into `buffer`. NULL asks for the size; too
 small a buffer is left alone; `*length` receives the number of floats needed.

 The same image gives the same vector up to rounding: how many images a call has and how many threads compute changes the order of
 sums, by some 1e-6 of a unit vector in float32 and up to 1e-3 in bfloat16. Where equal images must give equal numbers, set
 "precision" to "fp32" and pass one image at a time.
 */
SEED_MUST_USE seed_error *seed_session_embed(const seed_session *session,
                               const seed_image *images,
                               size_t count,
                               float *buffer,
                               size_t capacity,
                               size_t *length);

/*
 What the network sees of `count` images of any sizes, before normalisation: count·height·width·channels bytes, (image, row,
 column, channel) with red, green, blue, into `buffer`, by the rule of seed_session_embed. An exported student with
 SEED_EXPORT_INPUT_BYTES gives for these bytes what the session gives for the images; for its other inputs see docs/export.md.
 seed_model_get_info knows the sizes.
 */
SEED_MUST_USE seed_error *seed_session_preprocess(const seed_session *session,
                                    const seed_image *images,
                                    size_t count,
                                    uint8_t *buffer,
                                    size_t capacity,
                                    size_t *length);

/*
 Vectors of a batch of images in a DLPack tensor, which may be on a GPU: bytes (B, H, W, C) with C 1 or 3 (red, green, blue)
 of any size, which are levels already (no range is applied), and are resized and normalised as other images are; or float32, float16 or bfloat16 (B, 3, height,
 width) of the session's size, normalised already. `*out` receives a tensor (B, D) of float32 on the session's device,
 complete when the call returns; release it by its deleter.

 `images` is taken over whatever comes of the call: its deleter is called, on an error too. What writes a GPU's images
 must be done, or queued on the default stream, before the call.

 Errors: SEED_ERROR_INVALID_ARGUMENT for another version, device, type or shape.
 */
SEED_MUST_USE seed_error *seed_session_embed_dlpack(const seed_session *session,
                                      struct DLManagedTensorVersioned *images,
                                      struct DLManagedTensorVersioned **out);

/*
 Exchanges what two sessions run, between two calls: a running station takes a newly distilled student, and `other` then
 holds the old one. The same call again goes back. Calls under way finish with what they began with; nothing waits.
 `workers` stays with each session.

 Errors: SEED_ERROR_MISMATCH when their vectors differ in length or kind, since what they are compared with would no
 longer fit; both are left as they were.
 */
SEED_MUST_USE seed_error *seed_session_swap(const seed_session *session, const seed_session *other);

/*
 Vectors of all images of a data set, in order, by the rule of seed_session_embed. A broken image gives zeros and is
 counted as skipped: seed_dataset_skipped_count says how many there are, seed_dataset_broken which. `callback`, `user_data` and
 `cancel` may be NULL.

 Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; where every image is broken, SEED_ERROR_IO when some cannot
 be read (a folder that is away: try again) and SEED_ERROR_FORMAT when all are damaged, with the first reasons. `buffer` is left
 alone then.
 */
SEED_MUST_USE seed_error *seed_session_embed_dataset(const seed_session *session,
                                       const seed_dataset *dataset,
                                       seed_count_callback callback,
                                       void *user_data,
                                       const seed_cancel_token *cancel,
                                       float *buffer,
                                       size_t capacity,
                                       size_t *length);

/*
 What you should know about the session although nothing failed, such as frames of which much is cut away: one warning a line, each once,
 by the rule of seed_config_get_string; empty where there is none. After seed_session_swap these are the warnings of what runs now.
 */
SEED_MUST_USE seed_error *seed_session_warnings(const seed_session *session,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

/*
 Releases a session. NULL is fine.
 */
void seed_session_free(seed_session *session);

/*
 How many feature maps of the session's network can be asked for; 0 for some backbones.
 */
SEED_MUST_USE seed_error *seed_session_stage_count(const seed_session *session, size_t *out);

/*
 Feature map `index`, counted from the image on: its name ("layer2", "features.6") into `buffer`, by the rule of
 seed_config_get_string, its channels, and how many pixels of the input stand for one of the map in both directions: it is
 ⌈height/stride⌉ × ⌈width/stride⌉. `channels` and `stride` may be NULL.
 */
SEED_MUST_USE seed_error *seed_session_stage(const seed_session *session,
                               size_t index,
                               int64_t *channels,
                               int64_t *stride,
                               char *buffer,
                               size_t capacity,
                               size_t *length);

/*
 The feature maps of `count` images at the stage `name`: count·channels·height·width floats, (image, channel, row, column),
 into `buffer`, by the rule of seed_session_embed. The images are resized as for seed_session_embed. What lies
 behind the stage is not computed. Where the session was opened with "tile.size", the maps of an image's tiles are stitched to one: of an
 image of H rows, with tiles of t rows whose maps have m, ⌈H·m/t⌉ rows, and columns alike. The images have one size then and are given when
 the length is asked for, too.

 Errors: SEED_ERROR_INVALID_ARGUMENT for an unknown name, listing those that there are, and with tiles for images of several sizes or
 smaller than a tile.
 */
SEED_MUST_USE seed_error *seed_session_feature_map(const seed_session *session,
                                     const char *name,
                                     const seed_image *images,
                                     size_t count,
                                     float *buffer,
                                     size_t capacity,
                                     size_t *length);

/*
 Opens a file of seed_classifier_save. "device" and "precision" come from `config`. The caller frees the classifier.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a file that is damaged, hostile or no classifier's, SEED_ERROR_MISMATCH for one that holds
 other tensors besides.
 */
SEED_MUST_USE seed_error *seed_classifier_open(const char *path,
                                 const seed_config *config,
                                 seed_classifier **out);

/*
 Writes the classifier to one safetensors file, atomically: network with torchvision's key names, classes, temperature,
 threshold and what the held-out images said.
 */
SEED_MUST_USE seed_error *seed_classifier_save(const seed_classifier *classifier, const char *path);

/*
 Writes the classifier to one ONNX file, operator set 17, for any batch size: "probabilities" (B, K), calibrated; "class" (B), the
 most probable one; "confidence" (B), its probability; "unsure" (B), whether that lies below the threshold. The input is
 options->input; format must be SEED_EXPORT_ONNX and outputs 0. The metadata has the class names, temperature and threshold
 ("classifier", as seed_classifier_describe), how images are made, and the provenance. The file is checked before it is in place; on an
 error what stood at `path` is as it was. docs/export.md lists inputs, outputs and metadata.

 Errors: SEED_ERROR_INVALID_ARGUMENT for options out of bounds and a network that gives NaN; SEED_ERROR_UNSUPPORTED for another format or
 other outputs, for an operation that cannot be written, naming it, and for 2 GB of weights and more; SEED_ERROR_IO.
 */
SEED_MUST_USE seed_error *seed_classifier_export(const seed_classifier *classifier,
                                   const char *path,
                                   const seed_export_options *options);

/*
 The number of classes.
 */
SEED_MUST_USE seed_error *seed_classifier_class_count(const seed_classifier *classifier, size_t *out);

/*
 The name of class `index`, by the rule of seed_config_get_string.
 */
SEED_MUST_USE seed_error *seed_classifier_class_name(const seed_classifier *classifier,
                                       size_t index,
                                       char *buffer,
                                       size_t capacity,
                                       size_t *length);

/*
 What is known about the classifier as a JSON object, by the rule of seed_config_get_string: "names", "temperature",
 "threshold" (2 where no answer is sure), "held_out" (accuracy, balanced recall with its 95 % interval and what chance would give,
 recalls, AUROC, calibration error, coverage and risk of the threshold, confusion matrix; null where no image was held out),
 "calibration" ("by" "held_out", "cross_validation" or "none", "images", "folds"; null in files of earlier versions) and
 "training".
 */
SEED_MUST_USE seed_error *seed_classifier_describe(const seed_classifier *classifier,
                                     char *buffer,
                                     size_t capacity,
                                     size_t *length);

/*
 The confusion matrix of the held-out images: K·K counts into `buffer`, true class by row, answered class by column, by the
 rule of seed_neighbours. No counts where no image was held out.
 */
SEED_MUST_USE seed_error *seed_classifier_confusion(const seed_classifier *classifier,
                                      uint64_t *buffer,
                                      size_t capacity,
                                      size_t *length);

/*
 The same as a table of comma-separated values with the classes' names, by the rule of seed_config_get_string.
 */
SEED_MUST_USE seed_error *seed_classifier_confusion_csv(const seed_classifier *classifier,
                                          char *buffer,
                                          size_t capacity,
                                          size_t *length);

/*
 Classifies `count` images of any sizes. Each of the four arrays may be NULL: `classes` receives `count` class numbers,
 `confidences` as many probabilities of these, `unsure` 1 where that lies below the classifier's threshold and 0 else, and
 `probabilities` count·K numbers, image after image.
 */
SEED_MUST_USE seed_error *seed_classifier_classify(const seed_classifier *classifier,
                                     const seed_image *images,
                                     size_t count,
                                     int64_t *classes,
                                     float *confidences,
                                     uint8_t *unsure,
                                     float *probabilities);

/*
 Classifies all images of a data set, in order. The arrays are as for seed_classifier_classify, with room for `capacity`
 images; a broken image gets class −1, is unsure, and its numbers are 0. `callback`, `user_data` and `cancel` may be NULL.

 Errors: as seed_session_embed_dataset; SEED_ERROR_BUFFER_TOO_SMALL when the data set has more images than `capacity`; SEED_ERROR_CANCELLED when the
 callback or the token ended it. The arrays are left alone then.
 */
SEED_MUST_USE seed_error *seed_classifier_classify_dataset(const seed_classifier *classifier,
                                             const seed_dataset *dataset,
                                             seed_count_callback callback,
                                             void *user_data,
                                             const seed_cancel_token *cancel,
                                             int64_t *classes,
                                             float *confidences,
                                             uint8_t *unsure,
                                             float *probabilities,
                                             size_t capacity);

/*
 How well the classifier does on the labelled images of a data set that it has not learned from, as a JSON object with
 "images", "accuracy", "balanced_recall" with "balanced_recall_low" and "_high" (its 95 % interval) and "chance", "recalls",
 "auroc", "nll", "calibration_error", "selected" (coverage and risk of the threshold) and "confusion", by the rule of
 seed_config_get_string (each call embeds the images). `labels` are as for seed_classifier_fit; broken images are left out, "images"
 says how many were judged. `callback`, `user_data` and `cancel` may be NULL.

 Errors: as seed_session_embed_dataset, SEED_ERROR_CANCELLED when the callback or the token ended it.
 */
SEED_MUST_USE seed_error *seed_classifier_judge(const seed_classifier *classifier,
                                  const seed_dataset *dataset,
                                  const int64_t *labels,
                                  size_t label_count,
                                  seed_count_callback callback,
                                  void *user_data,
                                  const seed_cancel_token *cancel,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

/*
 What you should know about the classifier although nothing failed, such as probabilities that nothing was held out to calibrate: one
 warning a line, each once, by the rule of seed_config_get_string; empty where there is none.
 */
SEED_MUST_USE seed_error *seed_classifier_warnings(const seed_classifier *classifier,
                                     char *buffer,
                                     size_t capacity,
                                     size_t *length);

/*
 Releases a classifier. NULL is fine.
 */
void seed_classifier_free(seed_classifier *classifier);

/*
 Makes a classifier of a copy of `student` (its features and their backbone) and the labelled images of `dataset`, by the
 settings "finetune.…" of `config` (docs/finetune.md). `labels` has one number for each image of the data set: its class, or
 −1 for none; seed_dataset_class_labels makes them of folders. `names` are `class_count` texts, all different.

 Instead of `student`, `earlier` may be given: then the fit starts from that classifier's backbone and classes, whose names
 must come first; new ones follow. Exactly one of both is not NULL. `teacher` (may be NULL) is what "finetune.anchor" draws
 the student to; without one it is the student as it was.

 `callback`, `user_data`, `cancel` and `outcome` may be NULL. `*outcome` receives SEED_OUTCOME_FINISHED, or
 SEED_OUTCOME_CANCELLED when the token or the callback ended it: `*out` is the best classifier so far then. The caller
 frees it.

 Errors: SEED_ERROR_CANCELLED when it was ended before there was any classifier; SEED_ERROR_INVALID_ARGUMENT for labels or
 names that do not fit, or images of fewer than two classes; SEED_ERROR_MISMATCH for a teacher, an earlier classifier or a
 checkpoint ("finetune.checkpoint_path") that does not fit; SEED_ERROR_UNSUPPORTED for a stored teacher.
 */
SEED_MUST_USE seed_error *seed_classifier_fit(const seed_config *config,
                                const seed_student *student,
                                const seed_classifier *earlier,
                                const seed_teacher *teacher,
                                const seed_dataset *dataset,
                                const int64_t *labels,
                                size_t label_count,
                                const char *const *names,
                                size_t class_count,
                                seed_finetune_callback callback,
                                void *user_data,
                                const seed_cancel_token *cancel,
                                int32_t *outcome,
                                seed_classifier **out);

/*
 As seed_classifier_fit in the "finetune.mode" full, but the student also learns what `taught_by`, the classifier of a teacher,
 answers: "finetune.logit_weight"·τ²·KL(softmax(teacher's logits/τ) ‖ softmax(student's logits/τ)) is added to
 "finetune.label_weight" times the labels' loss, τ being "finetune.logit_temperature" (Hinton et al., 2015). Images without a
 label are learned from as well then, so that few labels suffice.

 A teacher's classifier is made by seed_classifier_fit on a student that has the teacher's weights
 (seed_student_load_weights), at the student's image size, mean and std, from the same classes in the same order.

 Errors: as seed_classifier_fit; SEED_ERROR_INVALID_ARGUMENT for the mode "linear"; SEED_ERROR_MISMATCH where classes or images
 of `taught_by` are not those of the run.
 */
SEED_MUST_USE seed_error *seed_classifier_distil(const seed_config *config,
                                   const seed_student *student,
                                   const seed_classifier *earlier,
                                   const seed_teacher *teacher,
                                   const seed_classifier *taught_by,
                                   const seed_dataset *dataset,
                                   const int64_t *labels,
                                   size_t label_count,
                                   const char *const *names,
                                   size_t class_count,
                                   seed_finetune_callback callback,
                                   void *user_data,
                                   const seed_cancel_token *cancel,
                                   int32_t *outcome,
                                   seed_classifier **out);

/*
 Learns the images of `good`, all of good parts, by the features of `student` and the settings "anomaly.…", "tile.…", "seed",
 "device" and "precision" of `config` (docs/anomaly.md): "anomaly.kind" is patchcore, a memory of patches, or stfpm, a second
 network that learns the feature maps of good parts. A part of the images, "anomaly.held_out", is not learned but sets
 the threshold for "anomaly.false_alarm_rate"; where several images show the same part, say so by "anomaly.group", or the
 threshold is too low for further parts. Pixels that seed_dataset_set_ignored names count for nothing. Broken images are left out. `callback`, `user_data` and `cancel` may be NULL.
 The callback counts images, for stfpm times the passes over them. With "anomaly.checkpoint_path" stfpm writes its state to that
 file after each pass, goes on from it when it is called again with the same settings, images and student, on the CPU bit for
 bit, and removes it when it is done. The caller frees the detector.

 Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; SEED_ERROR_IO (some cannot be read) or
 SEED_ERROR_FORMAT (all are damaged) when there is no sound image; SEED_ERROR_INVALID_ARGUMENT when there is no image at all or
 one group of images only, stfpm diverges or a feature map is unknown; SEED_ERROR_UNSUPPORTED when the backbone has none;
 SEED_ERROR_MISMATCH when the checkpoint is of another run, SEED_ERROR_FORMAT when it is damaged.
 */
SEED_MUST_USE seed_error *seed_anomaly_fit(const seed_config *config,
                             const seed_student *student,
                             const seed_dataset *good,
                             seed_count_callback callback,
                             void *user_data,
                             const seed_cancel_token *cancel,
                             seed_anomaly **out);

/*
 Learns further images of good parts, while the detector goes on judging: the memory grows by what it does not cover, up to
 its "anomaly.memory_max", and "anomaly.held_out" of the images join those that set the threshold. Calls under way end with
 what they began with. `callback`, `user_data` and `cancel` may be NULL.

 Errors: as seed_anomaly_fit, and SEED_ERROR_UNSUPPORTED for the kind stfpm, which has to be fitted again with all parts; nothing
 has changed then.
 */
SEED_MUST_USE seed_error *seed_anomaly_add(const seed_anomaly *anomaly,
                             const seed_config *config,
                             const seed_dataset *good,
                             seed_count_callback callback,
                             void *user_data,
                             const seed_cancel_token *cancel);

/*
 Opens a file of seed_anomaly_save. "device" and "precision" come from `config`. The caller frees the detector.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a file that is damaged, hostile or no detector's.
 */
SEED_MUST_USE seed_error *seed_anomaly_open(const char *path, const seed_config *config, seed_anomaly **out);

/*
 Writes the detector to one safetensors file, atomically: backbone, memory or second network, held-out scores and settings.
 */
SEED_MUST_USE seed_error *seed_anomaly_save(const seed_anomaly *anomaly,
                              const char *path);

/*
 Writes the detector as it is now to one ONNX file, operator set 17, for any batch size: "score" (B); "alarm" (B), whether it lies
 above the threshold; "map" (B, H, W), the heat map in the pixels of the resized image. Memory or second network are inside. The
 input is options->input; format must be SEED_EXPORT_ONNX and outputs 0. The metadata has the settings ("anomaly"), "threshold", "rate",
 how images are made, how the map belongs to a frame ("map"), and the provenance. The file is checked before it is in place; on an error
 what stood at `path` is as it was. docs/export.md lists inputs, outputs and metadata.

 Errors: SEED_ERROR_INVALID_ARGUMENT for options out of bounds; SEED_ERROR_MISMATCH for a network that gives NaN;
 SEED_ERROR_UNSUPPORTED for a detector that ignores pixels or sees tiles, another format or other outputs, for an operation that cannot be written, naming it, and for 2 GB of
 weights and more; SEED_ERROR_IO.
 */
SEED_MUST_USE seed_error *seed_anomaly_export(const seed_anomaly *anomaly,
                                const char *path,
                                const seed_export_options *options);

/*
 The score above which an image is an alarm, and the false-alarm rate that it keeps on good parts: the one that was asked
 for, or 1/(n + 1) where n held-out groups of images ("anomaly.group") are too few for it, with "anomaly.confidence" c
 1 - (1 - c)^(1/n). Where none was held out the threshold comes of the learned images themselves (docs/anomaly.md), the rate is NaN,
 and seed_anomaly_warnings says so. Both may be NULL.
 */
SEED_MUST_USE seed_error *seed_anomaly_threshold(const seed_anomaly *anomaly,
                                   float *threshold,
                                   double *rate);

/*
 What is known about the detector as a JSON object, by the rule of seed_config_get_string: "settings", "patches" and
 "patch_dim" of the memory (0 for stfpm), "held_out" and "held_out_groups" (how many images and groups of images), "threshold",
 "rate" (null where none was held out), "ignored" (how many pixels of a frame count for nothing) and "computes".
 */
SEED_MUST_USE seed_error *seed_anomaly_describe(const seed_anomaly *anomaly,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

/*
 Scores `count` images of any sizes: `count` numbers into `scores`, and 1 for an alarm or 0 into `alarms`; each may be NULL.
 */
SEED_MUST_USE seed_error *seed_anomaly_score(const seed_anomaly *anomaly,
                               const seed_image *images,
                               size_t count,
                               float *scores,
                               uint8_t *alarms);

/*
 The heat map of one image in its own pixels: width·height distances, row after row, into `buffer`, by the rule of
 seed_neighbours. `score` and `alarm` (each may be NULL) are as for seed_anomaly_score.
 */
SEED_MUST_USE seed_error *seed_anomaly_map(const seed_anomaly *anomaly,
                             const seed_image *image,
                             float *buffer,
                             size_t capacity,
                             size_t *length,
                             float *score,
                             uint8_t *alarm);

/*
 What you should know about the detector although nothing failed, such as a threshold that no held-out image has set: one warning a line,
 each once, by the rule of seed_config_get_string; empty where there is none. Warnings about what it has learned are saved with it.
 */
SEED_MUST_USE seed_error *seed_anomaly_warnings(const seed_anomaly *anomaly,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

/*
 Releases a detector. NULL is fine.
 */
void seed_anomaly_free(seed_anomaly *anomaly);

/*
 Learns from the images of `dataset` that have a mask, on the feature maps of a copy of `student`'s backbone, which stays as it is, by the
 settings "segment.…", "range", "seed", "device", "precision", "duty_cycle" and "nice" of `config` (docs/segment.md).

 `masks` has `mask_count` views, one for each image of the data set: SEED_PIXEL_MONO8 of the image's own size, each byte a class number
 below `class_count` or SEED_MASK_IGNORED. Where `data` is NULL, the image has no mask and is skipped. `names` are `class_count` texts,
 2 to 255, all different; class 0 is the background. Broken images are left out. The callback counts images; `callback`,
 `user_data` and `cancel` may be NULL. The caller frees the segmenter.

 Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; SEED_ERROR_INVALID_ARGUMENT for masks or names that do not fit, for
 masks of one class, and for an unknown feature map; SEED_ERROR_UNSUPPORTED when the backbone has none; SEED_ERROR_MISMATCH for a student
 that gives NaN.
 */
SEED_MUST_USE seed_error *seed_segmenter_fit(const seed_config *config,
                               const seed_student *student,
                               const seed_dataset *dataset,
                               const seed_image *masks,
                               size_t mask_count,
                               const char *const *names,
                               size_t class_count,
                               seed_count_callback callback,
                               void *user_data,
                               const seed_cancel_token *cancel,
                               seed_segmenter **out);

/*
 Opens a file of seed_segmenter_save. "device", "precision" and, where it is set, "range" come from `config`. The caller frees the segmenter.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a file that is damaged, hostile or no segmenter's.
 */
SEED_MUST_USE seed_error *seed_segmenter_open(const char *path,
                                const seed_config *config,
                                seed_segmenter **out);

/*
 Writes the segmenter to one safetensors file, atomically: backbone with torchvision's key names, layer, classes, feature maps, how images
 are made, and the student's provenance.
 */
SEED_MUST_USE seed_error *seed_segmenter_save(const seed_segmenter *segmenter,
                                const char *path);

/*
 The number of classes, including the background.
 */
SEED_MUST_USE seed_error *seed_segmenter_class_count(const seed_segmenter *segmenter, size_t *out);

/*
 What is known about the segmenter as a JSON object, by the rule of seed_config_get_string: "names" of the classes, "layers" (the feature
 maps), "training" (masks, cells, penalty, share of each class, classes without a pixel), "provenance" of the student and "computes".
 */
SEED_MUST_USE seed_error *seed_segmenter_describe(const seed_segmenter *segmenter,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *length);

/*
 The class of each pixel of one image, in its own pixels: width·height bytes, row after row, into `buffer`, by the rule of
 seed_neighbours. `confidences` (may be NULL) receives as many probabilities of these classes.
 */
SEED_MUST_USE seed_error *seed_segmenter_segment(const seed_segmenter *segmenter,
                                   const seed_image *image,
                                   uint8_t *buffer,
                                   size_t capacity,
                                   size_t *length,
                                   float *confidences);

/*
 What you should know about the segmenter although nothing failed, such as classes without a pixel to learn from: one warning a line, each
 once, by the rule of seed_config_get_string; empty where there is none.
 */
SEED_MUST_USE seed_error *seed_segmenter_warnings(const seed_segmenter *segmenter,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *length);

/*
 Releases a segmenter. NULL is fine.
 */
void seed_segmenter_free(seed_segmenter *segmenter);

/*
 Intersection over union of `count` pixels: `predicted` and `truth` have a class below `class_count` (1 to 255) for each; true pixels of
 SEED_MASK_IGNORED count for nothing. Pixels of several images stand one after the other. `ious` (may be NULL) receives a number for each
 class, NaN for one that neither has; `*mean` receives their mean, NaN where no pixel counts. A plain function over the
 application's memory; any thread may call.

 Errors: SEED_ERROR_INVALID_ARGUMENT for an unknown class.
 */
SEED_MUST_USE seed_error *seed_mask_overlap(const uint8_t *predicted,
                              const uint8_t *truth,
                              size_t count,
                              size_t class_count,
                              double *ious,
                              double *mean);

/*
 How good `student`'s feature maps are for segmentation, over `splits` splits (1 to 10,000): a third of the masks of each class is for
 testing, where a mask counts as the class that most of its marked pixels have; from the others, at most "segment.masks_per_class" of
 each class, a segmenter learns as by seed_segmenter_fit. Pixels of all test frames are counted together, in the frames' own sizes.
 Split i is that of the seed "seed" + i and depends on the masks beside it alone, so that different students are judged on the
 same frames. `masks` are as for seed_segmenter_fit. `ious` (may be NULL) receives the mean IoU of each of the `class_count` classes, NaN for
 one that neither masks nor predictions have. The callback counts images; `callback`, `user_data` and `cancel` may be NULL.

 Errors: as seed_segmenter_fit.
 */
SEED_MUST_USE seed_error *seed_segmentation_evaluate(const seed_config *config,
                                       const seed_student *student,
                                       const seed_dataset *dataset,
                                       const seed_image *masks,
                                       size_t mask_count,
                                       size_t class_count,
                                       uint32_t splits,
                                       seed_count_callback callback,
                                       void *user_data,
                                       const seed_cancel_token *cancel,
                                       seed_segmentation_result *result,
                                       double *ious);

/*
 The number of architectures that seed_student_new and seed_teacher_load know.
 */
SEED_MUST_USE seed_error *seed_architecture_count(size_t *out);

/*
 The name of architecture `index`, from 0, such as "resnet18", by the rule of seed_config_get_string. seed_model_new tells more
 of it.
 */
SEED_MUST_USE seed_error *seed_architecture_name(size_t index,
                                   char *buffer,
                                   size_t capacity,
                                   size_t *length);

/*
 Describes the student that seed_student_new would make of that architecture and configuration, without making it: image size,
 "resize", "embedding_dim", "projection_hidden", mean and std come from `config`. It takes milliseconds and hardly any memory. The
 caller frees it.
 */
SEED_MUST_USE seed_error *seed_model_new(const char *architecture,
                           const seed_config *config,
                           seed_model **out);

/*
 Describes the network in a file without reading its weights: a student that seed_student_save wrote, or a file of
 seed_student_export of any format. Nothing in the file is executed. The caller frees it.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a file that libseed did not write or that is damaged.
 */
SEED_MUST_USE seed_error *seed_model_open(const char *path, seed_model **out);

/*
 Describes a student, its provenance as it is now. The caller frees it.
 */
SEED_MUST_USE seed_error *seed_model_from_student(const seed_student *student, seed_model **out);

/*
 Describes a teacher for images of the configuration's size, mean and std, which a teacher itself does not have. The caller
 frees it.

 Errors: SEED_ERROR_UNSUPPORTED for a stored teacher.
 */
SEED_MUST_USE seed_error *seed_model_from_teacher(const seed_teacher *teacher,
                                    const seed_config *config,
                                    seed_model **out);

/*
 Describes the network that a session runs now. The caller frees it.
 */
SEED_MUST_USE seed_error *seed_model_from_session(const seed_session *session, seed_model **out);

/*
 The figures of the network.

 Errors: SEED_ERROR_INVALID_ARGUMENT where info->struct_size is not sizeof(seed_model_info).
 */
SEED_MUST_USE seed_error *seed_model_get_info(const seed_model *model, seed_model_info *info);

/*
 The name of the architecture, such as "resnet18", by the rule of seed_config_get_string; "torchscript" or "application" for a
 teacher that is no network of libseed.
 */
SEED_MUST_USE seed_error *seed_model_architecture(const seed_model *model,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *length);

/*
 Which samples of a frame become which of 256 levels before the network sees them, as pairs that seed_config_parse takes, by the rule of
 seed_config_get_string: "range=full range.gamma=1", or "range=fixed range.low=96 range.high=3871 range.gamma=1". A student's,
 classifier's or detector's is the one of the data set that it learned from; whoever runs an exported file applies it before the
 frame is resized.
 */
SEED_MUST_USE seed_error *seed_model_range(const seed_model *model,
                             char *buffer,
                             size_t capacity,
                             size_t *length);

/*
 Where the network comes from, a JSON object, by the rule of seed_config_get_string: "library", "distillation" (teacher, images,
 steps, loss, settings) and what the application set by seed_student_set_provenance. "{}" where nothing is known.
 */
SEED_MUST_USE seed_error *seed_model_provenance(const seed_model *model,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

/*
 Releases a model. NULL is fine.
 */
void seed_model_free(seed_model *model);

/*
 Writes the student as it is now for other programs, to the student's image size and any batch size; a run may go on meanwhile.
 The file carries the student's description and provenance, which seed_model_open reads. It is checked before it is in place:
 weights and ONNX models are read back and compared, TorchScript modules are run against the student. On an error what stood
 at `path` is as it was. docs/export.md has a use of each format.

 Errors: SEED_ERROR_INVALID_ARGUMENT for options out of bounds and a student that has diverged; SEED_ERROR_UNSUPPORTED for
 an operation that the format lacks here, naming it, for stages of a network without them, and an ONNX model of 2 GB and more;
 SEED_ERROR_IO.
 */
SEED_MUST_USE seed_error *seed_student_export(const seed_student *student,
                                const char *path,
                                const seed_export_options *options);

/*
 Opens the store in the file `path` to write, and makes it where there is none; `options` NULL means all defaults. Beside it lie
 `path`.lock and, while it is open, `path`-wal and `path`-shm. It must be on a local disk. The caller frees it with
 seed_store_free.

 Errors: SEED_ERROR_BUSY when another store writes to it, here or in another process; SEED_ERROR_IO; SEED_ERROR_FORMAT when the
 file is no store; SEED_ERROR_MISMATCH for another version's, or when novel frames are to be kept and stored ones have no
 embedding.
 */
SEED_MUST_USE seed_error *seed_store_open(const char *path,
                            const seed_store_options *options,
                            seed_store **out);

/*
 Opens the store in the file `path` to read, whether or not a process writes to it. Functions that change the store answer
 SEED_ERROR_INVALID_ARGUMENT. The caller frees it with seed_store_free.

 Errors: SEED_ERROR_IO when there is no such file, SEED_ERROR_FORMAT when it is no store, SEED_ERROR_MISMATCH for another version's.
 */
SEED_MUST_USE seed_error *seed_store_open_to_read(const char *path,
                                    seed_store **out);

/*
 Stores what waits and ends writing, and says what could not be stored. What is pushed afterwards is refused; reading goes on. The
 handle stays to be freed by seed_store_free. Only the first call says what was lost. A store that was opened to read is left as it
 is.

 Errors: SEED_ERROR_IO (a full disk, after one more try) when frames that had got a number since the store was opened are lost, how
 many and why, or when what was stored could not be synced.
 */
SEED_MUST_USE seed_error *seed_store_close(const seed_store *store);

/*
 Releases a store, after what seed_store_close does: what could not be stored only the log says. NULL is fine. Data sets of the
 store live on.
 */
void seed_store_free(seed_store *store);

/*
 Frames without an embedding get that of `session`, as it is now, in the store's thread from now on; NULL ends it. After
 seed_session_swap the store goes on with the old network: embeddings of two networks cannot be compared.

 Errors: SEED_ERROR_MISMATCH when the store has embeddings of another width.
 */
SEED_MUST_USE seed_error *seed_store_set_session(const seed_store *store, const seed_session *session);

/*
 Copies a frame into the store's queue and returns; encoding and writing happen in the store's thread. `entry` may be NULL.
 Where the queue is full it waits up to `wait_ms` milliseconds for room (0: not at all; UINT32_MAX: for ever). `*id` (may be NULL)
 receives the number under which the frame will be stored, from 1 on and never given twice, or 0 when it was not taken: there was
 no room, or the reservoir passes it over; seed_store_stats_now counts both.

 Errors: SEED_ERROR_INVALID_ARGUMENT for an image that is not sound or larger than queue_bytes, and where novel frames are kept and
 there is neither an embedding nor a session; SEED_ERROR_MISMATCH for an embedding of another width; SEED_ERROR_UNSUPPORTED for
 SEED_PIXEL_MONO_F32.
 */
SEED_MUST_USE seed_error *seed_store_push(const seed_store *store,
                            const seed_image *image,
                            const seed_store_entry *entry,
                            uint32_t wait_ms,
                            int64_t *id);

/*
 As seed_store_push for `length` bytes of JPEG, PNG, BMP, TIFF, WebP or PNM, which are stored as they are. One that does not decode counts as
 failed.
 */
SEED_MUST_USE seed_error *seed_store_push_encoded(const seed_store *store,
                                    const uint8_t *bytes,
                                    size_t length,
                                    const seed_store_entry *entry,
                                    uint32_t wait_ms,
                                    int64_t *id);

/*
 Waits until all frames that were pushed before are stored and synced to the disk: they survive the end of the process, and of
 power where the disk keeps its word.

 Errors: SEED_ERROR_IO when that cannot be done now, with the reason; the frames wait and are tried again.
 */
SEED_MUST_USE seed_error *seed_store_flush(const seed_store *store);

/*
 Gives frame `id` the class `label`, from 0 on, called `label_text` (may be NULL), once all that was pushed before is stored; a
 negative `label` takes the label away. Labelled frames are not let go for their age, and for others only when all are labelled.

 Errors: SEED_ERROR_INVALID_ARGUMENT when there is no such frame, SEED_ERROR_IO.
 */
SEED_MUST_USE seed_error *seed_store_set_label(const seed_store *store,
                                 int64_t id,
                                 int64_t label,
                                 const char *label_text);

/*
 Removes `count` frames, all or none; those that are not there are fine.

 Errors: SEED_ERROR_IO.
 */
SEED_MUST_USE seed_error *seed_store_remove(const seed_store *store, const int64_t *ids, size_t count);

/*
 The ids of the frames that `filter` (NULL: all) lets through, ascending, into `buffer`: NULL asks for the size; too small a buffer
 is left alone; `*length` receives the ids needed. A frame that was just pushed is there after seed_store_flush.
 */
SEED_MUST_USE seed_error *seed_store_list(const seed_store *store,
                            const seed_store_filter *filter,
                            int64_t *buffer,
                            size_t capacity,
                            size_t *length);

/*
 What is known of frame `id`; `*record` has its struct_size set.

 Errors: SEED_ERROR_INVALID_ARGUMENT when it is not there, as for every function that takes an id.
 */
SEED_MUST_USE seed_error *seed_store_describe(const seed_store *store, int64_t id, seed_store_record *record);

/*
 A text of frame `id`, `which` of SEED_STORE_TEXT_*, into `buffer`: NULL asks for the size; too small a buffer is left alone;
 `*length` receives the bytes needed, the NUL included.
 */
SEED_MUST_USE seed_error *seed_store_text(const seed_store *store,
                            int64_t id,
                            int32_t which,
                            char *buffer,
                            size_t capacity,
                            size_t *length);

/*
 The pixels of frame `id`, by the rule of seed_image_decode.

 Errors: SEED_ERROR_FORMAT when the image is damaged.
 */
SEED_MUST_USE seed_error *seed_store_pixels(const seed_store *store,
                              int64_t id,
                              seed_image *image,
                              uint8_t *buffer,
                              size_t capacity,
                              size_t *length);

/*
 The file of frame `id`, PNG or JPEG say, into `buffer`: NULL asks for the size; too small a buffer is left alone; `*length`
 receives the bytes needed.

 Errors: SEED_ERROR_FORMAT when the bytes are not those that were stored.
 */
SEED_MUST_USE seed_error *seed_store_encoded(const seed_store *store,
                               int64_t id,
                               uint8_t *buffer,
                               size_t capacity,
                               size_t *length);

/*
 The embedding of frame `id`, of length 1, into `buffer` by the rule of seed_store_encoded; no floats where it has none.
 */
SEED_MUST_USE seed_error *seed_store_embedding(const seed_store *store, int64_t id, float *buffer, size_t capacity, size_t *length);

/*
 The classes of `count` frames, −1 where there is none, into `labels`, which holds as many.
 */
SEED_MUST_USE seed_error *seed_store_labels(const seed_store *store, const int64_t *ids, size_t count, int64_t *labels);

/*
 Makes a data set of `count` frames in this order, or of all that are there now where `ids` is NULL; image i is frame ids[i]. It
 reads the store when an image is asked for, and may outlive the handle. The store may grow meanwhile: what comes later is not in the
 data set, and a frame that has gone is skipped, counted and named like a broken file. The caller frees it with seed_dataset_free.

 Errors: SEED_ERROR_INVALID_ARGUMENT when there is no frame, or one of `ids` is not there.
 */
SEED_MUST_USE seed_error *seed_dataset_open_store(const seed_store *store,
                                    const int64_t *ids,
                                    size_t count,
                                    seed_dataset **out);

/*
 What the store has done since it was opened, and holds; `*stats` has its struct_size set. Cheap for the one that writes; a reader
 counts all frames.
 */
SEED_MUST_USE seed_error *seed_store_stats_now(const seed_store *store,
                                 seed_store_stats *stats);

/*
 What keeps the store's thread from storing at the moment, a full disk say, by the rule of seed_store_text; an empty text when
 nothing does.
 */
SEED_MUST_USE seed_error *seed_store_trouble(const seed_store *store,
                               char *buffer,
                               size_t capacity,
                               size_t *length);

/*
 Looks at every page of the store in the file `path` and decodes every image; others may use it meanwhile. `callback` (may be NULL)
 is told how many of how many frames are done, on this thread. Success means that the store is sound.

 Errors: SEED_ERROR_FORMAT with the number of problems and the first hundred of them; SEED_ERROR_CANCELLED; SEED_ERROR_IO.
 */
SEED_MUST_USE seed_error *seed_store_check(const char *path,
                             seed_count_callback callback,
                             void *user_data);

/*
 Copies every sound frame, with its number, label and embedding, from the store in the file `path`, which nobody writes to, into a
 new store in the file `new_path`. `callback` as for seed_store_check. `*saved` and `*lost` receive the numbers of frames, and
 `*list_damaged` (may be NULL) 1 where the list of frames is itself damaged, so that nobody knows how many more there were, else 0.

 Errors: SEED_ERROR_INVALID_ARGUMENT when `new_path` exists; SEED_ERROR_BUSY; SEED_ERROR_CANCELLED; SEED_ERROR_IO; SEED_ERROR_FORMAT
 when the old store cannot even be opened.
 */
SEED_MUST_USE seed_error *seed_store_repair(const char *path,
                              const char *new_path,
                              seed_count_callback callback,
                              void *user_data,
                              uint64_t *saved,
                              uint64_t *lost,
                              int32_t *list_damaged);

/*
 Weighted kNN (votes exp(similarity/.07)) over `splits` (1 to 10,000) random splits of `count` vectors of `dim` floats into 2/3
 gallery and 1/3 queries. `labels` are class numbers from 0, or -1 for none. Vectors without a label are left out, and so are those
 of zeros, which broken images have. The splits depend on `seed`, `count` and nothing else, so different networks are judged on
 the same ones.
 */
SEED_MUST_USE seed_error *seed_knn_evaluate(const float *embeddings,
                              size_t count,
                              size_t dim,
                              const int64_t *labels,
                              size_t k,
                              uint32_t splits,
                              uint64_t seed,
                              seed_knn_result *result);

/*
 The classes that weighted kNN gives `query_count` vectors by `gallery_count` others, all of `dim` floats: of the `k` nearest of the gallery by
 cosine each votes exp(similarity/temperature) for its class, a number from 0 in `gallery_labels`. query_count numbers into `buffer`, equal
 votes to the smaller one. NULL asks for the size; too small a buffer is left alone; `*length` receives the numbers needed. The usual
 protocols on ImageNet: k 10, or k 200 with a temperature of .07, the training images as the gallery.

 Errors: SEED_ERROR_INVALID_ARGUMENT for a label below 0, k above the gallery, a temperature that is not above 0.
 */
SEED_MUST_USE seed_error *seed_knn_classify(const float *queries,
                              size_t query_count,
                              const float *gallery,
                              const int64_t *gallery_labels,
                              size_t gallery_count,
                              size_t dim,
                              size_t k,
                              double temperature,
                              int64_t *buffer,
                              size_t capacity,
                              size_t *length);

/*
 The `k` nearest of each of `count` vectors of `dim` floats by cosine, itself left out, nearest first: count·k numbers
 into `buffer`. NULL asks for the size; too small a buffer is left alone; `*length` receives the numbers needed.
 */
SEED_MUST_USE seed_error *seed_neighbours(const float *embeddings,
                            size_t count,
                            size_t dim,
                            size_t k,
                            uint32_t *buffer,
                            size_t capacity,
                            size_t *length);

/*
 The `k` nearest of `gallery_count` vectors for each of `query_count` others, all of `dim` floats, by cosine, nearest
 first: query_count·k numbers of gallery vectors into `indices` and, unless it is NULL, as many cosines into
 `similarities`. `indices` NULL asks for the size; too small a buffer is left alone; `*length` receives the numbers needed.
 */
SEED_MUST_USE seed_error *seed_neighbours_in(const float *queries,
                               size_t query_count,
                               const float *gallery,
                               size_t gallery_count,
                               size_t dim,
                               size_t k,
                               uint32_t *indices,
                               float *similarities,
                               size_t capacity,
                               size_t *length);

/*
 How well a student keeps its teacher's neighbourhoods: the share of each image's `k` nearest by the teacher that are
 among its k nearest by the student, mean over `count` images, 0 to 1.
 */
SEED_MUST_USE seed_error *seed_agreement(const float *student,
                           size_t student_dim,
                           const float *teacher,
                           size_t teacher_dim,
                           size_t count,
                           size_t k,
                           double *share);

/*
 AUROC: how often a positive image scores higher than a negative one, ties counting half. `positives` holds 1 (or anything
 but 0) for a positive and 0 for a negative, `count` of both.

 Errors: SEED_ERROR_INVALID_ARGUMENT when there is no positive or no negative, or a score is NaN.
 */
SEED_MUST_USE seed_error *seed_auroc(const float *scores,
                       const uint8_t *positives,
                       size_t count,
                       double *value);

/*
 PRO, per-region overlap: how much of each defect heat maps cover, whatever the defect's size, as the normalised area under
 the curve over false-positive rates up to `limit` (usual: 0.3). `scores` and `masks` (0: good pixel) hold the pixels of
 `count` images one after the other, row after row; `widths` and `heights` their sides.

 Errors: SEED_ERROR_INVALID_ARGUMENT when there is no defect or no good pixel, or a score is NaN.
 */
SEED_MUST_USE seed_error *seed_region_overlap(const float *scores,
                                const uint8_t *masks,
                                const uint32_t *widths,
                                const uint32_t *heights,
                                size_t count,
                                double limit,
                                double *value);

/*
 The linear protocol: logistic regression on frozen features, `count` vectors of `dim` floats, over `splits` random splits.
 A third of each class is for testing; of the others the share `label_fraction` is learned from, at least one a class (1: the
 linear protocol; .01, .1: few labels). `labels` are class numbers from 0, −1 for a vector to be left out. The splits depend
 on `seed` and the labels alone, so different networks are judged on the same ones. `recalls` (may be NULL) receives the
 mean recall of each of the `class_count` classes, which is the highest label + 1; NaN for a class without a test image.
 `cancel` may be NULL. Nothing of the arguments is kept; any thread may call.

 Errors: SEED_ERROR_CANCELLED when the token ended it; SEED_ERROR_INVALID_ARGUMENT for labels, splits or a share that do not
 fit.
 */
SEED_MUST_USE seed_error *seed_linear_evaluate(const float *features,
                                 size_t count,
                                 size_t dim,
                                 const int64_t *labels,
                                 uint32_t splits,
                                 uint64_t seed,
                                 double label_fraction,
                                 const seed_cancel_token *cancel,
                                 seed_linear_result *result,
                                 double *recalls,
                                 size_t class_count);

/*
 The semi-supervised protocol: all layers of a copy of `student` are fine-tuned on few labels, over `splits` random splits
 (1 to 10,000). A third of each class is for testing; of the others "finetune.label_fraction" (.01, .1) or
 "finetune.labels_per_class" of `config` are learned from, at least one a class, by the other settings "finetune.…" in the
 mode "full" (the classifier's learning rate is "finetune.head_rate_factor" times the backbone's). Labels beyond these few
 are not seen, "finetune.held_out" is a part of them; "finetune.checkpoint_path" is not used.

 `labels` has one number for each image of `dataset`: its class from 0, or −1 for none. Split i is that of the seed "seed" + i
 and depends on the labels beside it alone, so different networks are judged on the same ones. `recalls` (may be NULL)
 receives the mean recall of each of the `class_count` classes, which is the highest label + 1; NaN for a class without a test
 image. AUROC is the mean over classes of each one against all others; NaN where no split has test images of two classes. `callback` is told how much of the work is done, after each pass; `callback`,
 `user_data` and `cancel` may be NULL.

 Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; SEED_ERROR_INVALID_ARGUMENT for labels that do not fit
 or are of fewer than two classes.
 */
SEED_MUST_USE seed_error *seed_semi_supervised_evaluate(const seed_config *config,
                                          const seed_student *student,
                                          const seed_dataset *dataset,
                                          const int64_t *labels,
                                          size_t label_count,
                                          uint32_t splits,
                                          seed_count_callback callback,
                                          void *user_data,
                                          const seed_cancel_token *cancel,
                                          seed_linear_result *result,
                                          double *recalls,
                                          size_t class_count);

/*
 The transfer protocol: how good `student` is on other images than it was distilled on, over `splits` runs (1 to 10,000). With
 "finetune.mode" linear, a logistic regression is fitted to frozen features, which are computed once, and a fifth of what is
 learned from chooses its penalty; with full, all layers are fine-tuned as for seed_semi_supervised_evaluate.

 It learns from `dataset` and is tested on `test`, or where that is NULL on a third of each class of `dataset`, another one in
 each run. By default all labels that are not for testing are learned from; "finetune.label_fraction" and
 "finetune.labels_per_class" make it fewer. With `test` and all labels of a linear fit, runs differ in what chooses the penalty
 only. `labels` and `test_labels` have one class number for each image, or −1; `test_labels` may be NULL where `test` is. All
 else is as for seed_semi_supervised_evaluate; `class_count` is the highest of all labels + 1.

 The paper's semi-supervised protocol is this one with `test`, "finetune.mode" full, "finetune.held_out" 0 and a "finetune.label_fraction": all
 labelled images of the fraction are learned from, for all of "finetune.epochs", and nothing chooses a pass or is calibrated.

 Errors: as for seed_semi_supervised_evaluate.
 */
SEED_MUST_USE seed_error *seed_transfer_evaluate(const seed_config *config,
                                   const seed_student *student,
                                   const seed_dataset *dataset,
                                   const int64_t *labels,
                                   size_t label_count,
                                   const seed_dataset *test,
                                   const int64_t *test_labels,
                                   size_t test_label_count,
                                   uint32_t splits,
                                   seed_count_callback callback,
                                   void *user_data,
                                   const seed_cancel_token *cancel,
                                   seed_linear_result *result,
                                   double *recalls,
                                   size_t class_count);

/*
 The paper's linear protocol: a linear classifier learns by SGD on the frozen features of `student`, and is tested once, after the last
 step. Features are computed batch by batch, of other crops in each pass, and not kept, so memory does not grow with the number of images.
 By default 100 passes, 256 images a step, learning rate 30·B/256, a tenth of it from pass 60 on and a hundredth from pass 80, momentum .9, no weight
 decay, crops of 8 % to 100 % and flips: settings "linear.…" of `config`, "view.crop_ratio_…" and "view.flip_probability". Test images are
 seen as a session sees them; "resize" "centre" is the crop of the paper.

 `dataset` is learned from and `test` is tested on; `labels` and `test_labels` have one number for each of their images: its class from 0,
 or −1 for none. A broken image is shown by another one while learning, and left out of the test. `recalls` (may be NULL) receives the
 recall of each of the `class_count` classes, the highest of all labels + 1; NaN for a class without a test image. `callback` receives
 reports with SEED_STAGE_SGD and SEED_STAGE_TEST, every "progress_every" steps; `callback`, `user_data` and `cancel` may be NULL.

 Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; SEED_ERROR_INVALID_ARGUMENT for labels that do not fit, or that
 are of fewer than two classes in `dataset`; SEED_ERROR_MISMATCH for a student that gives NaN; SEED_ERROR_TORCH where the classifier
 diverges: lower "linear.learning_rate" then.
 */
SEED_MUST_USE seed_error *seed_linear_sgd_evaluate(const seed_config *config,
                                     const seed_student *student,
                                     const seed_dataset *dataset,
                                     const int64_t *labels,
                                     size_t label_count,
                                     const seed_dataset *test,
                                     const int64_t *test_labels,
                                     size_t test_label_count,
                                     seed_finetune_callback callback,
                                     void *user_data,
                                     const seed_cancel_token *cancel,
                                     seed_linear_sgd_result *result,
                                     double *recalls,
                                     size_t class_count);

/*
 Makes a reference of `count` embeddings of `dim` floats, at least 20, better some hundreds; of more than 4096, as many at even
 distances are used. The caller frees it with seed_drift_free.
 */
SEED_MUST_USE seed_error *seed_drift_new(const float *embeddings,
                           size_t count,
                           size_t dim,
                           seed_drift **out);

/*
 Reads a reference that seed_drift_save wrote. The caller frees it with seed_drift_free.
 */
SEED_MUST_USE seed_error *seed_drift_load(const char *path, seed_drift **out);

/*
 Notes that the reference is of embeddings of `session`: how its frames become its input ("resize", width, height and channels), which
 seed_drift_save keeps. A reference that knows it already is compared instead, so call it after seed_drift_new and after
 seed_drift_load.

 Errors: SEED_ERROR_MISMATCH where its frames were seen in another way; every batch would be far from it.
 */
SEED_MUST_USE seed_error *seed_drift_set_session(const seed_drift *drift,
                                   const seed_session *session);

/*
 Writes the reference to a file (safetensors), atomically: keep it beside the student.
 */
SEED_MUST_USE seed_error *seed_drift_save(const seed_drift *drift, const char *path);

/*
 What a batch of `count` of the same student's embeddings says, 2 to half of the reference's rows; `*signal` has its struct_size
 set. The first batch of a size takes longest.

 Errors: SEED_ERROR_MISMATCH for another width.
 */
SEED_MUST_USE seed_error *seed_drift_measure(const seed_drift *drift,
                               const float *embeddings,
                               size_t count,
                               size_t dim,
                               seed_drift_signal *signal);

/*
 Releases a reference. NULL is fine.
 */
void seed_drift_free(seed_drift *drift);

/*
 Measures a student by its teacher: `count` embeddings of `dim` floats of both for the same frames, against `queue_count` embeddings
 of the teacher's. Temperatures of 0 are the paper's, .2 and .01. `*result` has its struct_size set. Keep the result when the student
 is made (seed_student_set_provenance) and measure again with the same queue and as many frames of today.
 */
SEED_MUST_USE seed_error *seed_fidelity_measure(const float *student,
                                  const float *teacher,
                                  size_t count,
                                  size_t dim,
                                  const float *queue,
                                  size_t queue_count,
                                  size_t k,
                                  double temperature_student,
                                  double temperature_teacher,
                                  uint64_t seed,
                                  seed_fidelity *result);

/*
 Which figures have become worse since `then`, so that the intervals do not touch: a sum of SEED_WORSE_*, 0 for none.

 Errors: SEED_ERROR_MISMATCH when the two were not measured alike.
 */
SEED_MUST_USE seed_error *seed_fidelity_compare(const seed_fidelity *then, const seed_fidelity *now, int32_t *worse);

/*
 Compares a new student with the old: on `frames`, by how well each agrees with the teacher; on `reference`, whose `label_count`
 images have the classes `labels`, by kNN; and by their latency, in pairs of times on the same frame, so that a busy machine refuses
 no student that is as fast. All three sessions give embeddings ("output" "embedding") of one width. `options` may be NULL.
 `callback` (may be NULL) is told how many of how many images are embedded, on this thread; a return other than 0 cancels.
 `*verdict` has its struct_size set. Nothing is changed: seed_session_swap puts the new student in, and the same call puts the old
 one back.

 Errors: SEED_ERROR_MISMATCH for widths that differ, SEED_ERROR_CANCELLED.
 */
SEED_MUST_USE seed_error *seed_gate_judge(const seed_session *old_session,
                            const seed_session *new_session,
                            const seed_session *teacher,
                            const seed_dataset *frames,
                            const seed_dataset *reference,
                            const int64_t *labels,
                            size_t label_count,
                            const seed_gate_options *options,
                            seed_count_callback callback,
                            void *user_data,
                            seed_verdict *verdict);

/*
 Makes an empty report. The caller frees it with seed_report_free.
 */
SEED_MUST_USE seed_error *seed_report_new(const char *title, seed_report **out);

/*
 Adds a paragraph of plain text.
 */
SEED_MUST_USE seed_error *seed_report_add_paragraph(seed_report *report, const char *paragraph);

/*
 Adds a heading between parts.
 */
SEED_MUST_USE seed_error *seed_report_add_heading(seed_report *report, const char *heading);

/*
 Adds a table of `columns` heads and `rows`·`columns` cells, row after row.
 */
SEED_MUST_USE seed_error *seed_report_add_table(seed_report *report,
                                  const char *title,
                                  const char *const *heads,
                                  size_t columns,
                                  const char *const *cells,
                                  size_t rows);

/*
 Adds a point to a series of a chart; chart and series stand where they were first named.
 */
SEED_MUST_USE seed_error *seed_report_add_point(seed_report *report,
                                  const char *chart,
                                  const char *x_label,
                                  const char *y_label,
                                  const char *series,
                                  double x,
                                  double y);

/*
 Adds a sheet of pictures: for each of `count` queries the `k` nearest by two networks, side by side; what both found is
 marked. `queries` are numbers of images of `dataset`; `left` and `right` hold count·k numbers, as seed_neighbours
 gives them for those queries.
 */
SEED_MUST_USE seed_error *seed_report_add_neighbours(seed_report *report,
                                       const char *title,
                                       const seed_dataset *dataset,
                                       const uint32_t *queries,
                                       size_t count,
                                       size_t k,
                                       const char *left_name,
                                       const uint32_t *left,
                                       const char *right_name,
                                       const uint32_t *right);

/*
 Writes the report to an HTML file, atomically. More may be added and written again.
 */
SEED_MUST_USE seed_error *seed_report_write(const seed_report *report, const char *path);

/*
 Releases a report. NULL is fine.
 */
void seed_report_free(seed_report *report);

/*
 Adds a sheet of pictures of each class of `dataset`, at most `per_class` in each column. `labels` has one class for each image, -1
 for none; `names` the names of `class_count` classes. With `embeddings` (label_count·dim floats, one row an image) they are those
 nearest to the mean of their class and those farthest from it, by cosine, else some at even distances. With `classes` (a
 classifier's answers, -1 for none) those that it took for another class, the surest by `confidences` first. The three may be
 NULL. Broken images are passed over.

 Errors: SEED_ERROR_INVALID_ARGUMENT when label_count is not the number of images, a class has no name, or the sheet would hold more
 than 3000 pictures.
 */
SEED_MUST_USE seed_error *seed_report_add_class_sheet(seed_report *report,
                                        const char *title,
                                        const seed_dataset *dataset,
                                        const int64_t *labels,
                                        size_t label_count,
                                        const char *const *names,
                                        size_t class_count,
                                        const float *embeddings,
                                        size_t dim,
                                        const int64_t *classes,
                                        const float *confidences,
                                        size_t per_class);

/*
 Adds the confusion matrix of a classifier's held-out images: true class by row, answered class by column, with counts,
 shares of the row, recall and precision. Of more than 60 classes it is a list of the most frequent confusions and each class's recall.

 Errors: SEED_ERROR_INVALID_ARGUMENT when no image was held out.
 */
SEED_MUST_USE seed_error *seed_report_add_confusion(seed_report *report,
                                      const char *title,
                                      const seed_classifier *classifier);

/*
 Adds the confusion matrix of any answers, as seed_report_add_confusion: `labels` are the true classes of `count` images,
 `classes` the answers (seed_classifier_classify_dataset), -1 for none in both; images without one are left out.

 Errors: SEED_ERROR_INVALID_ARGUMENT when a class has no name.
 */
SEED_MUST_USE seed_error *seed_report_add_confusion_of(seed_report *report,
                                         const char *title,
                                         const int64_t *labels,
                                         const int64_t *classes,
                                         size_t count,
                                         const char *const *names,
                                         size_t class_count);

/*
 Adds a map of `count` embeddings of `dim` floats: a point for each image, coloured by its class, with its name where the pointer
 rests. `labels` (-1: none), with `names` of `class_count` classes, and `dataset`, whose images the embeddings are of, may be NULL;
 `options` NULL is t-SNE of at most 2000 points. Takes seconds for 2000 points; the same input gives the same map. Of rows that are
 few (below 10) or all alike the principal components are drawn.

 Errors: SEED_ERROR_INVALID_ARGUMENT when `dataset` has not `count` images or a class has no name.
 */
SEED_MUST_USE seed_error *seed_report_add_map(seed_report *report,
                                const char *title,
                                const float *embeddings,
                                size_t count,
                                size_t dim,
                                const int64_t *labels,
                                const char *const *names,
                                size_t class_count,
                                const seed_dataset *dataset,
                                const seed_map_options *options);

/*
 Adds a frame and its heat map to the sheet of that title, which stands where it was first named; all of a sheet share one scale of
 colours. `map` has `pixels` = width·height distances (seed_anomaly_map). `threshold` is that of the score
 (seed_anomaly_threshold), or NAN or infinite for none: what lies above it is outlined. `mask` (may be NULL) has as many numbers,
 not 0 where the defect really is, which is outlined on the frame.

 Errors: SEED_ERROR_INVALID_ARGUMENT when `pixels` is not width·height, a distance or the score is not finite, or the sheet has 300
 heat maps already.
 */
SEED_MUST_USE seed_error *seed_report_add_heat_map(seed_report *report,
                                     const char *sheet,
                                     const char *caption,
                                     const seed_image *image,
                                     const float *map,
                                     const uint8_t *mask,
                                     size_t pixels,
                                     double score,
                                     double threshold);

/*
 Adds a measurement at `time_us` (microseconds since 1970, UTC) to a series of a chart over time; chart and series stand where they
 were first named. `low` and `high` are its confidence interval, which is drawn as a band along the series, or NAN both.

 Errors: SEED_ERROR_INVALID_ARGUMENT when the interval does not hold the value, the time is not in the years -9999 to 9999, or the
 chart is one of seed_report_add_point.
 */
SEED_MUST_USE seed_error *seed_report_add_time_point(seed_report *report,
                                       const char *chart,
                                       const char *y_label,
                                       const char *series,
                                       int64_t time_us,
                                       double value,
                                       double low,
                                       double high);

/*
 Adds what a batch of frames at `time_us` said (seed_drift_measure) to a chart over time: its energy, marked where the signal was
 raised, and the threshold of that batch.

 Errors: as seed_report_add_time_point.
 */
SEED_MUST_USE seed_error *seed_report_add_drift(seed_report *report,
                                  const char *chart,
                                  int64_t time_us,
                                  const seed_drift_signal *signal);

/*
 Draws a level across a chart, such as a threshold. One of the same name takes the place of the earlier one.

 Errors: SEED_ERROR_INVALID_ARGUMENT when the report has no such chart yet or `y` is not finite.
 */
SEED_MUST_USE seed_error *seed_report_add_limit(seed_report *report, const char *chart, const char *name, double y);

/*
 Begins a new event file in `folder`, which is made where it is absent and may hold earlier ones. `first_step` is the first step
 that will be written: TensorBoard then drops what earlier files of the folder say about it and later steps, so a run that goes on
 from a checkpoint shows no step twice. The caller frees it with seed_event_file_free.

 Errors: SEED_ERROR_IO.
 */
SEED_MUST_USE seed_error *seed_event_file_new(const char *folder,
                                uint64_t first_step,
                                seed_event_file **out);

/*
 Writes a value (kept as float) of `tag` at `step`, with the time of now. A tag "a/b" is shown in group a. It is in the file when the
 call returns, whatever becomes of the process.

 Errors: SEED_ERROR_IO; SEED_ERROR_INVALID_ARGUMENT for an empty tag or a step above 2^63 - 1.
 */
SEED_MUST_USE seed_error *seed_event_file_add_scalar(seed_event_file *event_file,
                                       const char *tag,
                                       uint64_t step,
                                       double value);

/*
 Closes an event file. NULL is fine.
 */
void seed_event_file_free(seed_event_file *event_file);

/*
 Runs a station's night: fixes the new frames of `store`, distils `teacher` on into the live student of `folder` (by the
 settings of `config`, "steps" or "epochs" above all), fits a classifier to the labels there are ("finetune.…"), compares
 new student and classifier with the live ones on frames that were not learned from, and where the gate lets them pass makes them
 live: both in `folder`, the student in `session`. Writes a report and a line of history (docs/night.md says what lies in the folder). The line may go on
 pushing into `store` and asking `session` meanwhile.

 Whatever interrupts it (a cancel, an error, kill -9, a full disk), the same call goes on, on the CPU to the same student bit
 for bit. A night that was begun with other settings or options is begun anew.

 `first` (may be NULL) is the student that the first night starts from; it is copied, and not looked at where the folder has a
 student. Image size, mean and std of `config` must be the student's, the width of its embedding the teacher's. `session` (may
 be NULL) is one of the live student. `options`, `callback`, `user_data` and `cancel` may be NULL. `*result` has its
 struct_size set.

 Errors: SEED_ERROR_BUSY when another call works in the folder; SEED_ERROR_MISMATCH when the folder is another teacher's, or
 student, session and configuration do not fit together; SEED_ERROR_UNSUPPORTED for a folder on a file system that cannot
 exchange two names at once, and for a stored teacher; SEED_ERROR_INVALID_ARGUMENT for options out of bounds and where there is no student to start from;
 SEED_ERROR_IO.
 */
SEED_MUST_USE seed_error *seed_night_run(const seed_config *config,
                           const seed_store *store,
                           const seed_teacher *teacher,
                           const char *folder,
                           const seed_student *first,
                           const seed_night_options *options,
                           const seed_session *session,
                           seed_night_callback callback,
                           void *user_data,
                           const seed_cancel_token *cancel,
                           seed_night_result *result);

/*
 Exchanges the live student of `folder`, with its classifier, and the one before; `session` (may be NULL) gets the one that is
 live then. The same call again goes forward. A night that was begun is dropped, its frames are new again. `config` says on
 which device and in which precision the session computes.

 Errors: SEED_ERROR_INVALID_ARGUMENT when no student has been replaced so far; SEED_ERROR_BUSY while a night runs there;
 SEED_ERROR_MISMATCH when the session's vectors have another length. Nothing is changed then.
 */
SEED_MUST_USE seed_error *seed_night_restore(const char *folder,
                               const seed_config *config,
                               const seed_session *session);

/*
 How things stand in a station's folder, as JSON, into `buffer`: NULL asks for the size; too small a buffer is left alone;
 `*length` receives the bytes needed, the NUL included. "nights" that were done, "live" and "previous" (null, or an
 object: "night", the one that made the student, and "classifier", the one that made its classifier, where that is known), "begun" (number and stage of the night under way, or null), "last" (the last line of the history: every figure
 with its interval, or null). At any time, also while a night runs.

 Errors: SEED_ERROR_IO, SEED_ERROR_INVALID_ARGUMENT when the folder is no station's.
 */
SEED_MUST_USE seed_error *seed_night_describe(const char *folder,
                                char *buffer,
                                size_t capacity,
                                size_t *length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SEED_H */
