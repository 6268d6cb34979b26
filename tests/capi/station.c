/* What a working station needs beside a run: memory, images as bytes, queue management, pause, yielding, hot swap, DLPack.
 * Also compiled as C++17. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define DIM 16
#define WIDTH 24
#define HEIGHT 20

static void milliseconds(long count) {
  struct timespec time;
  time.tv_sec = count / 1000;
  time.tv_nsec = count % 1000 * 1000000;
  nanosleep(&time, NULL);
}

/* A picture that differs with `number`, RGB. */
static void paint(uint8_t *pixels, unsigned number) {
  unsigned i;
  for (i = 0; i < WIDTH * HEIGHT * 3; ++i) pixels[i] = (uint8_t)(i * (7 + number) + i / 61 * number);
}

static seed_image image_of(const uint8_t *pixels) {
  seed_image image;
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = pixels;
  image.width = WIDTH;
  image.height = HEIGHT;
  image.row_stride = WIDTH * 3;
  image.format = SEED_PIXEL_RGB8;
  return image;
}

static double cosine(const float *a, const float *b) {
  double ab = 0, aa = 0, bb = 0;
  int i;
  for (i = 0; i < DIM; ++i) {
    ab += (double)a[i] * b[i];
    aa += (double)a[i] * a[i];
    bb += (double)b[i] * b[i];
  }
  return ab / sqrt(aa * bb);
}

static void machine(void) {
  uint32_t count = 77;
  char name[256];
  size_t length = 0;
  seed_memory memory;
  CHECK(seed_libtorch_version() != NULL && strchr(seed_libtorch_version(), '.') != NULL);
  OK(seed_device_count(&count));
  CHECK(count < 64);
  OK(seed_device_name("cpu", name, sizeof name, &length));
  CHECK(length > 1 && strlen(name) == length - 1);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_device_name("gpu", name, sizeof name, &length));
  FAILS(SEED_ERROR_DEVICE, seed_device_name("cuda:63", name, sizeof name, &length));
  memset(&memory, 0, sizeof memory);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_memory_use("cpu", &memory));
  memory.struct_size = sizeof memory;
  OK(seed_memory_use("cpu", &memory));
  CHECK(memory.process_bytes > 1 << 20 && memory.process_bytes <= memory.process_peak_bytes);
  CHECK(memory.device_free_bytes < memory.device_total_bytes);
}

/* A BMP of 2 × 1 pixels, red and blue. */
static const uint8_t BMP[62] = {
    'B', 'M', 62, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0,                             /* size of the file, place of the pixels */
    40,  0,   0,  0, 2, 0, 0, 0, 1, 0, 0,  0, 1, 0, 24, 0, 0, 0, 0, 0,          /* width, height, planes, bits */
    8,   0,   0,  0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0, 0,          /* size of the pixels */
    0,   0,   255, 255, 0, 0, 0, 0,                                             /* blue, green, red; padded to 4 bytes */
};

