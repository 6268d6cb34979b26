/* Callbacks that throw: the call ends with SEED_ERROR_CANCELLED and what was thrown in the message, the exception goes no further,
 * and the same call with the same objects works afterwards.
 *
 *   throws FOLDER */
#include <stdexcept>
#include <string>

static void judge(struct seed_error *error, int line);
static bool throwing;
#define CALL(call)                                                                                                     \
  do {                                                                                                                 \
    throwing = true;                                                                                                   \
    judge((call), __LINE__);                                                                                           \
    throwing = false;                                                                                                  \
    OK(call);                                                                                                          \
  } while (0)
#include "calls.h"

/* Has a destructor, which must run: the frames of the application's own code are unwound. */
static int alive;
struct Guest {
  Guest() { ++alive; }
  ~Guest() { --alive; }
};

static int kind;
static const char *const texts[] = {"out of paper", "no std::exception"};

static int32_t inside() {
  Guest guest;
  ++calls;
  if (!throwing) return 0;
  if (kind == 0) throw std::runtime_error(texts[0]);
  throw 7;
}

static void judge(seed_error *error, int line) {
  const std::string message = seed_error_message(error);
  const bool told = seed_error_code(error) == SEED_ERROR_CANCELLED && message.find(texts[kind]) != std::string::npos;
  if (!told || calls != 1 || alive != 0) {
    fprintf(stderr, "line %d: code %d after %d calls: %s\n", line, static_cast<int>(seed_error_code(error)), calls, message.c_str());
    ++failures;
  }
  seed_error_free(error);
}

static void over(int) { free_all(&all); }

/* A log that throws, and user data whose release throws. */
static int lines;
static void on_line(int32_t, const char *, void *) {
  __atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED);
  throw std::runtime_error("the log is full");
}
static void on_throwing_release(void *) { throw 1; }

static void without_a_result() {
  static uint64_t nothing[32];
  OK(seed_log_set_callback(SEED_LOG_DEBUG, on_line, NULL));
  seed_queue_free(reinterpret_cast<seed_queue *>(nothing));
  CHECK(lines > 0);
  begin();
  OK(seed_teacher_from_callback(on_batch, NULL, on_throwing_release, DIM, "own", SEED_BATCH_FLOAT_NCHW, SEED_DEVICE_CPU, all.config,
                                &all.teacher));
  free_all(&all);
  OK(seed_log_set_callback(SEED_LOG_OFF, NULL, NULL));
}

int main(int count, char **words) {
  if (count < 2) return 2;
  prepare(words[1]);
  for (kind = 0; kind < 2; ++kind) each_call();
  without_a_result();
  forget();
  if (failures == 0) printf("throws: all checks passed\n");
  return failures != 0;
}
