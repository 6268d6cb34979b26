/* Handles that are freed while they are used: by the callback of the very call that uses them, and by another thread. The call
 * goes on to its end, later ones are told, and nothing is lost, read where nothing is, or freed twice.
 *
 *   freed FOLDER */
#define CALL(call) OK(call)
#include "calls.h"

#include <pthread.h>

/* ---- freed by the call's own callback ---- */

static int32_t inside(void) {
  if (calls++ == 0) free_all(&all);
  return 0;
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
static seed_error *use_bank(void) {
  seed_teacher *own = NULL;
  int64_t dim = 0;
  seed_error *error = seed_bank_verify(all.bank);
  if (error == NULL) error = seed_teacher_from_bank(all.bank, &own);
  if (error == NULL) error = seed_teacher_dim(own, &dim); /* whatever becomes of the bank's handle */
  if (error == NULL && dim != DIM) __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
  seed_teacher_free(own);
  return error;
}
static seed_error *use_store(void) {
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  int64_t id = 0;
  paint(pixels, 3);
  return seed_store_push(all.store, &image, NULL, 10000, &id);
}
static seed_error *use_classifier(void) {
  int64_t classes[FRAMES];
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
static seed_error *use_stored(void) {
  int64_t dim = 0; /* the bank's handle was freed before */
  return seed_teacher_dim(all.stored, &dim);
}
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
RELEASE(seed_teacher, stored)

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
  freed_under(use_stored, release_stored);
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
  if (count < 2) return 2;
  prepare(words[1]);
  errors();
  each_call();
  by_threads();
  forget();
  if (failures == 0) printf("freed: all checks passed\n");
  return failures != 0;
}
