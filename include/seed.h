/* libseed: self-supervised distillation (SEED) of compact vision networks, on your own GPU and your own unlabelled frames.
 *
 * Every fallible function returns seed_error *: NULL is success, anything else belongs to the caller and is released by
 * seed_error_free. Out-parameters are untouched on an error (but the needed size of SEED_ERROR_BUFFER_TOO_SMALL). Handles are
 * released by their _free function, in any order; NULL is fine. A handle that is passed as const may be used by several
 * threads at once; otherwise concurrent use gives SEED_ERROR_BUSY. Texts are UTF-8 and end in NUL. Call seed_init first. */

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
#define SEED_ABI_VERSION 1

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
 The operating system refused to read or write a file.
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
 A cancel token was triggered, or a callback asked to stop.
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
 Three planes of float, red, green, blue, each height·row_stride bytes, values 0 to 1.
 */
#define SEED_PIXEL_PLANAR_F32 7

/*
 The pixels are in main memory.
 */
#define SEED_DEVICE_CPU 0

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
 A memory of good parts that says how far an image is from all of them, and where. All functions but seed_anomaly_free may
 be called from several threads at once, seed_anomaly_add among them.
 */
typedef struct seed_anomaly seed_anomaly;

/*
 A finished or unfinished bank that is open for reading; its file is locked against seed_bank_fill. Trainers hold what
 they use. All functions but seed_bank_free may be called from several threads at once.
 */
typedef struct seed_bank seed_bank;

/*
 Ends or pauses long calls at their next step. One token may serve several calls.
 */
typedef struct seed_cancel_token seed_cancel_token;

/*
 A network that says which class an image is of, how sure it is, and when it is not. It never changes; all functions but
 seed_classifier_free may be called from several threads at once.
 */
typedef struct seed_classifier seed_classifier;

/*
 Settings of a run or a session, under string keys; docs/abi.md lists them with bounds and defaults. Objects made with a
 configuration keep a copy: changing it later changes nothing of theirs.
 */
typedef struct seed_config seed_config;

/*
 Images without labels. Trainers and sessions hold what they use, so it may be freed in any order. All functions but
 seed_dataset_free may be called from several threads at once, pushing while a trainer reads included.
 */
typedef struct seed_dataset seed_dataset;

/*
 An error: a code for the program and a message for a person. Functions return NULL for success; what is not NULL
 belongs to the caller and is released by seed_error_free.
 */
typedef struct seed_error seed_error;

/*
 A first-in-first-out queue of K unit rows of width C. Trainers hold what they use. All functions but seed_queue_free
 may be called from several threads at once; they wait for a step that is using the queue.
 */
typedef struct seed_queue seed_queue;

/*
 A report that grows from top to bottom and becomes one HTML file, with nothing outside it. Used by one thread at a
 time.
 */
typedef struct seed_report seed_report;

/*
 A snapshot of a network that turns images into vectors. It changes by seed_session_swap only; all functions but
 seed_session_free may be called from several threads at once.
 */
typedef struct seed_session seed_session;

/*
 A compact network with a projection head. Trainers share it; sessions take a copy of its weights as they are when the
 session is made. All functions but seed_student_free may be called from several threads at once; they wait for a step
 that is writing the weights.
 */
typedef struct seed_student seed_student;

/*
 A frozen network in eval mode. Trainers and sessions hold what they use. All functions but seed_teacher_free may be
 called from several threads at once.
 */
typedef struct seed_teacher seed_teacher;

/*
 One distillation run. Used by one thread at a time; it holds what it was made of.
 */
typedef struct seed_trainer seed_trainer;

/*
 Receives one line of the log: a level (SEED_LOG_*) and UTF-8 text that is valid during the call. It fires on any
 thread, the library's own workers included, possibly on several at once, and must not call back into the library.
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
   Mean loss since the report before.
   */
  double loss;
  /*
   Learning rate of the last step.
   */
  double learning_rate;
  /*
   Images a second since the report before.
   */
  double images_per_second;
  /*
   Estimated seconds to the last step.
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
} seed_progress;

/*
 Receives a report every "progress_every" steps, on the thread that called seed_trainer_run; the report is valid during
 the call. A return other than 0 ends the run after this step. The trainer itself is busy meanwhile; the student may be
 saved, and sessions may be made of it.
 */
