/* A station's night through C: two nights of a store, the session that gets the new student, the way back, a cancel.
 * Also compiled as C++17. */
#include "check.h"

#include <math.h>
#include <stdlib.h>

#define DIM 16
#define SIDE 40

static seed_config *settings(void) {
  static const struct {
    const char *key;
    int64_t value;
  } numbers[] = {{"image_width", 32}, {"image_height", 32},   {"embedding_dim", DIM}, {"batch_size", 16},
                 {"steps", 6},        {"queue_capacity", 32}, {"workers", 1},         {"progress_every", 1},
                 {"seed", 4},         {"probe.images", 0}}; /* the last student counts here, not the best */
  seed_config *config = NULL;
  size_t i;
  OK(seed_config_new(&config));
  for (i = 0; i < sizeof numbers / sizeof *numbers; ++i)
    OK(seed_config_set_int(config, numbers[i].key, numbers[i].value));
  OK(seed_config_set_string(config, "device", "cpu"));
  OK(seed_config_set_string(config, "precision", "fp32"));
  return config;
}

/* Stripes along or across, with a label now and then. */
static void push(seed_store *store, int from, int until) {
  static uint8_t pixels[SIDE * SIDE];
  int number;
  for (number = from; number < until; ++number) {
    seed_image image;
    seed_store_entry entry;
    int64_t id = 0;
    int x, y;
    for (y = 0; y < SIDE; ++y)
      for (x = 0; x < SIDE; ++x)
        pixels[y * SIDE + x] = (uint8_t)(((number % 2 ? x : y) + number / 8) / (3 + number / 2 % 4) % 2 ? 200 : 20 + number % 40);
    memset(&image, 0, sizeof image);
    image.struct_size = sizeof image;
    image.data = pixels;
    image.width = image.height = SIDE;
    image.row_stride = SIDE;
    image.format = SEED_PIXEL_MONO8;
    memset(&entry, 0, sizeof entry);
    entry.struct_size = sizeof entry;
    entry.has_label = number / 2 % 3 == 0;
    entry.label = number % 2;
    entry.label_text = number % 2 ? "across" : "along";
    OK(seed_store_push(store, &image, &entry, 60000, &id));
    CHECK(id > 0);
  }
  OK(seed_store_flush(store));
}

/* Counts reports, and ends the call in the stage it is told. */
struct watch {
  int reports, stage;
  uint64_t night;
};

static int32_t watch(const seed_night_progress *progress, void *user_data) {
  struct watch *seen = (struct watch *)user_data;
  CHECK(progress->struct_size == sizeof *progress && progress->done <= progress->total);
  ++seen->reports;
  seen->night = progress->night;
  return progress->stage == seen->stage;
}

static void embed(const seed_session *session, const seed_store *store, float *row) {
  uint8_t pixels[SIDE * SIDE];
  seed_image image;
  size_t length = 0;
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  OK(seed_store_pixels(store, 1, &image, pixels, sizeof pixels, &length));
  OK(seed_session_embed(session, &image, 1, row, DIM, &length));
}

static int same(const float *a, const float *b) {
  int i;
  for (i = 0; i < DIM; ++i)
    if (fabs((double)a[i] - (double)b[i]) > 1e-4) return 0;
  return 1;
}

