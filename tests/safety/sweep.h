/* What the generated sweep calls with: good values of every kind, places for results that must stay as they are on an
 * error, and a watch that names the call that hangs or crashes. */
#include "station.h"

#include <float.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM 65536
#define COUNT 12

/* Every type of object. */
#define KINDS(DO)                                                                                                      \
  DO(seed_trainer)                                                                                                     \
  DO(seed_world)                                                                                                       \
  DO(seed_distilled)                                                                                                   \
  DO(seed_classifier)                                                                                                  \
  DO(seed_anomaly)                                                                                                     \
  DO(seed_segmenter)                                                                                                   \
  DO(seed_model)                                                                                                       \
  DO(seed_store)                                                                                                       \
  DO(seed_drift)                                                                                                       \
  DO(seed_report)                                                                                                      \
  DO(seed_event_file)                                                                                                  \
  DO(seed_session)                                                                                                     \
  DO(seed_bank)                                                                                                        \
  DO(seed_embeddings)                                                                                                  \
  DO(seed_queue)                                                                                                       \
  DO(seed_student)                                                                                                     \
  DO(seed_teacher)                                                                                                     \
  DO(seed_dataset)                                                                                                     \
  DO(seed_cancel_token)                                                                                                \
  DO(seed_config)
/* Every struct that is filled. */
#define RESULTS(DO)                                                                                                    \
  DO(seed_memory)                                                                                                      \
  DO(seed_knn_result)                                                                                                  \
  DO(seed_model_info)                                                                                                  \
  DO(seed_linear_result)                                                                                               \
  DO(seed_linear_sgd_result)                                                                                           \
  DO(seed_segmentation_result)                                                                                         \
  DO(seed_drift_signal)                                                                                                \
  DO(seed_fidelity)                                                                                                    \
  DO(seed_verdict)                                                                                                     \
  DO(seed_night_result)                                                                                                \
  DO(seed_distil_summary)                                                                                              \
  DO(seed_store_stats)                                                                                                 \
  DO(seed_store_record)
/* Every struct that is only read, but images: the good one, and one to be spoilt. */
#define OPTIONS(DO)                                                                                                    \
  DO(seed_fidelity)                                                                                                    \
  DO(seed_export_options)                                                                                              \
  DO(seed_store_options)                                                                                               \
  DO(seed_store_entry)                                                                                                 \
  DO(seed_store_filter)                                                                                                \
  DO(seed_gate_options)                                                                                                \
  DO(seed_map_options)                                                                                                 \
  DO(seed_night_options)                                                                                               \
  DO(seed_drift_signal)

/* An object, a place for a new one, and one that was freed. */
#define OBJECT(type) static type *g_##type, *o_##type, *f_##type;
#define RESULT(type) static type o_##type;
#define OPTION(type) static type g_##type, c_##type;
KINDS(OBJECT)
RESULTS(RESULT)
OPTIONS(OPTION)
static seed_store *g_reader;      /* opened to read: closing it ends nothing */
static seed_dataset *g_pushed;    /* of frames, and growing */
static seed_student *g_weighted;  /* takes weights, and is nobody else's */
static seed_config *g_planned;    /* presets and plans change it */
static seed_trainer *g_joining;   /* joins a world, once */
static seed_teacher *g_stored[2]; /* of a bank, of a table */

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

/* A file in memory that is there. */
#define IN_MEMORY (seed_error_free(seed_memory_file_put("memory://sweep", (const uint8_t *)"held", 4)), "memory://sweep")

static char sentinel_place[64], *p_images, *p_teacher, *p_queue, *p_bank, *p_more, *p_checkpoint, *p_out;
static char *p_script, *p_table, *p_classifier, *p_anomaly, *p_segmenter, *p_drift, *p_store, *p_store_made, *p_store_copied, *p_station;
static char *p_new, *p_board;
#define SENTINEL ((void *)sentinel_place)
static const char *texts[COUNT];
static char long_text[100001];
static const char *const class_names[] = {"even", "odd"};
static char stage[64];
static seed_image images[COUNT], o_image;
static size_t o_size;
static uint64_t o_u64, b_u64[ROOM];
static int64_t o_i64, labels[ROOM], b_i64[ROOM], ids[] = {1, 2, 3}, no_ids[] = {100001, 100002, 100003};
static uint32_t o_u32, zeros[ROOM], sides[ROOM], b_u32[ROOM];
static int32_t o_i32;
static double o_double, b_double[ROOM];
static float f32[ROOM], b_f32[ROOM];
/* Half of 4 x 4 pixels. */
static const float triangle[6] = {0, 0, 4, 0, 0, 4};
static uint8_t b_u8[ROOM], flags[ROOM], bytes[54 + WIDTH * HEIGHT * 3];
static char b_char[1 << 20]; /* more than "capacity" says: some cases claim that there is more, and provenance grows */
static uint8_t mask_pixels[WIDTH * HEIGHT];
static seed_image masks[IMAGES + 1];
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

