/* Every misuse that seed.h and docs/abi.md speak of gives the code that they name, and leaves everything usable. */
#include "station.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static char *p_images, *p_teacher, *p_checkpoint, *p_student, *p_bank;
static seed_config *config;
static seed_teacher *teacher;
static seed_dataset *dataset;

/* ---- before seed_init, and with another ABI ---- */

static void before_init(void) {
  seed_config *none = NULL;
  seed_dataset *no_dataset = NULL;
  seed_queue *no_queue = NULL;
  uint32_t count = 77;
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_config_new(&none));
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_dataset_new(&no_dataset));
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_queue_new(4, 4, 0, &no_queue));
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_device_count(&count));
  CHECK(none == NULL && no_dataset == NULL && no_queue == NULL && count == 77);
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_init(0));
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_init(SEED_ABI_VERSION + 1));
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_init(UINT32_MAX));
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_config_new(&none)); /* a wrong seed_init is none */
  CHECK(strchr(seed_version(), '.') != NULL);
  OK(seed_log_set_callback(SEED_LOG_OFF, NULL, NULL));
  OK(seed_init(SEED_ABI_VERSION));
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_init(SEED_ABI_VERSION + 1)); /* and the right one stays */
  OK(seed_config_new(&none));
  seed_config_free(none);
}

/* ---- processes that are forked off ---- */

/* The status of a child that runs `work`; it may hang, so it has a minute. */
static int forked(int (*work)(void)) {
  int status = -1;
  pid_t child;
  fflush(NULL);
  child = fork();
  if (child == 0) {
    alarm(60);
    _exit(work());
  }
  CHECK(waitpid(child, &status, 0) == child);
  return status;
}

static int makes_a_queue(void) {
  seed_queue *queue = NULL;
  OK(seed_queue_new(4, 4, 0, &queue));
  seed_queue_free(queue);
  return failures;
}

/* As a daemon does: seed_init, then fork, then work. */
static int after_init(void) {
  OK(seed_init(SEED_ABI_VERSION));
  CHECK(forked(makes_a_queue) == 0);
  return failures;
}

static int after_use(void) {
  seed_queue *none = NULL;
  seed_session *session = NULL;
  int64_t dim = 77;
  size_t length = 77;
  float rows[4] = {1, 2, 3, 4};
  uint32_t nearest[2] = {77, 77};
  seed_error *error = seed_teacher_dim(teacher, &dim);
  CHECK(seed_error_code(error) == SEED_ERROR_UNSUPPORTED && strstr(seed_error_message(error), "fork") != NULL);
  seed_error_free(error);
  FAILS(SEED_ERROR_UNSUPPORTED, seed_queue_new(4, 4, 0, &none));
  FAILS(SEED_ERROR_UNSUPPORTED, seed_session_from_teacher(teacher, config, &session));
  FAILS(SEED_ERROR_UNSUPPORTED, seed_neighbours(rows, 2, 2, 1, nearest, 2, &length));
  CHECK(none == NULL && session == NULL && dim == 77 && length == 77 && nearest[0] == 77);
  CHECK(strchr(seed_version(), '.') != NULL);
  seed_teacher_free(teacher); /* the parent's: nothing */
  seed_dataset_free(dataset);
  return failures;
}

/* ---- handles ---- */

/* A freed handle is told, and nothing is read where it was; freed.c has those that are in use. */
static void freed_handles(void) {
  seed_config *gone = NULL;
  seed_cancel_token *token = NULL;
  seed_queue *queue = NULL;
  int64_t number = 77;
  size_t size = 77;
  OK(seed_config_new(&gone));
  seed_config_free(gone);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_get_int(gone, "batch_size", &number));
  seed_config_free(gone); /* the second time: nothing */
  OK(seed_cancel_token_new(&token));
  seed_cancel_token_free(token);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_cancel_token_trigger(token));
  seed_cancel_token_free(token);
  OK(seed_queue_new(4, 4, 0, &queue));
  seed_queue_free(queue);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_queue_length(queue, &size));
  seed_queue_free(queue);
  CHECK(number == 77 && size == 77);
}

