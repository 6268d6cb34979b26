/* The C ABI as C sees it: start-up, errors, configuration, frames, queue, training, sessions. Also compiled as C++17. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void before_init(void) {
  seed_config *config = NULL;
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_config_new(&config));
  CHECK(config == NULL);
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_init(SEED_ABI_VERSION + 1));
  OK(seed_init(SEED_ABI_VERSION));
  OK(seed_init(SEED_ABI_VERSION));
  CHECK(strncmp(seed_version(), "0.1.", 4) == 0);
  CHECK(seed_error_code(NULL) == SEED_OK);
  CHECK(strcmp(seed_error_message(NULL), "") == 0);
}

static void config_keys(seed_config *config) {
  int64_t whole = -1;
  double number = -1;
  char text[8], *json;
  size_t length = 0;
  seed_config *copy = NULL;
  OK(seed_config_get_int(config, "batch_size", &whole));
  CHECK(whole == 256);
  OK(seed_config_get_float(config, "temperature_teacher", &number));
  CHECK(number == 0.01);
  FAILS(SEED_ERROR_CONFIG, seed_config_set_int(config, "batchsize", 3));
  FAILS(SEED_ERROR_CONFIG, seed_config_set_int(config, "batch_size", -3));
  FAILS(SEED_ERROR_CONFIG, seed_config_set_float(config, "momentum", NAN));
  FAILS(SEED_ERROR_CONFIG, seed_config_get_int(config, "device", &whole));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_set_string(config, "device", "\xff\xfe"));
  OK(seed_config_get_string(config, "device", NULL, 0, &length));
  CHECK(length == 5);
  memset(text, 'x', sizeof text);
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_config_get_string(config, "device", text, 4, &length));
  CHECK(text[0] == 'x' && length == 5);
  OK(seed_config_get_string(config, "device", text, sizeof text, &length));
  CHECK(strcmp(text, "auto") == 0);
  OK(seed_config_to_json(config, NULL, 0, &length));
  json = (char *)malloc(length);
  OK(seed_config_to_json(config, json, length, &length));
  OK(seed_config_from_json(json, &copy));
  FAILS(SEED_ERROR_CONFIG, seed_config_from_json("{\"epochs\": ", &copy));
  FAILS(SEED_ERROR_CONFIG, seed_config_parse(copy, "steps=200 learning_rate=fast"));
  OK(seed_config_get_int(copy, "steps", &whole));
  CHECK(whole == 0); /* all or none */
  OK(seed_config_parse(copy, "steps=200,\n learning_rate = 0.5 \t device=\"cpu\" batch_size=8.0"));
  OK(seed_config_get_int(copy, "steps", &whole));
  CHECK(whole == 200);
  OK(seed_config_get_int(copy, "batch_size", &whole));
  CHECK(whole == 8);
  OK(seed_config_get_float(copy, "learning_rate", &number));
  CHECK(number == .5);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_parse(copy, NULL));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_parse(NULL, "steps=1"));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_parse(copy, "device=\xff"));
  free(json);
  seed_config_free(copy);
}

static void frames(seed_dataset *dataset) {
  static uint8_t pixels[3 * 40 * 200];
  static const struct {
    int32_t format;
    size_t bytes;
  } formats[] = {{SEED_PIXEL_MONO8, 1}, {SEED_PIXEL_MONO16, 2}, {SEED_PIXEL_RGB8, 3},      {SEED_PIXEL_BGR8, 3},
                 {SEED_PIXEL_RGBA8, 4}, {SEED_PIXEL_BGRA8, 4},  {SEED_PIXEL_PLANAR_F32, 4}};
  size_t i, count = 0, index = 99, length = 0;
  seed_image image;
  char name[32];
  for (i = 0; i < sizeof pixels; ++i) pixels[i] = (uint8_t)(i * 7 % 251 & 0x3f);
  for (i = 0; i < sizeof formats / sizeof *formats; ++i) {
    image = frame_of(pixels, 40, 40, 200, formats[i].format); /* rows with padding */
    OK(seed_dataset_push(dataset, &image, i == 0 ? "first" : NULL, &index));
    CHECK(index == i);
    image.row_stride = 40 * formats[i].bytes - 1; /* a row does not fit */
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
  }
  OK(seed_dataset_count(dataset, &count));
  CHECK(count == 7);
  OK(seed_dataset_name(dataset, 0, name, sizeof name, &length));
  CHECK(strcmp(name, "first") == 0);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_name(dataset, 7, name, sizeof name, &length));
  image = frame_of(pixels, 40, 40, 200, 77);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
  image = frame_of(pixels, 0, 40, 200, SEED_PIXEL_MONO8);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
  image = frame_of(pixels, 0xffffffffu, 0xffffffffu, (size_t)-1, SEED_PIXEL_RGB8);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
  image = frame_of(NULL, 40, 40, 200, SEED_PIXEL_MONO8);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
  image = frame_of(pixels, 40, 40, 200, SEED_PIXEL_MONO8);
  image.struct_size = 3;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
  image = frame_of(pixels, 40, 40, 200, SEED_PIXEL_MONO8);
  image.device = 1;
  FAILS(SEED_ERROR_UNSUPPORTED, seed_dataset_push(dataset, &image, NULL, NULL));
}

