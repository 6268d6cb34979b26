/* Processes that end while their threads are inside the library: main returns, exit is called, by another thread or from a
 * callback, in the very first calls, and an exit handler that is older than the library waits for the threads. The exit code is the program's, the end
 * takes less than a second, no call comes back meanwhile, and what was written is whole.
 *
 *   ending FOLDER ROUNDS */
#include "ending.h"

#include <pthread.h>

#define THREADS 2
#define CLASSES 2
/* A call that began before the end and comes back after so long is one that somebody waits for. */
#define PATIENCE .3

enum work { EMBED, TRAIN, BANK, CLASSIFIER, STORE, WORKS };
enum way { RETURN, EXIT, THREAD, CALLBACK, JOINED, EARLY, QUIET, WAYS };
static const char *const works[WORKS] = {"embed", "train", "bank", "classifier", "store"};
static const char *const ways[WAYS] = {"return",       "exit",                    "exit in a thread", "exit in a callback",
                                       "exit, joined", "exit in the first calls", "nobody inside"};

static const char *folder;
static enum work work;
static enum way way;
static seed_config *config;
static seed_dataset *dataset;
static seed_teacher *teacher;
static seed_session *session;
static seed_store *store;
static seed_student *students[THREADS];
static pthread_t threads[THREADS];
static volatile int stop, left, under_way;

static char *numbered(const char *name, size_t number) {
  char text[64];
  snprintf(text, sizeof text, "%s-%u", name, (unsigned)number);
  return path_in(folder, text);
}

/* After a call: 1 where all is well; 0 where the process has been ending for so long that somebody is waiting. */
static int went(seed_error *error) {
  if (error != NULL && (way != JOINED || ending_for() < PATIENCE || seed_error_code(error) != SEED_ERROR_CANCELLED)) {
    fprintf(stderr, "code %d: %s\n", (int)seed_error_code(error), seed_error_message(error));
    _exit(4);
  }
  __atomic_fetch_add(&under_way, 1, __ATOMIC_SEQ_CST);
  seed_error_free(error);
  return error == NULL;
}

/* A call on the way: one that the process's end has met in a thread that is waited for ends the work. */
#define ON(call)                          \
  do {                                    \
    seed_error *met = (call);             \
    if (met != NULL && !went(met)) return 0; \
  } while (0)

static int32_t moved(void) {
  /* Some steps, so that what is saved on the way is there. */
  if (__atomic_fetch_add(&under_way, 1, __ATOMIC_SEQ_CST) > 5 && way == CALLBACK && !__atomic_exchange_n(&left, 1, __ATOMIC_SEQ_CST)) {
    ends();
    exit(CODE);
  }
  return 0;
}
static int32_t on_progress(const seed_progress *progress, void *user_data) {
  (void)progress;
  (void)user_data;
  return moved();
}
static int32_t on_bank(const seed_bank_progress *progress, void *user_data) {
  (void)progress;
  (void)user_data;
  return moved();
}
static int32_t on_fit(const seed_finetune_progress *progress, void *user_data) {
  (void)progress;
  (void)user_data;
  return moved();
}

static int embed(unsigned number) {
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  float row[DIM];
  size_t length = 0;
  paint(pixels, number);
  return went(seed_session_embed(session, &image, 1, row, DIM, &length));
}

static int train(size_t thread) {
  char *checkpoint = numbered("checkpoint", thread);
  seed_config *own = small_config();
  seed_trainer *trainer = NULL;
  ON(seed_config_set_int(own, "steps", 1000000));
  ON(seed_config_set_int(own, "checkpoint_every", 3));
  ON(seed_config_set_string(own, "checkpoint_path", checkpoint));
  ON(seed_config_set_int(own, "nice", thread)); /* a thread of the library's own, and none */
  ON(seed_trainer_new(own, students[thread], teacher, NULL, dataset, &trainer));
  return went(seed_trainer_run(trainer, 0, on_progress, NULL, NULL, NULL));
}

