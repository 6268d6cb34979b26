/* Every function of the library that has a callback, called with small things: for programs whose callbacks do what they should
 * not. They define
 *
 *   CALL(call)                     how a call with a callback is made and judged; before this is included
 *   static int32_t inside(void)    what each callback does and answers
 *   static void over(int line)     what follows such a call; ends with free_all */
#include "station.h"

#include <unistd.h>

#define FRAMES 18
#define CLASSES 3
#define STORED 60 /* enough for a night */
#define CAPACITY (FRAMES * DIM)

static const char *const names[CLASSES] = {"a", "b", "c"};
static char *p_images, *p_teacher, *p_student, *p_bank, *p_store, *p_night, *p_distil;
static int64_t labels[FRAMES];

/* Everything that a case works with; what it does not use stays NULL. */
struct objects {
  seed_config *config;
  seed_dataset *dataset;
  seed_teacher *teacher, *stored;
  seed_student *student;
  seed_queue *queue;
  seed_trainer *trainer;
  seed_bank *bank;
  seed_session *session;
  seed_store *store;
  seed_classifier *classifier;
  seed_anomaly *anomaly;
  seed_segmenter *segmenter;
  seed_drift *drift;
  seed_report *report;
  seed_cancel_token *token;
};
static struct objects all;
static volatile int calls; /* of the case's callback */

static int32_t inside(void);
static void over(int line);

/* All of them, and each twice. */
static void free_all(const struct objects *o) {
  int time;
  for (time = 0; time < 2; ++time) {
    seed_config_free(o->config);
    seed_dataset_free(o->dataset);
    seed_teacher_free(o->teacher);
    seed_teacher_free(o->stored);
    seed_student_free(o->student);
    seed_queue_free(o->queue);
    seed_trainer_free(o->trainer);
    seed_bank_free(o->bank);
    seed_session_free(o->session);
    seed_store_free(o->store);
    seed_classifier_free(o->classifier);
    seed_anomaly_free(o->anomaly);
    seed_segmenter_free(o->segmenter);
    seed_drift_free(o->drift);
    seed_report_free(o->report);
    seed_cancel_token_free(o->token);
  }
}

static int32_t on_progress(const seed_progress *progress, void *user_data) {
  return (void)progress, (void)user_data, inside();
}
static int32_t on_rows(const seed_bank_progress *progress, void *user_data) {
  return (void)progress, (void)user_data, inside();
}
static int32_t on_count(size_t done, size_t total, void *user_data) {
  return (void)done, (void)total, (void)user_data, inside();
}
static int32_t on_fit(const seed_finetune_progress *progress, void *user_data) {
  return (void)progress, (void)user_data, inside();
}
static int32_t on_distil(const seed_distil_progress *progress, void *user_data) {
  return (void)progress, (void)user_data, inside();
}
static int32_t on_night(const seed_night_progress *progress, void *user_data) {
  return (void)progress, (void)user_data, inside();
}

/* ---- what the cases work with ---- */

static void begin(void) {
  unsigned i;
  memset(&all, 0, sizeof all);
  calls = 0;
  all.config = small_config();
  OK(seed_config_set_int(all.config, "finetune.epochs", 2));
  OK(seed_config_set_int(all.config, "finetune.batch_size", 3));
  OK(seed_config_set_int(all.config, "linear.epochs", 2));
  OK(seed_config_set_float(all.config, "finetune.held_out", 0.34));
  OK(seed_config_set_float(all.config, "anomaly.memory_share", 0.1));
  OK(seed_cancel_token_new(&all.token));
  OK(seed_dataset_new(&all.dataset));
  for (i = 0; i < FRAMES; ++i) {
    uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
    seed_image image = view_of(pixels);
    paint(pixels, i);
    OK(seed_dataset_push(all.dataset, &image, NULL, NULL));
  }
  OK(seed_student_load(p_student, all.config, &all.student));
}

