/* Handles that are freed while they are used: by the callback of the very call that uses them, and by another thread. The call
 * goes on to its end, later ones are told, and nothing is lost, read where nothing is, or freed twice.
 *
 *   freed FOLDER */
#include "station.h"

#include <pthread.h>
#include <unistd.h>

#define FRAMES 18
#define CLASSES 3
#define STORED 60 /* enough for a night */
#define CAPACITY (FRAMES * DIM)

static const char *const names[CLASSES] = {"a", "b", "c"};
static char *p_images, *p_teacher, *p_student, *p_bank, *p_store, *p_night;
static int32_t labels[FRAMES];
static int64_t wide_labels[FRAMES];

/* Everything that a case works with; what it does not use stays NULL. */
struct objects {
  seed_config *config;
  seed_dataset *dataset;
  seed_teacher *teacher;
  seed_student *student;
  seed_queue *queue;
  seed_trainer *trainer;
  seed_bank *bank;
  seed_session *session;
  seed_store *store;
  seed_classifier *classifier;
  seed_anomaly *anomaly;
  seed_drift *drift;
  seed_report *report;
  seed_cancel_token *token;
};
static struct objects all;
static volatile int calls;

/* All of them, and each twice. */
static void free_all(const struct objects *o) {
  int time;
  for (time = 0; time < 2; ++time) {
    seed_config_free(o->config);
    seed_dataset_free(o->dataset);
    seed_teacher_free(o->teacher);
    seed_student_free(o->student);
    seed_queue_free(o->queue);
    seed_trainer_free(o->trainer);
    seed_bank_free(o->bank);
    seed_session_free(o->session);
    seed_store_free(o->store);
    seed_classifier_free(o->classifier);
    seed_anomaly_free(o->anomaly);
    seed_drift_free(o->drift);
    seed_report_free(o->report);
    seed_cancel_token_free(o->token);
  }
}

static int32_t inside(void) {
  if (calls++ == 0) free_all(&all);
  return 0;
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

static void with_teacher(void) { OK(seed_teacher_load(p_teacher, "mobilenet_v3_small", all.config, &all.teacher)); }
static void with_session(void) { OK(seed_session_from_student(all.student, all.config, &all.session)); }
static void with_trainer(void) {
  with_teacher();
  OK(seed_queue_new(10, DIM, 1, &all.queue));
  OK(seed_trainer_new(all.config, all.student, all.teacher, all.queue, all.dataset, &all.trainer));
}
static void with_classifier(void) {
  OK(seed_classifier_fit(all.config, all.student, NULL, NULL, all.dataset, labels, FRAMES, names, CLASSES, NULL, NULL,
                         NULL, NULL, &all.classifier));
}
static void with_anomaly(void) {
  OK(seed_anomaly_fit(all.config, all.student, all.dataset, NULL, NULL, NULL, &all.anomaly));
}
static void with_bank(void) {
  with_teacher();
  OK(seed_config_set_int(all.config, "view_count", 2));
  (void)remove(p_bank);
  OK(seed_bank_fill(p_bank, all.config, all.teacher, all.dataset, 0, NULL, NULL, NULL, NULL));
  OK(seed_bank_open(p_bank, all.teacher, &all.bank));
}
static void with_store(void) {
  char command[600];
  unsigned i;
  snprintf(command, sizeof command, "rm -rf '%s'", p_store);
  CHECK(system(command) == 0);
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

/* The call was over and its callback came; whoever asks now is told. */
static void over(int line) {
  int64_t number = 77;
  size_t size = 77;
  if (calls == 0) fprintf(stderr, "line %d: the callback did not come\n", line), ++failures;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_get_int(all.config, "batch_size", &number));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_count(all.dataset, &size));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_dim(all.student, &number));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_cancel_token_trigger(all.token));
  CHECK(number == 77 && size == 77);
  free_all(&all);
}

/* ---- freed by the call's own callback ---- */

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