/* Objects hold what they use, so they may be freed in any order. */
static void any_order(void) {
  seed_config *own = small_config();
  seed_student *student = NULL;
  seed_teacher *other = NULL;
  seed_dataset *images = NULL;
  seed_queue *queue = NULL;
  seed_trainer *trainer = NULL;
  seed_session *session = NULL;
  seed_cancel_token *token = NULL;
  float vectors[IMAGES * DIM];
  size_t length = 0;
  int32_t outcome = -1;
  OK(seed_teacher_load(p_teacher, "mobilenet_v3_small", own, &other));
  OK(seed_student_new("mobilenet_v3_small", own, &student));
  OK(seed_dataset_open_folder(p_images, &images));
  OK(seed_queue_new(10, DIM, 1, &queue));
  OK(seed_trainer_new(own, student, other, queue, images, &trainer));
  OK(seed_session_from_student(student, own, &session));
  OK(seed_cancel_token_new(&token));
  seed_config_free(own);
  seed_teacher_free(other);
  seed_queue_free(queue);
  seed_student_free(student);
  OK(seed_trainer_run(trainer, 0, NULL, NULL, token, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  OK(seed_trainer_run(trainer, 0, NULL, NULL, token, &outcome)); /* a run that is over is over */
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  seed_trainer_free(trainer);
  OK(seed_session_embed_dataset(session, images, NULL, NULL, token, vectors, IMAGES * DIM, &length));
  seed_dataset_free(images);
  seed_cancel_token_free(token);
  seed_session_free(session);
}

/* ---- buffers ---- */

static void short_buffers(void) {
  seed_session *session = NULL;
  seed_image image;
  uint8_t pixels[WIDTH * HEIGHT * 3], out[8] = {99};
  float vector[DIM];
  uint32_t places[4] = {99};
  char text[4] = {'x', 0, 0, 0};
  size_t length = 0;
  OK(seed_session_from_teacher(teacher, config, &session));
  paint(pixels, 1);
  image = view_of(pixels);
  vector[0] = 77;
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_session_embed(session, &image, 1, vector, DIM - 1, &length));
  CHECK(length == DIM && vector[0] == 77);
  length = 0;
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_session_embed(session, &image, 1, vector, 0, &length));
  CHECK(length == DIM && vector[0] == 77);
  OK(seed_session_embed(session, &image, 1, NULL, 0, &length));
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL,
        seed_session_embed_dataset(session, dataset, NULL, NULL, NULL, vector, DIM, &length));
  CHECK(length == IMAGES * DIM && vector[0] == 77);
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_session_describe(session, text, sizeof text, &length));
  CHECK(text[0] == 'x' && length > 4);
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_config_to_json(config, text, sizeof text, &length));
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_dataset_name(dataset, 0, text, sizeof text, &length));
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_dataset_pixels(dataset, 0, NULL, out, sizeof out, &length));
  CHECK(text[0] == 'x' && out[0] == 99 && length == sizeof pixels);
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_neighbours(vector, 4, 4, 2, places, 4, &length));
  CHECK(places[0] == 99 && length == 8);
  /* An error leaves the whole buffer alone, wherever in the batch it is. */
  {
    seed_image three[3];
    float rows[3 * DIM];
    unsigned i;
    for (i = 0; i < 3 * DIM; ++i) rows[i] = 77;
    for (i = 0; i < 3; ++i) three[i] = image;
    three[2].format = 99;
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_embed(session, three, 3, rows, 3 * DIM, &length));
    for (i = 0; i < 3 * DIM; ++i) CHECK(rows[i] == 77);
    three[2].format = SEED_PIXEL_RGB8;
    three[2].device = 1;
    FAILS(SEED_ERROR_UNSUPPORTED, seed_session_embed(session, three, 3, rows, 3 * DIM, &length));
    CHECK(rows[0] == 77);
  }
  seed_session_free(session);
}

