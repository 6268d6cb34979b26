/* What the safety programs work with: a teacher file, images in a folder and in memory, and one object of every kind. The
 * networks are the smallest there are and see images of 32 pixels. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include "check.h"

#include <stdlib.h>
#include <sys/stat.h>

#define DIM 16
#define WIDTH 40
#define HEIGHT 36
#define IMAGES 6

/* A picture that differs with `number`, RGB. */
static inline void paint(uint8_t *pixels, unsigned number) {
  unsigned i;
  for (i = 0; i < WIDTH * HEIGHT * 3; ++i) pixels[i] = (uint8_t)(i * (7 + number) + i / 61 * number);
}

static inline seed_image view_of(const uint8_t *pixels) {
  seed_image image;
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = pixels;
  image.width = WIDTH;
  image.height = HEIGHT;
  image.row_stride = WIDTH * 3;
  image.format = SEED_PIXEL_RGB8;
  image.device = SEED_DEVICE_CPU;
  return image;
}

/* "folder/name"; the text is the process's. */
static inline char *path_in(const char *folder, const char *name) {
  size_t size = strlen(folder) + strlen(name) + 2;
  char *path = (char *)malloc(size);
  snprintf(path, size, "%s/%s", folder, name);
  return path;
}

/* IMAGES binary files that the library reads: 24-bit BMP. */
static inline void write_images(const char *folder) {
  uint8_t pixels[WIDTH * HEIGHT * 3];
  unsigned number;
  (void)mkdir(folder, 0777);
  for (number = 0; number < IMAGES; ++number) {
    uint8_t head[54] = {'B', 'M'};
    char name[16], *path;
    FILE *file;
    uint32_t size = sizeof head + sizeof pixels;
    memcpy(head + 2, &size, 4);
    head[10] = 54;
    head[14] = 40;
    head[18] = WIDTH;
    head[22] = HEIGHT;
    head[26] = 1;
    head[28] = 24;
    paint(pixels, number);
    snprintf(name, sizeof name, "%u.bmp", number);
    path = path_in(folder, name);
    file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(head, sizeof head, 1, file) == 1 && fwrite(pixels, sizeof pixels, 1, file) == 1);
    fclose(file);
    free(path);
  }
}

static inline seed_config *small_config(void) {
  seed_config *config = NULL;
  OK(seed_config_new(&config));
  OK(seed_config_set_string(config, "device", "cpu"));
  OK(seed_config_set_string(config, "precision", "fp32"));
  OK(seed_config_set_int(config, "image_width", 32));
  OK(seed_config_set_int(config, "image_height", 32));
  OK(seed_config_set_int(config, "batch_size", 3));
  OK(seed_config_set_int(config, "steps", 2));
  OK(seed_config_set_int(config, "queue_capacity", 10));
  OK(seed_config_set_int(config, "embedding_dim", DIM));
  OK(seed_config_set_int(config, "projection_hidden", 32));
  OK(seed_config_set_int(config, "progress_every", 1));
  OK(seed_config_set_int(config, "workers", 1));
  return config;
}

/* Writes a teacher to `path`. */
static inline void write_teacher(const seed_config *config, const char *path) {
  seed_student *source = NULL;
  OK(seed_student_new("mobilenet_v3_small", config, &source));
  OK(seed_student_save(source, path));
  seed_student_free(source);
}
