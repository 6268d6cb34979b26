#include "bridge.h"

#include "_cgo_export.h"

static int32_t on_progress(const seed_progress *progress, void *handle) {
  return seedGoProgress((seed_progress *)progress, (uintptr_t)handle);
}

static int32_t on_rows(const seed_bank_progress *progress, void *handle) {
  return seedGoRows((seed_bank_progress *)progress, (uintptr_t)handle);
}

static int32_t on_count(size_t done, size_t total, void *handle) {
  return seedGoCount(done, total, (uintptr_t)handle);
}

static int32_t on_fit(const seed_finetune_progress *progress, void *handle) {
  return seedGoFit((seed_finetune_progress *)progress, (uintptr_t)handle);
}

static int32_t on_distil(const seed_distil_progress *progress, void *handle) {
  return seedGoDistil((seed_distil_progress *)progress, (uintptr_t)handle);
}

static int32_t on_night(const seed_night_progress *progress, void *handle) {
  return seedGoNight((seed_night_progress *)progress, (uintptr_t)handle);
}

static void on_line(int32_t level, const char *message, void *unused) {
  (void)unused;
  seedGoLine(level, (char *)message);
}

seed_error *seed_go_trainer_run(seed_trainer *trainer, uint64_t max_steps, uintptr_t handle,
                                const seed_cancel_token *cancel, int32_t *outcome) {
  return seed_trainer_run(trainer, max_steps, handle ? on_progress : NULL, (void *)handle, cancel, outcome);
}

seed_error *seed_go_session_embed_dataset(const seed_session *session, const seed_dataset *dataset, uintptr_t handle,
                                          const seed_cancel_token *cancel, float *buffer, size_t capacity,
                                          size_t *length) {
  return seed_session_embed_dataset(session, dataset, handle ? on_count : NULL, (void *)handle, cancel, buffer,
                                    capacity, length);
}

seed_error *seed_go_bank_fill(const char *path, const seed_config *config, const seed_teacher *teacher,
                              const seed_dataset *dataset, uint64_t max_rows, uintptr_t handle,
                              const seed_cancel_token *cancel, int32_t *outcome) {
  return seed_bank_fill(path, config, teacher, dataset, max_rows, handle ? on_rows : NULL, (void *)handle, cancel,
                        outcome);
}

static int32_t on_embed(seed_teacher_batch *batch, void *handle) { return seedGoEmbed(batch, (uintptr_t)handle); }

static void on_release(void *handle) { seedGoRelease((uintptr_t)handle); }

seed_error *seed_go_teacher_from_callback(uintptr_t handle, int64_t dim, const char *identity, int32_t format,
                                          int32_t device, const seed_config *config, seed_teacher **out) {
  return seed_teacher_from_callback(on_embed, (void *)handle, on_release, dim, identity, format, device, config, out);
}

static seed_error *shaped(seed_error *error, const seed_image *image, seed_go_shape *shape) {
  if (!error) *shape = (seed_go_shape){image->width, image->height, image->row_stride, image->format};
  return error;
}

seed_error *seed_go_image_decode(const uint8_t *bytes, size_t length, seed_go_shape *shape, uint8_t *buffer,
                                 size_t capacity, size_t *needed) {
  seed_image image = {0};
  return shaped(seed_image_decode(bytes, length, &image, buffer, capacity, needed), &image, shape);
}

seed_error *seed_go_heat_map_picture(const seed_image *frame, const float *map, size_t pixels, float low, float high,
                                     seed_go_shape *shape, uint8_t *buffer, size_t capacity, size_t *needed) {
  seed_image image = {0};
  return shaped(seed_heat_map_picture(frame, map, pixels, low, high, &image, buffer, capacity, needed), &image, shape);
}

seed_error *seed_go_dataset_pixels(const seed_dataset *dataset, size_t index, seed_go_shape *shape, uint8_t *buffer,
                                   size_t capacity, size_t *length) {
  seed_image image = {0};
  return shaped(seed_dataset_pixels(dataset, index, &image, buffer, capacity, length), &image, shape);
}

