/* Files in memory: models that no disk has are opened as files are, and what is saved is given as bytes. Also compiled as C++17. */
#include "check.h"

#include <stdlib.h>

#define SIZE 64
#define MOST 64

static seed_config *config = NULL;
static seed_student *student = NULL;
static uint8_t pixels[3 * SIZE * SIZE];

/* The bytes of a file of the disk or, by its path, of memory. */
typedef struct {
  uint8_t *bytes;
  size_t length;
} content;

static content of_disk(const char *path) {
  content found = {NULL, 0};
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL);
  if (file == NULL) return found;
  fseek(file, 0, SEEK_END);
  found.length = (size_t)ftell(file);
  rewind(file);
  found.bytes = (uint8_t *)malloc(found.length);
  CHECK(fread(found.bytes, 1, found.length, file) == found.length);
  fclose(file);
  return found;
}

static content of_memory(const char *path) {
  content found = {NULL, 0};
  OK(seed_memory_file_get(path, NULL, 0, &found.length));
  CHECK(found.length > 0);
  found.bytes = (uint8_t *)malloc(found.length);
  OK(seed_memory_file_get(path, found.bytes, found.length, &found.length));
  return found;
}

static int equal(content a, content b) {
  int same = a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
  free(a.bytes);
  free(b.bytes);
  return same;
}

static const char *in(char *place, const char *folder, const char *name) {
  snprintf(place, 1024, "%s/%s", folder, name);
  return place;
}

static void embedding(const char *path, float *out) {
  seed_session *session = NULL;
  seed_image image = frame_of(pixels, SIZE, SIZE, 3 * SIZE, SEED_PIXEL_RGB8);
  size_t length = 0;
  OK(seed_session_open(path, config, &session));
  memset(out, 0, MOST * sizeof *out);
  OK(seed_session_embed(session, &image, 1, out, MOST, &length));
  CHECK(length > 0);
  seed_session_free(session);
}

/* A student is the same file in memory as on the disk, and answers the same. */
static void students(const char *folder) {
  char path[1024];
  float here[MOST], there[MOST];
  content file;
  seed_student *loaded = NULL;
  seed_model *model = NULL;
  seed_teacher *teacher = NULL;
  seed_session *gone = NULL;
  OK(seed_student_save(student, in(path, folder, "student.safetensors")));
  OK(seed_student_save(student, "memory://student"));
  CHECK(equal(of_disk(path), of_memory("memory://student")));
  file = of_disk(path);
  OK(seed_memory_file_put("memory://models/a student", file.bytes, file.length));
  free(file.bytes);
  embedding(path, there);
  embedding("memory://models/a student", here);
  CHECK(memcmp(here, there, sizeof here) == 0);
  OK(seed_student_load("memory://student", config, &loaded));
  OK(seed_student_load_weights(loaded, "memory://student"));
  OK(seed_teacher_load("memory://student", "resnet10_w0.25", config, &teacher));
  /* What was opened stays when the name goes. */
  OK(seed_model_open("memory://student", &model));
  OK(seed_memory_file_remove("memory://student"));
  OK(seed_student_save(loaded, "memory://again"));
  FAILS(SEED_ERROR_IO, seed_session_open("memory://student", config, &gone));
  CHECK(gone == NULL);
  seed_teacher_free(teacher);
  seed_model_free(model);
  seed_student_free(loaded);
  OK(seed_memory_file_remove("memory://again"));
}

