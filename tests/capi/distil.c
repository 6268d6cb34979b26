/* From frames to a student in one call, presets, plans, and the probe of a run. Also compiled as C++17. */
#include "check.h"

#include <math.h>
#include <stdlib.h>

#define DIM 24
#define SIDE 40
#define FRAMES 64

static char teacher_file[600];

/* What keeps a run small; all that is not set is the plan's. */
static seed_config *settings(void) {
  seed_config *config = NULL;
  OK(seed_config_new(&config));
  OK(seed_config_set_int(config, "image_width", 32));
  OK(seed_config_set_int(config, "image_height", 32));
  OK(seed_config_set_int(config, "batch_size", 8));
  OK(seed_config_set_int(config, "workers", 1));
  OK(seed_config_set_string(config, "device", "cpu"));
  OK(seed_config_set_string(config, "precision", "fp32"));
  return config;
}

/* Stripes along and across, in folders of these two classes. */
static void push(seed_dataset *dataset) {
  static uint8_t pixels[SIDE * SIDE];
  int number, x, y;
  for (number = 0; number < FRAMES; ++number) {
    seed_image image;
    char name[32];
    for (y = 0; y < SIDE; ++y)
      for (x = 0; x < SIDE; ++x)
        pixels[y * SIDE + x] = (uint8_t)(((number % 2 ? x : y) + number / 2) / (3 + number % 7) % 2 ? 200 : 40 + number);
    memset(&image, 0, sizeof image);
    image.struct_size = sizeof image;
    image.data = pixels;
    image.width = image.height = SIDE;
    image.row_stride = SIDE;
    image.format = SEED_PIXEL_MONO8;
    sprintf(name, "%s/%03d", number % 2 ? "across" : "along", number);
    OK(seed_dataset_push(dataset, &image, name, NULL));
  }
}

/* ---- presets and plans ---- */

static double of(const seed_config *config, const char *key) {
  double value = NAN;
  OK(seed_config_get_float(config, key, &value));
  return value;
}

static void presets(void) {
  seed_config *config = NULL;
  OK(seed_config_new(&config));
  CHECK(of(config, "embedding_dim") == 0 && of(config, "checkpoint_every") == 0 && of(config, "probe.images") == 256);
  FAILS(SEED_ERROR_CONFIG, seed_config_preset(config, "Site"));
  FAILS(SEED_ERROR_CONFIG, seed_config_preset(config, ""));
  CHECK(of(config, "batch_size") == 256);
  /* docs/distil.md has the values. */
  OK(seed_config_preset(config, "site_from_weights"));
  CHECK(of(config, "learning_rate") == .05 && of(config, "warmup_steps") == 200 && of(config, "clip_norm") == 1);
  OK(seed_config_set_int(config, "batch_size", 7));
  OK(seed_config_preset(config, "site"));
  CHECK(of(config, "learning_rate") == .2 && of(config, "warmup_steps") == 20 && of(config, "clip_norm") == 0);
  CHECK(of(config, "batch_size") == 32 && of(config, "image_width") == 96 && of(config, "view_count") == 16);
  OK(seed_config_preset(config, "paper"));
  CHECK(of(config, "learning_rate") == .03 && of(config, "epochs") == 200 && of(config, "queue_capacity") == 65536);
  seed_config_free(config);
}

static void plan(const seed_dataset *dataset, const seed_teacher *teacher) {
  static const double times[] = {0, .5, -1, 1e300};
  seed_config *config = settings();
  seed_dataset *none = NULL;
  size_t i;
  OK(seed_dataset_new(&none));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_plan(config, none, teacher, "mobilenet_v3_small", 0, 20));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_plan(config, dataset, teacher, "mobilenet_v9", 0, 20));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_plan(config, dataset, teacher, "mobilenet_v3_small", 0, NAN));
  for (i = 0; i < sizeof times / sizeof *times; ++i)
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_config_plan(config, dataset, teacher, "mobilenet_v3_small", 0, times[i]));
  CHECK(of(config, "learning_rate") == .03 && of(config, "epochs") == 200);
  OK(seed_config_set_float(config, "momentum", .5));
  OK(seed_config_plan(config, dataset, teacher, "mobilenet_v3_small", 1, 2));
  /* What was set is kept, and there are no more rows in the queue than frames. */
  CHECK(of(config, "momentum") == .5 && of(config, "image_width") == 32 && of(config, "batch_size") == 8);
  CHECK(of(config, "learning_rate") == .05 && of(config, "queue_capacity") == FRAMES && of(config, "epochs") >= 1);
  seed_dataset_free(none);
  seed_config_free(config);
}

/* ---- the one call ---- */

struct watch {
  int reports, stop_at, stage;
};