seed_error *seed_go_store_pixels(const seed_store *store, int64_t id, seed_go_shape *shape, uint8_t *buffer,
                                 size_t capacity, size_t *length) {
  seed_image image = {0};
  return shaped(seed_store_pixels(store, id, &image, buffer, capacity, length), &image, shape);
}

seed_error *seed_go_store_check(const char *path, uintptr_t handle) {
  return seed_store_check(path, handle ? on_count : NULL, (void *)handle);
}

seed_error *seed_go_store_repair(const char *path, const char *new_path, uintptr_t handle, uint64_t *saved,
                                 uint64_t *lost, int32_t *list_damaged) {
  return seed_store_repair(path, new_path, handle ? on_count : NULL, (void *)handle, saved, lost, list_damaged);
}

seed_error *seed_go_classifier_fit(const seed_config *config, const seed_student *student,
                                   const seed_classifier *earlier, const seed_teacher *teacher,
                                   const seed_dataset *dataset, const int64_t *labels, size_t label_count,
                                   char **names, size_t class_count, uintptr_t handle,
                                   const seed_cancel_token *cancel, int32_t *outcome, seed_classifier **out) {
  return seed_classifier_fit(config, student, earlier, teacher, dataset, labels, label_count,
                             (const char *const *)names, class_count, handle ? on_fit : NULL, (void *)handle, cancel,
                             outcome, out);
}

seed_error *seed_go_classifier_distil(const seed_config *config, const seed_student *student,
                                      const seed_classifier *earlier, const seed_teacher *teacher,
                                      const seed_classifier *taught_by, const seed_dataset *dataset,
                                      const int64_t *labels, size_t label_count, char **names, size_t class_count,
                                      uintptr_t handle, const seed_cancel_token *cancel, int32_t *outcome,
                                      seed_classifier **out) {
  return seed_classifier_distil(config, student, earlier, teacher, taught_by, dataset, labels, label_count,
                                (const char *const *)names, class_count, handle ? on_fit : NULL, (void *)handle, cancel,
                                outcome, out);
}

seed_error *seed_go_semi_supervised_evaluate(const seed_config *config, const seed_student *student,
                                             const seed_dataset *dataset, const int64_t *labels, size_t label_count,
                                             uint32_t splits, uintptr_t handle, const seed_cancel_token *cancel,
                                             seed_linear_result *result, double *recalls, size_t class_count) {
  return seed_semi_supervised_evaluate(config, student, dataset, labels, label_count, splits, handle ? on_count : NULL,
                                       (void *)handle, cancel, result, recalls, class_count);
}

seed_error *seed_go_transfer_evaluate(const seed_config *config, const seed_student *student,
                                      const seed_dataset *dataset, const int64_t *labels, size_t label_count,
                                      const seed_dataset *test, const int64_t *test_labels, size_t test_label_count,
                                      uint32_t splits, uintptr_t handle, const seed_cancel_token *cancel,
                                      seed_linear_result *result, double *recalls, size_t class_count) {
  return seed_transfer_evaluate(config, student, dataset, labels, label_count, test, test_labels, test_label_count,
                                splits, handle ? on_count : NULL, (void *)handle, cancel, result, recalls, class_count);
}

seed_error *seed_go_linear_sgd_evaluate(const seed_config *config, const seed_student *student,
                                        const seed_dataset *dataset, const int64_t *labels, size_t label_count,
                                        const seed_dataset *test, const int64_t *test_labels, size_t test_label_count,
                                        uintptr_t handle, const seed_cancel_token *cancel,
                                        seed_linear_sgd_result *result, double *recalls, size_t class_count) {
  return seed_linear_sgd_evaluate(config, student, dataset, labels, label_count, test, test_labels, test_label_count,
                                  handle ? on_fit : NULL, (void *)handle, cancel, result, recalls, class_count);
}

