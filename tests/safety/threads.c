/* Eight threads use everything at once: sessions (with hot swap), a data set that grows while a run reads it, a queue,
 * tokens, configurations, reports, the log, and one trainer that they fight for. Every call gives success or
 * SEED_ERROR_BUSY where another thread has the handle; every result is one that a single thread could have got.
 *
 *   threads FOLDER ROUNDS */
#include "station.h"

#include <math.h>
#include <pthread.h>

#define THREADS 8

static seed_config *shared_config;
static seed_dataset *dataset, *growing;
static seed_teacher *teacher;
static seed_student *student;
static seed_session *running, *other;
static seed_queue *queue;
static seed_trainer *trainer;
static seed_bank *bank;
static seed_report *report;
static seed_cancel_token *token;
static char *folder;
static float right[2][IMAGES * DIM]; /* the rows of both sessions */
static long rounds;
static volatile long lines = 0;

/* Success or BUSY; 1 for success. */
static int done(seed_error *error, int line) {
  int32_t code = seed_error_code(error);
  if (code != SEED_OK && code != SEED_ERROR_BUSY) {
    fprintf(stderr, "line %d: code %d: %s\n", line, (int)code, seed_error_message(error));
    __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
  }
  seed_error_free(error);
  return code == SEED_OK;
}
#define TRY(call) done((call), __LINE__)
#define MUST(call)                                                                                                     \
  do {                                                                                                                 \
    if (!done((call), __LINE__)) {                                                                                     \
      fprintf(stderr, "line %d: busy, but const is for all threads\n", __LINE__);                                      \
      __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);                                                              \
    }                                                                                                                  \
  } while (0)

static void on_line(int32_t level, const char *message, void *user_data) {
  (void)level;
  (void)user_data;
  if (message != NULL) __atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED);
}

static int near(const float *a, const float *b) {
  unsigned i;
  for (i = 0; i < DIM; ++i)
    if (!(fabsf(a[i] - b[i]) < 1e-3f)) return 0;
  return 1;
}

static void embed(unsigned number) {
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  float row[DIM];
  size_t length = 0;
  unsigned which = number % IMAGES;
  paint(pixels, which);
  MUST(seed_session_embed(number % 2 ? running : other, &image, 1, row, DIM, &length));
  /* Of one network or the other, never a mixture. */
  if (!near(row, right[0] + which * DIM) && !near(row, right[1] + which * DIM)) {
    fprintf(stderr, "a row of no network\n");
    __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
  }
}

static void embed_all(void) {
  float rows[IMAGES * DIM];
  size_t length = 0;
  MUST(seed_session_embed_dataset(running, dataset, NULL, NULL, NULL, rows, IMAGES * DIM, &length));
}

static void push(unsigned number) {
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  size_t index = 0, count = 0, length = 0;
  char name[64];
  paint(pixels, number);
  MUST(seed_dataset_push(growing, &image, NULL, &index));
  MUST(seed_dataset_count(growing, &count));
  MUST(seed_dataset_name(growing, index, name, sizeof name, &length));
  if (index >= count) __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
}

static void use_queue(unsigned number) {
  float rows[4 * DIM];
  size_t length = 0;
  unsigned i;
  seed_queue *copy = NULL;
  for (i = 0; i < 4 * DIM; ++i) rows[i] = (float)((i * 7 + number) % 13) - 6;
  MUST(seed_queue_push(queue, rows, 4, DIM));
  MUST(seed_queue_rows(queue, 0, 4, rows, 4 * DIM, &length));
  for (i = 0; i < 4; ++i) {
    float square = 0;
    unsigned j;
    for (j = 0; j < DIM; ++j) square += rows[i * DIM + j] * rows[i * DIM + j];
    if (!(fabsf(square - 1) < 1e-4f)) __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED); /* a row that is half written */
  }
  MUST(seed_queue_snapshot(queue, &copy));
  MUST(seed_queue_restore(queue, copy));
  seed_queue_free(copy);
}

static void configure(unsigned number) {
  int64_t value = 0;
  seed_config *own = NULL;
  TRY(seed_config_set_int(shared_config, "batch_size", 3 + number % 5)); /* alone, or busy */
  if (TRY(seed_config_get_int(shared_config, "batch_size", &value)) && (value < 3 || value > 7))
    __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
  MUST(seed_config_new(&own));
  MUST(seed_config_set_int(own, "batch_size", 9));
  seed_config_free(own);
}

static void train(unsigned number) {
  uint64_t step = 0, total = 0;
  char path[512];
  switch (number % 4) {
    case 0: TRY(seed_trainer_run(trainer, 1, NULL, NULL, token, NULL)); break;
    case 1: TRY(seed_trainer_position(trainer, &step, &total)); break;
    case 2:
      snprintf(path, sizeof path, "%s/checkpoint-%u", folder, number % 2);
      TRY(seed_trainer_save(trainer, path));
      break;
    default: {
      seed_session *fresh = NULL; /* of the student as it is now, while it learns */
      if (number % 16 == 3) TRY(seed_session_from_student(student, shared_config, &fresh));
      seed_session_free(fresh);
    }
  }
}

