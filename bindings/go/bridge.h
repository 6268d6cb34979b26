// What cgo cannot say in Go: C callbacks that end in exported Go functions.
#ifndef SEED_GO_BRIDGE_H
#define SEED_GO_BRIDGE_H

#include <seed.h>

// The handle is a runtime/cgo.Handle; 0 means no callback.
seed_error *seed_go_trainer_run(seed_trainer *trainer, uint64_t max_steps, uintptr_t handle,
                                const seed_cancel_token *cancel, int32_t *outcome);
seed_error *seed_go_session_embed_dataset(const seed_session *session, const seed_dataset *dataset, uintptr_t handle,
                                          const seed_cancel_token *cancel, float *buffer, size_t capacity,
                                          size_t *length);
seed_error *seed_go_bank_fill(const char *path, const seed_config *config, const seed_teacher *teacher,
                              const seed_dataset *dataset, uint64_t max_rows, uintptr_t handle,
                              const seed_cancel_token *cancel, int32_t *outcome);
seed_error *seed_go_teacher_from_callback(uintptr_t handle, int64_t dim, const char *identity, int32_t format,
                                          int32_t device, const seed_config *config, seed_teacher **out);
seed_error *seed_go_log_set(int32_t level);

// A seed_image without its pointer, which C must not leave in Go's memory.
typedef struct {
  uint32_t width, height;
  size_t row_stride;
  int32_t format;
} seed_go_shape;

seed_error *seed_go_image_decode(const uint8_t *bytes, size_t length, seed_go_shape *shape, uint8_t *buffer,
                                 size_t capacity, size_t *needed);
seed_error *seed_go_heat_map_picture(const seed_image *frame, const float *map, size_t pixels, float low, float high,
                                     seed_go_shape *shape, uint8_t *buffer, size_t capacity, size_t *needed);
seed_error *seed_go_dataset_pixels(const seed_dataset *dataset, size_t index, seed_go_shape *shape, uint8_t *buffer,
                                   size_t capacity, size_t *length);
seed_error *seed_go_store_pixels(const seed_store *store, int64_t id, seed_go_shape *shape, uint8_t *buffer,
                                 size_t capacity, size_t *length);

seed_error *seed_go_store_check(const char *path, uintptr_t handle);
seed_error *seed_go_store_repair(const char *path, const char *new_path, uintptr_t handle, uint64_t *saved,
                                 uint64_t *lost, int32_t *list_damaged);

seed_error *seed_go_classifier_fit(const seed_config *config, const seed_student *student,
                                   const seed_classifier *earlier, const seed_teacher *teacher,
                                   const seed_dataset *dataset, const int64_t *labels, size_t label_count,
                                   char **names, size_t class_count, uintptr_t handle,
                                   const seed_cancel_token *cancel, int32_t *outcome, seed_classifier **out);
seed_error *seed_go_classifier_distil(const seed_config *config, const seed_student *student,
                                      const seed_classifier *earlier, const seed_teacher *teacher,
                                      const seed_classifier *taught_by, const seed_dataset *dataset,
                                      const int64_t *labels, size_t label_count, char **names, size_t class_count,
                                      uintptr_t handle, const seed_cancel_token *cancel, int32_t *outcome,
                                      seed_classifier **out);
seed_error *seed_go_semi_supervised_evaluate(const seed_config *config, const seed_student *student,
                                             const seed_dataset *dataset, const int64_t *labels, size_t label_count,
                                             uint32_t splits, uintptr_t handle, const seed_cancel_token *cancel,
                                             seed_linear_result *result, double *recalls, size_t class_count);
seed_error *seed_go_transfer_evaluate(const seed_config *config, const seed_student *student,
                                      const seed_dataset *dataset, const int64_t *labels, size_t label_count,
                                      const seed_dataset *test, const int64_t *test_labels, size_t test_label_count,
                                      uint32_t splits, uintptr_t handle, const seed_cancel_token *cancel,
                                      seed_linear_result *result, double *recalls, size_t class_count);
seed_error *seed_go_linear_sgd_evaluate(const seed_config *config, const seed_student *student,
                                        const seed_dataset *dataset, const int64_t *labels, size_t label_count,
                                        const seed_dataset *test, const int64_t *test_labels, size_t test_label_count,
                                        uintptr_t handle, const seed_cancel_token *cancel,
                                        seed_linear_sgd_result *result, double *recalls, size_t class_count);
seed_error *seed_go_classifier_classify_dataset(const seed_classifier *classifier, const seed_dataset *dataset,
                                                uintptr_t handle, const seed_cancel_token *cancel, int64_t *classes,
                                                float *confidences, uint8_t *unsure, float *probabilities,
                                                size_t capacity);
seed_error *seed_go_classifier_judge(const seed_classifier *classifier, const seed_dataset *dataset,
                                     const int64_t *labels, size_t label_count, uintptr_t handle,
                                     const seed_cancel_token *cancel, char *buffer, size_t capacity, size_t *length);
seed_error *seed_go_segmenter_fit(const seed_config *config, const seed_student *student, const seed_dataset *dataset,
                                  const seed_image *masks, size_t mask_count, char **names, size_t class_count,
                                  uintptr_t handle, const seed_cancel_token *cancel, seed_segmenter **out);
seed_error *seed_go_segmentation_evaluate(const seed_config *config, const seed_student *student,
                                          const seed_dataset *dataset, const seed_image *masks, size_t mask_count,
                                          size_t class_count, uint32_t splits, uintptr_t handle,
                                          const seed_cancel_token *cancel, seed_segmentation_result *result,
                                          double *ious);
seed_error *seed_go_anomaly_fit(const seed_config *config, const seed_student *student, const seed_dataset *good,
                                uintptr_t handle, const seed_cancel_token *cancel, seed_anomaly **out);
seed_error *seed_go_anomaly_add(const seed_anomaly *anomaly, const seed_config *config, const seed_dataset *good,
                                uintptr_t handle, const seed_cancel_token *cancel);
seed_error *seed_go_gate_judge(const seed_session *old_session, const seed_session *new_session,
                               const seed_session *teacher, const seed_dataset *frames, const seed_dataset *reference,
                               const int64_t *labels, size_t label_count, const seed_gate_options *options,
                               uintptr_t handle, seed_verdict *verdict);
seed_error *seed_go_distil(const seed_dataset *dataset, const seed_teacher *teacher, const char *architecture,
                           const char *weights, double seconds, const char *folder, const seed_config *config,
                           uintptr_t handle, const seed_cancel_token *cancel, seed_distilled **out);
seed_error *seed_go_night_run(const seed_config *config, const seed_store *store, const seed_teacher *teacher,
                              const char *folder, const seed_student *first, const seed_night_options *options,
                              const seed_session *session, uintptr_t handle, const seed_cancel_token *cancel,
                              seed_night_result *result);

// By the layout of dlpack.h, version 1 (https://dmlc.github.io/dlpack), which it need not be there for.
struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void *manager;
  void (*deleter)(struct DLManagedTensorVersioned *self);
  uint64_t flags;
  void *data;
  int32_t device_type, device_id, dimensions;
  uint8_t type_code, type_bits;
  uint16_t type_lanes;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};

void seed_go_tensor_delete(struct DLManagedTensorVersioned *tensor);

#endif
