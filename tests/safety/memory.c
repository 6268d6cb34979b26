/* Memory that cannot be had: whatever is asked for too large gives SEED_ERROR_OUT_OF_MEMORY (or says that it is out of
 * bounds), and everything works as before afterwards. The process is kept small by setrlimit, so that nothing of the machine
 * is taken. */
#include "station.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

static long virtual_bytes(void) {
  long all = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%ld", &all) == 1);
  fclose(file);
  return all * sysconf(_SC_PAGESIZE);
}

/* Leaves the process `bytes` more of address space than it has; 0: no limit. */
static void leave_memory(long bytes) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
  limit.rlim_cur = bytes == 0 ? limit.rlim_max : (rlim_t)(virtual_bytes() + bytes);
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* No error, or one with this code; whether there was one. */
static int fails_or_works(int32_t code, seed_error *error) {
  int failed = error != NULL;
  if (error != NULL && seed_error_code(error) != code) {
    printf("code %d: %s\n", (int)seed_error_code(error), seed_error_message(error));
    ++failures;
  }
  seed_error_free(error);
  return failed;
}

/* ---- images of some 36 MB ---- */

#define LONG 4000
#define HIGH 3000
#define LARGE ((size_t)LONG * HIGH * 3)

static void put32(uint8_t *place, uint32_t value) { memcpy(place, &value, 4); }

static void put_entry(uint8_t *place, uint16_t tag, uint16_t type, uint32_t number, uint32_t value) {
  memcpy(place, &tag, 2);
  memcpy(place + 2, &type, 2);
  put32(place + 4, number);
  put32(place + 8, value);
}

/* 24 bits, no compression. */
static size_t bmp_of(const uint8_t *pixels, uint8_t *file) {
  memset(file, 0, 54);
  memcpy(file, "BM", 2);
  put32(file + 2, 54 + LARGE);
  put32(file + 10, 54);
  put32(file + 14, 40);
  put32(file + 18, LONG);
  put32(file + 22, HIGH);
  put32(file + 26, 1 | 24 << 16);
  memcpy(file + 54, pixels, LARGE);
  return 54 + LARGE;
}

/* Red, green, blue, 8 bits each, one strip, no compression. */
static size_t tiff_of(const uint8_t *pixels, uint8_t *file) {
  static const uint16_t bits[3] = {8, 8, 8};
  uint8_t *entry = file + 10;
  memset(file, 0, 256);
  memcpy(file, "II*\0\10\0\0\0\11\0", 10);
  put_entry(entry, 256, 4, 1, LONG);
  put_entry(entry += 12, 257, 4, 1, HIGH);
  memcpy(file + 200, bits, sizeof bits);
  put_entry(entry += 12, 258, 3, 3, 200);
  put_entry(entry += 12, 259, 3, 1, 1);
  put_entry(entry += 12, 262, 3, 1, 2);
  put_entry(entry += 12, 273, 4, 1, 256);
  put_entry(entry += 12, 277, 3, 1, 3);
  put_entry(entry += 12, 278, 4, 1, HIGH);
  put_entry(entry += 12, 279, 4, 1, LARGE);
  memcpy(file + 256, pixels, LARGE);
  return 256 + LARGE;
}

/* As a store keeps it, in `encoding`; pushed with the process as it is. */
static size_t kept_of(const uint8_t *pixels, int32_t encoding, const char *path, uint8_t *file) {
  seed_store_options options;
  seed_store *store = NULL;
  seed_image image = view_of(pixels);
  int64_t id = 0;
  size_t length = 0;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.encoding = encoding;
  image.width = LONG;
  image.height = HIGH;
  image.row_stride = LONG * 3;
  OK(seed_store_open(path, &options, &store));
  OK(seed_store_push(store, &image, NULL, 60000, &id));
  OK(seed_store_flush(store));
  OK(seed_store_encoded(store, id, file, LARGE + 4096, &length));
  seed_store_free(store);
  return length;
}

/* Decodes with less memory than the frame alone needs, and with more and more. */
static void decode_with_little(const char *what, const uint8_t *file, size_t length) {
  int refused = 0, decoded = 0;
  size_t needed;
  long room;
  for (room = 4; room <= 196; room += 8) {
    seed_error *error;
    leave_memory(room << 20);
    error = seed_image_decode(file, length, NULL, NULL, 0, &needed);
    leave_memory(0);
    if (error == NULL) CHECK(needed == LARGE);
    refused += error != NULL;
    decoded += error == NULL;
    fails_or_works(SEED_ERROR_OUT_OF_MEMORY, error);
  }
  printf("%s of %.1f MB: refused %d times, decoded %d times\n", what, (double)length / 1e6, refused, decoded);
  CHECK(refused > 0 && decoded > 0);
}

