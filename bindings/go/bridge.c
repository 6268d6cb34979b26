#include "bridge.h"

#include "_cgo_export.h"

static int32_t on_progress(const seed_progress *progress, void *handle) {
  return seedGoProgress((seed_progress *)progress, (uintptr_t)handle);
}

static int32_t on_count(size_t done, size_t total, void *handle) {
  return seedGoCount(done, total, (uintptr_t)handle);
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

seed_error *seed_go_log_set(int32_t level) { return seed_log_set_callback(level, on_line, NULL); }
