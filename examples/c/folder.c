/* Distils a student on a folder of unlabelled images, embeds them with it and shows nearest neighbours. C99, knows seed.h only.
 * The examples of the other languages do the same.
 *
 *   folder IMAGES TEACHER ARCHITECTURE STUDENT.safetensors [SIDE [STEPS [BATCH]]]
 *
 *   folder /data/frames resnet50.pth resnet50 student.safetensors 96 800 32
 */
#include "seed.h"

#include <stdio.h>
#include <stdlib.h>

/* Everything that the program owns. NULL is fine for every _free function, so one place can release it at any moment. */
typedef struct {
  seed_config *config;
  seed_dataset *images;
  seed_teacher *teacher;
  seed_student *student;
  seed_trainer *trainer;
  seed_session *session, *by_teacher;
  float *vectors, *teacher_vectors;
  uint32_t *nearest;
} program;

static void release(program *p) {
  seed_config_free(p->config);
  seed_dataset_free(p->images);
  seed_teacher_free(p->teacher);
  seed_student_free(p->student);
  seed_trainer_free(p->trainer);
  seed_session_free(p->session);
  seed_session_free(p->by_teacher);
  free(p->vectors);
  free(p->teacher_vectors);
  free(p->nearest);
}

/* Prints the error, frees it, and tells whether there was one. */
static int failed(seed_error *error) {
  if (error == NULL) return 0;
  fprintf(stderr, "folder: error %d: %s\n", (int)seed_error_code(error), seed_error_message(error));
  seed_error_free(error);
  return 1;
}

#define TRY(call)                                                                                                      \
  do {                                                                                                                 \
    if (failed(call)) return 0;                                                                                        \
  } while (0)

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* On the thread that called seed_trainer_run. A return other than 0 would end the run. */
static int32_t on_progress(const seed_progress *progress, void *user_data) {
  (void)user_data;
  if (progress->step == 0) return 0; /* the first report comes before the first step */
  printf("step %llu/%llu  loss %.4f  %.0f images/s  %.0f s left\n", (unsigned long long)progress->step,
         (unsigned long long)progress->total_steps, progress->loss, progress->images_per_second, progress->eta_seconds);
  return 0;
}

/* The paper's settings are for a million images; these suit a few thousand. */
static int configure(program *p, int64_t side, int64_t steps, int64_t batch) {
  TRY(seed_config_set_int(p->config, "image_width", side));
  TRY(seed_config_set_int(p->config, "image_height", side));
  TRY(seed_config_set_int(p->config, "steps", steps));
  TRY(seed_config_set_int(p->config, "batch_size", batch));
  TRY(seed_config_set_int(p->config, "queue_capacity", 1024));
  TRY(seed_config_set_int(p->config, "warmup_steps", steps / 10 < 20 ? steps / 10 : 20));
  TRY(seed_config_set_int(p->config, "progress_every", steps < 10 ? 1 : steps < 100 ? steps / 10 : 10));
  TRY(seed_config_set_float(p->config, "learning_rate", .2));
  TRY(seed_config_set_float(p->config, "temperature_student", .1));
  TRY(seed_config_set_float(p->config, "temperature_teacher", .02));
  TRY(seed_config_set_float(p->config, "view.crop_scale_min", .8));
  TRY(seed_config_set_float(p->config, "view.brightness", .1));
  TRY(seed_config_set_float(p->config, "view.contrast", .1));
  TRY(seed_config_set_float(p->config, "view.blur_probability", 0));
  return 1;
}

/* Vectors of all images: asks for the size, then for the numbers. */
static int embed(const seed_session *session, const seed_dataset *images, float **vectors) {
  size_t length;
  TRY(seed_session_embed_dataset(session, images, NULL, NULL, NULL, NULL, 0, &length));
  *vectors = malloc(length * sizeof **vectors);
  if (*vectors == NULL) return fprintf(stderr, "folder: no memory for %zu numbers\n", length), 0;
  TRY(seed_session_embed_dataset(session, images, NULL, NULL, NULL, *vectors, length, &length));
  return 1;
}