typedef int32_t (*seed_progress_callback)(const seed_progress *progress, void *user_data);

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
 One report of seed_classifier_fit.
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
   Passes over the images so far (SEED_STAGE_FULL).
   */
  uint64_t epoch;
  /*
   Mean loss of the last pass (SEED_STAGE_FULL); NaN where there is none.
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
 Receives a report on the thread that called seed_classifier_fit; it is valid during the call. A return other than 0 ends
 the fit with the best classifier so far.
 */
typedef int32_t (*seed_finetune_callback)(const seed_finetune_progress *progress, void *user_data);

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
 What seed_linear_evaluate found. Set struct_size to sizeof(seed_linear_result) first.
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
   Mean over classes of the AUROC against all others, mean over the splits.
   */
  double auroc_mean;
  /*
   Its standard deviation.
   */
  double auroc_deviation;
} seed_linear_result;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Prepares the library for this process; call it before anything else, with SEED_ABI_VERSION. Further calls, from any
 thread, do nothing. Loads libtorch's CUDA part where it is found; this must come before the application itself asks
 libtorch for CUDA. It changes no signal handler, locale, thread count or other state of the process but one: a panic
 hook is chained so that internal errors of this library are logged instead of printed.

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
 The code of an error, one of SEED_ERROR_*; SEED_OK for NULL. From any thread.
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
 Sets a fractional number. Errors as seed_config_set_int.
 */
SEED_MUST_USE seed_error *seed_config_set_float(seed_config *config, const char *key, double value);

/*
 Sets a text (UTF-8, copied). Errors as seed_config_set_int.
 */
SEED_MUST_USE seed_error *seed_config_set_string(seed_config *config, const char *key, const char *value);

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
 Decodes the JPEG, PNG, BMP or TIFF in `bytes` into `buffer`: rows without padding, SEED_PIXEL_MONO8 where every pixel is
 grey and SEED_PIXEL_RGB8 else, 8 bits whatever the file has. `buffer` NULL asks for the size; too small a buffer is left
 alone; `*needed` receives the bytes needed. `image` (may be NULL) is filled to be a view of the buffer, its struct_size
 too; data is NULL when only the size was asked for.

 Errors: SEED_ERROR_FORMAT when the bytes are no sound image.
 */
SEED_MUST_USE seed_error *seed_image_decode(const uint8_t *bytes,
                              size_t length,
                              seed_image *image,
                              uint8_t *buffer,
                              size_t capacity,
                              size_t *needed);

/*
 Opens every JPEG, PNG, BMP and TIFF in `folder` and below, sorted by name. Files are read when they are needed: a
 broken one is skipped, counted and named then. The caller frees the data set with seed_dataset_free.

 Errors: SEED_ERROR_IO when the folder cannot be read, SEED_ERROR_INVALID_ARGUMENT when it holds no image.
 */
SEED_MUST_USE seed_error *seed_dataset_open_folder(const char *folder, seed_dataset **out);

/*
 Opens `count` image files by path, in this order.
 */
SEED_MUST_USE seed_error *seed_dataset_open_files(const char *const *paths, size_t count, seed_dataset **out);

/*
 Makes an empty data set in memory, to be filled by seed_dataset_push.
 */
SEED_MUST_USE seed_error *seed_dataset_new(seed_dataset **out);

/*
 Copies an image into the data set under `name` (UTF-8; NULL: its number). `*index` (may be NULL) receives its number.
 Works on every data set, one of a folder too.
 */
SEED_MUST_USE seed_error *seed_dataset_push(const seed_dataset *dataset, const seed_image *image, const char *name, size_t *index);

/*
 Decodes the JPEG, PNG, BMP or TIFF in `bytes` and pushes it, as seed_dataset_push. The pixels are kept, not the file.

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
 The number of images, broken ones included.
 */