/* Structs of another size, from a program that was compiled with another header. */
static void struct_sizes(void) {
  seed_memory memory;
  seed_knn_result result;
  static const int64_t labels[4] = {0, 1, 0, 1};
  static const float rows[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
  seed_image image;
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  memset(&memory, 77, sizeof memory);
  memory.struct_size = sizeof memory - 8;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_memory_use("cpu", &memory));
  CHECK(memory.struct_size == sizeof memory - 8 && ((uint8_t *)&memory)[sizeof memory - 1] == 77);
  memset(&result, 77, sizeof result);
  result.struct_size = 0;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_knn_evaluate(rows, 4, 4, labels, 1, 2, 0, &result));
  CHECK(result.struct_size == 0 && ((uint8_t *)&result)[sizeof result - 1] == 77);
  image = view_of(pixels);
  image.struct_size = 8;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
}

/* ---- callbacks that reach back ---- */

struct reach {
  seed_trainer *trainer;
  seed_student *student;
  seed_queue *queue;
  seed_session *session;
  seed_cancel_token *token;
  int calls;
};

static int32_t on_progress(const seed_progress *progress, void *user_data) {
  struct reach *reach = (struct reach *)user_data;
  uint64_t step = 77, total = 77;
  size_t length = 0;
  double loss = 77;
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  float rows[DIM] = {1};
  seed_session *fresh = NULL;
  (void)progress;
  ++reach->calls;
  /* The trainer is busy, for every one of its functions. */
  FAILS(SEED_ERROR_BUSY, seed_trainer_run(reach->trainer, 1, NULL, NULL, NULL, NULL));
  FAILS(SEED_ERROR_BUSY, seed_trainer_step(reach->trainer, &image, 1, &loss));
  FAILS(SEED_ERROR_BUSY, seed_trainer_position(reach->trainer, &step, &total));
  FAILS(SEED_ERROR_BUSY, seed_trainer_save(reach->trainer, p_checkpoint));
  FAILS(SEED_ERROR_BUSY, seed_trainer_resume(reach->trainer, p_checkpoint));
  CHECK(step == 77 && total == 77 && loss == 77);
  /* What it works with is not: nothing is locked while a callback runs. */
  OK(seed_student_save(reach->student, p_student));
  OK(seed_queue_length(reach->queue, &length));
  OK(seed_queue_push(reach->queue, rows, 1, DIM));
  OK(seed_session_embed(reach->session, &image, 1, rows, DIM, &length));
  OK(seed_session_from_student(reach->student, config, &fresh));
  OK(seed_session_swap(reach->session, fresh));
  seed_session_free(fresh);
  OK(seed_dataset_count(dataset, &length));
  OK(seed_cancel_token_trigger(reach->token));
  return 0;
}

static int32_t on_count(size_t done, size_t total, void *user_data) {
  struct reach *reach = (struct reach *)user_data;
  float rows[DIM * IMAGES];
  size_t length = 0;
  ++reach->calls;
  CHECK(done <= total);
  /* The session takes its own handle as const, so its callback may use it. */
  OK(seed_session_embed_dataset(reach->session, dataset, NULL, NULL, NULL, rows, DIM * IMAGES, &length));
  return reach->calls == 1 ? 0 : 7;
}

static int32_t on_rows(const seed_bank_progress *progress, void *user_data) {
  struct reach *reach = (struct reach *)user_data;
  seed_bank *bank = NULL;
  (void)progress;
  ++reach->calls;
  FAILS(SEED_ERROR_BUSY, seed_bank_open(p_bank, NULL, &bank));
  FAILS(SEED_ERROR_BUSY, seed_bank_fill(p_bank, config, teacher, dataset, 0, NULL, NULL, NULL, NULL));
  CHECK(bank == NULL);
  return 1;
}

