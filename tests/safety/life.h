/* A whole small distillation, from the folder of images to the report: the work that the programs of this folder let fail. */
#include "places.h"
#include "station.h"

#include <math.h>
#include <unistd.h>

/* The files of one life, below one folder. */
struct files {
  char *images, *teacher, *checkpoint, *student, *queue, *report, *bank;
};

static inline struct files files_in(const char *folder) {
  struct files files;
  files.images = path_in(folder, "images");
  files.teacher = path_in(folder, "teacher.safetensors");
  files.checkpoint = path_in(folder, "checkpoint");
  files.student = path_in(folder, "student.safetensors");
  files.queue = path_in(folder, "queue.safetensors");
  files.report = path_in(folder, "report.html");
  files.bank = path_in(folder, "teacher.bank");
  return files;
}

static inline void files_forget(struct files *files) {
  free(files->images);
  free(files->teacher);
  free(files->checkpoint);
  free(files->student);
  free(files->queue);
  free(files->report);
  free(files->bank);
}

/* What a life left in memory for comparison. */
struct fruit {
  float vectors[IMAGES * DIM];
};

/* Everything that exists so far, to be freed whatever happened. */
struct household {
  seed_config *config;
  seed_dataset *dataset;
  seed_teacher *teacher, *stored;
  seed_student *student;
  seed_queue *queue;
  seed_bank *bank;
  seed_trainer *trainer, *by_bank;
  seed_session *session;
  seed_report *report;
};

static inline void leave(struct household *home) {
  seed_report_free(home->report);
  seed_session_free(home->session);
  seed_trainer_free(home->by_bank);
  seed_trainer_free(home->trainer);
  seed_bank_free(home->bank);
  seed_queue_free(home->queue);
  seed_student_free(home->student);
  seed_teacher_free(home->stored);
  seed_teacher_free(home->teacher);
  seed_dataset_free(home->dataset);
  seed_config_free(home->config);
}

#define TRY(name, call)                                                                                                \
  do {                                                                                                                 \
    if (error == NULL) {                                                                                               \
      stage = name;                                                                                                    \
      error = (call);                                                                                                  \
    }                                                                                                                  \
  } while (0)

/* What the student of a life learns by. */
static const char *life_method = "seed";

/* Whether that needs no teacher. */
static inline int life_is_alone(void) {
  return strcmp(life_method, "moco_v2") == 0 || strcmp(life_method, "simclr") == 0 || strcmp(life_method, "swav") == 0;
}

/* The settings of a life: 4 steps, saved after each. */
static inline seed_error *life_config(const struct files *files, seed_config **out) {
  static const struct {
    const char *key;
    int64_t value;
  } numbers[] = {{"image_width", 32},    {"image_height", 32},       {"batch_size", 3},    {"steps", 4},
                 {"queue_capacity", 10}, {"embedding_dim", DIM},     {"workers", 1},       {"projection_hidden", 32},
                 {"progress_every", 1},  {"checkpoint_every", 1},    {"view_count", 0},    {"seed", 7},
                 {"k_means.clusters", 2}, {"online_clustering.prototypes", 4},
                 {"swav.prototypes", 4}, {"swav.queue", 4},       {"swav.queue_epoch", 0}, {"swav.frozen_epochs", 0}};
  seed_error *error = seed_config_new(out);
  unsigned i;
  for (i = 0; error == NULL && i < sizeof numbers / sizeof *numbers; ++i)
    error = seed_config_set_int(*out, numbers[i].key, numbers[i].value);
  if (error == NULL) error = seed_config_set_string(*out, "device", "cpu");
  if (error == NULL) error = seed_config_set_string(*out, "precision", "fp32");
  if (error == NULL) error = seed_config_set_string(*out, "method", life_method);
  if (error == NULL) error = seed_config_set_string(*out, "checkpoint_path", files->checkpoint);
  return error;
}

/* Trainer and all that it needs, at the last checkpoint where there is one. */
static inline seed_error *life_begin(const struct files *files, struct household *home) {
  seed_error *error = NULL;
  char *manifest = path_in(files->checkpoint, "manifest.json");
  TRY("config", life_config(files, &home->config));
  TRY("dataset", seed_dataset_open_folder(files->images, &home->dataset));
  TRY("teacher", seed_teacher_load(files->teacher, "mobilenet_v3_small", home->config, &home->teacher));
  TRY("student", seed_student_new("mobilenet_v3_small", home->config, &home->student));
  TRY("queue", seed_queue_new(10, DIM, 3, &home->queue));
  TRY("trainer",
      seed_trainer_new(home->config, home->student, life_is_alone() ? NULL : home->teacher, home->queue, home->dataset,
                       &home->trainer));
  if (error == NULL && access(manifest, F_OK) == 0)
    TRY("resume", seed_trainer_resume(home->trainer, files->checkpoint));
  else
    TRY("first checkpoint", seed_trainer_save(home->trainer, files->checkpoint));
  free(manifest);
  return error;
}