SEED_MUST_USE seed_error *seed_dataset_count(const seed_dataset *dataset, size_t *out);

/*
 The name of image `index`, relative to the folder with '/', into `buffer`: NULL asks for the size; too small a buffer
 is left alone; `*length` receives the bytes needed, the NUL included.
 */
SEED_MUST_USE seed_error *seed_dataset_name(const seed_dataset *dataset, size_t index, char *buffer, size_t capacity, size_t *length);

/*
 How many images could not be read so far.
 */
SEED_MUST_USE seed_error *seed_dataset_skipped_count(const seed_dataset *dataset, size_t *out);

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
 Releases a data set. NULL is fine.
 */
void seed_dataset_free(seed_dataset *dataset);

/*
 A label for each image of the data set: the number of its class, which is the first folder of its name; −1 for an image
 outside of all folders. Classes are numbered by their names in order. Into `buffer` by the rule of seed_neighbours.
 */
SEED_MUST_USE seed_error *seed_dataset_class_labels(const seed_dataset *dataset,
                                      int32_t *buffer,
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
 Reads a teacher's weights from a safetensors file or a torch checkpoint (.pt, .pth, .pth.tar; zip or legacy format),
 which is read as data: nothing in it is executed. Without a projection head in the file the embedding is the backbone's
 features. `architecture` as for seed_student_new; "device" comes from `config`. The caller frees it.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_MISMATCH listing missing, unexpected
 and misshapen keys.
 */
SEED_MUST_USE seed_error *seed_teacher_load(const char *path,
                              const char *architecture,
                              const seed_config *config,
                              seed_teacher **out);

/*
 The width of the teacher's embedding; set "embedding_dim" to it before making the student.
 */
SEED_MUST_USE seed_error *seed_teacher_dim(const seed_teacher *teacher, int64_t *out);

/*
 The number of parameters.
 */
SEED_MUST_USE seed_error *seed_teacher_parameter_count(const seed_teacher *teacher, int64_t *out);

/*
 Releases a teacher. NULL is fine.
 */
void seed_teacher_free(seed_teacher *teacher);

/*
 Makes a student with random weights, drawn from the configuration's "seed": `architecture` is "resnet10", "resnet18",
 "resnet34", "resnet50", "resnet101", "resnet152", "resnet50w2", "resnet50w4" (SwAV's wide ones), "mobilenet_v2",
 "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0" or "efficientnet_b1"; "embedding_dim", "projection_hidden",
 "device", image size, mean and std come from `config`. The caller frees it.
 */
SEED_MUST_USE seed_error *seed_student_new(const char *architecture,
                             const seed_config *config,
                             seed_student **out);

/*
 Reads a student that seed_student_save wrote, to the configuration's "device". Image size, mean and std are the file's.
 */
SEED_MUST_USE seed_error *seed_student_load(const char *path, const seed_config *config, seed_student **out);

/*
 Writes the student to a safetensors file with torchvision's key names, atomically.
 */
SEED_MUST_USE seed_error *seed_student_save(const seed_student *student, const char *path);

/*
 The number of parameters, projection head included.
 */
SEED_MUST_USE seed_error *seed_student_parameter_count(const seed_student *student, int64_t *out);

/*
 The width of the embedding, C.
 */
SEED_MUST_USE seed_error *seed_student_dim(const seed_student *student, int64_t *out);

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
 Makes a run that distils `teacher` into `student`. `queue` NULL: a new one of "queue_capacity". `dataset` NULL: the
 application brings its own batches by seed_trainer_step, and "steps" must be set. The caller frees the trainer.

 Errors: SEED_ERROR_MISMATCH when the widths of the embeddings or the devices differ.
 */
SEED_MUST_USE seed_error *seed_trainer_new(const seed_config *config,
                             const seed_student *student,
                             const seed_teacher *teacher,
                             const seed_queue *queue,
                             const seed_dataset *dataset,
                             seed_trainer **out);

/*
 As seed_trainer_new, but the targets come from `bank` and no teacher is needed. The bank must be finished and hold the
 views that `config` asks for ("view_count", "seed" and the settings of the views) of this `dataset`, which is not NULL.
 The loss is that of the run with the teacher in the loop, to float16 rounding. seed_trainer_step is refused.

 Errors: SEED_ERROR_MISMATCH with the reason when the bank is stale or not finished, or the widths differ.
 */
SEED_MUST_USE seed_error *seed_trainer_new_with_bank(const seed_config *config,
                                       const seed_student *student,
                                       const seed_bank *bank,
                                       const seed_queue *queue,
                                       const seed_dataset *dataset,
                                       seed_trainer **out);

/*
 Distils until the end of the run, or for `max_steps` more steps (0: no limit), and writes one of SEED_OUTCOME_* to
 `*outcome`. `callback`, `user_data`, `cancel` and `outcome` may be NULL. With "checkpoint_path" set, the run is saved
 every "checkpoint_every" steps, on cancel and at the end. After an error or a cancel another call goes on where this
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
 Goes on where the checkpoint in the folder `path` stopped: the same run, on the CPU bit for bit.

 Errors: SEED_ERROR_FORMAT for a damaged checkpoint, SEED_ERROR_MISMATCH when teacher, data set, architecture or a
 setting that shapes the numbers is another; the trainer is left as it was.
 */
SEED_MUST_USE seed_error *seed_trainer_resume(seed_trainer *trainer, const char *path);

/*
 Releases a trainer. NULL is fine.
 */
void seed_trainer_free(seed_trainer *trainer);

/*
 Writes to `*bytes` the size of the file of a bank of `views` views of `images` images, with embeddings of `dim` numbers:
 about images·views·(2·dim + 4).

 Errors: SEED_ERROR_INVALID_ARGUMENT for 0, above 2^32 - 1 images, 10^6 views or 65536 numbers, or a size above 63 bits.
 */
SEED_MUST_USE seed_error *seed_bank_predict_size(uint64_t images,
                                   uint64_t views,
                                   uint64_t dim,
                                   uint64_t *bytes);

/*
 Fills the bank in the file `path`: "view_count" views of every image of `dataset`, seen by `teacher`. Begins a new file or
 goes on with the one that is there, to its end or for at least `max_rows` more rows (0: no limit), and writes one of
 SEED_OUTCOME_* to `*outcome`. `callback`, `user_data`, `cancel` and `outcome` may be NULL. The whole file is reserved at
 the start. kill -9 at any moment costs a few seconds of work: the next call goes on from the last rows that are sound.

 Errors: SEED_ERROR_IO when the disk is too small (says the bytes that are missing) or full, SEED_ERROR_MISMATCH with the
 reason when the bank there is of another teacher, precision, data set, seed or of other views, SEED_ERROR_FORMAT when
 the file there is no bank, SEED_ERROR_BUSY while it is open.
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
 Opens the bank in the file `path`, finished or not. With a `teacher`, which may be NULL, a bank of another one is refused.
 The header is checked now, rows when they are first used; seed_bank_verify checks them all. Trainers check views and
 data set. The file must not be cut or written over by others while it is open. The caller frees the bank with
 seed_bank_free.

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_MISMATCH for a stale bank,
 SEED_ERROR_BUSY while it is being filled.
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
 Releases a bank. NULL is fine.
 */
void seed_bank_free(seed_bank *bank);

/*
 Opens a student file. Input size, mean and std are the file's; "device", "precision", "output" and "workers" come from
 `config`. "precision" "auto" is bfloat16 where the device computes in it and vectors keep a cosine of .999 to float32 on
 calibration images. Opening tries out the fastest way to compute, some tens of forward passes. The caller frees the
 session.
 */
SEED_MUST_USE seed_error *seed_session_open(const char *path,
                              const seed_config *config,
                              seed_session **out);

/*
 Makes a session of a student's weights as they are now; the student may go on learning. Input size, mean and std are the
 student's.
 */
SEED_MUST_USE seed_error *seed_session_from_student(const seed_student *student,
                                      const seed_config *config,
                                      seed_session **out);

/*
 Makes a session of a teacher. Image size, mean and std come from `config`.
 */
SEED_MUST_USE seed_error *seed_session_from_teacher(const seed_teacher *teacher, const seed_config *config, seed_session **out);

/*
 How the session computes, for a person: "cpu, bfloat16, 8 images at once". By the rule of
 seed_config_get_string.
 */
SEED_MUST_USE seed_error *seed_session_describe(const seed_session *session, char *buffer, size_t capacity, size_t *length);

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
 */
SEED_MUST_USE seed_error *seed_session_embed(const seed_session *session,
                               const seed_image *images,
                               size_t count,
                               float *buffer,
                               size_t capacity,
                               size_t *length);

/*
 Vectors of a batch of images in a DLPack tensor, which may be on a GPU: bytes (B, H, W, C) with C 1 or 3 (red, green, blue)
 of any size, which are resized, cropped and normalised as other images are; or float32, float16 or bfloat16 (B, 3, height,
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
 counted as skipped. `callback`, `user_data` and `cancel` may be NULL.

 Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; `buffer` is left alone then.
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
 into `buffer`, by the rule of seed_session_embed. The images are resized and cropped as for seed_session_embed. What lies
 behind the stage is not computed.

 Errors: SEED_ERROR_INVALID_ARGUMENT for an unknown name, listing those that there are.
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

 Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a file that is damaged, hostile or no classifier's.
 */
SEED_MUST_USE seed_error *seed_classifier_open(const char *path, const seed_config *config, seed_classifier **out);

/*
 Writes the classifier to one safetensors file, atomically: network with torchvision's key names, classes, temperature,
 threshold and what the held-out images said.
 */
SEED_MUST_USE seed_error *seed_classifier_save(const seed_classifier *classifier, const char *path);

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
 "threshold", "held_out" (accuracy, recalls, AUROC, calibration error, coverage and risk of the threshold, confusion
 matrix; null where no image was held out) and "training".
 */
SEED_MUST_USE seed_error *seed_classifier_describe(const seed_classifier *classifier, char *buffer, size_t capacity, size_t *length);

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
                                     int32_t *classes,
                                     float *confidences,
                                     uint8_t *unsure,
                                     float *probabilities);

