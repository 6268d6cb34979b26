/* A small distillation in which one operation fails: of libtorch, on a file, or for memory. For every place of the fault:
 * the call gives an error with the code of its cause, nothing crashes, leaks or stays open, the last checkpoint is sound,
 * and whoever goes on from there comes to the same student, bit for bit.
 *
 *   faults FOLDER KIND CASES     KIND: torch, torch_memory, file, full, memory; CASES: how many places, 0 for all */
#define _GNU_SOURCE
#include "faults.h"

#include "life.h"

#include <dirent.h>
#include <signal.h>

void torch_faults_arm(long number, int what);
void torch_faults_watch(int on);
long torch_faults_seen(void);
const char *torch_faults_failed(void);

enum kind { TORCH, TORCH_MEMORY, ONE_FILE, FULL, MEMORY };
static const char *const KINDS[] = {"torch", "torch_memory", "file", "full", "memory"};

static long place_now;

static void on_signal(int number) {
  char text[160];
  int length = snprintf(text, sizeof text, "fault %ld (%s%s): signal %d in \"%s\"\n", place_now,
                        failed_operation ? failed_operation : "", torch_faults_failed(), number, stage);
  if (write(2, text, (size_t)length) < 0) _exit(4);
  _exit(3);
}

static void arm(enum kind kind, long place) {
  if (place != 0) failed_operation = NULL;
  faults_arm(&file_faults, kind == ONE_FILE || kind == FULL ? place : 0, kind == FULL);
  faults_arm(&memory_faults, kind == MEMORY ? place : 0, 0);
  torch_faults_arm(kind == TORCH || kind == TORCH_MEMORY ? place : 0, kind == TORCH_MEMORY);
}

static long seen(enum kind kind) {
  if (kind == ONE_FILE || kind == FULL) return file_faults.seen;
  return kind == MEMORY ? (long)memory_faults.seen : torch_faults_seen();
}

static int is_documented(enum kind kind, int32_t code) {
  switch (kind) {
    case TORCH: return code == SEED_ERROR_TORCH;
    case TORCH_MEMORY: return code == SEED_ERROR_OUT_OF_MEMORY;
    case MEMORY: return code == SEED_ERROR_OUT_OF_MEMORY;
    /* What cannot be read may also be called damaged, and a lock that is refused busy. */
    default: return code == SEED_ERROR_IO || code == SEED_ERROR_FORMAT || code == SEED_ERROR_BUSY;
  }
}

static int entries(const char *folder) {
  DIR *directory = opendir(folder);
  int count = 0;
  if (directory == NULL) return -1;
  while (readdir(directory) != NULL) ++count;
  closedir(directory);
  return count;
}

static void wrong(const char *what, const seed_error *error) {
  fprintf(stderr, "fault %ld (%s%s): %s; stage \"%s\", code %d: %s\n", place_now,
          failed_operation ? failed_operation : "", torch_faults_failed(), what, stage, (int)seed_error_code(error),
          seed_error_message(error));
  if (++failures > 40) {
    fprintf(stderr, "too many failures\n");
    exit(1);
  }
}

/* A life with one fault. The run itself is ended in place: resumed from its checkpoint and run on, with the same objects. */
static seed_error *live_with_fault(const struct files *files, enum kind kind, long place, const char *sound) {
  struct household home;
  struct fruit fruit;
  seed_error *error;
  memset(&home, 0, sizeof home);
  arm(kind, place);
  error = life_begin(files, &home);
  if (error == NULL) {
    stage = "run";
    error = seed_trainer_run(home.trainer, 0, NULL, NULL, NULL, NULL);
    if (error != NULL) {
      seed_error *second;
      arm(kind, 0);
      stage = "resume in place";
      second = seed_trainer_resume(home.trainer, files->checkpoint);
      if (second != NULL) wrong("the trainer cannot go on", second);
      seed_error_free(second);
      second = seed_trainer_run(home.trainer, 0, NULL, NULL, NULL, NULL);
      if (second == NULL) second = seed_student_save(home.student, files->student);
      if (second != NULL) wrong("the run cannot go on", second);
      else if (!same_file(files->student, sound)) wrong("the run that went on is another one", error);
      seed_error_free(second);
      stage = "run";
    }
  }
  if (error == NULL) error = life_end(files, &home, &fruit);
  arm(kind, 0);
  leave(&home);
  return error;
}

