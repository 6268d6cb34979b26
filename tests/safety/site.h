/* A student's second life, on site: frames into a store, a classifier of few labels, a detector of anomalies, a drift
 * reference, the gate, and files for other programs. Where a call fails, the fault ends and the same call is made once more, with
 * the same objects; what was to be written is whole or absent in between. */
#include "life.h"

/* Enough that the library's own tables are large allocations (faults.c). */
#define FRAMES 18
#define CLASSES 9
#define DRIFT_ROWS 600

static const char *const class_names[CLASSES] = {"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"};

/* What a life on site found. */
struct findings {
  float confidences[2][FRAMES], scores[2][IMAGES];
  double energy, kl;
};

struct belongings {
  seed_config *config;
  seed_student *student;
  seed_session *session, *other;
  seed_store *store;
  seed_dataset *dataset;
  seed_classifier *linear, *full;
  seed_anomaly *anomaly;
  seed_drift *drift;
  seed_model *model;
  seed_error *error; /* the first */
  int broken;        /* and the second try failed too */
};

static inline void depart(struct belongings *own) {
  seed_model_free(own->model);
  seed_drift_free(own->drift);
  seed_anomaly_free(own->anomaly);
  seed_classifier_free(own->full);
  seed_classifier_free(own->linear);
  seed_dataset_free(own->dataset);
  seed_store_free(own->store);
  seed_session_free(own->other);
  seed_session_free(own->session);
  seed_student_free(own->student);
  seed_config_free(own->config);
}

/* Of faults.c: ends the fault; tells what is wrong. */
static int fault_ends(void);
static void wrong(const char *what, const seed_error *error);

typedef seed_error *(*reader)(const char *path, const seed_config *config);

static inline int exists(const char *path) { return access(path, F_OK) == 0; }

/* After an error the file must be there if it was before, and what is there must be whole. The error is kept or freed. */
static inline void after_error(struct belongings *own, seed_error *error, const char *path, int before, reader read) {
  seed_error *damage;
  if (own->error != NULL) wrong("a second call fails", error);
  else if (!fault_ends()) wrong("an error without a fault", error);
  if (path != NULL && before && !exists(path)) wrong("the earlier file is gone", error);
  if (path != NULL && exists(path)) {
    damage = read(path, own->config);
    if (damage != NULL) wrong("what was written is not whole", damage);
    seed_error_free(damage);
  }
  if (own->error == NULL) own->error = error;
  else seed_error_free(error);
}

/* `call`, which writes the file `path` that `read` reads. */
#define WRITES(name, path, read, call)                                                                                 \
  do {                                                                                                                 \
    if (!own->broken) {                                                                                                \
      const char *const written = (path);                                                                              \
      int before = written != NULL && exists(written);                                                                 \
      seed_error *error;                                                                                               \
      stage = name;                                                                                                    \
      error = (call);                                                                                                  \
      if (error != NULL) {                                                                                             \
        after_error(own, error, written, before, read);                                                                \
        error = (call);                                                                                                \
        if (error != NULL) {                                                                                           \
          wrong("a second try fails", error);                                                                          \
          own->broken = 1;                                                                                             \
        }                                                                                                              \
        seed_error_free(error);                                                                                        \
      }                                                                                                                \
    }                                                                                                                  \
  } while (0)
#define DO(name, call) WRITES(name, NULL, NULL, call)

static inline seed_error *read_classifier(const char *path, const seed_config *config) {
  seed_classifier *found = NULL;
  seed_error *error = seed_classifier_open(path, config, &found);
  seed_classifier_free(found);
  return error;
}

static inline seed_error *read_anomaly(const char *path, const seed_config *config) {
  seed_anomaly *found = NULL;
  seed_error *error = seed_anomaly_open(path, config, &found);
  seed_anomaly_free(found);
  return error;
}

static inline seed_error *read_drift(const char *path, const seed_config *config) {
  seed_drift *found = NULL;
  seed_error *error = seed_drift_load(path, &found);
  (void)config;
  seed_drift_free(found);
  return error;
}

static inline seed_error *read_model(const char *path, const seed_config *config) {
  seed_model *found = NULL;
  seed_error *error = seed_model_open(path, &found);
  (void)config;
  seed_model_free(found);
  return error;
}

static inline seed_error *read_store(const char *path, const seed_config *config) {
  (void)config;
  return seed_store_check(path, NULL, NULL);
}

