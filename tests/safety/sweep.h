/* What the generated sweep calls with: good values of every kind, places for results that must stay as they are on an
 * error, and a watch that names the call that hangs or crashes. */
#include "station.h"

#include <float.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#define ROOM 65536
#define COUNT 12

/* Objects of every kind, named after their type. */
static seed_config *g_seed_config;
static seed_cancel_token *g_seed_cancel_token;
static seed_dataset *g_seed_dataset;
static seed_dataset *g_pushed; /* of frames, and growing */
static seed_teacher *g_seed_teacher;
static seed_student *g_seed_student;
static seed_queue *g_seed_queue;
static seed_trainer *g_seed_trainer;
static seed_bank *g_seed_bank;
static seed_session *g_seed_session;
static seed_report *g_seed_report;

/* Places for new objects. */
static seed_config *o_seed_config;
static seed_cancel_token *o_seed_cancel_token;
static seed_dataset *o_seed_dataset;
static seed_teacher *o_seed_teacher;
static seed_student *o_seed_student;
static seed_queue *o_seed_queue;
static seed_trainer *o_seed_trainer;
static seed_bank *o_seed_bank;
static seed_session *o_seed_session;
static seed_report *o_seed_report;

/* The layout of DLPack 1.x. */
struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned *);
  uint64_t flags;
  void *data;
  int32_t device_type, device_id, ndim;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
static struct DLManagedTensorVersioned *o_tensor;

static char sentinel_place[64], *p_images, *p_teacher, *p_queue, *p_bank, *p_more, *p_checkpoint, *p_out;
#define SENTINEL ((void *)sentinel_place)
static const char *texts[COUNT];
static char long_text[100001];
static seed_image images[COUNT], o_image;
static seed_memory o_memory;
static seed_knn_result o_knn;
static size_t o_size;
static uint64_t o_u64;
static int64_t o_i64, labels[ROOM];
static uint32_t o_u32, zeros[ROOM], b_u32[ROOM];
static int32_t o_i32;
static double o_double;
static float f32[ROOM], b_f32[ROOM];
static uint8_t b_u8[ROOM], bytes[54 + WIDTH * HEIGHT * 3];
static char b_char[ROOM];
static uint64_t nothing[32]; /* no object at all */

/* Images to be spoilt. */
static seed_image *changed;
static seed_image *fresh_images(void) {
  static seed_image copies[COUNT];
  memcpy(copies, images, sizeof copies);
  return copies;
}

static int taken = 0, given = 0;
static void on_delete(struct DLManagedTensorVersioned *tensor) {
  (void)tensor;
  ++taken;
}
static struct DLManagedTensorVersioned *tensor(void) {
  static struct DLManagedTensorVersioned managed;
  static int64_t shape[4] = {1, HEIGHT, WIDTH, 3};
  memset(&managed, 0, sizeof managed);
  managed.major = 1;
  managed.deleter = on_delete;
  managed.data = bytes;
  managed.device_type = 1;
  managed.ndim = 4;
  managed.code = 1;
  managed.bits = 8;
  managed.lanes = 1;
  managed.shape = shape;
  ++given;
  return &managed;
}

static const char *now = "the set-up";
static long cases = 0;

static void on_signal(int number) {
  const char *what = number == SIGALRM ? " hangs\n" : " crashes\n";
  if (write(2, now, strlen(now)) < 0 || write(2, what, strlen(what)) < 0) _exit(4);
  _exit(3);
}

static void begin(const char *text) {
  now = text;
  alarm(120);
  ++cases;
  o_seed_config = (seed_config *)SENTINEL;
  o_seed_cancel_token = (seed_cancel_token *)SENTINEL;
  o_seed_dataset = (seed_dataset *)SENTINEL;
  o_seed_teacher = (seed_teacher *)SENTINEL;
  o_seed_student = (seed_student *)SENTINEL;
  o_seed_queue = (seed_queue *)SENTINEL;
  o_seed_trainer = (seed_trainer *)SENTINEL;
  o_seed_bank = (seed_bank *)SENTINEL;
  o_seed_session = (seed_session *)SENTINEL;
  o_seed_report = (seed_report *)SENTINEL;
  o_tensor = (struct DLManagedTensorVersioned *)SENTINEL;
  o_memory.struct_size = sizeof o_memory;
  o_knn.struct_size = sizeof o_knn;
  o_size = 77;
  o_i64 = 77;
  o_u64 = 77;
  b_f32[0] = 77;
  b_char[0] = 77;
}