int main(int count, char **words) {
  static const int signals[] = {SIGALRM, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
  struct files files;
  struct fruit fruit, again;
  enum kind kind = TORCH;
  char *sound;
  long total, place, cases, first = 1, made = 0, silent = 0, repeated = 0, bytes = 0;
  double step;
  int threads = 0, open_files = 0, pass;
  unsigned i;
  seed_config *config;
  seed_error *error;
  if (count < 4) return 2;
  while (strcmp(KINDS[kind], words[2]) != 0) kind = (enum kind)(kind + 1);
  cases = atol(words[3]);
  for (i = 0; i < sizeof signals / sizeof *signals; ++i) signal(signals[i], on_signal);
  files = files_in(words[1]);
  sound = path_in(words[1], "sound.safetensors");
  write_images(files.images);
  OK(seed_init(SEED_ABI_VERSION));
  config = small_config();
  write_teacher(config, files.teacher);
  seed_config_free(config);

  /* Without faults, and how many places there are. */
  if (kind == TORCH || kind == TORCH_MEMORY) torch_faults_watch(1);
  if (kind == MEMORY) memory_bound = 32768; /* the library promises this for large ones only */
  watched_folder = words[1];
  OK(live(&files, &fruit));
  CHECK(rename(files.student, sound) == 0);
  clear(words[1]);
  arm(kind, 0);
  OK(live(&files, &again));
  total = seen(kind);
  CHECK(same_file(files.student, sound));
  CHECK(same_vectors(&fruit, &again));
  if (failures != 0) return 1;

  /* One place alone, where SEED_FAULT names it. */
  if (getenv("SEED_FAULT") != NULL) {
    first = atol(getenv("SEED_FAULT"));
    total = first;
  }
  step = cases == 0 || cases > total ? 1 : (double)total / (double)cases;
  for (pass = 0; pass < 3; ++pass) {
    /* The last two passes repeat every fourth fault: by then caches and pools are filled, and what the last one leaves
     * beyond the one before is a leak. */
    for (made = 0, place = first; place <= total; place = first + (long)(++made * step)) {
      if (pass > 0 && made % 4 != 0) continue;
      place_now = place;
      alarm(300);
      clear(words[1]);
      error = live_with_fault(&files, kind, place, sound);
      if (error == NULL) ++silent; /* such as a leftover that could not be removed, or a slower way that was taken instead */
      else if (!is_documented(kind, seed_error_code(error))) wrong("another code was expected", error);
      if (getenv("SEED_FAULTS_VERBOSE") != NULL)
        printf("fault %ld (%s%s) in \"%s\" gave %d: %s; %ld bytes are live\n", place,
               failed_operation ? failed_operation : "", torch_faults_failed(), stage, (int)seed_error_code(error),
               seed_error_message(error), (long)live_bytes);
      seed_error_free(error);
      /* Another process would do this: go on from the checkpoint, to the same end. */
      error = live(&files, &again);
      if (error != NULL) wrong("the next life fails", error);
      else if (!same_file(files.student, sound)) wrong("the next life has another student", NULL);
      else if (!same_vectors(&fruit, &again)) wrong("the next life has other vectors", NULL);
      seed_error_free(error);
      if (pass == 2 && entries("/proc/self/task") > threads) wrong("a thread stays behind", NULL);
      if (pass == 2 && entries("/proc/self/fd") > open_files) wrong("a file stays open", NULL);
      repeated += pass == 2;
    }
    if (pass == 1) {
      bytes = live_bytes;
      threads = entries("/proc/self/task");
      open_files = entries("/proc/self/fd");
    }
  }
  bytes = live_bytes - bytes;
  /* A leaked tensor, image, file or message in every fault would be more. */
  if (bytes > 16384 + 64 * repeated) {
    fprintf(stderr, "%ld bytes more after %ld faults that were made before\n", bytes, repeated);
    ++failures;
  }
  printf("%s: %ld places, %ld faults, %ld of them without an error; %ld more made again left %ld bytes\n", KINDS[kind],
         total, made, silent, repeated, bytes);
  clear(words[1]);
  files_forget(&files);
  free(sound);
  return failures != 0;
}