seed_error *seed_go_classifier_classify_dataset(const seed_classifier *classifier, const seed_dataset *dataset,
                                                uintptr_t handle, const seed_cancel_token *cancel, int64_t *classes,
                                                float *confidences, uint8_t *unsure, float *probabilities,
                                                size_t capacity) {
  return seed_classifier_classify_dataset(classifier, dataset, handle ? on_count : NULL, (void *)handle, cancel, classes,
                                          confidences, unsure, probabilities, capacity);
}

seed_error *seed_go_classifier_judge(const seed_classifier *classifier, const seed_dataset *dataset,
                                     const int64_t *labels, size_t label_count, uintptr_t handle,
                                     const seed_cancel_token *cancel, char *buffer, size_t capacity, size_t *length) {
  return seed_classifier_judge(classifier, dataset, labels, label_count, handle ? on_count : NULL, (void *)handle,
                               cancel, buffer, capacity, length);
}

seed_error *seed_go_segmenter_fit(const seed_config *config, const seed_student *student, const seed_dataset *dataset,
                                  const seed_image *masks, size_t mask_count, char **names, size_t class_count,
                                  uintptr_t handle, const seed_cancel_token *cancel, seed_segmenter **out) {
  return seed_segmenter_fit(config, student, dataset, masks, mask_count, (const char *const *)names, class_count,
                            handle ? on_count : NULL, (void *)handle, cancel, out);
}

seed_error *seed_go_segmentation_evaluate(const seed_config *config, const seed_student *student,
                                          const seed_dataset *dataset, const seed_image *masks, size_t mask_count,
                                          size_t class_count, uint32_t splits, uintptr_t handle,
                                          const seed_cancel_token *cancel, seed_segmentation_result *result,
                                          double *ious) {
  return seed_segmentation_evaluate(config, student, dataset, masks, mask_count, class_count, splits,
                                    handle ? on_count : NULL, (void *)handle, cancel, result, ious);
}

seed_error *seed_go_anomaly_fit(const seed_config *config, const seed_student *student, const seed_dataset *good,
                                uintptr_t handle, const seed_cancel_token *cancel, seed_anomaly **out) {
  return seed_anomaly_fit(config, student, good, handle ? on_count : NULL, (void *)handle, cancel, out);
}

seed_error *seed_go_anomaly_add(const seed_anomaly *anomaly, const seed_config *config, const seed_dataset *good,
                                uintptr_t handle, const seed_cancel_token *cancel) {
  return seed_anomaly_add(anomaly, config, good, handle ? on_count : NULL, (void *)handle, cancel);
}

seed_error *seed_go_gate_judge(const seed_session *old_session, const seed_session *new_session,
                               const seed_session *teacher, const seed_dataset *frames, const seed_dataset *reference,
                               const int64_t *labels, size_t label_count, const seed_gate_options *options,
                               uintptr_t handle, seed_verdict *verdict) {
  return seed_gate_judge(old_session, new_session, teacher, frames, reference, labels, label_count, options,
                         handle ? on_count : NULL, (void *)handle, verdict);
}

void seed_go_tensor_delete(struct DLManagedTensorVersioned *tensor) {
  if (tensor->deleter) tensor->deleter(tensor);
}

seed_error *seed_go_log_set(int32_t level) { return seed_log_set_callback(level, on_line, NULL); }

seed_error *seed_go_distil(const seed_dataset *dataset, const seed_teacher *teacher, const char *architecture,
                           const char *weights, double seconds, const char *folder, const seed_config *config,
                           uintptr_t handle, const seed_cancel_token *cancel, seed_distilled **out) {
  return seed_distil(dataset, teacher, architecture, weights, seconds, folder, config, handle ? on_distil : NULL,
                     (void *)handle, cancel, out);
}

seed_error *seed_go_night_run(const seed_config *config, const seed_store *store, const seed_teacher *teacher,
                              const char *folder, const seed_student *first, const seed_night_options *options,
                              const seed_session *session, uintptr_t handle, const seed_cancel_token *cancel,
                              seed_night_result *result) {
  return seed_night_run(config, store, teacher, folder, first, options, session, handle ? on_night : NULL,
                        (void *)handle, cancel, result);
}