/* An object that came is released; one that came beside an error is a fault. */
#define SETTLE(type)                                                                                                   \
  if (o_##type != (type *)SENTINEL) {                                                                                  \
    if (failed || o_##type == NULL) fault("its result was touched", code, "");                                         \
    else type##_free(o_##type);                                                                                        \
  }

static void fault(const char *what, int32_t code, const char *message) {
  fprintf(stderr, "%s: %s (code %d: %s)\n", now, what, (int)code, message);
  ++failures;
}

enum wanted { SUCCESS, REFUSED, FAILURE, ANYTHING };

static void end(enum wanted wanted, seed_error *error) {
  int32_t code = seed_error_code(error);
  const char *message = seed_error_message(error);
  int failed = error != NULL;
  if (wanted == SUCCESS && failed) fault("should succeed", code, message);
  if (wanted == REFUSED && code != SEED_ERROR_INVALID_ARGUMENT) fault("should be an invalid argument", code, message);
  if (wanted == FAILURE && !failed) fault("should fail", code, message);
  if (code == SEED_ERROR_INTERNAL || code == SEED_ERROR_POISONED) fault("went wrong inside", code, message);
  if (failed && strlen(message) < 8) fault("says nothing", code, message);
  if (failed && (b_f32[0] != 77 || b_char[0] != 77 || o_i64 != 77)) fault("wrote a result", code, message);
  SETTLE(seed_config)
  SETTLE(seed_cancel_token)
  SETTLE(seed_dataset)
  SETTLE(seed_teacher)
  SETTLE(seed_student)
  SETTLE(seed_queue)
  SETTLE(seed_trainer)
  SETTLE(seed_bank)
  SETTLE(seed_session)
  SETTLE(seed_report)
  if (o_tensor != (struct DLManagedTensorVersioned *)SENTINEL) {
    if (failed) fault("its tensor was touched", code, message);
    else o_tensor->deleter(o_tensor);
  }
  seed_error_free(error);
  now = "between two calls";
}

static void set_up(const char *folder) {
  static const int signals[] = {SIGALRM, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
  unsigned i;
  size_t length = 0;
  char *broken;
  FILE *file;
  for (i = 0; i < sizeof signals / sizeof *signals; ++i) signal(signals[i], on_signal);
  p_images = path_in(folder, "images");
  p_teacher = path_in(folder, "teacher.safetensors");
  p_queue = path_in(folder, "queue.safetensors");
  p_bank = path_in(folder, "teacher.bank");
  p_more = path_in(folder, "more.bank");
  p_checkpoint = path_in(folder, "checkpoint");
  p_out = path_in(folder, "out");
  write_images(p_images);
  for (i = 0; i < COUNT; ++i) {
    char name[16];
    snprintf(name, sizeof name, "%u.bmp", i % IMAGES);
    texts[i] = path_in(p_images, name);
  }
  file = fopen(texts[0], "rb");
  CHECK(file != NULL && fread(bytes, sizeof bytes, 1, file) == 1);
  fclose(file);
  broken = path_in(p_images, "zz.bmp");
  file = fopen(broken, "wb");
  CHECK(file != NULL && fwrite(bytes, 99, 1, file) == 1);
  fclose(file);
  free(broken);
  memset(long_text, 'a', sizeof long_text - 1);
  for (i = 0; i < COUNT; ++i) images[i] = view_of(bytes + 54);
  for (i = 0; i < ROOM; ++i) {
    f32[i] = (float)((i * 2654435761u >> 8) % 1000) / 500 - 1;
    labels[i] = i % 2;
  }
  OK(seed_init(SEED_ABI_VERSION));
  g_seed_config = small_config();
  OK(seed_config_set_int(g_seed_config, "view_count", 2));
  OK(seed_config_set_int(g_seed_config, "steps", 12));
  write_teacher(g_seed_config, p_teacher);
  OK(seed_cancel_token_new(&g_seed_cancel_token));
  OK(seed_dataset_open_folder(p_images, &g_seed_dataset));
  OK(seed_dataset_new(&g_pushed));
  OK(seed_teacher_load(p_teacher, "mobilenet_v3_small", g_seed_config, &g_seed_teacher));
  OK(seed_student_new("mobilenet_v3_small", g_seed_config, &g_seed_student));
  OK(seed_queue_new(10, DIM, 1, &g_seed_queue));
  OK(seed_queue_push(g_seed_queue, f32, 10, DIM));
  OK(seed_queue_save(g_seed_queue, p_queue));
  OK(seed_bank_fill(p_bank, g_seed_config, g_seed_teacher, g_seed_dataset, 0, NULL, NULL, NULL, NULL));
  OK(seed_bank_open(p_bank, g_seed_teacher, &g_seed_bank));
  OK(seed_trainer_new(g_seed_config, g_seed_student, g_seed_teacher, NULL, g_seed_dataset, &g_seed_trainer));
  OK(seed_trainer_save(g_seed_trainer, p_checkpoint));
  OK(seed_session_from_student(g_seed_student, g_seed_config, &g_seed_session));
  OK(seed_session_embed_dataset(g_seed_session, g_seed_dataset, NULL, NULL, NULL, b_f32, ROOM, &length));
  OK(seed_report_new("sweep", &g_seed_report));
}

static void tear_down(void) {
  seed_config_free(g_seed_config);
  seed_cancel_token_free(g_seed_cancel_token);
  seed_dataset_free(g_seed_dataset);
  seed_dataset_free(g_pushed);
  seed_teacher_free(g_seed_teacher);
  seed_student_free(g_seed_student);
  seed_queue_free(g_seed_queue);
  seed_trainer_free(g_seed_trainer);
  seed_bank_free(g_seed_bank);
  seed_session_free(g_seed_session);
  seed_report_free(g_seed_report);
  CHECK(taken == given);
  printf("%ld calls\n", cases);
}