static int32_t on_progress(const seed_distil_progress *progress, void *user_data) {
  struct watch *watch = (struct watch *)user_data;
  CHECK(progress->struct_size == sizeof *progress && progress->stage >= watch->stage);
  CHECK(progress->done <= progress->total && progress->elapsed_seconds >= 0);
  CHECK(progress->stage == SEED_DISTIL_RUN || isnan(progress->loss));
  CHECK(watch->reports > 0 || (progress->stage == SEED_DISTIL_PLAN && isnan(progress->probe_agreement)));
  if (progress->stage == SEED_DISTIL_REPORT) CHECK(progress->probe_agreement >= 0 && progress->probe_recall >= 0);
  watch->stage = progress->stage;
  return ++watch->reports == watch->stop_at;
}

static char *text(seed_error *(*ask)(const seed_distilled *, char *, size_t, size_t *), const seed_distilled *distilled) {
  size_t length = 0;
  char *result;
  OK(ask(distilled, NULL, 0, &length));
  result = (char *)malloc(length);
  OK(ask(distilled, result, length, &length));
  return result;
}

static int there(const char *folder, const char *name) {
  char path[700];
  FILE *file;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  file = fopen(path, "rb");
  if (file != NULL) fclose(file);
  return file != NULL;
}

static void errors(const seed_dataset *dataset, const seed_teacher *teacher, const char *folder) {
  char out[600], in_a_file[700];
  seed_config *config = settings();
  seed_dataset *none = NULL;
  seed_distilled *made = NULL;
  sprintf(out, "%s/wrong", folder);
  sprintf(in_a_file, "%s/out", teacher_file);
  OK(seed_dataset_new(&none));
#define DISTIL(dataset, teacher, architecture, weights, seconds, folder)                                               \
  seed_distil(dataset, teacher, architecture, weights, seconds, folder, config, NULL, NULL, NULL, &made)
  FAILS(SEED_ERROR_INVALID_ARGUMENT, DISTIL(NULL, teacher, "mobilenet_v3_small", NULL, 2, out));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, DISTIL(dataset, NULL, "mobilenet_v3_small", NULL, 2, out));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, DISTIL(dataset, teacher, NULL, NULL, 2, out));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, DISTIL(dataset, teacher, "mobilenet_v3_small", NULL, 2, NULL));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, DISTIL(dataset, teacher, "mobilenet_v9", NULL, 2, out));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, DISTIL(none, teacher, "mobilenet_v3_small", NULL, 2, out));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, DISTIL(dataset, teacher, "mobilenet_v3_small", NULL, .9, out));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, DISTIL(dataset, teacher, "mobilenet_v3_small", NULL, NAN, out));
  FAILS(SEED_ERROR_IO, DISTIL(dataset, teacher, "mobilenet_v3_small", "/no/such/file", 2, out));
  FAILS(SEED_ERROR_MISMATCH, DISTIL(dataset, teacher, "resnet18", teacher_file, 2, out));
  FAILS(SEED_ERROR_IO, DISTIL(dataset, teacher, "mobilenet_v3_small", NULL, 2, in_a_file));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_distil(dataset, teacher, "mobilenet_v3_small", NULL, 2, out, config, NULL, NULL,
                                                 NULL, NULL));
  CHECK(made == NULL && !there(out, "student.safetensors"));
  seed_dataset_free(none);
  seed_config_free(config);
}

static void distil(const seed_dataset *dataset, const seed_teacher *teacher, const char *folder) {
  char out[600];
  seed_config *config = settings();
  seed_distilled *distilled = NULL;
  seed_student *student = NULL;
  seed_distil_summary summary;
  struct watch watch = {0, 1, 0};
  int64_t dim = 0;
  char *found;
  sprintf(out, "%s/distilled", folder);

  /* The first report comes at once; who stops there gets a student that has learned nothing, and no file. */
  OK(seed_distil(dataset, teacher, "mobilenet_v3_small", NULL, 2, out, config, on_progress, &watch, NULL, &distilled));
  memset(&summary, 0, sizeof summary);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_distilled_summary(distilled, &summary));
  summary.struct_size = sizeof summary - 1;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_distilled_summary(distilled, &summary));
  summary.struct_size = sizeof summary;
  OK(seed_distilled_summary(distilled, &summary));
  CHECK(summary.outcome == SEED_OUTCOME_CANCELLED && summary.steps == 0 && summary.images == 0 && watch.reports == 1);
  CHECK(isnan(summary.agreement_after) && isnan(summary.recall_teacher) && isnan(summary.recall_chance));
  CHECK(!there(out, "student.safetensors"));
  seed_distilled_free(distilled);
  distilled = NULL;

  watch.stop_at = -1;
  watch.reports = watch.stage = 0;
  OK(seed_distil(dataset, teacher, "mobilenet_v3_small", teacher_file, 2, out, config, on_progress, &watch, NULL,
                 &distilled));
  CHECK(watch.stage == SEED_DISTIL_REPORT && watch.reports >= 4);
  CHECK(there(out, "student.safetensors") && there(out, "report.html") && !there(out, "work/plan.json"));
  OK(seed_distilled_summary(distilled, &summary));
  CHECK(summary.outcome == SEED_OUTCOME_FINISHED && summary.images == FRAMES && summary.classes == 2 && summary.steps > 0);
  CHECK(summary.seconds > 0 && summary.recall_chance == .5 && fabs(summary.agreement_chance - 10. / (FRAMES - 1)) < 1e-12);
  CHECK(summary.agreement_before >= 0 && summary.agreement_after >= 0 && summary.agreement_after <= 1);
  CHECK(summary.recall_before >= 0 && summary.recall_after <= 1 && summary.recall_after_deviation >= 0);
  CHECK(summary.recall_teacher >= 0 && summary.recall_teacher <= 1);
  found = text(seed_distilled_warnings, distilled);
  CHECK((summary.warnings == 0) == (found[0] == 0));
  free(found);
  found = text(seed_distilled_settings, distilled);
  CHECK(strstr(found, "\"batch_size\": 8,") != NULL && strstr(found, "\"queue_capacity\": 64,") != NULL);
  free(found);

  OK(seed_distilled_student(distilled, &student));
  seed_distilled_free(distilled); /* the student stays */
  OK(seed_student_dim(student, &dim));
  CHECK(dim == DIM); /* the teacher's: nobody has set "embedding_dim" */
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_distilled_summary(distilled, &summary));
  seed_student_free(student);
  seed_config_free(config);
}

