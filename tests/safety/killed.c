/* A run that is killed (kill -9) at random moments, steps and checkpoints alike. After each kill another process goes on
 * from the checkpoint that is there. No checkpoint may be unsound, no step before the last checkpoint lost, and the student
 * at the end is that of a run which nobody killed, bit for bit.
 *
 *   killed FOLDER KILLS SEED */
#include "run.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define STEPS 40

static int pipe_ends[2];

static int32_t tell(const seed_progress *progress, void *user_data) {
  uint64_t step = progress->step;
  if (isnan(progress->loss)) return 0; /* the first report, before a step is made */
  (void)user_data;
  return write(pipe_ends[1], &step, sizeof step) == (ssize_t)sizeof step ? 0 : 1;
}

/* In a process of its own: the whole of a program that is started again, libtorch included. 0 when the run is over. */
static int work(const char *folder) {
  seed_error *error = seed_init(SEED_ABI_VERSION);
  if (error == NULL) error = run_on(folder, STEPS, tell);
  if (error != NULL) fprintf(stderr, "code %d: %s\n", (int)seed_error_code(error), seed_error_message(error));
  return error == NULL && failures == 0 ? 0 : 1;
}

static void copy(const char *folder, const char *from, const char *to) {
  char command[1024];
  snprintf(command, sizeof command, "cd '%s' && rm -rf '%s' && mv '%s' '%s'", folder, to, from, to);
  CHECK(system(command) == 0);
}

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Starts the work and kills it some time after its first step; 1 when it was over before. `last` is the last step told. */
static int start_and_kill(const char *folder, double delay, uint64_t *first, uint64_t *last) {
  pid_t child;
  int status = 0, told = 0;
  uint64_t step;
  double begin = 0;
  CHECK(pipe(pipe_ends) == 0);
  child = fork();
  if (child == 0) {
    close(pipe_ends[0]);
    _exit(work(folder));
  }
  close(pipe_ends[1]);
  /* The first step is waited for, the later ones are read when it is dead. */
  if (read(pipe_ends[0], &step, sizeof step) == (ssize_t)sizeof step) {
    *first = *last = step;
    told = 1;
    begin = seconds();
    while (seconds() - begin < delay && waitpid(child, &status, WNOHANG) == 0) usleep(500);
  }
  kill(child, SIGKILL);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  while (read(pipe_ends[0], &step, sizeof step) == (ssize_t)sizeof step) *last = step;
  close(pipe_ends[0]);
  CHECK(told || (WIFEXITED(status) && WEXITSTATUS(status) == 0)); /* the last checkpoint may be that of the last step */
  return WIFEXITED(status);
}

static unsigned long random_state;
static double chance(void) {
  random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
  return (double)(random_state >> 40) / (double)(1ul << 24);
}

int main(int count, char **words) {
  char command[1024];
  int kills, made, status;
  uint64_t first = 0, last = 0, before = 0, lost = 0, worst = 0;
  double step_time, begin;
  pid_t child;
  if (count < 4) return 2;
  kills = atoi(words[2]);
  random_state = (unsigned long)atol(words[3]);
  snprintf(command, sizeof command, "mkdir -p '%s/work'", words[1]);
  CHECK(system(command) == 0);

  /* Images and teacher, and the run that nobody kills; in a child, since this process must stay without threads to fork. */
  child = fork();
  if (child == 0) {
    char *images = path_in(words[1], "images"), *weights = path_in(words[1], "teacher.safetensors");
    seed_config *config;
    OK(seed_init(SEED_ABI_VERSION));
    config = small_config();
    write_images(images);
    write_teacher(config, weights);
    _exit(failures != 0);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  begin = seconds();
  CHECK(start_and_kill(words[1], 600, &first, &last) == 1);
  step_time = (seconds() - begin) / STEPS;
  CHECK(first == 1 && last == STEPS);
  copy(words[1], "work", "sound");
  snprintf(command, sizeof command, "mkdir -p '%s/work'", words[1]);
  CHECK(system(command) == 0);

  for (made = 0; made < kills && failures == 0; ++made) {
    /* Some steps, so that many kills fit into the run; the moment within a step is random. */
    int over = start_and_kill(words[1], chance() * step_time * (STEPS * 1.2 / (kills < STEPS ? kills : STEPS)), &first, &last);
    if (over) {
      /* A run that is over begins from the start, for the kills that are left. */
      snprintf(command, sizeof command, "cd '%s' && cmp work/student.safetensors sound/student.safetensors && rm -rf work && mkdir work",
               words[1]);
      CHECK(system(command) == 0);
      before = 0;
      continue;
    }
    /* Every step is saved before it is told: none comes again that was told, and one may be saved that was not. */
    CHECK(before == 0 || first <= before + 2);
    lost = before == 0 || first > before ? 0 : before + 1 - first;
    if (lost > worst) worst = lost;
    before = last;
  }
  CHECK(worst == 0);
  while (failures == 0 && start_and_kill(words[1], 600, &first, &last) == 0) continue;
  snprintf(command, sizeof command, "cd '%s' && cmp work/student.safetensors sound/student.safetensors && "
           "test -z \"$(find work -name '.*draft*')\"", words[1]);
  CHECK(system(command) == 0);
  printf("%d kills, at most %lu step made again after one\n", made, (unsigned long)worst);
  return failures != 0;
}