static void encoded(void) {
  seed_dataset *dataset = NULL;
  seed_image image;
  uint8_t pixels[8];
  size_t length = 0, index = 77;
  memset(&image, 0, sizeof image);
  OK(seed_image_decode(BMP, sizeof BMP, &image, NULL, 0, &length));
  CHECK(length == 6 && image.width == 2 && image.height == 1 && image.data == NULL);
  pixels[0] = 99;
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_image_decode(BMP, sizeof BMP, &image, pixels, 5, &length));
  CHECK(pixels[0] == 99 && length == 6);
  OK(seed_image_decode(BMP, sizeof BMP, &image, pixels, sizeof pixels, &length));
  CHECK(image.data == pixels && image.format == SEED_PIXEL_RGB8 && image.row_stride == 6);
  CHECK(pixels[0] == 255 && pixels[1] == 0 && pixels[2] == 0 && pixels[3] == 0 && pixels[5] == 255);
  FAILS(SEED_ERROR_FORMAT, seed_image_decode(BMP, 40, &image, pixels, sizeof pixels, &length));
  FAILS(SEED_ERROR_FORMAT, seed_image_decode(NULL, 0, NULL, pixels, sizeof pixels, &length));

  { /* the same pixels as a PNG, and under a heat map */
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t png[256], again[8], painted[8];
    const float map[2] = {0, 3}, wild[2] = {0, NAN};
    seed_image other, picture;
    size_t bytes = 0;
    OK(seed_image_encode(&image, NULL, 0, &bytes));
    CHECK(bytes > 60 && bytes <= sizeof png);
    FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_image_encode(&image, png, bytes - 1, &bytes));
    OK(seed_image_encode(&image, png, sizeof png, &bytes));
    CHECK(memcmp(png, signature, sizeof signature) == 0);
    OK(seed_image_decode(png, bytes, &other, again, sizeof again, &length));
    CHECK(length == 6 && memcmp(again, pixels, 6) == 0);
    OK(seed_heat_map_picture(&image, map, 2, 0, 3, &picture, painted, sizeof painted, &length));
    CHECK(length == 6 && picture.format == SEED_PIXEL_RGB8 && picture.width == 2 && picture.data == painted);
    CHECK(memcmp(painted, pixels, 3) == 0); /* quiet */
    CHECK(painted[3] == 98 && painted[4] == 8 && painted[5] == 99); /* .2 * (0, 0, 255) + .8 * (122, 10, 60) */
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_heat_map_picture(&image, map, 1, 0, 3, &picture, painted, sizeof painted, &length));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_heat_map_picture(&image, wild, 2, 0, 3, &picture, painted, sizeof painted, &length));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_image_encode(NULL, png, sizeof png, &bytes));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_image_encode(&image, png, sizeof png, NULL));
    FAILS(SEED_ERROR_IO, seed_image_save(&image, "/no/such/folder/two.png"));
    FAILS(SEED_ERROR_IO, seed_image_save(&image, "/dev/null"));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_image_save(&image, NULL));
  }
  OK(seed_dataset_new(&dataset));
  OK(seed_dataset_push_encoded(dataset, BMP, sizeof BMP, "two pixels", &index));
  CHECK(index == 0);
  FAILS(SEED_ERROR_FORMAT, seed_dataset_push_encoded(dataset, BMP, 55, NULL, &index));
  OK(seed_dataset_count(dataset, &index));
  CHECK(index == 1);
  memset(pixels, 0, sizeof pixels);
  OK(seed_dataset_pixels(dataset, 0, &image, pixels, sizeof pixels, &length));
  CHECK(length == 6 && image.width == 2 && pixels[0] == 255 && pixels[5] == 255);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_pixels(dataset, 1, &image, pixels, sizeof pixels, &length));
  seed_dataset_free(dataset);
}

static void queue(void) {
  static const float rows[] = {1, 0, 0, 0, 2, 0, 0, 0, 3}, other[] = {.5f, .5f, .5f};
  seed_queue *made = NULL, *copy = NULL, *wide = NULL;
  float values[12], cosines[4];
  uint32_t places[4];
  size_t length = 0;
  OK(seed_queue_new(4, 3, 7, &made));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_queue_nearest(made, rows, 1, 3, 1, places, cosines, 4, &length));
  OK(seed_queue_push(made, rows, 3, 3));
  OK(seed_queue_rows(made, 1, 2, values, 12, &length));
  CHECK(length == 6 && values[1] == 1 && values[5] == 1 && values[0] == 0);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_queue_rows(made, 3, 2, values, 12, &length));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_queue_rows(made, (size_t)-1, 2, values, 12, &length));
  OK(seed_queue_nearest(made, rows + 3, 1, 3, 2, NULL, NULL, 0, &length));
  CHECK(length == 2);
  OK(seed_queue_nearest(made, rows + 3, 1, 3, 2, places, cosines, 4, &length));
  CHECK(places[0] == 1 && fabs(cosines[0] - 1) < 1e-6);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_queue_nearest(made, rows, 1, 3, 4, places, NULL, 4, &length)); /* 3 pushed */
  FAILS(SEED_ERROR_MISMATCH, seed_queue_nearest(made, rows, 1, 2, 1, places, NULL, 4, &length));

  OK(seed_queue_snapshot(made, &copy));
  OK(seed_queue_push(made, other, 1, 3));
  OK(seed_queue_push(made, other, 1, 3));
  OK(seed_queue_rows(made, 0, 1, values, 12, &length));
  CHECK(values[0] < .6f);
  OK(seed_queue_restore(made, copy));
  OK(seed_queue_restore(made, made));
  OK(seed_queue_rows(made, 0, 1, values, 12, &length));
  CHECK(values[0] == 1);
  OK(seed_queue_length(made, &length));
  CHECK(length == 3);
  OK(seed_queue_new(5, 3, 7, &wide));
  FAILS(SEED_ERROR_MISMATCH, seed_queue_restore(made, wide));
  seed_queue_free(wide);
  seed_queue_free(copy);
  seed_queue_free(made);

  {
    static const int64_t labels[] = {4, 9, 4}, bad[] = {4, -1, 4};
    int64_t classes[3] = {-7, -7, -7};
    OK(seed_knn_classify(rows, 3, rows, labels, 3, 3, 1, .07, NULL, 0, &length));
    CHECK(length == 3);
    FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_knn_classify(rows, 3, rows, labels, 3, 3, 1, .07, classes, 2, &length));
    CHECK(classes[0] == -7);
    OK(seed_knn_classify(rows, 3, rows, labels, 3, 3, 1, .07, classes, 3, &length));
    CHECK(classes[0] == 4 && classes[1] == 9 && classes[2] == 4);
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_knn_classify(rows, 3, rows, labels, 3, 3, 4, .07, NULL, 0, &length));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_knn_classify(rows, 3, rows, labels, 3, 3, 1, 0, NULL, 0, &length));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_knn_classify(rows, 3, rows, bad, 3, 3, 1, .07, classes, 3, &length));
  }
  OK(seed_neighbours_in(rows, 2, rows, 3, 3, 1, places, cosines, 4, &length));
  CHECK(length == 2 && places[0] == 0 && places[1] == 1);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_neighbours_in(rows, 1, rows, 3, 3, 4, places, NULL, 4, &length));
  /* A k that is too large is refused when the size is asked for, before the caller takes memory by it. */
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_neighbours_in(rows, 1, rows, 3, 3, SIZE_MAX / 8, NULL, NULL, 0, &length));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_neighbours(rows, 3, 3, 3, NULL, 0, &length));
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_neighbours_in(rows, 3, rows, 3, 3, 2, places, NULL, 4, &length));
}