/* Frames come in with labels, and are what all others work with. */
static inline void collect(struct belongings *own, const char *folder) {
  char *path = path_in(folder, "frames.store");
  static uint8_t pixels[WIDTH * HEIGHT * 3];
  seed_store_entry entry;
  seed_store_stats stats;
  int64_t ids[FRAMES];
  size_t length = 0;
  unsigned i;
  memset(&entry, 0, sizeof entry);
  entry.struct_size = sizeof entry;
  entry.time_us = 1;
  entry.has_label = 1;
  DO("open the store", seed_store_open(path, NULL, &own->store));
  DO("embeddings for the store", seed_store_set_session(own->store, own->session));
  for (i = 0; i < FRAMES; ++i) {
    seed_image image = view_of(pixels);
    paint(pixels, i);
    entry.label = i % CLASSES;
    entry.label_text = class_names[i % CLASSES];
    DO("push", seed_store_push(own->store, &image, &entry, 10000, &ids[i]));
  }
  DO("flush", seed_store_flush(own->store));
  DO("label", seed_store_set_label(own->store, ids[0], 1, class_names[1]));
  stats.struct_size = sizeof stats;
  DO("count the store", seed_store_stats_now(own->store, &stats));
  if (!own->broken && stats.frames + stats.failed != FRAMES) wrong("a frame is lost", own->error);
  stage = "close the store";
  seed_store_free(own->store);
  own->store = NULL;
  DO("check the store", seed_store_check(path, NULL, NULL));
  DO("read the store", seed_store_open_to_read(path, &own->store));
  DO("list the store", seed_store_list(own->store, NULL, ids, FRAMES, &length));
  if (!own->broken && length != stats.frames) wrong("the store has other frames", own->error);
  DO("data set of the store", seed_dataset_open_store(own->store, NULL, 0, &own->dataset));
  free(path);
}

/* How classifiers and detectors are written for other programs. */
static inline seed_export_options as_onnx(void) {
  seed_export_options how;
  memset(&how, 0, sizeof how);
  how.struct_size = sizeof how;
  how.format = SEED_EXPORT_ONNX;
  how.input = SEED_EXPORT_INPUT_BYTES;
  return how;
}

static inline void classify(struct belongings *own, const char *folder, struct findings *found) {
  const seed_export_options how = as_onnx();
  char *path = path_in(folder, "classifier.safetensors"), *progress = path_in(folder, "classifier.progress"),
       *exported = path_in(folder, "classifier.onnx");
  int64_t labels[FRAMES], numbers[FRAMES];
  uint8_t unsure[FRAMES];
  int i;
  for (i = 0; i < FRAMES; ++i) labels[i] = i % CLASSES;
  DO("fit linearly", seed_classifier_fit(own->config, own->student, NULL, NULL, own->dataset, labels, FRAMES, class_names, CLASSES, NULL,
                                         NULL, NULL, NULL, &own->linear));
  WRITES("save a classifier", path, read_classifier, seed_classifier_save(own->linear, path));
  DO("classify", seed_classifier_classify_dataset(own->linear, own->dataset, NULL, NULL, NULL, numbers, found->confidences[0],
                                                  unsure, NULL, FRAMES));
  DO("settings", seed_config_set_string(own->config, "finetune.mode", "full"));
  DO("settings", seed_config_set_string(own->config, "finetune.checkpoint_path", progress));
  DO("fit fully", seed_classifier_fit(own->config, own->student, NULL, NULL, own->dataset, labels, FRAMES, class_names, CLASSES, NULL, NULL,
                                      NULL, NULL, &own->full));
  WRITES("save over a classifier", path, read_classifier, seed_classifier_save(own->full, path));
  WRITES("export a classifier", exported, read_model, seed_classifier_export(own->full, exported, &how));
  seed_classifier_free(own->full);
  own->full = NULL;
  DO("open a classifier", seed_classifier_open(path, own->config, &own->full));
  DO("classify fully", seed_classifier_classify_dataset(own->full, own->dataset, NULL, NULL, NULL, numbers,
                                                        found->confidences[1], unsure, NULL, FRAMES));
  free(path);
  free(progress);
  free(exported);
}

