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
seed_error *seed_go_log_set(int32_t level);

#endif