struct run {
  seed_trainer *trainer;
  seed_cancel_token *token;
  int32_t outcome;
  volatile int reports;
  double loss;
  pthread_t thread;
  int elsewhere;
};

static int32_t on_progress(const seed_progress *progress, void *user_data) {
  struct run *run = (struct run *)user_data;
  ++run->reports;
  run->loss = progress->loss;
  if (!pthread_equal(run->thread, pthread_self())) run->elsewhere = 1;
  return 0;
}

static void *work(void *argument) {
  struct run *run = (struct run *)argument;
  run->thread = pthread_self();
  OK(seed_trainer_run(run->trainer, 0, on_progress, run, run->token, &run->outcome));
  return NULL;
}

/* One run of the same numbers, from scratch. */
static seed_trainer *trainer_of(const seed_config *config, const seed_teacher *teacher, const seed_dataset *dataset) {
  seed_student *student = NULL;
  seed_trainer *trainer = NULL;
  OK(seed_student_new("resnet18", config, &student));
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  seed_student_free(student);
  return trainer;
}

static void yielding(seed_config *config, const char *folder) {
  char file[512];
  seed_student *source = NULL;
  seed_teacher *teacher = NULL;
  seed_dataset *dataset = NULL;
  struct run plain, polite;
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  pthread_t thread;
  unsigned i;
  int before;
  memset(&plain, 0, sizeof plain);
  memset(&polite, 0, sizeof polite);
  sprintf(file, "%s/teacher.safetensors", folder);
  OK(seed_student_new("resnet18", config, &source));
  OK(seed_student_save(source, file));
  seed_student_free(source);
  OK(seed_teacher_load(file, "resnet18", config, &teacher));
  OK(seed_dataset_new(&dataset));
  for (i = 0; i < 6; ++i) {
    seed_image image = image_of(pixels);
    paint(pixels, i);
    OK(seed_dataset_push(dataset, &image, NULL, NULL));
  }
  OK(seed_config_set_int(config, "seed", 9));
  plain.trainer = trainer_of(config, teacher, dataset);
  work(&plain);
  CHECK(plain.outcome == SEED_OUTCOME_FINISHED && plain.reports == 5 && !plain.elsewhere);

  OK(seed_config_set_int(config, "nice", 3));
  OK(seed_config_set_float(config, "duty_cycle", 0.5));
  polite.trainer = trainer_of(config, teacher, dataset);
  OK(seed_cancel_token_new(&polite.token));
  OK(seed_cancel_token_pause(polite.token));
  CHECK(pthread_create(&thread, NULL, work, &polite) == 0);
  milliseconds(300);
  CHECK(polite.reports == 1); /* the first report comes before any step, for which it waits */
  OK(seed_cancel_token_resume(polite.token));
  while (polite.reports == 1) milliseconds(1);
  OK(seed_cancel_token_pause(polite.token));
  milliseconds(300); /* the step under way ends */
  before = polite.reports;
  milliseconds(300);
  CHECK(polite.reports == before);
  OK(seed_cancel_token_resume(polite.token));
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(polite.outcome == SEED_OUTCOME_FINISHED && polite.reports == 5 && !polite.elsewhere);
  CHECK(polite.loss == plain.loss); /* the same run, to the last bit */

  /* An end reaches a paused run. */
  OK(seed_trainer_run(plain.trainer, 0, NULL, NULL, NULL, NULL));
  seed_trainer_free(polite.trainer);
  polite.trainer = trainer_of(config, teacher, dataset);
  polite.reports = 0;
  OK(seed_cancel_token_pause(polite.token));
  CHECK(pthread_create(&thread, NULL, work, &polite) == 0);
  milliseconds(50);
  OK(seed_cancel_token_trigger(polite.token));
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(polite.outcome == SEED_OUTCOME_CANCELLED && polite.reports == 1);

  seed_cancel_token_free(polite.token);
  seed_trainer_free(plain.trainer);
  seed_trainer_free(polite.trainer);
  seed_dataset_free(dataset);
  seed_teacher_free(teacher);
}