static void queue(void) {
  static const float rows[] = {3, 4, 0, 0, 0, 2, 1, 0, 0};
  float similarities[4];
  size_t number = 0, length = 0;
  seed_queue *made = NULL;
  OK(seed_queue_new(2, 3, 7, &made));
  OK(seed_queue_push(made, rows, 3, 3));
  OK(seed_queue_length(made, &number));
  CHECK(number == 2);
  OK(seed_queue_capacity(made, &number));
  CHECK(number == 2);
  OK(seed_queue_similarities(made, rows + 3, 1, 3, similarities, 4, &length));
  CHECK(length == 2 && fabs(similarities[0] + similarities[1] - 2) < 1e-5); /* (0,0,2)·(0,0,1) and ·(1,0,0) */
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_queue_push(made, rows, 1, 4));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_queue_push(made, rows, (size_t)-1, 3));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_queue_new(0, 3, 7, &made));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_queue_new((size_t)-1, 3, 7, &made));
  FAILS(SEED_ERROR_IO, seed_queue_load("/no/such/folder/queue", &made));
  FAILS(SEED_ERROR_IO, seed_queue_save(made, "/no/such/folder/queue"));
  seed_queue_free(made);
}

struct watch {
  seed_trainer *trainer;
  int calls, stop_at;
};

static int32_t on_progress(const seed_progress *progress, void *user_data) {
  struct watch *watch = (struct watch *)user_data;
  uint64_t step = 0, total = 0;
  CHECK(progress->struct_size == sizeof *progress);
  CHECK(progress->total_steps == 6);
  /* The first report comes before the first step. */
  CHECK(watch->calls == 0 ? progress->step == 0 && isnan(progress->loss) && isnan(progress->eta_seconds)
                          : isfinite(progress->loss) && progress->eta_seconds >= 0);
  /* So few frames are not probed; distil.c has a run that is. */
  CHECK(isnan(progress->probe_agreement) && isnan(progress->probe_recall) && progress->probe_step == 0);
  /* The trainer is running: reaching for it from its own callback is refused, not a deadlock. */
  FAILS(SEED_ERROR_BUSY, seed_trainer_position(watch->trainer, &step, &total));
  FAILS(SEED_ERROR_BUSY, seed_trainer_run(watch->trainer, 1, NULL, NULL, NULL, NULL));
  return ++watch->calls == watch->stop_at;
}

static int32_t on_rows(const seed_bank_progress *progress, void *user_data) {
  CHECK(progress->struct_size == sizeof *progress);
  CHECK(progress->rows > 0 && progress->rows <= progress->total_rows && progress->total_rows == 70);
  ++*(int *)user_data;
  return 0;
}