static void callbacks(int nice) {
  struct reach reach;
  int32_t outcome = -1;
  float rows[DIM * IMAGES];
  size_t length = 0;
  memset(&reach, 0, sizeof reach);
  OK(seed_config_set_int(config, "nice", nice));
  OK(seed_student_new("mobilenet_v3_small", config, &reach.student));
  OK(seed_queue_new(10, DIM, 1, &reach.queue));
  OK(seed_cancel_token_new(&reach.token));
  OK(seed_session_from_student(reach.student, config, &reach.session));
  OK(seed_trainer_new(config, reach.student, teacher, reach.queue, dataset, &reach.trainer));
  OK(seed_trainer_save(reach.trainer, p_checkpoint));
  OK(seed_trainer_run(reach.trainer, 0, on_progress, &reach, reach.token, &outcome));
  CHECK(reach.calls == 1 && outcome == SEED_OUTCOME_CANCELLED);
  reach.calls = 0;
  rows[0] = 77;
  OK(seed_session_embed_dataset(reach.session, dataset, on_count, &reach, NULL, rows, DIM * IMAGES, &length));
  CHECK(reach.calls == 1);
  rows[0] = 77;
  FAILS(SEED_ERROR_CANCELLED,
        seed_session_embed_dataset(reach.session, dataset, on_count, &reach, NULL, rows, DIM * IMAGES, &length));
  CHECK(reach.calls == 2 && rows[0] == 77);
  FAILS(SEED_ERROR_CANCELLED, seed_session_embed_dataset(reach.session, dataset, NULL, NULL, reach.token, rows,
                                                         DIM * IMAGES, &length));
  reach.calls = 0;
  OK(seed_config_set_int(config, "view_count", 2));
  (void)remove(p_bank);
  OK(seed_bank_fill(p_bank, config, teacher, dataset, 0, on_rows, &reach, NULL, &outcome));
  CHECK(reach.calls == 1);
  OK(seed_config_set_int(config, "view_count", 0));
  seed_trainer_free(reach.trainer);
  seed_session_free(reach.session);
  seed_queue_free(reach.queue);
  seed_student_free(reach.student);
  seed_cancel_token_free(reach.token);
  OK(seed_config_set_int(config, "nice", 0));
}

/* ---- two threads ---- */

static void *run_paused(void *argument) {
  struct reach *reach = (struct reach *)argument;
  int32_t outcome = -1;
  OK(seed_trainer_run(reach->trainer, 0, NULL, NULL, reach->token, &outcome));
  CHECK(outcome == SEED_OUTCOME_CANCELLED);
  return NULL;
}

static void two_threads(void) {
  struct reach reach;
  pthread_t thread;
  uint64_t step = 0, total = 0;
  int tries = 0, busy = 0;
  memset(&reach, 0, sizeof reach);
  OK(seed_student_new("mobilenet_v3_small", config, &reach.student));
  OK(seed_cancel_token_new(&reach.token));
  OK(seed_cancel_token_pause(reach.token));
  OK(seed_trainer_new(config, reach.student, teacher, NULL, dataset, &reach.trainer));
  CHECK(pthread_create(&thread, NULL, run_paused, &reach) == 0);
  /* The other thread holds the trainer as soon as its call has begun, and pauses there. */
  while (!busy && ++tries < 60000) {
    seed_error *error = seed_trainer_position(reach.trainer, &step, &total);
    busy = seed_error_code(error) == SEED_ERROR_BUSY;
    seed_error_free(error);
    usleep(1000);
  }
  CHECK(busy);
  FAILS(SEED_ERROR_BUSY, seed_trainer_run(reach.trainer, 1, NULL, NULL, NULL, NULL));
  FAILS(SEED_ERROR_BUSY, seed_trainer_save(reach.trainer, p_checkpoint));
  OK(seed_cancel_token_trigger(reach.token));
  CHECK(pthread_join(thread, NULL) == 0);
  OK(seed_trainer_position(reach.trainer, &step, &total));
  seed_cancel_token_free(reach.token);
  seed_trainer_free(reach.trainer);
  seed_student_free(reach.student);
}