/*
 Classifies all images of a data set, in order. The arrays are as for seed_classifier_classify, with room for `capacity`
 images; a broken image gets class −1, is unsure, and its numbers are 0. `callback`, `user_data` and `cancel` may be NULL.

 Errors: SEED_ERROR_BUFFER_TOO_SMALL when the data set has more images than `capacity`; SEED_ERROR_CANCELLED when the
 callback or the token ended it. The arrays are left alone then.
 */
SEED_MUST_USE seed_error *seed_classifier_classify_dataset(const seed_classifier *classifier,
                                             const seed_dataset *dataset,
                                             seed_count_callback callback,
                                             void *user_data,
                                             const seed_cancel_token *cancel,
                                             int32_t *classes,
                                             float *confidences,
                                             uint8_t *unsure,
                                             float *probabilities,
                                             size_t capacity);

/*
 How well the classifier does on the labelled images of a data set that it has not learned from, as a JSON object with
 "images", "accuracy", "balanced_recall", "recalls", "auroc", "nll", "calibration_error", "selected" (coverage and risk of
 the threshold) and "confusion", by the rule of seed_config_get_string (each call embeds the images). `labels` are as for
 seed_classifier_fit; broken images are left out. `callback`, `user_data` and `cancel` may be NULL.

 Errors: SEED_ERROR_CANCELLED when the callback or the token ended it.
 */