int main(int count, char **words) {
  char folder[1024], path[1024], teacher_path[1024], text[8192];
  float first_row[DIM], new_row[DIM], row[DIM];
  struct watch seen = {0, 0, 0};
  seed_night_options options;
  seed_night_result result;
  seed_cancel_token *cancel = NULL;
  seed_student *first = NULL;
  seed_teacher *teacher = NULL;
  seed_session *session = NULL;
  seed_store *store = NULL;
  seed_config *config;
  size_t length = 0;
  if (count < 2) return 2;
  snprintf(folder, sizeof folder, "%s/station", words[1]);
  snprintf(path, sizeof path, "%s/line.seed", words[1]);
  snprintf(teacher_path, sizeof teacher_path, "%s/teacher.safetensors", words[1]);
  OK(seed_init(SEED_ABI_VERSION));
  config = settings();
  OK(seed_config_set_int(config, "seed", 9));
  OK(seed_student_new("resnet10_w0.25", config, &first));
  OK(seed_student_save(first, teacher_path)); /* random weights teach as well as any here */
  seed_student_free(first);
  OK(seed_config_set_int(config, "seed", 4));
  OK(seed_teacher_load(teacher_path, "resnet10_w0.25", config, &teacher));
  OK(seed_student_new("resnet10_w0.25", config, &first));
  OK(seed_session_from_student(first, config, &session));
  OK(seed_store_open(path, NULL, &store));
  OK(seed_cancel_token_new(&cancel));
  push(store, 0, 80);
  embed(session, store, first_row);

  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.min_new_frames = 20;
  options.held_out = .3;
  options.k = 3;
  /* Whatever six steps bring, and whatever else the machine does. */
  options.kl_margin = 10;
  options.overlap_margin = 1;
  options.latency_factor = 1e6;
  memset(&result, 0, sizeof result);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_night_run(config, store, teacher, folder, first, &options, session, NULL, NULL, NULL, &result));
  result.struct_size = sizeof result;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_night_run(config, store, teacher, folder, NULL, &options, session, NULL, NULL, NULL, &result));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_night_restore(folder, config, session));

  seen.stage = SEED_NIGHT_EVALUATE;
  OK(seed_night_run(config, store, teacher, folder, first, &options, session, watch, &seen, NULL, &result));
  CHECK(result.outcome == SEED_NIGHT_CANCELLED && seen.reports > 6 && isnan(result.kl_new));
  OK(seed_cancel_token_trigger(cancel));
  OK(seed_night_run(config, store, teacher, folder, first, &options, session, NULL, NULL, cancel, &result));
  CHECK(result.outcome == SEED_NIGHT_CANCELLED);
  OK(seed_cancel_token_reset(cancel));
  embed(session, store, row);
  CHECK(same(row, first_row));
  OK(seed_night_run(config, store, teacher, folder, first, &options, session, NULL, NULL, cancel, &result));
  CHECK(result.outcome == SEED_NIGHT_LIVE && result.night == 1 && result.reason[0] == 0);
  CHECK(result.new_frames == 80 && result.older_frames == 0 && result.labelled_frames > 8);
  CHECK(result.kl_old > 0 && result.kl_new > 0 && result.recall_new >= 0 && result.classifier_recall >= 0);
  embed(session, store, new_row);
  CHECK(!same(new_row, first_row));

  OK(seed_night_run(config, store, teacher, folder, NULL, &options, session, NULL, NULL, NULL, &result));
  CHECK(result.outcome == SEED_NIGHT_NOTHING_NEW && strstr(result.reason, "0 new frames") != NULL);
  OK(seed_night_restore(folder, config, session));
  embed(session, store, row);
  CHECK(same(row, first_row));
  OK(seed_night_restore(folder, config, session));
  embed(session, store, row);
  CHECK(same(row, new_row));

  push(store, 80, 120);
  OK(seed_config_set_float(config, "learning_rate", 1000));
  OK(seed_config_set_float(config, "weight_decay", 1));
  OK(seed_night_run(config, store, teacher, folder, NULL, &options, session, NULL, NULL, NULL, &result));
  CHECK(result.outcome == SEED_NIGHT_KEPT && result.night == 2 && result.reason[0] != 0);
  embed(session, store, row);
  CHECK(same(row, new_row));
  OK(seed_night_describe(folder, NULL, 0, &length));
  CHECK(length < sizeof text);
  OK(seed_night_describe(folder, text, sizeof text, &length));
  CHECK(strstr(text, "\"nights\":2") != NULL && strstr(text, "\"begun\":null") != NULL);

  /* Another size of vectors than the session's is told before the night. */
  seed_session_free(session);
  OK(seed_config_set_string(config, "output", "features"));
  OK(seed_session_from_teacher(teacher, config, &session));
  OK(seed_night_restore(folder, config, session)); /* as wide, since it is the same network */
  seed_session_free(session);
  seed_store_free(store);
  seed_teacher_free(teacher);
  seed_student_free(first);
  seed_cancel_token_free(cancel);
  seed_config_free(config);
  if (failures == 0) printf("night: all checks passed\n");
  return failures != 0;
}