static int fill(size_t thread) {
  char *bank = numbered("bank", thread);
  seed_config *own = small_config();
  ON(seed_config_set_int(own, "view_count", 1000));
  (void)remove(bank);
  return went(seed_bank_fill(bank, own, teacher, dataset, 0, on_bank, NULL, NULL, NULL));
}

static int fit(size_t thread) {
  static const char *const names[CLASSES] = {"a", "b"};
  static const int64_t labels[IMAGES] = {0, 1, 0, 1, 0, 1};
  char *path = numbered("classifier", thread);
  seed_config *own = small_config();
  seed_classifier *classifier = NULL;
  ON(seed_config_set_string(own, "finetune.mode", thread == 0 ? "linear" : "full"));
  if (!went(seed_classifier_fit(own, students[thread], NULL, NULL, dataset, labels, IMAGES, names, CLASSES, on_fit, NULL,
                                NULL, NULL, &classifier)))
    return 0;
  if (!went(seed_classifier_save(classifier, path))) return 0;
  seed_classifier_free(classifier);
  seed_config_free(own);
  free(path);
  return 1;
}

static int push(unsigned number) {
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  int64_t id = 0;
  paint(pixels, number);
  return went(seed_store_push(store, &image, NULL, 60000, &id));
}

static int once(size_t thread, unsigned number) {
  switch (work) {
    case EMBED: return embed(number);
    case TRAIN: return train(thread);
    case BANK: return fill(thread);
    case CLASSIFIER: return fit(thread);
    default: return push(number);
  }
}

static void *loop(void *argument) {
  size_t thread = (size_t)argument;
  unsigned number = (unsigned)thread;
  while (!stop && once(thread, number)) number += THREADS;
  return NULL;
}

static void *leave(void *argument) {
  (void)argument;
  ends();
  exit(CODE);
}