static inline void with_teacher(void) { OK(seed_teacher_load(p_teacher, "mobilenet_v3_small", all.config, &all.teacher)); }
static inline void with_session(void) { OK(seed_session_from_student(all.student, all.config, &all.session)); }
static inline void with_trainer(void) {
  with_teacher();
  OK(seed_queue_new(10, DIM, 1, &all.queue));
  OK(seed_trainer_new(all.config, all.student, all.teacher, all.queue, all.dataset, &all.trainer));
}
static inline void with_classifier(void) {
  OK(seed_classifier_fit(all.config, all.student, NULL, NULL, all.dataset, labels, FRAMES, names, CLASSES, NULL, NULL,
                         NULL, NULL, &all.classifier));
}
static inline void with_anomaly(void) {
  OK(seed_anomaly_fit(all.config, all.student, all.dataset, NULL, NULL, NULL, &all.anomaly));
}
static inline void with_bank(void) {
  with_teacher();
  OK(seed_config_set_int(all.config, "view_count", 2));
  (void)remove(p_bank);
  OK(seed_bank_fill(p_bank, all.config, all.teacher, all.dataset, 0, NULL, NULL, NULL, NULL));
  OK(seed_bank_open(p_bank, all.teacher, &all.bank));
  OK(seed_teacher_from_bank(all.bank, &all.stored));
}
static void remove_all(const char *path) {
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", path);
  CHECK(system(command) == 0);
}
static inline void with_store(void) {
  unsigned i;
  remove_all(p_store);
  OK(seed_store_open(p_store, NULL, &all.store));
  for (i = 0; i < STORED; ++i) {
    uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
    seed_image image = view_of(pixels);
    int64_t id = 0;
    paint(pixels, i);
    OK(seed_store_push(all.store, &image, NULL, 10000, &id));
  }
  OK(seed_store_flush(all.store));
}

static int released;
static void on_release(void *user_data) {
  (void)user_data;
  ++released;
}
static int32_t on_batch(seed_teacher_batch *batch, void *user_data) {
  size_t i;
  (void)user_data;
  (void)inside();
  for (i = 0; i < batch->count * (size_t)DIM; ++i) batch->embeddings[i] = (float)(i % 7) + 1;
  return 0;
}