/* ---- things that do not fit each other, and places that refuse ---- */

static void misfits(void) {
  seed_student *student = NULL;
  seed_trainer *trainer = NULL;
  seed_session *session = NULL;
  seed_queue *queue = NULL, *narrow = NULL;
  seed_bank *bank = NULL;
  seed_dataset *empty = NULL;
  float rows[2 * DIM] = {1};
  size_t length = 0;
  uint8_t pixels[4] = {0};
  OK(seed_queue_new(10, 8, 1, &narrow));
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  FAILS(SEED_ERROR_MISMATCH, seed_trainer_new(config, student, teacher, narrow, dataset, &trainer));
  OK(seed_dataset_new(&empty));
  OK(seed_trainer_new(config, student, teacher, NULL, NULL, &trainer));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_trainer_run(trainer, 0, NULL, NULL, NULL, NULL)); /* no data set */
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_trainer_step(trainer, NULL, 0, NULL));
  seed_trainer_free(trainer);
  FAILS(SEED_ERROR_MISMATCH, seed_queue_nearest(narrow, rows, 1, DIM, 1, NULL, NULL, 0, &length));
  OK(seed_queue_new(10, DIM, 1, &queue));
  FAILS(SEED_ERROR_MISMATCH, seed_queue_restore(queue, narrow));
  rows[3] = 0.0f / (rows[1] * 0.0f); /* no number */
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_queue_push(queue, rows, 2, DIM));
  FAILS(SEED_ERROR_CONFIG, seed_config_set_int(config, "no_such_key", 1));
  FAILS(SEED_ERROR_CONFIG, seed_config_set_string(config, "batch_size", "3"));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_new("resnet19", config, &student));
  FAILS(SEED_ERROR_FORMAT, seed_image_decode(pixels, sizeof pixels, NULL, NULL, 0, &length));
  FAILS(SEED_ERROR_FORMAT, seed_session_open(p_images, config, &session)); /* a folder */
  FAILS(SEED_ERROR_IO, seed_student_save(student, "/no/such/folder/student"));
  FAILS(SEED_ERROR_IO, seed_bank_open("/no/such/bank", NULL, &bank));
  OK(seed_config_set_string(config, "device", "cuda:63"));
  FAILS(SEED_ERROR_DEVICE, seed_session_from_student(student, config, &session));
  OK(seed_config_set_string(config, "device", "cpu"));
  CHECK(session == NULL && bank == NULL);
  seed_dataset_free(empty);
  seed_queue_free(queue);
  seed_queue_free(narrow);
  seed_student_free(student);
}

int main(int count, char **words) {
  if (count < 2) return 2;
  p_images = path_in(words[1], "images");
  p_teacher = path_in(words[1], "teacher.safetensors");
  p_checkpoint = path_in(words[1], "checkpoint");
  p_student = path_in(words[1], "student.safetensors");
  p_bank = path_in(words[1], "teacher.bank");
  CHECK(forked(after_init) == 0); /* first: this process must be without threads */
  before_init();
  write_images(p_images);
  config = small_config();
  write_teacher(config, p_teacher);
  OK(seed_teacher_load(p_teacher, "mobilenet_v3_small", config, &teacher));
  OK(seed_dataset_open_folder(p_images, &dataset));
  freed_handles();
  any_order();
  CHECK(forked(after_use) == 0);
  short_buffers();
  struct_sizes();
  callbacks(0);
  callbacks(1);
  two_threads();
  misfits();
  seed_dataset_free(dataset);
  seed_teacher_free(teacher);
  seed_config_free(config);
  free(p_images);
  free(p_teacher);
  free(p_checkpoint);
  free(p_student);
  free(p_bank);
  if (failures == 0) printf("misuse: all checks passed\n");
  return failures != 0;
}