SEED_MUST_USE seed_error *seed_classifier_judge(const seed_classifier *classifier,
                                  const seed_dataset *dataset,
                                  const int32_t *labels,
                                  size_t label_count,
                                  seed_count_callback callback,
                                  void *user_data,
                                  const seed_cancel_token *cancel,
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
 checkpoint ("finetune.checkpoint_path") that does not fit.
 */
SEED_MUST_USE seed_error *seed_classifier_fit(const seed_config *config,
                                const seed_student *student,
                                const seed_classifier *earlier,
                                const seed_teacher *teacher,
                                const seed_dataset *dataset,
                                const int32_t *labels,
                                size_t label_count,
                                const char *const *names,
                                size_t class_count,
                                seed_finetune_callback callback,
                                void *user_data,
                                const seed_cancel_token *cancel,
                                int32_t *outcome,
                                seed_classifier **out);

/*
 Learns the images of `good`, all of good parts, by the features of `student` and the settings "anomaly.…", "seed",
 "device" and "precision" of `config` (docs/anomaly.md). A part of the images, "anomaly.held_out", is not learned but sets
 the threshold for "anomaly.false_alarm_rate". Broken images are left out. `callback`, `user_data` and `cancel` may be NULL.
 The caller frees the detector.

 Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; SEED_ERROR_INVALID_ARGUMENT when there is no sound
 image or a feature map is unknown; SEED_ERROR_UNSUPPORTED when the backbone has none.
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

 Errors: as seed_anomaly_fit; nothing has changed then.
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
 Writes the detector to one safetensors file, atomically: backbone, memory, held-out scores and settings.
 */
SEED_MUST_USE seed_error *seed_anomaly_save(const seed_anomaly *anomaly, const char *path);

/*
 The score above which an image is an alarm, and the false-alarm rate that it keeps on good parts: the one that was asked
 for, or 1/(n + 1) where n held-out parts are too few for it. Infinite and 0 where none was held out. Both may be NULL.
 */
SEED_MUST_USE seed_error *seed_anomaly_threshold(const seed_anomaly *anomaly,
                                   float *threshold,
                                   double *rate);

/*
 What is known about the detector as a JSON object, by the rule of seed_config_get_string: "settings", "patches" and
 "patch_dim" of the memory, "held_out" (their number), "threshold" and "rate" (null where none was held out).
 */
SEED_MUST_USE seed_error *seed_anomaly_describe(const seed_anomaly *anomaly, char *buffer, size_t capacity, size_t *length);

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
 Releases a detector. NULL is fine.
 */
void seed_anomaly_free(seed_anomaly *anomaly);

/*
 Weighted kNN (votes exp(similarity/.07)) over `splits` random splits of `count` vectors of `dim` floats into 2/3
 gallery and 1/3 queries. `labels` are class numbers from 0. The splits depend on `seed`, `count` and nothing else, so
 different networks are judged on the same ones.
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
 mean recall of each of the `class_count` classes, which is the highest label + 1. `cancel` may be NULL.
 */
SEED_MUST_USE seed_error *seed_linear_evaluate(const float *features,
                                 size_t count,
                                 size_t dim,
                                 const int32_t *labels,
                                 uint32_t splits,
                                 uint64_t seed,
                                 double label_fraction,
                                 const seed_cancel_token *cancel,
                                 seed_linear_result *result,
                                 double *recalls,
                                 size_t class_count);

/*
 Makes an empty report. The caller frees it with seed_report_free.
 */
SEED_MUST_USE seed_error *seed_report_new(const char *title, seed_report **out);

/*
 Adds a paragraph of plain text.
 */
SEED_MUST_USE seed_error *seed_report_add_paragraph(seed_report *report, const char *paragraph);

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
 Adds the confusion matrix of a classifier's held-out images as a table: true class by row, answered class by column, and
 each class's recall.

 Errors: SEED_ERROR_INVALID_ARGUMENT when no image was held out.
 */
SEED_MUST_USE seed_error *seed_report_add_confusion(seed_report *report,
                                      const char *title,
                                      const seed_classifier *classifier);

/*
 Writes the report to an HTML file, atomically. More may be added and written again.
 */
SEED_MUST_USE seed_error *seed_report_write(const seed_report *report, const char *path);

/*
 Releases a report. NULL is fine.
 */
void seed_report_free(seed_report *report);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SEED_H */