static void join(void) {
  size_t i;
  stop = 1;
  for (i = 0; i < THREADS; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
}

/* In a process of its own: starts the threads, and is to end by itself. */
static void begin(void) {
  char *images = path_in(folder, "images"), *weights = path_in(folder, "teacher.safetensors"),
       *frames = path_in(folder, "frames.store");
  size_t i;
  if (way == JOINED) CHECK(atexit(join) == 0);
  OK(seed_init(SEED_ABI_VERSION));
  config = small_config();
  OK(seed_dataset_open_folder(images, &dataset));
  OK(seed_teacher_load(weights, "mobilenet_v3_small", config, &teacher));
  for (i = 0; i < THREADS; ++i) OK(seed_student_new("mobilenet_v3_small", config, &students[i]));
  OK(seed_session_from_student(students[0], config, &session));
  if (work == STORE) {
    OK(seed_store_open(frames, NULL, &store));
    OK(seed_store_set_session(store, session)); /* the writer embeds */
  }
  if (way == QUIET) return;
  for (i = 0; i < THREADS; ++i) CHECK(pthread_create(&threads[i], NULL, loop, (void *)i) == 0);
  if (way == EARLY) {
    /* In its first calls libtorch makes its tables: somewhere on the way. */
    usleep((useconds_t)(getpid() % 61) * 2000);
    return;
  }
  while (__atomic_load_n(&under_way, __ATOMIC_SEQ_CST) < (work == EMBED || work == STORE ? 300 : 40)) usleep(1000);
}

/* What the processes have left, in one that goes on with it. */
static int whole(void) {
  size_t thread;
  char *images = path_in(folder, "images"), *weights = path_in(folder, "teacher.safetensors"),
       *frames = path_in(folder, "frames.store");
  failures = 0;
  OK(seed_init(SEED_ABI_VERSION));
  config = small_config();
  OK(seed_dataset_open_folder(images, &dataset));
  OK(seed_teacher_load(weights, "mobilenet_v3_small", config, &teacher));
  for (thread = 0; thread < THREADS; ++thread) {
    char *checkpoint = numbered("checkpoint", thread), *bank = numbered("bank", thread),
         *path = numbered("classifier", thread);
    seed_trainer *trainer = NULL;
    seed_classifier *classifier = NULL;
    seed_bank_progress last;
    OK(seed_config_set_int(config, "steps", 1000000));
    OK(seed_student_new("mobilenet_v3_small", config, &students[thread]));
    if (access(checkpoint, F_OK) == 0) {
      OK(seed_trainer_new(config, students[thread], teacher, NULL, dataset, &trainer));
      OK(seed_trainer_resume(trainer, checkpoint));
      OK(seed_trainer_run(trainer, 1, NULL, NULL, NULL, NULL));
      seed_trainer_free(trainer);
    }
    memset(&last, 0, sizeof last);
    OK(seed_config_set_int(config, "view_count", 1000));
    if (access(bank, F_OK) == 0) OK(seed_bank_fill(bank, config, teacher, dataset, 1, NULL, NULL, NULL, NULL));
    OK(seed_config_set_int(config, "view_count", 0));
    if (access(path, F_OK) == 0) OK(seed_classifier_open(path, config, &classifier));
    seed_classifier_free(classifier);
  }
  if (access(frames, F_OK) == 0) {
    OK(seed_store_check(frames, NULL, NULL));
    OK(seed_store_open(frames, NULL, &store));
    seed_store_free(store);
  }
  return failures != 0;
}

int main(int count, char **words) {
  double over, shortest[WORKS][WAYS], quiet = 0;
  int rounds, round, mine = 0, status = 0;
  char *images, *weights;
  pid_t child;
  if (count < 3) return 2;
  folder = words[1];
  rounds = atoi(words[2]);
  images = path_in(folder, "images");
  weights = path_in(folder, "teacher.safetensors");
  for (work = EMBED; work < WORKS; ++work)
    for (way = RETURN; way < WAYS; ++way) shortest[work][way] = 1e9;

  /* Children do all the work, since this process must stay without threads to fork. */
  child = fork();
  if (child == 0) {
    OK(seed_init(SEED_ABI_VERSION));
    write_images(images);
    write_teacher(small_config(), weights);
    _exit(failures != 0);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  for (round = 0; round < rounds; ++round)
    for (work = EMBED; work < WORKS; ++work) {
      way = (enum way)(round % WAYS);
      /* Embedding and pushing have no callback. */
      if (way == CALLBACK && (work == EMBED || work == STORE)) way = EXIT;
      over = one_ends(works[work], ways[way], &mine);
      if (mine) {
        pthread_t other;
        begin();
        if (failures != 0) _exit(5);
        if (way == CALLBACK) pause();
        if (way == THREAD) {
          CHECK(pthread_create(&other, NULL, leave, NULL) == 0);
          pause();
        }
        ends();
        if (way != RETURN) exit(CODE);
        return CODE;
      }
      if (over < shortest[work][way]) shortest[work][way] = over;
      if (way == QUIET && over > quiet) quiet = over;
    }
  child = fork();
  if (child == 0) _exit(whole());
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  /* The shortest of each says how long the library makes a process wait: the rest is the machine, which others use too, and of
   * which the longest that nobody is inside tells. */
  for (work = EMBED; work < WORKS; ++work)
    for (way = RETURN; way < QUIET; ++way) {
      if (shortest[work][way] > 1e8) continue;
      printf("%-10s  %-18s  %.3f s\n", works[work], ways[way], shortest[work][way]);
      if (shortest[work][way] < 1e9 && shortest[work][way] > quiet + (way == JOINED ? 1.5 : .5)) {
        fprintf(stderr, "%s, %s: never less than %.3f s, but %.3f s with nobody inside\n", works[work], ways[way],
                shortest[work][way], quiet);
        ++failures;
      }
    }
  free(images);
  free(weights);
  printf(failures == 0 ? "%d rounds, all checks passed\n" : "%d rounds\n", rounds);
  return failures != 0;
}