static inline void watch(struct belongings *own, const char *folder, struct findings *found) {
  const seed_export_options how = as_onnx();
  char *path = path_in(folder, "anomaly.safetensors"), *reference = path_in(folder, "drift.safetensors"),
       *exported = path_in(folder, "anomaly.onnx");
  static uint8_t pixels[IMAGES][WIDTH * HEIGHT * 3];
  static float rows[DRIFT_ROWS * DIM];
  float vectors[FRAMES * DIM];
  seed_image images[IMAGES];
  seed_drift_signal signal;
  size_t length = 0, i;
  for (i = 0; i < IMAGES; ++i) {
    paint(pixels[i], (unsigned)i + 3);
    images[i] = view_of(pixels[i]);
  }
  DO("fit a detector", seed_anomaly_fit(own->config, own->student, own->dataset, NULL, NULL, NULL, &own->anomaly));
  DO("score", seed_anomaly_score(own->anomaly, images, IMAGES, found->scores[0], NULL));
  WRITES("save a detector", path, read_anomaly, seed_anomaly_save(own->anomaly, path));
  DO("add parts", seed_anomaly_add(own->anomaly, own->config, own->dataset, NULL, NULL, NULL));
  WRITES("save over a detector", path, read_anomaly, seed_anomaly_save(own->anomaly, path));
  WRITES("export a detector", exported, read_model, seed_anomaly_export(own->anomaly, exported, &how));
  seed_anomaly_free(own->anomaly);
  own->anomaly = NULL;
  DO("open a detector", seed_anomaly_open(path, own->config, &own->anomaly));
  DO("score again", seed_anomaly_score(own->anomaly, images, IMAGES, found->scores[1], NULL));
  DO("embed", seed_session_embed_dataset(own->session, own->dataset, NULL, NULL, NULL, vectors, FRAMES * DIM, &length));
  for (i = 0; i < DRIFT_ROWS * DIM; ++i) rows[i] = (float)((i * 2654435761u >> 8) % 1000) / 500 - 1;
  DO("drift reference", seed_drift_new(rows, DRIFT_ROWS, DIM, &own->drift));
  WRITES("save a drift reference", reference, read_drift, seed_drift_save(own->drift, reference));
  seed_drift_free(own->drift);
  own->drift = NULL;
  DO("load a drift reference", seed_drift_load(reference, &own->drift));
  signal.struct_size = sizeof signal;
  DO("measure drift", seed_drift_measure(own->drift, vectors, FRAMES, DIM, &signal));
  found->energy = own->broken ? 0 : signal.energy;
  free(path);
  free(reference);
  free(exported);
}

static inline void hand_over(struct belongings *own, const char *folder, struct findings *found) {
  static const struct {
    const char *name, *stage, *open_stage;
    int32_t format, input;
  } files[] = {{"out.backbone", "export a backbone", "open a backbone", SEED_EXPORT_BACKBONE, 0},
               {"out.torchvision", "export for torchvision", "open torchvision's", SEED_EXPORT_TORCHVISION, 0},
               {"out.onnx", "export as ONNX", "open ONNX", SEED_EXPORT_ONNX, SEED_EXPORT_INPUT_BYTES},
               {"out.pt", "export as TorchScript", "open TorchScript", SEED_EXPORT_TORCHSCRIPT, SEED_EXPORT_INPUT_UNIT}};
  int64_t labels[FRAMES];
  seed_gate_options options;
  seed_verdict verdict;
  unsigned i;
  for (i = 0; i < FRAMES; ++i) labels[i] = i % CLASSES;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.k = 1;
  verdict.struct_size = sizeof verdict;
  DO("gate", seed_gate_judge(own->session, own->other, own->session, own->dataset, own->dataset, labels, FRAMES, &options, NULL,
                             NULL, &verdict));
  found->kl = own->broken ? 0 : verdict.kl.new_value;
  for (i = 0; i < sizeof files / sizeof *files; ++i) {
    char *path = path_in(folder, files[i].name);
    seed_export_options how;
    memset(&how, 0, sizeof how);
    how.struct_size = sizeof how;
    how.format = files[i].format;
    how.input = files[i].input;
    WRITES(files[i].stage, path, read_model, seed_student_export(own->student, path, &how));
    DO(files[i].open_stage, seed_model_open(path, &own->model));
    seed_model_free(own->model);
    own->model = NULL;
    free(path);
  }
}

/* The whole of it; the error of the fault, if there was one. */
static inline seed_error *live_on_site(const char *folder, struct findings *found) {
  struct belongings all, *own = &all;
  char *path = path_in(folder, "student.safetensors");
  memset(own, 0, sizeof *own);
  memset(found, 0, sizeof *found);
  own->config = small_config();
  OK(seed_config_set_int(own->config, "finetune.epochs", 1));
  OK(seed_config_set_int(own->config, "finetune.batch_size", 3));
  OK(seed_config_set_float(own->config, "finetune.held_out", 0.34));
  OK(seed_config_set_float(own->config, "anomaly.memory_share", 0.1));
  DO("load the student", seed_student_load(path, own->config, &own->student));
  DO("session", seed_session_from_student(own->student, own->config, &own->session));
  DO("another session", seed_session_open(path, own->config, &own->other));
  collect(own, folder);
  classify(own, folder, found);
  watch(own, folder, found);
  hand_over(own, folder, found);
  stage = "the end";
  depart(own);
  free(path);
  return own->error;
}

/* A session takes the fastest of its ways to compute, so that two lives differ in their last bits. */
static inline int same_findings(const struct findings *a, const struct findings *b) {
  unsigned i, j;
  for (i = 0; i < 2; ++i) {
    for (j = 0; j < FRAMES; ++j)
      if (!(fabsf(a->confidences[i][j] - b->confidences[i][j]) < 1e-3f)) return 0;
    for (j = 0; j < IMAGES; ++j)
      if (!(fabsf(a->scores[i][j] - b->scores[i][j]) < 1e-3f * (1 + fabsf(a->scores[i][j])))) return 0;
  }
  return fabs(a->energy - b->energy) < 1e-3 && fabs(a->kl - b->kl) < 1e-3;
}
