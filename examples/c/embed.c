/* Embeds frames with a student: reads one from a file if a path is given, else makes one with random weights; pushes two
 * frames from memory, prints how similar they are. C99, knows seed.h only.
 *
 *   embed [STUDENT.safetensors]
 */
#include "seed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Prints the error, frees it, and tells whether there was one. */
static int failed(seed_error *error) {
  if (error == NULL) return 0;
  fprintf(stderr, "embed: error %d: %s\n", (int)seed_error_code(error), seed_error_message(error));
  seed_error_free(error);
  return 1;
}

enum { SIDE = 64 };

/* A grey frame: stripes of the given period. */
static seed_image stripes(uint8_t *pixels, int period) {
  seed_image image = {0};
  int x, y;
  for (y = 0; y < SIDE; ++y)
    for (x = 0; x < SIDE; ++x) pixels[y * SIDE + x] = (uint8_t)(x / period % 2 ? 220 : 40);
  image.struct_size = sizeof image;
  image.data = pixels;
  image.width = SIDE;
  image.height = SIDE;
  image.row_stride = SIDE;
  image.format = SEED_PIXEL_MONO8;
  image.device = SEED_DEVICE_CPU;
  return image;
}

int main(int count, char **words) {
  static uint8_t first[SIDE * SIDE], second[SIDE * SIDE];
  seed_config *config = NULL;
  seed_student *student = NULL;
  seed_session *session = NULL;
  seed_image images[2];
  float *vectors = NULL;
  size_t length = 0, i, width;
  double dot = 0;
  int result = EXIT_FAILURE;

  images[0] = stripes(first, 4);
  images[1] = stripes(second, 9);
  if (failed(seed_init(SEED_ABI_VERSION))) goto end;
  if (failed(seed_config_new(&config))) goto end;
  if (failed(seed_config_set_string(config, "precision", "fp32"))) goto end;
  if (count > 1) {
    if (failed(seed_session_open(words[1], config, &session))) goto end;
  } else {
    if (failed(seed_config_set_int(config, "image_width", SIDE))) goto end;
    if (failed(seed_config_set_int(config, "image_height", SIDE))) goto end;
    if (failed(seed_student_new("mobilenet_v3_small", config, &student))) goto end;
    if (failed(seed_session_from_student(student, config, &session))) goto end;
  }
  if (failed(seed_session_embed(session, images, 2, NULL, 0, &length))) goto end;
  vectors = malloc(length * sizeof *vectors);
  if (vectors == NULL) goto end;
  if (failed(seed_session_embed(session, images, 2, vectors, length, &length))) goto end;
  width = length / 2;
  for (i = 0; i < width; ++i) dot += (double)vectors[i] * (double)vectors[width + i];
  printf("libseed %s: 2 images, %zu numbers each, cosine %.4f\n", seed_version(), width, dot);
  result = isfinite(dot) ? EXIT_SUCCESS : EXIT_FAILURE;
end:
  free(vectors);
  seed_session_free(session);
  seed_student_free(student);
  seed_config_free(config);
  return result;
}