/* Every function that has a callback, with a callback. */
static void each_call(void) {
  float rows[CAPACITY];
  size_t length = 0;
  int32_t outcome = -1;
  int64_t classes[FRAMES];
  float confidences[FRAMES];
  uint8_t unsure[FRAMES];
  char text[8192];
  double recalls[CLASSES];
  unsigned i;

  begin(), with_trainer();
  CALL(seed_trainer_run(all.trainer, 0, on_progress, NULL, all.token, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  over(__LINE__);

  begin();
  released = 0;
  OK(seed_teacher_from_callback(on_batch, NULL, on_release, DIM, "own", SEED_BATCH_FLOAT_NCHW, SEED_DEVICE_CPU,
                                all.config, &all.teacher));
  OK(seed_trainer_new(all.config, all.student, all.teacher, NULL, all.dataset, &all.trainer));
  CALL(seed_trainer_run(all.trainer, 0, NULL, NULL, all.token, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  over(__LINE__);
  CHECK(released == 1);

  begin(), with_teacher();
  OK(seed_config_set_int(all.config, "view_count", 2));
  (void)remove(p_bank);
  CALL(seed_bank_fill(p_bank, all.config, all.teacher, all.dataset, 0, on_rows, NULL, all.token, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  over(__LINE__);

  begin(), with_session();
  CALL(seed_session_embed_dataset(all.session, all.dataset, on_count, NULL, all.token, rows, CAPACITY, &length));
  CHECK(length == CAPACITY);
  over(__LINE__);

  begin(), with_classifier();
  CALL(seed_classifier_classify_dataset(all.classifier, all.dataset, on_count, NULL, all.token, classes, confidences,
                                      unsure, NULL, FRAMES));
  over(__LINE__);
  begin(), with_classifier();
  CALL(seed_classifier_judge(all.classifier, all.dataset, labels, FRAMES, on_count, NULL, all.token, text, sizeof text,
                           &length));
  over(__LINE__);
  for (i = 0; i < 2; ++i) {
    seed_classifier *next = NULL;
    begin(), with_classifier(), with_teacher();
    OK(seed_config_set_string(all.config, "finetune.mode", "full"));
    if (i == 0)
      CALL(seed_classifier_fit(all.config, NULL, all.classifier, NULL, all.dataset, labels, FRAMES, names, CLASSES,
                             on_fit, NULL, all.token, &outcome, &next));
    else
      CALL(seed_classifier_distil(all.config, all.student, NULL, NULL, all.classifier, all.dataset, labels, FRAMES, names,
                                CLASSES, on_fit, NULL, all.token, &outcome, &next));
    CHECK(next != NULL);
    over(__LINE__);
    seed_classifier_free(next);
  }

  for (i = 0; i < 2; ++i) {
    seed_anomaly *next = NULL;
    begin();
    if (i == 0) {
      CALL(seed_anomaly_fit(all.config, all.student, all.dataset, on_count, NULL, all.token, &next));
      CHECK(next != NULL);
    } else {
      with_anomaly();
      CALL(seed_anomaly_add(all.anomaly, all.config, all.dataset, on_count, NULL, all.token));
    }
    over(__LINE__);
    seed_anomaly_free(next);
  }

  for (i = 0; i < 2; ++i) {
    seed_linear_result result;
    result.struct_size = sizeof result;
    begin();
    if (i == 0)
      CALL(seed_semi_supervised_evaluate(all.config, all.student, all.dataset, labels, FRAMES, 2, on_count, NULL,
                                       all.token, &result, recalls, CLASSES));
    else
      CALL(seed_transfer_evaluate(all.config, all.student, all.dataset, labels, FRAMES, all.dataset, labels, FRAMES, 2,
                                on_count, NULL, all.token, &result, recalls, CLASSES));
    over(__LINE__);
  }

  for (i = 0; i < 2; ++i) {
    static uint8_t pixels[WIDTH * HEIGHT];
    seed_image masks[FRAMES];
    seed_segmentation_result result;
    unsigned k;
    result.struct_size = sizeof result;
    for (k = 0; k < WIDTH * HEIGHT; ++k) pixels[k] = k % WIDTH < WIDTH / 2;
    for (k = 0; k < FRAMES; ++k) {
      masks[k] = view_of(pixels);
      masks[k].format = SEED_PIXEL_MONO8;
      masks[k].row_stride = WIDTH;
    }
    begin();
    if (i == 0)
      CALL(seed_segmenter_fit(all.config, all.student, all.dataset, masks, FRAMES, names, 2, on_count, NULL, all.token,
                            &all.segmenter));
    else
      CALL(seed_segmentation_evaluate(all.config, all.student, all.dataset, masks, FRAMES, 2, 2, on_count, NULL, all.token,
                                    &result, NULL));
    over(__LINE__);
  }

  {
    seed_linear_sgd_result result;
    result.struct_size = sizeof result;
    begin();
    CALL(seed_linear_sgd_evaluate(all.config, all.student, all.dataset, labels, FRAMES, all.dataset, labels, FRAMES, on_fit,
                                NULL, all.token, &result, recalls, CLASSES));
    over(__LINE__);
  }

  {
    seed_verdict verdict;
    seed_gate_options options;
    verdict.struct_size = sizeof verdict;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.k = 1;
    begin(), with_session();
    CALL(seed_gate_judge(all.session, all.session, all.session, all.dataset, all.dataset, labels, FRAMES, &options,
                       on_count, NULL, &verdict));
    over(__LINE__);
  }

  for (i = 0; i < 2; ++i) {
    uint64_t saved = 0, lost = 0;
    char path[600];
    begin(), with_store();
    seed_store_free(all.store); /* nobody writes */
    all.store = NULL;
    snprintf(path, sizeof path, "%s.copy", p_store);
    if (i == 0) CALL(seed_store_check(p_store, on_count, NULL));
    else CALL((remove(path), seed_store_repair(p_store, path, on_count, NULL, &saved, &lost, NULL)));
    CHECK(saved == i * STORED && lost == 0);
    over(__LINE__);
  }

  {
    seed_distilled *distilled = NULL;
    remove_all(p_distil);
    begin(), with_teacher();
    CALL(seed_distil(all.dataset, all.teacher, "resnet10_w0.25", NULL, 1, p_distil, all.config, on_distil, NULL, all.token,
                     &distilled));
    seed_distilled_free(distilled);
    over(__LINE__);
  }

  {
    seed_night_options options;
    seed_night_result result;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.min_new_frames = 20;
    options.held_out = .3;
    options.k = 3;
    options.kl_margin = 10; /* whatever two steps bring */
    options.overlap_margin = 1;
    options.latency_factor = 1e6;
    memset(&result, 0, sizeof result);
    result.struct_size = sizeof result;
    remove_all(p_night);
    begin(), with_teacher(), with_session(), with_store();
    CALL(seed_night_run(all.config, all.store, all.teacher, p_night, all.student, &options, all.session, on_night, NULL,
                      all.token, &result));
    CHECK(result.outcome == SEED_NIGHT_LIVE);
    over(__LINE__);
  }
}

/* The files in `folder`. */
static void prepare(const char *folder) {
  seed_config *config;
  unsigned i;
  p_images = path_in(folder, "images");
  p_teacher = path_in(folder, "teacher.safetensors");
  p_student = path_in(folder, "student.safetensors");
  p_bank = path_in(folder, "teacher.bank");
  p_store = path_in(folder, "frames.store");
  p_night = path_in(folder, "night");
  p_distil = path_in(folder, "distilled");
  for (i = 0; i < FRAMES; ++i) labels[i] = (int64_t)(i % CLASSES);
  OK(seed_init(SEED_ABI_VERSION));
  OK(seed_log_set_callback(SEED_LOG_OFF, NULL, NULL));
  config = small_config();
  write_teacher(config, p_teacher);
  write_teacher(config, p_student);
  seed_config_free(config);
}

static void forget(void) {
  free(p_images);
  free(p_teacher);
  free(p_student);
  free(p_bank);
  free(p_store);
  free(p_night);
  free(p_distil);
}
