/* What the programs of this folder check with; main returns failures != 0. */
#include "seed.h"

#include <stdio.h>
#include <string.h>

static int failures = 0;

/* The call must succeed. */
#define OK(call) expect((call), SEED_OK, __LINE__)
/* The call must give this code, and a message. */
#define FAILS(code, call) expect((call), (code), __LINE__)
#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "line %d: %s is false\n", __LINE__, #condition);                                                 \
      ++failures;                                                                                                      \
    }                                                                                                                  \
  } while (0)

static void expect(seed_error *error, int32_t code, int line) {
  if (seed_error_code(error) != code) {
    fprintf(stderr, "line %d: code %d, expected %d: %s\n", line, (int)seed_error_code(error), (int)code,
            seed_error_message(error));
    ++failures;
  }
  if (error != NULL && strlen(seed_error_message(error)) < 8) {
    fprintf(stderr, "line %d: the message says nothing\n", line);
    ++failures;
  }
  seed_error_free(error);
}

static inline seed_image frame_of(const void *data, uint32_t width, uint32_t height, size_t stride, int32_t format) {
  seed_image image;
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = data;
  image.width = width;
  image.height = height;
  image.row_stride = stride;
  image.format = format;
  image.device = SEED_DEVICE_CPU;
  return image;
}