/* Prints the name of an image, which has any length. */
static int print_name(const seed_dataset *images, size_t index, const char *before) {
  char *name;
  size_t length;
  TRY(seed_dataset_name(images, index, NULL, 0, &length));
  name = malloc(length);
  if (name == NULL) return fprintf(stderr, "folder: no memory for a name\n"), 0;
  if (failed(seed_dataset_name(images, index, name, length, &length))) return free(name), 0;
  printf("%s%s", before, name);
  free(name);
  return 1;
}

static int distil(program *p, char **words, int64_t side, int64_t steps, int64_t batch) {
  size_t count;
  int64_t dim;
  TRY(seed_init(SEED_ABI_VERSION));
  TRY(seed_dataset_open_folder(words[1], &p->images));
  TRY(seed_dataset_count(p->images, &count));
  TRY(seed_config_new(&p->config));
  if (!configure(p, side, steps, (int64_t)smaller((size_t)batch, count))) return 0;
  TRY(seed_teacher_load(words[2], words[3], p->config, &p->teacher));
  TRY(seed_teacher_dim(p->teacher, &dim));
  TRY(seed_student_new("mobilenet_v3_small", p->config, &p->student));
  printf("%zu images, teacher %s (%d numbers an image), student mobilenet_v3_small\n", count, words[3], (int)dim);
  TRY(seed_trainer_new(p->config, p->student, p->teacher, NULL, p->images, &p->trainer));
  TRY(seed_trainer_run(p->trainer, 0, on_progress, NULL, NULL, NULL));
  TRY(seed_student_save(p->student, words[4]));
  printf("student: %s\n", words[4]);
  return 1;
}

static int search(program *p, const char *student) {
  size_t count, length, k, queries, i, j;
  int64_t dim, teacher_dim;
  double share;
  TRY(seed_dataset_count(p->images, &count));
  if (count < 2) return fprintf(stderr, "folder: one image has no neighbours\n"), 0;
  TRY(seed_session_open(student, p->config, &p->session));
  TRY(seed_session_from_teacher(p->teacher, p->config, &p->by_teacher));
  TRY(seed_session_dim(p->session, &dim));
  TRY(seed_session_dim(p->by_teacher, &teacher_dim));
  if (!embed(p->session, p->images, &p->vectors) || !embed(p->by_teacher, p->images, &p->teacher_vectors)) return 0;
  k = smaller(3, count - 1);
  TRY(seed_agreement(p->vectors, (size_t)dim, p->teacher_vectors, (size_t)teacher_dim, count, k, &share));
  printf("of the teacher's %zu nearest the student finds %.1f %%, chance %.1f %%\n", k, 100 * share,
         100 * (double)k / (double)(count - 1));
  p->nearest = malloc(count * k * sizeof *p->nearest);
  if (p->nearest == NULL) return fprintf(stderr, "folder: no memory for the neighbours\n"), 0;
  TRY(seed_neighbours(p->vectors, count, (size_t)dim, k, p->nearest, count * k, &length));
  queries = smaller(5, count);
  for (i = 0; i < queries; ++i) {
    const size_t query = i * count / queries;
    if (!print_name(p->images, query, "") || printf(" is most like") < 0) return 0;
    for (j = 0; j < k; ++j)
      if (!print_name(p->images, p->nearest[query * k + j], "  ")) return 0;
    printf("\n");
  }
  TRY(seed_dataset_skipped_count(p->images, &count));
  if (count > 0) printf("%zu images could not be read\n", count);
  return 1;
}

/* A whole number from 1, or 0 for what is none. */
static int64_t number(int count, char **words, int place, int64_t otherwise) {
  char *end;
  long value;
  if (place >= count) return otherwise;
  value = strtol(words[place], &end, 10);
  return *end != '\0' || value < 1 ? 0 : (int64_t)value;
}

int main(int count, char **words) {
  program p = {0};
  const int64_t side = number(count, words, 5, 96), steps = number(count, words, 6, 800), batch = number(count, words, 7, 32);
  int done;
  if (count < 5 || count > 8 || side == 0 || steps == 0 || batch == 0) {
    fprintf(stderr, "usage: folder IMAGES TEACHER ARCHITECTURE STUDENT.safetensors [SIDE [STEPS [BATCH]]]\n");
    return 2;
  }
  done = distil(&p, words, side, steps, batch) && search(&p, words[4]);
  release(&p);
  return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