static seed_session *session_of(seed_config *config, int seed, int dim) {
  seed_student *student = NULL;
  seed_session *session = NULL;
  OK(seed_config_set_int(config, "seed", seed));
  OK(seed_config_set_int(config, "embedding_dim", dim));
  OK(seed_student_new("resnet18", config, &student));
  OK(seed_session_from_student(student, config, &session));
  seed_student_free(student);
  return session;
}

struct camera {
  const seed_session *session;
  const float *old, *young;
  int strange;
};

static void *watch(void *argument) {
  struct camera *camera = (struct camera *)argument;
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = image_of(pixels);
  float row[DIM];
  size_t length;
  int i;
  paint(pixels, 1);
  for (i = 0; i < 200; ++i) {
    OK(seed_session_embed(camera->session, &image, 1, row, DIM, &length));
    if (cosine(row, camera->old) < .99999 && cosine(row, camera->young) < .99999) ++camera->strange;
  }
  return NULL;
}

static void swapping(seed_config *config) {
  seed_session *running = session_of(config, 1, DIM), *next = session_of(config, 2, DIM), *narrow = session_of(config, 3, 8);
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = image_of(pixels);
  float old[DIM], young[DIM], row[DIM];
  size_t length = 0;
  struct camera cameras[3];
  pthread_t threads[3];
  int i;
  paint(pixels, 1);
  OK(seed_session_embed(running, &image, 1, old, DIM, &length));
  OK(seed_session_embed(next, &image, 1, young, DIM, &length));
  CHECK(cosine(old, young) < .9);
  OK(seed_session_swap(running, next));
  OK(seed_session_embed(running, &image, 1, row, DIM, &length));
  CHECK(cosine(row, young) > .99999);
  OK(seed_session_swap(running, running));
  OK(seed_session_swap(running, next));
  OK(seed_session_embed(running, &image, 1, row, DIM, &length));
  CHECK(cosine(row, old) > .99999);
  FAILS(SEED_ERROR_MISMATCH, seed_session_swap(running, narrow));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_swap(running, NULL));

  for (i = 0; i < 3; ++i) {
    cameras[i].session = i == 2 ? next : running;
    cameras[i].old = old;
    cameras[i].young = young;
    cameras[i].strange = 0;
    CHECK(pthread_create(&threads[i], NULL, watch, &cameras[i]) == 0);
  }
  for (i = 0; i < 100; ++i) {
    OK(i % 2 ? seed_session_swap(running, next) : seed_session_swap(next, running));
    milliseconds(1);
  }
  for (i = 0; i < 3; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(cameras[i].strange == 0);
  }
  seed_session_free(narrow);
  seed_session_free(next);
  seed_session_free(running);
}

/* The layout of DLPack 1.x, as far as it is needed here. */
struct tensor {
  void *data;
  int32_t device_type, device_id, ndim;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned *);
  uint64_t flags;
  struct tensor tensor;
};