/* Frames that a store encodes while there is little memory are in it, or counted as failed. */
static void store_with_little(const uint8_t *pixels, const char *path) {
  seed_store *store = NULL;
  seed_store_stats stats;
  seed_image image = view_of(pixels);
  unsigned pushed = 0;
  long room;
  image.width = LONG;
  image.height = HIGH;
  image.row_stride = LONG * 3;
  OK(seed_store_open(path, NULL, &store));
  for (room = 20; room <= 180; room += 20) {
    seed_error *error;
    int64_t id = 0;
    leave_memory(room << 20);
    error = seed_store_push(store, &image, NULL, 60000, &id);
    pushed += error == NULL;
    fails_or_works(SEED_ERROR_OUT_OF_MEMORY, error);
    fails_or_works(SEED_ERROR_OUT_OF_MEMORY, seed_store_flush(store));
    leave_memory(0);
  }
  OK(seed_store_flush(store));
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  OK(seed_store_stats_now(store, &stats));
  printf("storing: %u frames pushed, %d kept, %d given up\n", pushed, (int)stats.stored, (int)stats.failed);
  CHECK(pushed > 0 && stats.stored > 0 && stats.stored + stats.failed == pushed);
  seed_store_free(store);
  OK(seed_store_check(path, NULL, NULL));
}

/* A page of many MB: its parts are made or refused, it is written or refused, and the one from before is whole. */
static void report_with_little(const seed_dataset *dataset, const char *path) {
  enum { CELLS = 40000, ROWS = 20000 };
  static const char *cells[CELLS], *const heads[] = {"what", "how much"};
  static uint32_t nearest[IMAGES * 200], queries[IMAGES] = {0, 1, 2, 3, 4, 5};
  static float rows[ROWS * DIM];
  static char text[400];
  int written = 0, refused = 0;
  unsigned i;
  long room;
  memset(text, 'x', sizeof text - 1);
  for (i = 0; i < CELLS; ++i) cells[i] = text;
  for (i = 0; i < IMAGES * 200; ++i) nearest[i] = i % IMAGES;
  for (i = 0; i < ROWS * DIM; ++i) rows[i] = (float)((i * 2654435761u >> 8) % 1000) / 500 - 1;
  for (room = 2; room <= 122; room += 6) {
    seed_report *report = NULL;
    seed_map_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.method = SEED_MAP_PCA;
    OK(seed_report_new("a long page", &report));
    leave_memory(room << 20);
    refused += fails_or_works(SEED_ERROR_OUT_OF_MEMORY, seed_report_add_table(report, "numbers", heads, 2, cells, CELLS / 2));
    refused += fails_or_works(SEED_ERROR_OUT_OF_MEMORY, seed_report_add_neighbours(report, "nearest", dataset, queries, IMAGES, 200,
                                                                                   "student", nearest, "again", nearest));
    refused += fails_or_works(SEED_ERROR_OUT_OF_MEMORY,
                              seed_report_add_map(report, "map", rows, ROWS, DIM, NULL, NULL, 0, NULL, &options));
    written += !fails_or_works(SEED_ERROR_OUT_OF_MEMORY, seed_report_write(report, path));
    leave_memory(0);
    seed_report_free(report);
  }
  printf("reports: %d written, %d parts refused\n", written, refused);
  CHECK(written > 0 && refused > 0);
}

static void images_and_pages(const char *folder, const seed_dataset *dataset) {
  uint8_t *pixels = (uint8_t *)malloc(LARGE), *file = (uint8_t *)malloc(LARGE + 4096);
  char *png = path_in(folder, "png.store"), *jpeg = path_in(folder, "jpeg.store"), *store = path_in(folder, "little.store"),
       *page = path_in(folder, "report.html");
  size_t i;
  for (i = 0; i < LARGE; ++i) pixels[i] = (uint8_t)(i / 3 % LONG / 16 + i / (3 * LONG) / 11 + i % 3 * 30 + ((uint32_t)i * 2654435761u >> 29));
  decode_with_little("BMP", file, bmp_of(pixels, file));
  decode_with_little("TIFF", file, tiff_of(pixels, file));
  decode_with_little("PNG", file, kept_of(pixels, SEED_STORE_PNG, png, file));
  decode_with_little("JPEG", file, kept_of(pixels, SEED_STORE_JPEG, jpeg, file));
  store_with_little(pixels, store);
  report_with_little(dataset, page);
  free(page);
  free(store);
  free(jpeg);
  free(png);
  free(file);
  free(pixels);
}

