/* The layout of every struct of seed.h in literal numbers, for 64-bit Linux: programs that were compiled long ago rely on
 * them. A number here may only change together with SEED_ABI_VERSION; a struct with struct_size may grow at its end.
 * Also compiled as C++17. */
#include "check.h"

#include <stddef.h>

#define SIZE(type, bytes) CHECK(sizeof(type) == (bytes))
#define FIELD(type, field, at, bytes)                                                                                  \
  CHECK(offsetof(type, field) == (at) && sizeof(((type *)0)->field) == (bytes))

int main(int count, char **words) {
  (void)count;
  (void)words;
  SIZE(seed_image, 40);
  FIELD(seed_image, struct_size, 0, 8);
  FIELD(seed_image, data, 8, 8);
  FIELD(seed_image, width, 16, 4);
  FIELD(seed_image, height, 20, 4);
  FIELD(seed_image, row_stride, 24, 8);
  FIELD(seed_image, format, 32, 4);
  FIELD(seed_image, device, 36, 4);

  SIZE(seed_memory, 48);
  FIELD(seed_memory, struct_size, 0, 8);
  FIELD(seed_memory, process_bytes, 8, 8);
  FIELD(seed_memory, process_peak_bytes, 16, 8);
  FIELD(seed_memory, device_free_bytes, 24, 8);
  FIELD(seed_memory, device_total_bytes, 32, 8);
  FIELD(seed_memory, device_taken_bytes, 40, 8);

  SIZE(seed_progress, 88);
  FIELD(seed_progress, struct_size, 0, 8);
  FIELD(seed_progress, step, 8, 8);
  FIELD(seed_progress, total_steps, 16, 8);
  FIELD(seed_progress, epoch, 24, 8);
  FIELD(seed_progress, skipped_images, 32, 8);
  FIELD(seed_progress, loss, 40, 8);
  FIELD(seed_progress, learning_rate, 48, 8);
  FIELD(seed_progress, images_per_second, 56, 8);
  FIELD(seed_progress, eta_seconds, 64, 8);
  FIELD(seed_progress, elapsed_seconds, 72, 8);
  FIELD(seed_progress, waiting_share, 80, 8);

  SIZE(seed_bank_progress, 64);
  FIELD(seed_bank_progress, struct_size, 0, 8);
  FIELD(seed_bank_progress, rows, 8, 8);
  FIELD(seed_bank_progress, total_rows, 16, 8);
  FIELD(seed_bank_progress, skipped_images, 24, 8);
  FIELD(seed_bank_progress, rows_per_second, 32, 8);
  FIELD(seed_bank_progress, eta_seconds, 40, 8);
  FIELD(seed_bank_progress, elapsed_seconds, 48, 8);
  FIELD(seed_bank_progress, waiting_share, 56, 8);

  SIZE(seed_knn_result, 40);
  FIELD(seed_knn_result, struct_size, 0, 8);
  FIELD(seed_knn_result, accuracy_mean, 8, 8);
  FIELD(seed_knn_result, accuracy_deviation, 16, 8);
  FIELD(seed_knn_result, balanced_recall_mean, 24, 8);
  FIELD(seed_knn_result, balanced_recall_deviation, 32, 8);

  /* The library counts as this program does: seed_init takes the header's version and no other. */
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_init(SEED_ABI_VERSION + 1));
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_init(SEED_ABI_VERSION - 1));
  OK(seed_init(SEED_ABI_VERSION));
  if (failures == 0) printf("layout: all checks passed\n");
  return failures != 0;
}