static void by_callbacks(void) {
  float rows[CAPACITY];
  size_t length = 0;
  int32_t outcome = -1, classes[FRAMES];
  float confidences[FRAMES];
  uint8_t unsure[FRAMES];
  char text[8192];
  double recalls[CLASSES];
  unsigned i;

  begin(), with_trainer();
  OK(seed_trainer_run(all.trainer, 0, on_progress, NULL, all.token, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED && calls >= 2);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_trainer_run(all.trainer, 0, on_progress, NULL, NULL, &outcome));
  over(__LINE__);

  begin();
  released = 0;
  OK(seed_teacher_from_callback(on_batch, NULL, on_release, DIM, "own", SEED_BATCH_FLOAT_NCHW, SEED_DEVICE_CPU,
                                all.config, &all.teacher));
  OK(seed_trainer_new(all.config, all.student, all.teacher, NULL, all.dataset, &all.trainer));
  OK(seed_trainer_run(all.trainer, 0, NULL, NULL, all.token, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED && released == 1);
  over(__LINE__);
  CHECK(released == 1);

  begin(), with_teacher();
  OK(seed_config_set_int(all.config, "view_count", 2));
  (void)remove(p_bank);
  OK(seed_bank_fill(p_bank, all.config, all.teacher, all.dataset, 0, on_rows, NULL, all.token, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  over(__LINE__);

  begin(), with_session();
  OK(seed_session_embed_dataset(all.session, all.dataset, on_count, NULL, all.token, rows, CAPACITY, &length));
  CHECK(length == CAPACITY);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_describe(all.session, text, sizeof text, &length));
  over(__LINE__);

  begin(), with_classifier();
  OK(seed_classifier_classify_dataset(all.classifier, all.dataset, on_count, NULL, all.token, classes, confidences,
                                      unsure, NULL, FRAMES));
  over(__LINE__);
  begin(), with_classifier();
  OK(seed_classifier_judge(all.classifier, all.dataset, labels, FRAMES, on_count, NULL, all.token, text, sizeof text,
                           &length));
  over(__LINE__);
  for (i = 0; i < 2; ++i) {
    seed_classifier *next = NULL;
    begin(), with_classifier(), with_teacher();
    OK(seed_config_set_string(all.config, "finetune.mode", "full"));
    if (i == 0)
      OK(seed_classifier_fit(all.config, NULL, all.classifier, NULL, all.dataset, labels, FRAMES, names, CLASSES,
                             on_fit, NULL, all.token, &outcome, &next));
    else
      OK(seed_classifier_distil(all.config, all.student, NULL, NULL, all.classifier, all.dataset, labels, FRAMES, names,
                                CLASSES, on_fit, NULL, all.token, &outcome, &next));
    CHECK(next != NULL);
    over(__LINE__);
    seed_classifier_free(next);
  }

  for (i = 0; i < 2; ++i) {
    seed_anomaly *next = NULL;
    begin();
    if (i == 0) {
      OK(seed_anomaly_fit(all.config, all.student, all.dataset, on_count, NULL, all.token, &next));
      CHECK(next != NULL);
    } else {
      with_anomaly();
      OK(seed_anomaly_add(all.anomaly, all.config, all.dataset, on_count, NULL, all.token));
    }
    over(__LINE__);
    seed_anomaly_free(next);
  }

  for (i = 0; i < 2; ++i) {
    seed_linear_result result;
    result.struct_size = sizeof result;
    begin();
    if (i == 0)
      OK(seed_semi_supervised_evaluate(all.config, all.student, all.dataset, labels, FRAMES, 2, on_count, NULL,
                                       all.token, &result, recalls, CLASSES));
    else
      OK(seed_transfer_evaluate(all.config, all.student, all.dataset, labels, FRAMES, all.dataset, labels, FRAMES, 2,
                                on_count, NULL, all.token, &result, recalls, CLASSES));
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
    OK(seed_gate_judge(all.session, all.session, all.session, all.dataset, all.dataset, wide_labels, FRAMES, &options,
                       on_count, NULL, &verdict));
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
    begin(), with_teacher(), with_session(), with_store();
    OK(seed_night_run(all.config, all.store, all.teacher, p_night, all.student, &options, all.session, on_night, NULL,
                      all.token, &result));
    CHECK(result.outcome == SEED_NIGHT_LIVE);
    over(__LINE__);
  }
}

/* ---- freed by another thread ---- */

static volatile int working, told;

static seed_error *use_session(void) {
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  float row[DIM];
  size_t length = 0;
  paint(pixels, 1);
  return seed_session_embed(all.session, &image, 1, row, DIM, &length);
}
static seed_error *use_dataset(void) {
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  paint(pixels, 2);
  return seed_dataset_push(all.dataset, &image, NULL, NULL);
}
static seed_error *use_queue(void) {
  float rows[DIM] = {1};
  return seed_queue_push(all.queue, rows, 1, DIM);
}
static seed_error *use_trainer(void) { return seed_trainer_run(all.trainer, 1, NULL, NULL, all.token, NULL); }
static seed_error *use_bank(void) { return seed_bank_verify(all.bank); }
static seed_error *use_store(void) {
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  int64_t id = 0;
  paint(pixels, 3);
  return seed_store_push(all.store, &image, NULL, 10000, &id);
}
static seed_error *use_classifier(void) {
  int32_t classes[FRAMES];
  float confidences[FRAMES];
  uint8_t unsure[FRAMES];
  return seed_classifier_classify_dataset(all.classifier, all.dataset, NULL, NULL, NULL, classes, confidences, unsure,
                                          NULL, FRAMES);
}
static seed_error *use_anomaly(void) {
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  float score = 0;
  paint(pixels, 4);
  return seed_anomaly_score(all.anomaly, &image, 1, &score, NULL);
}
static seed_error *use_drift(void) {
  static float rows[FRAMES * DIM];
  seed_drift_signal signal;
  signal.struct_size = sizeof signal;
  return seed_drift_measure(all.drift, rows, FRAMES, DIM, &signal);
}
static seed_error *use_config(void) {
  int64_t value = 0;
  return seed_config_get_int(all.config, "batch_size", &value);
}
static seed_error *use_report(void) { return seed_report_add_point(all.report, "loss", "x", "y", "a", 1, 1); }
static seed_error *use_token(void) { return seed_cancel_token_reset(all.token); }
static seed_error *use_student(void) { return seed_student_save(all.student, p_student); }
static seed_error *use_teacher(void) {
  seed_session *session = NULL;
  seed_error *error = seed_session_from_teacher(all.teacher, all.config, &session);
  seed_session_free(session);
  return error;
}

/* Uses the object until it is gone. */
static void *work(void *argument) {
  seed_error *(*use)(void) = *(seed_error * (**)(void)) argument;
  for (;;) {
    seed_error *error = use();
    int32_t code = seed_error_code(error);
    __atomic_fetch_add(&working, 1, __ATOMIC_RELAXED);
    if (code == SEED_ERROR_INVALID_ARGUMENT && strstr(seed_error_message(error), "freed already") != NULL) {
      __atomic_fetch_add(&told, 1, __ATOMIC_RELAXED);
      seed_error_free(error);
      return NULL;
    }
    if (code != SEED_OK && code != SEED_ERROR_BUSY) {
      fprintf(stderr, "code %d: %s\n", (int)code, seed_error_message(error));
      __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
      seed_error_free(error);
      return NULL;
    }
    seed_error_free(error);
  }
}

/* Four threads use an object; a fifth frees it. */
static void freed_under(seed_error *(*use)(void), void (*release)(void)) {
  pthread_t threads[4];
  unsigned i;
  working = told = 0;
  for (i = 0; i < 4; ++i) CHECK(pthread_create(&threads[i], NULL, work, &use) == 0);
  while (__atomic_load_n(&working, __ATOMIC_RELAXED) < 8 && failures == 0) usleep(1000);
  release();
  for (i = 0; i < 4; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(told == 4);
}

#define RELEASE(type, field)                                                                                           \
  static void release_##field(void) { type##_free(all.field); }
RELEASE(seed_session, session)
RELEASE(seed_dataset, dataset)
RELEASE(seed_queue, queue)
RELEASE(seed_trainer, trainer)
RELEASE(seed_bank, bank)
RELEASE(seed_store, store)
RELEASE(seed_classifier, classifier)
RELEASE(seed_anomaly, anomaly)
RELEASE(seed_drift, drift)
RELEASE(seed_config, config)
RELEASE(seed_report, report)
RELEASE(seed_cancel_token, token)
RELEASE(seed_student, student)
RELEASE(seed_teacher, teacher)

static void by_threads(void) {
  static float rows[600 * DIM];
  unsigned i;
  for (i = 0; i < 600 * DIM; ++i) rows[i] = (float)((i * 2654435761u >> 8) % 1000) / 500 - 1;
  begin(), with_bank(), with_session(), with_store(), with_classifier(), with_anomaly();
  OK(seed_queue_new(10, DIM, 1, &all.queue));
  OK(seed_config_set_int(all.config, "view_count", 0));
  OK(seed_config_set_int(all.config, "steps", 1000000));
  OK(seed_trainer_new(all.config, all.student, all.teacher, all.queue, all.dataset, &all.trainer));
  OK(seed_drift_new(rows, 600, DIM, &all.drift));
  OK(seed_report_new("freed", &all.report));
  freed_under(use_trainer, release_trainer);
  freed_under(use_session, release_session);
  freed_under(use_classifier, release_classifier);
  freed_under(use_dataset, release_dataset);
  freed_under(use_queue, release_queue);
  freed_under(use_bank, release_bank);
  freed_under(use_store, release_store);
  freed_under(use_anomaly, release_anomaly);
  freed_under(use_drift, release_drift);
  freed_under(use_report, release_report);
  freed_under(use_token, release_token);
  freed_under(use_student, release_student);
  freed_under(use_teacher, release_teacher);
  freed_under(use_config, release_config);
  free_all(&all);
}

/* ---- errors are objects too ---- */

static void errors(void) {
  int64_t value = 77;
  seed_error *error = seed_config_get_int(NULL, "batch_size", &value);
  CHECK(seed_error_code(error) == SEED_ERROR_INVALID_ARGUMENT && strstr(seed_error_message(error), "NULL") != NULL);
  seed_error_free(error);
  CHECK(seed_error_code(error) == SEED_ERROR_INVALID_ARGUMENT);
  CHECK(strstr(seed_error_message(error), "freed already") != NULL);
  seed_error_free(error);
  seed_error_free((seed_error *)&value);
  CHECK(value == 77 && seed_error_code((seed_error *)&value) == SEED_ERROR_INVALID_ARGUMENT);
}

int main(int count, char **words) {
  seed_config *config;
  unsigned i;
  if (count < 2) return 2;
  p_images = path_in(words[1], "images");
  p_teacher = path_in(words[1], "teacher.safetensors");
  p_student = path_in(words[1], "student.safetensors");
  p_bank = path_in(words[1], "teacher.bank");
  p_store = path_in(words[1], "frames.store");
  p_night = path_in(words[1], "night");
  for (i = 0; i < FRAMES; ++i) wide_labels[i] = labels[i] = (int32_t)(i % CLASSES);
  OK(seed_init(SEED_ABI_VERSION));
  OK(seed_log_set_callback(SEED_LOG_OFF, NULL, NULL));
  config = small_config();
  write_teacher(config, p_teacher);
  write_teacher(config, p_student);
  seed_config_free(config);
  errors();
  by_callbacks();
  by_threads();
  free(p_images);
  free(p_teacher);
  free(p_student);
  free(p_bank);
  free(p_store);
  free(p_night);
  if (failures == 0) printf("freed: all checks passed\n");
  return failures != 0;
}