/* The teacher leaves the loop: its embeddings of 10 views of each of the 7 frames are stored and distilled from. */
static void bank(seed_config *config, seed_teacher *teacher, seed_dataset *dataset, const char *folder) {
  char file[512], *json;
  seed_bank *made = NULL;
  seed_teacher *stored = NULL;
  seed_student *student = NULL;
  seed_trainer *trainer = NULL;
  uint64_t bytes = 0, finished = 0, total = 0;
  int64_t number = 0;
  int32_t outcome = -1;
  size_t length = 0;
  int calls = 0;
  sprintf(file, "%s/teacher.bank", folder);
  OK(seed_bank_predict_size(7, 10, 16, &bytes));
  CHECK(bytes == 12288 + 4096 + 70 * 36);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_bank_predict_size(7, 10, UINT64_MAX, &bytes));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_bank_fill(file, config, teacher, dataset, 0, NULL, NULL, NULL, NULL));
  OK(seed_config_set_int(config, "view_count", 10));
  OK(seed_bank_fill(file, config, teacher, dataset, 1, on_rows, &calls, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_PAUSED && calls == 1);
  OK(seed_bank_open(file, NULL, &made));
  FAILS(SEED_ERROR_BUSY, seed_bank_fill(file, config, teacher, dataset, 0, NULL, NULL, NULL, NULL));
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_teacher_from_bank(made, &stored));
  FAILS(SEED_ERROR_MISMATCH, seed_trainer_new(config, student, stored, NULL, dataset, &trainer));
  seed_bank_free(made);
  /* The teacher holds the bank, and the file is locked. */
  FAILS(SEED_ERROR_BUSY, seed_bank_fill(file, config, teacher, dataset, 0, NULL, NULL, NULL, NULL));
  seed_teacher_free(stored);
  made = NULL;
  OK(seed_bank_fill(file, config, teacher, dataset, 0, on_rows, &calls, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED && calls == 2);
  OK(seed_bank_open(file, teacher, &made));
  OK(seed_bank_verify(made));
  OK(seed_bank_rows(made, &finished, &total));
  CHECK(finished == 70 && total == 70);
  OK(seed_bank_dim(made, &number));
  CHECK(number == 16);
  OK(seed_bank_images(made, &number));
  CHECK(number == 7);
  OK(seed_bank_views(made, &number));
  CHECK(number == 10);
  OK(seed_bank_header(made, NULL, 0, &length));
  json = (char *)malloc(length);
  OK(seed_bank_header(made, json, length, &length));
  CHECK(strstr(json, "libseed.bank.1") != NULL);
  free(json);
  OK(seed_teacher_from_bank(made, &stored));
  seed_bank_free(made);
  OK(seed_teacher_dim(stored, &number));
  CHECK(number == 16);
  OK(seed_trainer_new(config, student, stored, NULL, dataset, &trainer));
  seed_teacher_free(stored); /* the trainer holds it */
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  seed_trainer_free(trainer);
  OK(seed_config_set_int(config, "view_count", 0));
  FAILS(SEED_ERROR_IO, seed_bank_open("/no/such/bank", NULL, &made));
  seed_student_free(student);
}