/* What comes after the run: student, queue, session, bank, a second run over the bank, report. */
static inline seed_error *life_end(const struct files *files, struct household *home, struct fruit *fruit) {
  seed_error *error = NULL;
  size_t length = 0;
  uint32_t nearest[IMAGES * 2], queries[IMAGES] = {0, 1, 2, 3, 4, 5};
  static const char *const heads[] = {"what", "how much"}, *const cells[] = {"images", "6"};
  TRY("save the student", seed_student_save(home->student, files->student));
  TRY("save the queue", seed_queue_save(home->queue, files->queue));
  seed_queue_free(home->queue);
  home->queue = NULL;
  TRY("load the queue", seed_queue_load(files->queue, &home->queue));
  TRY("session", seed_session_open(files->student, home->config, &home->session));
  TRY("embed", seed_session_embed_dataset(home->session, home->dataset, NULL, NULL, NULL, fruit->vectors,
                                          IMAGES * DIM, &length));
  TRY("neighbours", seed_neighbours(fruit->vectors, IMAGES, DIM, 2, nearest, IMAGES * 2, &length));
  TRY("bank settings", seed_config_set_int(home->config, "view_count", 1));
  TRY("bank settings", seed_config_set_string(home->config, "checkpoint_path", ""));
  if (life_is_alone()) TRY("bank settings", seed_config_set_string(home->config, "method", "seed"));
  TRY("fill the bank",
      seed_bank_fill(files->bank, home->config, home->teacher, home->dataset, 0, NULL, NULL, NULL, NULL));
  TRY("open the bank", seed_bank_open(files->bank, home->teacher, &home->bank));
  TRY("verify the bank", seed_bank_verify(home->bank));
  TRY("teacher of the bank", seed_teacher_from_bank(home->bank, &home->stored));
  TRY("trainer over the bank",
      seed_trainer_new(home->config, home->student, home->stored, NULL, home->dataset, &home->by_bank));
  TRY("run over the bank", seed_trainer_run(home->by_bank, 1, NULL, NULL, NULL, NULL));
  TRY("report", seed_report_new("a life", &home->report));
  TRY("report table", seed_report_add_table(home->report, "numbers", heads, 2, cells, 1));
  TRY("report sheet", seed_report_add_neighbours(home->report, "nearest", home->dataset, queries, IMAGES, 2, "student",
                                                 nearest, "again", nearest));
  TRY("write the report", seed_report_write(home->report, files->report));
  return error;
}

/* The whole life. Where the folder has a checkpoint it goes on from there. NULL, or the error that ended it. */
static inline seed_error *live(const struct files *files, struct fruit *fruit) {
  struct household home;
  seed_error *error;
  memset(&home, 0, sizeof home);
  error = life_begin(files, &home);
  TRY("run", seed_trainer_run(home.trainer, 0, NULL, NULL, NULL, NULL));
  if (error == NULL) error = life_end(files, &home, fruit);
  leave(&home);
  return error;
}

/* A session takes the fastest of its ways to compute, so that two of them differ in their last bits. */
static inline int same_vectors(const struct fruit *a, const struct fruit *b) {
  unsigned i;
  for (i = 0; i < IMAGES * DIM; ++i)
    if (!(fabsf(a->vectors[i] - b->vectors[i]) < 1e-4f)) return 0;
  return 1;
}

/* All bytes of a file; NULL where there is none. */
static inline uint8_t *bytes_of(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  uint8_t *bytes;
  long size;
  *length = 0;
  if (file == NULL) return NULL;
  if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
    fclose(file);
    return NULL;
  }
  rewind(file);
  bytes = (uint8_t *)malloc((size_t)size + 1);
  *length = fread(bytes, 1, (size_t)size, file);
  fclose(file);
  return bytes;
}

static inline int same_file(const char *a, const char *b) {
  size_t m, n;
  uint8_t *left = bytes_of(a, &m), *right = bytes_of(b, &n);
  int same = left != NULL && right != NULL && m == n && memcmp(left, right, m) == 0;
  free(left);
  free(right);
  return same;
}

/* Removes what lives have left in the folder, but images and teacher. */
static inline void clear(const char *folder) {
  char command[1024];
  snprintf(command, sizeof command, "cd '%s' && rm -rf checkpoint .checkpoint* student.* .student* queue.* .queue* report.* "
           ".report* teacher.bank .teacher.bank*", folder);
  if (system(command) != 0) ++failures;
}