/* ---- the probe of a run of one's own ---- */

struct probe {
  int reports;
  double start;
};

static int32_t on_step(const seed_progress *progress, void *user_data) {
  struct probe *probe = (struct probe *)user_data;
  CHECK(progress->struct_size == sizeof *progress && progress->total_steps == 4);
  if (probe->reports++ == 0) {
    CHECK(progress->step == 0 && isnan(progress->loss) && isnan(progress->probe_agreement));
    return 0;
  }
  CHECK(isfinite(progress->loss) && progress->probe_agreement >= 0 && progress->probe_agreement <= 1);
  CHECK(progress->probe_agreement_best >= progress->probe_agreement_start && progress->probe_step <= progress->step);
  CHECK(progress->probe_recall >= 0 && progress->probe_recall <= 1);
  if (probe->reports == 2) probe->start = progress->probe_agreement_start;
  CHECK(progress->probe_agreement_start == probe->start);
  return 0;
}

static void probe(const seed_dataset *dataset, const seed_teacher *teacher) {
  seed_config *config = settings();
  seed_student *student = NULL;
  seed_trainer *trainer = NULL;
  struct probe seen = {0, -1};
  int64_t features = 0, dim = 0;
  int32_t outcome = -1;
  OK(seed_config_set_int(config, "steps", 4));
  OK(seed_config_set_int(config, "queue_capacity", 32));
  OK(seed_config_set_int(config, "progress_every", 100));
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_student_dim(student, &features));
  CHECK(features == 1024); /* torchvision's last hidden layer */
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  OK(seed_student_dim(student, &dim));
  CHECK(dim == DIM);
  OK(seed_trainer_run(trainer, 0, on_step, &seen, NULL, &outcome));
  /* Before the first step, after it, and the last. */
  CHECK(outcome == SEED_OUTCOME_FINISHED && seen.reports == 3);
  FAILS(SEED_ERROR_CONFIG, seed_config_set_string(config, "queue.fill", "zeros"));
  OK(seed_config_set_string(config, "queue.fill", "noise"));
  seed_trainer_free(trainer);
  seed_student_free(student);
  seed_config_free(config);
}

int main(int count, char **words) {
  seed_config *config = NULL;
  seed_dataset *dataset = NULL;
  seed_student *source = NULL;
  seed_teacher *teacher = NULL;
  if (count < 2) return 2;
  OK(seed_init(SEED_ABI_VERSION));
  sprintf(teacher_file, "%.500s/teacher.safetensors", words[1]);
  config = settings();
  OK(seed_config_set_int(config, "embedding_dim", DIM));
  OK(seed_student_new("mobilenet_v3_small", config, &source));
  OK(seed_student_save(source, teacher_file));
  seed_student_free(source);
  OK(seed_teacher_load(teacher_file, "mobilenet_v3_small", config, &teacher));
  seed_config_free(config);
  OK(seed_dataset_new(&dataset));
  push(dataset);
  presets();
  plan(dataset, teacher);
  errors(dataset, teacher, words[1]);
  distil(dataset, teacher, words[1]);
  probe(dataset, teacher);
  seed_dataset_free(dataset);
  seed_teacher_free(teacher);
  if (failures == 0) printf("distil: all checks passed\n");
  return failures != 0;
}
