/* For programs whose processes end while their threads are inside the library: one is forked off, ends by itself, and says through a
 * pipe when it began to. What ends it, and how, is the program's. */
#include "station.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The exit code of every process that ends as it should. */
#define CODE 7
/* A process that has not ended by then hangs. What it may really take is judged by the shortest of several. */
#define LIMIT 60.0
/* The descriptor of the pipe in the process that ends. */
#define TELLS 3

static volatile int ended;
static double end_began;

static inline double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The end begins here. */
static inline void ends(void) {
  end_began = seconds();
  __atomic_store_n(&ended, 1, __ATOMIC_SEQ_CST);
  if (write(TELLS, &end_began, sizeof end_began) != (ssize_t)sizeof end_began) _exit(3);
}

/* Seconds since the end began; 0 before. */
static inline double ending_for(void) { return __atomic_load_n(&ended, __ATOMIC_SEQ_CST) ? seconds() - end_began : 0; }

/* Forks a process that is to end by itself: `*mine` is 1 there. The other one waits for it, judges how it ended, and gets how long
 * that took. */
static inline double one_ends(const char *work, const char *way, int *mine) {
  int pipe_ends[2], status = 0;
  double told = 0, over;
  pid_t child;
  *mine = 0;
  CHECK(pipe(pipe_ends) == 0);
  fflush(NULL);
  child = fork();
  if (child == 0) {
    close(pipe_ends[0]);
    if (pipe_ends[1] != TELLS && dup2(pipe_ends[1], TELLS) != TELLS) _exit(2);
    *mine = 1;
    failures = 0;
    return 0;
  }
  close(pipe_ends[1]);
  if (read(pipe_ends[0], &told, sizeof told) != (ssize_t)sizeof told) told = seconds();
  while (seconds() - told < LIMIT && waitpid(child, &status, WNOHANG) == 0) usleep(200);
  over = seconds() - told;
  if (over >= LIMIT) {
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  close(pipe_ends[0]);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != CODE) {
    fprintf(stderr, "%s, %s: status %#x after %.2f s\n", work, way, (unsigned)status, over);
    ++failures;
  }
  return over;
}