/* What else is one file. */
static void others(const char *folder) {
  char path[1024];
  seed_queue *queue = NULL, *loaded = NULL;
  seed_report *report = NULL;
  seed_drift *drift = NULL, *read = NULL;
  seed_embeddings *table = NULL;
  seed_export_options options;
  float rows[50 * 4];
  uint8_t npy[128 + 16];
  size_t i, length = 0;
  seed_image image = frame_of(pixels, SIZE, SIZE, 3 * SIZE, SEED_PIXEL_RGB8);
  OK(seed_queue_new(10, 4, 1, &queue));
  OK(seed_queue_save(queue, "memory://queue"));
  OK(seed_queue_save(queue, in(path, folder, "queue")));
  CHECK(equal(of_disk(path), of_memory("memory://queue")));
  OK(seed_queue_load("memory://queue", &loaded));
  seed_queue_free(queue);
  seed_queue_free(loaded);
  OK(seed_report_new("memory", &report));
  OK(seed_report_write(report, "memory://report.html"));
  OK(seed_report_write(report, in(path, folder, "report.html")));
  CHECK(equal(of_disk(path), of_memory("memory://report.html")));
  seed_report_free(report);
  OK(seed_image_save(&image, "memory://picture"));
  OK(seed_image_save(&image, in(path, folder, "picture.png")));
  CHECK(equal(of_disk(path), of_memory("memory://picture")));
  for (i = 0; i < sizeof rows / sizeof *rows; ++i) rows[i] = (float)((i * 37 + i / 4 * 11) % 23) - 11;
  OK(seed_drift_new(rows, 50, 4, &drift));
  OK(seed_drift_save(drift, "memory://drift"));
  OK(seed_drift_load("memory://drift", &read));
  seed_drift_free(drift);
  seed_drift_free(read);
  /* NumPy's format 1.0, 2 rows of 2 numbers. */
  memset(npy, ' ', 128);
  memcpy(npy, "\x93NUMPY\x01\x00\x76\x00", 10);
  memcpy(npy + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", 59);
  npy[127] = '\n';
  memcpy(npy + 128, rows, 16);
  OK(seed_memory_file_put("memory://table.npy", npy, sizeof npy));
  OK(seed_embeddings_load("memory://table.npy", &table));
  seed_embeddings_free(table);
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.format = SEED_EXPORT_ONNX;
  OK(seed_student_export(student, "memory://student.onnx", &options));
  OK(seed_student_export(student, in(path, folder, "student.onnx"), &options));
  CHECK(equal(of_disk(path), of_memory("memory://student.onnx")));
  options.format = SEED_EXPORT_TORCHSCRIPT;
  OK(seed_student_export(student, "memory://student.pt", &options));
  OK(seed_weights_describe("memory://models/a student", NULL, 0, &length));
  CHECK(length > 0);
}

/* Other names, folders, and what is not there. */
static void refusals(void) {
  size_t length = 7;
  uint8_t byte = 1, buffer[2] = {9, 9};
  seed_bank *bank = NULL;
  seed_dataset *dataset = NULL;
  seed_event_file *events = NULL;
  seed_store *store = NULL;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_memory_file_put("memory://", &byte, 1));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_memory_file_put("student.safetensors", &byte, 1));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_memory_file_put(NULL, &byte, 1));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_memory_file_put("memory://x", NULL, 1));
  FAILS(SEED_ERROR_IO, seed_memory_file_get("memory://x", NULL, 0, &length));
  FAILS(SEED_ERROR_IO, seed_memory_file_remove("memory://x"));
  FAILS(SEED_ERROR_IO, seed_student_save(student, "/no folder/student"));
  /* Nothing, and too little room. */
  OK(seed_memory_file_put("memory://x", NULL, 0));
  OK(seed_memory_file_get("memory://x", buffer, 2, &length));
  CHECK(length == 0);
  FAILS(SEED_ERROR_FORMAT, seed_bank_open("memory://x", NULL, &bank));
  OK(seed_memory_file_put("memory://x", (const uint8_t *)"abc", 3));
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_memory_file_get("memory://x", buffer, 2, &length));
  CHECK(length == 3 && buffer[0] == 9);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_open_folder("memory://images", &dataset));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_event_file_new("memory://events", 0, &events));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_store_open_to_read("memory://store", &store));
  OK(seed_memory_file_remove("memory://x"));
}

int main(int count, char **words) {
  size_t i;
  if (count < 2) return 2;
  for (i = 0; i < sizeof pixels; ++i) pixels[i] = (uint8_t)(i * 7 + i / 61);
  OK(seed_init(SEED_ABI_VERSION));
  OK(seed_config_new(&config));
  OK(seed_config_parse(config, "device=cpu image_width=64 image_height=64 embedding_dim=16"));
  OK(seed_student_new("resnet10_w0.25", config, &student));
  students(words[1]);
  others(words[1]);
  refusals();
  seed_student_free(student);
  seed_config_free(config);
  return failures != 0;
}