static int deleted = 0;
static void on_delete(struct DLManagedTensorVersioned *managed) {
  (void)managed;
  ++deleted;
}

static void tensors(seed_config *config) {
  seed_session *session = session_of(config, 1, DIM);
  static uint8_t pixels[WIDTH * HEIGHT * 3];
  seed_image image = image_of(pixels);
  int64_t shape[4] = {1, HEIGHT, WIDTH, 3};
  struct DLManagedTensorVersioned managed, wrong, *out = NULL;
  const int32_t far_ids[4] = {200, 256, -1, 7};
  int64_t far_strides[4] = {1, INT64_MAX / 4, 3, 1};
  float row[DIM];
  size_t length = 0, i;
  paint(pixels, 1);
  OK(seed_session_embed(session, &image, 1, row, DIM, &length));
  memset(&managed, 0, sizeof managed);
  managed.major = 1;
  managed.deleter = on_delete;
  managed.tensor.data = pixels;
  managed.tensor.device_type = 1;
  managed.tensor.ndim = 4;
  managed.tensor.code = 1;
  managed.tensor.bits = 8;
  managed.tensor.lanes = 1;
  managed.tensor.shape = shape;
  OK(seed_session_embed_dlpack(session, &managed, &out));
  CHECK(deleted == 1 && out != NULL && out->major == 1);
  CHECK(out->tensor.ndim == 2 && out->tensor.shape[0] == 1 && out->tensor.shape[1] == DIM);
  CHECK(out->tensor.code == 2 && out->tensor.bits == 32 && out->tensor.device_type == 1);
  CHECK(cosine((const float *)out->tensor.data, row) > .9999);
  out->deleter(out);

  out = NULL;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_embed_dlpack(session, NULL, &out));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_embed_dlpack(session, &managed, NULL));
  CHECK(deleted == 2);
  wrong = managed;
  wrong.major = 2;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_embed_dlpack(session, &wrong, &out));
  wrong = managed;
  wrong.tensor.device_type = 2;
  for (i = 0; i < sizeof far_ids / sizeof *far_ids; ++i) {
    char expected[32];
    seed_error *error;
    wrong.tensor.device_id = far_ids[i];
    error = seed_session_embed_dlpack(session, &wrong, &out);
    CHECK(seed_error_code(error) == SEED_ERROR_INVALID_ARGUMENT);
    sprintf(expected, "device_id %d", (int)far_ids[i]);
    CHECK(strstr(seed_error_message(error), expected) != NULL);
    seed_error_free(error);
    CHECK(deleted == 4 + (int)i);
  }
  deleted = 4;
  wrong = managed;
  wrong.tensor.bits = 64;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_embed_dlpack(session, &wrong, &out));
  wrong = managed;
  wrong.tensor.ndim = 3;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_embed_dlpack(session, &wrong, &out));
  wrong = managed;
  wrong.tensor.data = NULL;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_embed_dlpack(session, &wrong, &out));
  CHECK(deleted == 7 && out == NULL);
  wrong = managed; /* memory of the host that CUDA has pinned */
  wrong.tensor.device_type = 3;
  OK(seed_session_embed_dlpack(session, &wrong, &out));
  CHECK(deleted == 8 && out != NULL && cosine((const float *)out->tensor.data, row) > .9999);
  out->deleter(out);
  out = NULL;
  wrong.tensor.strides = far_strides;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_embed_dlpack(session, &wrong, &out));
  CHECK(deleted == 9 && out == NULL);
  seed_session_free(session);
}

int main(int count, char **words) {
  seed_config *config = NULL;
  if (count < 2) return 2;
  OK(seed_init(SEED_ABI_VERSION));
  machine();
  encoded();
  queue();
  OK(seed_config_new(&config));
  OK(seed_config_set_int(config, "image_width", 32));
  OK(seed_config_set_int(config, "image_height", 32));
  OK(seed_config_set_int(config, "batch_size", 4));
  OK(seed_config_set_int(config, "steps", 4));
  OK(seed_config_set_int(config, "queue_capacity", 10));
  OK(seed_config_set_int(config, "embedding_dim", DIM));
  OK(seed_config_set_int(config, "progress_every", 1));
  OK(seed_config_set_string(config, "precision", "fp32"));
  yielding(config, words[1]);
  swapping(config);
  tensors(config);
  seed_config_free(config);
  if (failures == 0) printf("station: all checks passed\n");
  return failures != 0;
}
