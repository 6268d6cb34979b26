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
  seed_session *session = NULL, *gone = NULL;
  seed_image image = frame_of(pixels, SIZE, SIZE, 3 * SIZE, SEED_PIXEL_RGB8);
  size_t length = 0;
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
  OK(seed_model_open("memory://student", &model));
  OK(seed_session_open("memory://student", config, &session));
  /* What was opened stays when the name goes. */
  OK(seed_memory_file_remove("memory://student"));
  OK(seed_session_embed(session, &image, 1, here, MOST, &length));
  CHECK(length == 16 && memcmp(here, there, 16 * sizeof *here) == 0);
  seed_session_free(session);
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
  for (options.format = SEED_EXPORT_ONNX; options.format <= SEED_EXPORT_BACKBONE; ++options.format) {
    seed_model *model = NULL;
    OK(seed_student_export(student, "memory://exported", &options));
    OK(seed_student_export(student, in(path, folder, "exported"), &options));
    /* A zip archive has random parts. */
    if (options.format != SEED_EXPORT_TORCHSCRIPT) CHECK(equal(of_disk(path), of_memory("memory://exported")));
    OK(seed_model_open("memory://exported", &model));
    seed_model_free(model);
  }
  OK(seed_weights_describe("memory://models/a student", NULL, 0, &length));
  CHECK(length > 0);
}

/* What is fitted on frames, and a bank. */
static void fitted(const char *folder) {
  static const char *const names[] = {"even", "odd"};
  static uint8_t marked[SIZE * SIZE];
  char path[1024];
  seed_dataset *dataset = NULL;
  seed_classifier *classifier = NULL, *opened_classifier = NULL;
  seed_anomaly *anomaly = NULL, *opened_anomaly = NULL;
  seed_segmenter *segmenter = NULL, *opened_segmenter = NULL;
  seed_teacher *teacher = NULL;
  seed_bank *bank = NULL;
  seed_export_options options;
  seed_image image = frame_of(pixels, SIZE, SIZE, 3 * SIZE, SEED_PIXEL_RGB8), masks[12];
  int64_t labels[12];
  content file;
  size_t i;
  OK(seed_dataset_new(&dataset));
  for (i = 0; i < 12; ++i) {
    pixels[i * 5] ^= 255;
    labels[i] = (int64_t)(i % 2);
    masks[i] = frame_of(marked, SIZE, SIZE, SIZE, SEED_PIXEL_MONO8);
    OK(seed_dataset_push(dataset, &image, NULL, NULL));
  }
  memset(marked, 1, sizeof marked / 2);
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.format = SEED_EXPORT_ONNX;
  OK(seed_classifier_fit(config, student, NULL, NULL, dataset, labels, 12, names, 2, NULL, NULL, NULL, NULL, &classifier));
  OK(seed_classifier_save(classifier, "memory://classifier"));
  OK(seed_classifier_open("memory://classifier", config, &opened_classifier));
  OK(seed_classifier_export(classifier, "memory://classifier.onnx", &options));
  OK(seed_anomaly_fit(config, student, dataset, NULL, NULL, NULL, &anomaly));
  OK(seed_anomaly_save(anomaly, "memory://detector"));
  OK(seed_anomaly_open("memory://detector", config, &opened_anomaly));
  OK(seed_anomaly_export(anomaly, "memory://detector.onnx", &options));
  OK(seed_segmenter_fit(config, student, dataset, masks, 12, names, 2, NULL, NULL, NULL, &segmenter));
  OK(seed_segmenter_save(segmenter, "memory://segmenter"));
  OK(seed_segmenter_open("memory://segmenter", config, &opened_segmenter));
  OK(seed_teacher_load("memory://models/a student", "resnet10_w0.25", config, &teacher));
  OK(seed_config_set_int(config, "view_count", 2));
  OK(seed_bank_fill(in(path, folder, "bank"), config, teacher, dataset, 0, NULL, NULL, NULL, NULL));
  FAILS(SEED_ERROR_INVALID_ARGUMENT,
        seed_bank_fill("memory://bank", config, teacher, dataset, 0, NULL, NULL, NULL, NULL));
  file = of_disk(path);
  OK(seed_memory_file_put("memory://bank", file.bytes, file.length));
  free(file.bytes);
  OK(seed_bank_open("memory://bank", teacher, &bank));
  seed_bank_free(bank);
  seed_teacher_free(teacher);
  seed_classifier_free(classifier);
  seed_classifier_free(opened_classifier);
  seed_anomaly_free(anomaly);
  seed_anomaly_free(opened_anomaly);
  seed_segmenter_free(segmenter);
  seed_segmenter_free(opened_segmenter);
  seed_dataset_free(dataset);
}

/* Other names, folders, and what is not there. */
static void refusals(void) {
  size_t length = 7;
  uint8_t byte = 1, buffer[2] = {9, 9};
  seed_bank *bank = NULL;
  seed_dataset *dataset = NULL;
  seed_event_file *events = NULL;
  seed_store *store = NULL;
  seed_trainer *trainer = NULL;
  uint64_t saved = 0, lost = 0;
  const char *const listed[] = {"memory://picture"};
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
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_open_files(listed, 1, &dataset));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_store_open("memory://store", NULL, &store));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_store_open_to_read("memory://store", &store));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_store_check("memory://store", NULL, NULL));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_store_repair("memory://store", "memory://other", NULL, NULL, &saved, &lost, NULL));
  FAILS(SEED_ERROR_IO, seed_night_describe("memory://station", NULL, 0, &length));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_parse(config, "checkpoint_path=\"memory://checkpoint\""));
  OK(seed_config_set_string(config, "checkpoint_path", "memory://checkpoint"));
  OK(seed_config_set_int(config, "steps", 2));
  OK(seed_config_set_string(config, "method", "moco_v2"));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_trainer_new(config, student, NULL, NULL, NULL, &trainer));
  OK(seed_config_set_string(config, "checkpoint_path", ""));
  OK(seed_config_parse(config, "queue_capacity=64 batch_size=4"));
  OK(seed_trainer_new(config, student, NULL, NULL, NULL, &trainer));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_trainer_save(trainer, "memory://checkpoint"));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_trainer_resume(trainer, "memory://checkpoint"));
  seed_trainer_free(trainer);
  OK(seed_memory_file_remove("memory://x"));
}

int main(int count, char **words) {
  size_t i;
  if (count < 2) return 2;
  for (i = 0; i < sizeof pixels; ++i) pixels[i] = (uint8_t)(i * 7 + i / 61);
  OK(seed_init(SEED_ABI_VERSION));
  OK(seed_config_new(&config));
  OK(seed_config_parse(config, "device=cpu image_width=64 image_height=64 embedding_dim=16 anomaly.memory_min=20 precision=fp32"));
  OK(seed_student_new("resnet10_w0.25", config, &student));
  students(words[1]);
  others(words[1]);
  fitted(words[1]);
  refusals();
  seed_student_free(student);
  seed_config_free(config);
  return failures != 0;
}