static void look(unsigned number) {
  uint64_t finished = 0, all = 0;
  int64_t dim = 0;
  seed_memory memory;
  char text[64];
  size_t length = 0;
  memory.struct_size = sizeof memory;
  MUST(seed_bank_rows(bank, &finished, &all));
  MUST(seed_bank_verify(bank));
  MUST(seed_teacher_dim(teacher, &dim));
  MUST(seed_student_dim(student, &dim));
  MUST(seed_memory_use("cpu", &memory));
  MUST(seed_session_describe(running, text, sizeof text, &length));
  if (finished != all || dim != DIM) __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
  TRY(seed_report_add_point(report, "loss", "x", "y", number % 2 ? "a" : "b", number, 1));
}

static void ask(unsigned number) {
  MUST(seed_cancel_token_pause(token));
  MUST(seed_cancel_token_resume(token));
  if (number % 3 == 0) {
    MUST(seed_cancel_token_trigger(token));
    MUST(seed_cancel_token_reset(token));
  }
  if (number % 5 == 0) MUST(seed_log_set_callback(SEED_LOG_DEBUG, on_line, NULL));
  { /* a handle that is none is told to the log too */
    static uint64_t nothing[32];
    seed_queue_free((seed_queue *)nothing);
  }
  MUST(seed_session_swap(running, other));
}

static void *work(void *argument) {
  unsigned thread = (unsigned)(size_t)argument;
  long round;
  for (round = 0; round < rounds; ++round) {
    unsigned number = thread * 7919u + (unsigned)round * 31u;
    embed(number);
    push(number);
    use_queue(number);
    configure(number);
    look(number);
    ask(number);
    if ((round + thread) % 4 == 0) train(number / 4);
    if ((round + thread) % 16 == 0) embed_all();
  }
  return NULL;
}

int main(int count, char **words) {
  char *images, *weights, *bank_path;
  pthread_t threads[THREADS];
  seed_student *second = NULL;
  seed_config *banking;
  size_t length = 0, i, pushed = 0;
  if (count < 3) return 2;
  folder = words[1];
  rounds = atol(words[2]);
  images = path_in(folder, "images");
  weights = path_in(folder, "teacher.safetensors");
  bank_path = path_in(folder, "bank");
  OK(seed_init(SEED_ABI_VERSION));
  write_images(images);
  shared_config = small_config();
  OK(seed_config_set_int(shared_config, "steps", 1000000));
  write_teacher(shared_config, weights);
  OK(seed_teacher_load(weights, "mobilenet_v3_small", shared_config, &teacher));
  OK(seed_dataset_open_folder(images, &dataset));
  OK(seed_dataset_new(&growing));
  OK(seed_student_new("mobilenet_v3_small", shared_config, &student));
  OK(seed_config_set_int(shared_config, "seed", 2));
  OK(seed_student_new("mobilenet_v3_small", shared_config, &second));
  OK(seed_session_from_student(student, shared_config, &running));
  OK(seed_session_from_student(second, shared_config, &other));
  seed_student_free(second);
  for (i = 0; i < IMAGES; ++i) {
    uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
    seed_image image = view_of(pixels);
    paint(pixels, (unsigned)i);
    OK(seed_dataset_push(growing, &image, NULL, NULL));
    OK(seed_session_embed(running, &image, 1, right[0] + i * DIM, DIM, &length));
    OK(seed_session_embed(other, &image, 1, right[1] + i * DIM, DIM, &length));
  }
  CHECK(!near(right[0], right[1]));
  OK(seed_queue_new(10, DIM, 1, &queue));
  OK(seed_trainer_new(shared_config, student, teacher, queue, growing, &trainer));
  OK(seed_report_new("threads", &report));
  OK(seed_cancel_token_new(&token));
  banking = small_config();
  OK(seed_config_set_int(banking, "view_count", 2));
  OK(seed_bank_fill(bank_path, banking, teacher, dataset, 0, NULL, NULL, NULL, NULL));
  OK(seed_bank_open(bank_path, teacher, &bank));

  for (i = 0; i < THREADS; ++i) CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
  for (i = 0; i < THREADS; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  OK(seed_dataset_count(growing, &pushed));
  CHECK(pushed == (size_t)(IMAGES + THREADS * rounds)); /* no frame is lost */
  OK(seed_log_set_callback(SEED_LOG_OFF, NULL, NULL));

  seed_bank_free(bank);
  seed_cancel_token_free(token);
  seed_report_free(report);
  seed_trainer_free(trainer);
  seed_queue_free(queue);
  seed_session_free(other);
  seed_session_free(running);
  seed_student_free(student);
  seed_dataset_free(growing);
  seed_dataset_free(dataset);
  seed_teacher_free(teacher);
  seed_config_free(banking);
  seed_config_free(shared_config);
  free(images);
  free(weights);
  free(bank_path);
  CHECK(lines > 0);
  if (failures == 0) printf("threads: all checks passed, %ld lines of log\n", lines);
  return failures != 0;
}