int main(int count, char **words) {
  /* What is large is mapped and unmapped, and no thread has 64 MiB of its own: memory of earlier work serves nothing later. */
  int mapped = mallopt(M_MMAP_THRESHOLD, 1 << 17) && mallopt(M_ARENA_MAX, 1);
  char *images, *weights;
  seed_config *config;
  seed_dataset *dataset = NULL;
  seed_teacher *teacher = NULL;
  seed_student *student = NULL, *large = NULL;
  seed_trainer *trainer = NULL;
  seed_session *session = NULL, *wide = NULL;
  seed_queue *queue = NULL;
  static seed_image many[512];
  static uint8_t pixels[WIDTH * HEIGHT * 3];
  float row[DIM];
  size_t length = 0, i;
  double loss = 77;
  if (count < 2 || !mapped) return 2;
  images = path_in(words[1], "images");
  weights = path_in(words[1], "teacher.safetensors");
  OK(seed_init(SEED_ABI_VERSION));
  write_images(images);
  config = small_config();
  write_teacher(config, weights);
  OK(seed_teacher_load(weights, "mobilenet_v3_small", config, &teacher));
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_dataset_open_folder(images, &dataset));
  OK(seed_session_from_student(student, config, &session));
  for (i = 0; i < sizeof many / sizeof *many; ++i) many[i] = view_of(pixels);

  /* Once with memory, so that threads and pools are there. */
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  OK(seed_trainer_step(trainer, many, 4, &loss));
  OK(seed_session_embed(session, many, 1, row, DIM, &length));

  leave_memory(96L << 20);
  FAILS(SEED_ERROR_OUT_OF_MEMORY, seed_queue_new(1 << 22, 1024, 1, &queue)); /* the most that is allowed: 16 GiB */
  FAILS(SEED_ERROR_OUT_OF_MEMORY, seed_queue_new(1 << 20, 1024, 1, &queue));
  FAILS(SEED_ERROR_OUT_OF_MEMORY, seed_student_new("resnet152", config, &large));
  CHECK(queue == NULL && large == NULL);
  loss = 77;
  FAILS(SEED_ERROR_OUT_OF_MEMORY, seed_trainer_step(trainer, many, 512, &loss));
  CHECK(loss == 77);
  /* What is small still works, while memory is short. */
  OK(seed_session_embed(session, many, 1, row, DIM, &length));
  OK(seed_queue_new(10, DIM, 1, &queue));
  seed_queue_free(queue);
  OK(seed_config_set_int(config, "image_width", 4096));
  OK(seed_config_set_int(config, "image_height", 4096));
  FAILS(SEED_ERROR_OUT_OF_MEMORY, seed_session_from_teacher(teacher, config, &wide));
  OK(seed_config_set_int(config, "image_width", 32));
  OK(seed_config_set_int(config, "image_height", 32));

  /* Wherever in a step memory ends, that is an error: each batch here is of a new size, for which oneDNN writes code. */
  for (i = 0; i < 24; ++i) {
    leave_memory(0);
    leave_memory((long)(40 + 6 * i) << 20);
    fails_or_works(SEED_ERROR_OUT_OF_MEMORY, seed_trainer_step(trainer, many, 480 + i, &loss));
  }

  leave_memory(0);
  images_and_pages(words[1], dataset);

  /* And with memory again the same trainer goes on. */
  OK(seed_trainer_step(trainer, many, 4, &loss));
  CHECK(loss == loss && loss != 77);
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, NULL));
  OK(seed_queue_new(1 << 16, DIM, 1, &queue));
  seed_queue_free(queue);
  seed_session_free(session);
  seed_trainer_free(trainer);
  seed_dataset_free(dataset);
  seed_student_free(student);
  seed_teacher_free(teacher);
  seed_config_free(config);
  free(images);
  free(weights);
  if (failures == 0) printf("memory: all checks passed\n");
  return failures != 0;
}