/* Distils for a few steps from a teacher file that this function makes out of a student. */
static void training(seed_config *config, seed_dataset *dataset, const char *folder) {
  char teacher_file[512], student_file[512], checkpoint[512];
  seed_student *student = NULL, *source = NULL;
  seed_teacher *teacher = NULL;
  seed_trainer *trainer = NULL, *again = NULL;
  seed_session *session = NULL;
  seed_cancel_token *token = NULL;
  struct watch watch = {NULL, 0, 3};
  float *vectors;
  double loss = 0;
  size_t length = 0, i;
  int64_t dim = 0;
  uint64_t step = 0, total = 0;
  int32_t outcome = -1;
  sprintf(teacher_file, "%s/teacher.safetensors", folder);
  sprintf(student_file, "%s/student.safetensors", folder);
  sprintf(checkpoint, "%s/checkpoint", folder);
  OK(seed_config_set_int(config, "image_width", 32));
  OK(seed_config_set_int(config, "image_height", 32));
  OK(seed_config_set_int(config, "batch_size", 4));
  OK(seed_config_set_int(config, "steps", 6));
  OK(seed_config_set_int(config, "queue_capacity", 10));
  OK(seed_config_set_int(config, "embedding_dim", 16));
  OK(seed_config_set_int(config, "progress_every", 1));
  OK(seed_config_set_string(config, "precision", "fp32"));

  OK(seed_student_new("mobilenet_v3_small", config, &source));
  OK(seed_student_save(source, teacher_file));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_new("mobilenet_v9", config, &student));
  FAILS(SEED_ERROR_MISMATCH, seed_teacher_load(teacher_file, "resnet18", config, &teacher));
  FAILS(SEED_ERROR_IO, seed_teacher_load("/no/such/file", "resnet18", config, &teacher));
  OK(seed_teacher_load(teacher_file, "mobilenet_v3_small", config, &teacher));
  OK(seed_teacher_dim(teacher, &dim));
  CHECK(dim == 16);
  bank(config, teacher, dataset, folder);
  OK(seed_config_set_int(config, "embedding_dim", 8));
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  FAILS(SEED_ERROR_MISMATCH, seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  seed_student_free(student);
  student = NULL;
  OK(seed_config_set_int(config, "embedding_dim", 16));
  OK(seed_config_set_int(config, "seed", 5));
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  {
    /* A world of one process is a run as any other. Two are tested in tests/train/world.rs. */
    char address[4096];
    seed_world *world = NULL;
    seed_trainer *joined = NULL;
    uint32_t rank = 9, size = 9;
    sprintf(address, "file:%s/address", folder);
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_world_new(1, 1, address, 1000, &world));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_world_new(0, 1, "nowhere", 1000, &world));
    FAILS(SEED_ERROR_IO, seed_world_new(0, 2, address, 100, &world));
    CHECK(world == NULL);
    OK(seed_world_new(0, 1, address, 60000, &world));
    OK(seed_world_position(world, &rank, &size));
    CHECK(rank == 0 && size == 1);
    OK(seed_trainer_new(config, source, teacher, NULL, dataset, &joined));
    OK(seed_trainer_set_world(joined, world));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_trainer_set_world(joined, world));
    seed_world_free(world); /* the trainer holds it */
    OK(seed_trainer_run(joined, 2, NULL, NULL, NULL, &outcome));
    CHECK(outcome == SEED_OUTCOME_PAUSED);
    seed_trainer_free(joined);
  }
  /* Everything that the trainer needs may be freed now: it holds it. */
  seed_teacher_free(teacher);
  seed_student_free(source);

  watch.trainer = trainer;
  OK(seed_trainer_run(trainer, 0, on_progress, &watch, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_CANCELLED && watch.calls == 3);
  OK(seed_cancel_token_new(&token));
  OK(seed_cancel_token_trigger(token));
  OK(seed_trainer_run(trainer, 0, NULL, NULL, token, &outcome));
  CHECK(outcome == SEED_OUTCOME_CANCELLED);
  seed_cancel_token_free(token);
  OK(seed_trainer_position(trainer, &step, &total));
  CHECK(step == 2 && total == 6);
  OK(seed_trainer_run(trainer, 1, NULL, NULL, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_PAUSED);
  OK(seed_trainer_save(trainer, checkpoint));
  OK(seed_trainer_save(trainer, checkpoint)); /* replaces the one that is there */
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_trainer_save(trainer, folder));
  {
    static uint8_t grey[24 * 20];
    seed_image image = frame_of(grey, 24, 20, 24, SEED_PIXEL_MONO8);
    seed_image pair[2];
    pair[0] = image;
    pair[1] = image;
    OK(seed_trainer_step(trainer, pair, 2, &loss));
    CHECK(isfinite(loss));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_trainer_step(trainer, pair, 0, &loss));
  }
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  OK(seed_trainer_resume(trainer, checkpoint));
  OK(seed_trainer_position(trainer, &step, &total));
  CHECK(step == 3);
  FAILS(SEED_ERROR_IO, seed_trainer_resume(trainer, "/no/such/checkpoint"));
  OK(seed_config_set_float(config, "temperature_student", 0.5));
  teacher = NULL;
  OK(seed_teacher_load(teacher_file, "mobilenet_v3_small", config, &teacher));
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &again));
  FAILS(SEED_ERROR_MISMATCH, seed_trainer_resume(again, checkpoint));
  seed_trainer_free(again);
  seed_teacher_free(teacher);

  OK(seed_student_save(student, student_file));
  OK(seed_session_open(student_file, config, &session));
  seed_trainer_free(trainer);
  seed_student_free(student);
  OK(seed_session_embed_dataset(session, dataset, NULL, NULL, NULL, NULL, 0, &length));
  CHECK(length == 7 * 16);
  vectors = (float *)malloc(length * sizeof *vectors);
  vectors[0] = 77;
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL,
        seed_session_embed_dataset(session, dataset, NULL, NULL, NULL, vectors, length - 1, &length));
  CHECK(vectors[0] == 77);
  OK(seed_session_embed_dataset(session, dataset, NULL, NULL, NULL, vectors, length, &length));
  for (i = 0; i < length; ++i) CHECK(isfinite(vectors[i]));
  {
    /* A data set of files of which some cannot be read, then none. */
    const char *paths[3] = {"/no/such/picture.png", "/no/such/other.png", NULL};
    seed_dataset *absent = NULL;
    seed_error *error;
    uint8_t marks[3] = {9, 9, 9};
    size_t skipped = 0, rows = 0, count = 0;
    float row[16];
    OK(seed_dataset_open_files(paths, 2, &absent));
    error = seed_session_embed_dataset(session, absent, NULL, NULL, NULL, vectors, length, &rows);
    CHECK(seed_error_code(error) == SEED_ERROR_IO);
    CHECK(strstr(seed_error_message(error), "none of the 2 images can be read") != NULL);
    CHECK(strstr(seed_error_message(error), "/no/such/other.png") != NULL);
    seed_error_free(error);
    OK(seed_dataset_skipped_count(absent, &skipped));
    CHECK(skipped == 2);
    {
      static uint8_t grey[24 * 20];
      seed_image image = frame_of(grey, 24, 20, 24, SEED_PIXEL_MONO8);
      OK(seed_dataset_push(absent, &image, NULL, NULL));
      OK(seed_session_embed_dataset(session, absent, NULL, NULL, NULL, vectors, length, &rows));
      OK(seed_session_embed(session, &image, 1, row, 16, &count));
    }
    for (i = 0; i < 32; ++i) CHECK(vectors[i] == 0);
    for (i = 0; i < 16; ++i) CHECK(fabsf(vectors[32 + i] - row[i]) < 1e-4f);
    OK(seed_dataset_broken(absent, NULL, 0, &count));
    CHECK(count == 3);
    FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_dataset_broken(absent, marks, 2, &count));
    CHECK(marks[0] == 9);
    OK(seed_dataset_broken(absent, marks, 3, &count));
    CHECK(marks[0] == 1 && marks[1] == 1 && marks[2] == 0);
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_broken(absent, marks, 3, NULL));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_broken(NULL, marks, 3, &count));
    seed_dataset_free(absent);
  }
  OK(seed_session_embed_dataset(session, dataset, NULL, NULL, NULL, vectors, length, &length));
  {
    static const int64_t labels[] = {0, 1, 0, 1, 0, 1, 0};
    uint32_t nearest[7 * 2];
    double share = -1;
    seed_knn_result result;
    memset(&result, 0, sizeof result);
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_knn_evaluate(vectors, 7, 16, labels, 3, 5, 0, &result));
    result.struct_size = sizeof result;
    OK(seed_knn_evaluate(vectors, 7, 16, labels, 3, 5, 0, &result));
    CHECK(result.accuracy_mean >= 0 && result.accuracy_mean <= 1);
    OK(seed_neighbours(vectors, 7, 16, 2, nearest, 14, &length));
    CHECK(nearest[0] < 7 && nearest[0] != 0);
    OK(seed_agreement(vectors, 16, vectors, 16, 7, 3, &share));
    CHECK(share == 1);
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_agreement(vectors, 16, vectors, 16, (size_t)-1, 3, &share));
  }
  free(vectors);
  seed_session_free(session);
}

int main(int count, char **words) {
  seed_config *config = NULL;
  seed_dataset *dataset = NULL;
  if (count < 2) return 2;
  before_init();
  OK(seed_config_new(&config));
  config_keys(config);
  OK(seed_dataset_new(&dataset));
  frames(dataset);
  FAILS(SEED_ERROR_IO, seed_dataset_open_folder("/no/such/folder", &dataset));
  queue();
  training(config, dataset, words[1]);
  seed_dataset_free(dataset);
  seed_config_free(config);
  if (failures == 0) printf("basics: all checks passed\n");
  return failures != 0;
}