/* A teacher's engine, all of whose embeddings are alike. */
static int32_t on_batch(seed_teacher_batch *batch, void *user_data) {
  size_t i;
  (void)user_data;
  for (i = 0; i < batch->count * batch->dim; ++i) batch->embeddings[i] = 1;
  return 0;
}

/* A path at which there is nothing yet. */
static const char *new_path(void) {
  static char path[4096];
  static unsigned number = 0;
  snprintf(path, sizeof path, "%s.%u", p_new, number++);
  return path;
}

/* An address of a world. */
static const char *world_address(void) {
  static char address[4200];
  snprintf(address, sizeof address, "file:%s", new_path());
  return address;
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
#define RESET(type) o_##type = (type *)SENTINEL;
  KINDS(RESET)
#define FILL(type)                                                                                                     \
  memset(&o_##type, 77, sizeof o_##type);                                                                              \
  o_##type.struct_size = sizeof o_##type;
  RESULTS(FILL)
  o_tensor = (struct DLManagedTensorVersioned *)SENTINEL;
  o_size = 77;
  o_u64 = b_u64[0] = 77;
  o_i64 = b_i64[0] = 77;
  o_i32 = 77;
  o_double = b_double[0] = 77;
  b_f32[0] = 77;
  b_u32[0] = 77;
  b_char[0] = 77;
  b_u8[0] = 77;
}

/* An object that came is released; one that came beside an error is a fault. */
#define SETTLE(type)                                                                                                   \
  if (o_##type != (type *)SENTINEL) {                                                                                  \
    if (failed || o_##type == NULL) fault("its result was touched", code, "");                                         \
    else type##_free(f_##type = o_##type);                                                                             \
  }

static void fault(const char *what, int32_t code, const char *message) {
  fprintf(stderr, "%s: %s (code %d: %s)\n", now, what, (int)code, message);
  ++failures;
}

/* Whether all behind struct_size is as it was. */
static int as_filled(const void *result, size_t size) {
  const unsigned char *byte = (const unsigned char *)result;
  size_t i;
  for (i = sizeof(size_t); i < size; ++i)
    if (byte[i] != 77) return 0;
  return 1;
}

#define UNTOUCHED(type)                                                                                                \
  if (failed && !as_filled(&o_##type, sizeof o_##type)) fault("wrote to its " #type, code, message);

enum wanted { SUCCESS, REFUSED, UNSUPPORTED, FAILURE, ANYTHING };

static void end(enum wanted wanted, seed_error *error) {
  int32_t code = seed_error_code(error);
  const char *message = seed_error_message(error);
  int failed = error != NULL;
  if (wanted == SUCCESS && failed) fault("should succeed", code, message);
  if (wanted == REFUSED && code != SEED_ERROR_INVALID_ARGUMENT) fault("should be an invalid argument", code, message);
  if (wanted == UNSUPPORTED && code != SEED_ERROR_UNSUPPORTED) fault("should be unsupported", code, message);
  if (wanted == FAILURE && !failed) fault("should fail", code, message);
  if (code == SEED_ERROR_INTERNAL || code == SEED_ERROR_POISONED) fault("went wrong inside", code, message);
  if (failed && strlen(message) < 8) fault("says nothing", code, message);
  if (failed && (b_f32[0] != 77 || b_char[0] != 77 || b_u8[0] != 77)) fault("wrote a result", code, message);
  if (failed && (b_u64[0] != 77 || b_i64[0] != 77)) fault("wrote whole numbers", code, message);
  if (failed && (b_u32[0] != 77 || b_double[0] != 77)) fault("wrote numbers", code, message);
  if (failed && (o_i64 != 77 || o_u64 != 77 || o_i32 != 77 || o_double != 77)) fault("wrote a number", code, message);
  RESULTS(UNTOUCHED)
  KINDS(SETTLE)
  if (o_tensor != (struct DLManagedTensorVersioned *)SENTINEL) {
    if (failed) fault("its tensor was touched", code, message);
    else o_tensor->deleter(o_tensor);
  }
  seed_error_free(error);
  now = "between two calls";
}

/* Every kind of object was made and freed by now. */
static void all_freed(void) {
#define FREED(type)                                                                                                    \
  if (f_##type == NULL) fault("no " #type " was freed", 0, "");
  KINDS(FREED)
}

/* Frames with labels in a store; `again` is a store that nobody holds open. */
static void fill_stores(void) {
  seed_store *again = NULL;
  unsigned i;
  OK(seed_store_open(p_store, &g_seed_store_options, &g_seed_store));
  OK(seed_store_open(p_store_copied, NULL, &again));
  for (i = 0; i < 6; ++i) {
    OK(seed_store_push(g_seed_store, images, &g_seed_store_entry, 1000, NULL));
    OK(seed_store_push(again, images, NULL, 1000, NULL));
  }
  OK(seed_store_flush(g_seed_store));
  OK(seed_store_open_to_read(p_store, &g_reader));
  OK(seed_store_flush(again));
  seed_store_free(again);
}

/* What judges: fitted to a few images, and as files. */
static void fit(void) {
  int32_t outcome = -1;
  size_t count = 0, length = 0;
  OK(seed_config_set_int(g_seed_config, "finetune.epochs", 1));
  OK(seed_config_set_string(g_seed_config, "finetune.mode", "full"));
  OK(seed_classifier_fit(g_seed_config, g_seed_student, NULL, NULL, g_seed_dataset, labels, IMAGES + 1, class_names, 2,
                         NULL, NULL, NULL, &outcome, &g_seed_classifier));
  OK(seed_classifier_save(g_seed_classifier, p_classifier));
  OK(seed_anomaly_fit(g_seed_config, g_seed_student, g_seed_dataset, NULL, NULL, NULL, &g_seed_anomaly));
  OK(seed_anomaly_save(g_seed_anomaly, p_anomaly));
  OK(seed_segmenter_fit(g_seed_config, g_seed_student, g_seed_dataset, masks, IMAGES + 1, class_names, 2, NULL, NULL, NULL,
                        &g_seed_segmenter));
  OK(seed_segmenter_save(g_seed_segmenter, p_segmenter));
  OK(seed_drift_new(f32, 40, DIM, &g_seed_drift));
  OK(seed_drift_save(g_seed_drift, p_drift));
  OK(seed_fidelity_measure(f32, f32, COUNT, DIM, f32, 20, 2, .2, .01, 1, &g_seed_fidelity));
  OK(seed_session_stage_count(g_seed_session, &count));
  OK(seed_session_stage(g_seed_session, count - 1, NULL, NULL, stage, sizeof stage, &length));
}

/* A station's folder whose student has been replaced once; the store has too few frames for another night. */
static void settle_station(void) {
  char *previous = path_in(p_station, "previous"), *student = path_in(previous, "student.safetensors");
  o_seed_night_result.struct_size = sizeof o_seed_night_result;
  OK(seed_night_run(g_seed_config, g_seed_store, g_seed_teacher, p_station, g_seed_student, NULL, g_seed_session, NULL,
                    NULL, NULL, &o_seed_night_result));
  CHECK(o_seed_night_result.outcome == SEED_NIGHT_NOTHING_NEW);
  CHECK(mkdir(previous, 0700) == 0);
  OK(seed_student_save(g_seed_student, student));
  free(student);
  free(previous);
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
  p_script = path_in(folder, "tensor.pt");
  p_table = path_in(folder, "single.npy");
  p_classifier = path_in(folder, "classifier");
  p_anomaly = path_in(folder, "anomaly");
  p_segmenter = path_in(folder, "segmenter");
  p_drift = path_in(folder, "drift");
  p_store = path_in(folder, "frames.store");
  p_store_made = path_in(folder, "made.store");
  p_store_copied = path_in(folder, "copied.store");
  p_station = path_in(folder, "station");
  p_new = path_in(folder, "new");
  p_board = path_in(folder, "board");
#define SIZED(type) g_##type.struct_size = sizeof g_##type;
  OPTIONS(SIZED)
  g_seed_export_options.format = SEED_EXPORT_ONNX;
  g_seed_store_entry.name = "frame";
  g_seed_store_entry.metadata = "{}";
  g_seed_store_entry.embedding = f32;
  g_seed_store_entry.embedding_dim = DIM;
  g_seed_store_entry.has_label = 1;
  g_seed_store_entry.label_text = "even";
  g_seed_gate_options.k = 2;
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
  for (i = 0; i < WIDTH * HEIGHT; ++i) mask_pixels[i] = i % WIDTH < WIDTH / 2;
  for (i = 0; i < IMAGES + 1; ++i) {
    masks[i] = view_of(mask_pixels);
    masks[i].format = SEED_PIXEL_MONO8;
    masks[i].row_stride = WIDTH;
  }
  for (i = 0; i < ROOM; ++i) {
    f32[i] = (float)((i * 2654435761u >> 8) % 1000) / 500 - 1;
    labels[i] = i % 2;
    flags[i] = i / 3 % 2;
    sides[i] = 2;
  }
  OK(seed_init(SEED_ABI_VERSION));
  g_seed_config = small_config();
  OK(seed_config_set_int(g_seed_config, "view_count", 2));
  OK(seed_config_set_int(g_seed_config, "steps", 12));
  OK(seed_config_set_int(g_seed_config, "linear.epochs", 1));
  write_teacher(g_seed_config, p_teacher);
  OK(seed_cancel_token_new(&g_seed_cancel_token));
  OK(seed_dataset_open_folder(p_images, &g_seed_dataset));
  OK(seed_dataset_new(&g_pushed));
  OK(seed_dataset_push(g_pushed, images, "even/0", NULL));
  OK(seed_teacher_load(p_teacher, "mobilenet_v3_small", g_seed_config, &g_seed_teacher));
  OK(seed_student_new("mobilenet_v3_small", g_seed_config, &g_seed_student));
  OK(seed_queue_new(10, DIM, 1, &g_seed_queue));
  OK(seed_queue_push(g_seed_queue, f32, 10, DIM));
  OK(seed_queue_save(g_seed_queue, p_queue));
  OK(seed_bank_fill(p_bank, g_seed_config, g_seed_teacher, g_seed_dataset, 0, NULL, NULL, NULL, NULL));
  OK(seed_bank_open(p_bank, g_seed_teacher, &g_seed_bank));
  OK(seed_trainer_new(g_seed_config, g_seed_student, g_seed_teacher, NULL, g_seed_dataset, &g_seed_trainer));
  OK(seed_trainer_save(g_seed_trainer, p_checkpoint));
  OK(seed_trainer_new(g_seed_config, g_seed_student, g_seed_teacher, NULL, g_seed_dataset, &g_joining));
  OK(seed_world_new(0, 1, world_address(), 60000, &g_seed_world));
  OK(seed_session_from_student(g_seed_student, g_seed_config, &g_seed_session));
  OK(seed_session_embed_dataset(g_seed_session, g_seed_dataset, NULL, NULL, NULL, b_f32, ROOM, &length));
  OK(seed_report_new("sweep", &g_seed_report));
  OK(seed_event_file_new(p_board, 0, &g_seed_event_file));
  OK(seed_embeddings_new(f32, IMAGES + 1, DIM, &g_seed_embeddings));
  OK(seed_teacher_from_bank(g_seed_bank, &g_stored[0]));
  OK(seed_teacher_from_embeddings(g_seed_embeddings, &g_stored[1]));
  OK(seed_model_from_student(g_seed_student, &g_seed_model));
  OK(seed_student_new("mobilenet_v3_small", g_seed_config, &g_weighted));
  OK(seed_student_load_weights(g_weighted, p_teacher));
  g_planned = small_config();
  OK(seed_distil(g_seed_dataset, g_seed_teacher, "mobilenet_v3_small", NULL, 1, new_path(), g_seed_config, NULL, NULL, NULL,
                 &g_seed_distilled));
  fill_stores();
  settle_station();
  fit();
}

static void tear_down(void) {
#define RELEASE(type) type##_free(g_##type);
  KINDS(RELEASE)
  seed_store_free(g_reader);
  seed_dataset_free(g_pushed);
  seed_student_free(g_weighted);
  seed_config_free(g_planned);
  seed_trainer_free(g_joining);
  seed_teacher_free(g_stored[0]);
  seed_teacher_free(g_stored[1]);
  CHECK(taken == given);
  printf("%ld calls\n", cases);
}
