/* A disk that fills up during checkpoint, student, queue, report and bank: a clear error, the old files as they were, and
 * everything goes on when there is room again.
 *
 *   full FOLDER SMALL     SMALL: a folder on a small file system of its own, which this program fills */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

static char *small_disk, *ballast;

/* Leaves about `bytes` free on the small disk. */
static void leave_free(long bytes) {
  static char zeros[4096];
  struct statvfs about;
  long left;
  int file = open(ballast, O_WRONLY | O_CREAT | O_APPEND, 0666);
  CHECK(file >= 0 && statvfs(small_disk, &about) == 0);
  left = (long)(about.f_bavail * about.f_frsize);
  CHECK(left < 64L << 20); /* not somebody's real disk */
  for (; left - (long)sizeof zeros >= bytes && left < 64L << 20; left -= (long)sizeof zeros)
    if (write(file, zeros, sizeof zeros) != (ssize_t)sizeof zeros) break;
  close(file);
}

static void make_room(void) { CHECK(unlink(ballast) == 0); }

/* The error must be of the disk and say so. */
static void disk_is_full(seed_error *error, int line) {
  if (seed_error_code(error) != SEED_ERROR_IO ||
      (strstr(seed_error_message(error), "disk") == NULL && strstr(seed_error_message(error), "space") == NULL)) {
    fprintf(stderr, "line %d: expected an error of a full disk, found code %d: %s\n", line, (int)seed_error_code(error),
            seed_error_message(error));
    ++failures;
  }
  seed_error_free(error);
}
#define FULL(call) disk_is_full((call), __LINE__)

static void *content(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  char *bytes = (char *)malloc(16 << 20);
  *length = 0;
  if (file != NULL) {
    *length = fread(bytes, 1, 16 << 20, file);
    fclose(file);
  }
  return bytes;
}

/* Whether a file is what it was. */
static void unchanged(const char *path, const void *bytes, size_t length, int line) {
  size_t now;
  void *found = content(path, &now);
  if (now != length || memcmp(found, bytes, length) != 0) {
    fprintf(stderr, "line %d: %s has changed: %lu bytes, expected %lu\n", line, path, (unsigned long)now,
            (unsigned long)length);
    ++failures;
  }
  free(found);
}

static int count_of(const char *pattern) {
  char command[1024], number[32] = "";
  FILE *out;
  snprintf(command, sizeof command, "ls -A '%s' | grep -c '%s'", small_disk, pattern);
  out = popen(command, "r");
  CHECK(out != NULL && fgets(number, sizeof number, out) != NULL);
  pclose(out);
  return atoi(number);
}

int main(int count, char **words) {
  char *images, *weights, *checkpoint, *student_path, *queue_path, *report_path, *bank_path;
  seed_config *config;
  seed_dataset *dataset = NULL;
  seed_teacher *teacher = NULL;
  seed_student *student = NULL, *other = NULL;
  seed_trainer *trainer = NULL, *again = NULL;
  seed_queue *queue = NULL;
  seed_report *report = NULL;
  seed_bank *bank = NULL;
  uint64_t step = 0, total = 0, bytes = 0;
  void *old_student, *old_queue, *old_report;
  size_t student_length, queue_length, report_length;
  int32_t outcome = -1;
  int i;
  if (count < 3) return 2;
  small_disk = words[2];
  images = path_in(words[1], "images");
  weights = path_in(words[1], "teacher.safetensors");
  ballast = path_in(small_disk, "ballast");
  checkpoint = path_in(small_disk, "checkpoint");
  student_path = path_in(small_disk, "student");
  queue_path = path_in(small_disk, "queue");
  report_path = path_in(small_disk, "report.html");
  bank_path = path_in(small_disk, "bank");
  OK(seed_init(SEED_ABI_VERSION));
  write_images(images);
  config = small_config();
  write_teacher(config, weights);
  OK(seed_config_set_int(config, "steps", 6));
  OK(seed_config_set_int(config, "checkpoint_every", 1));
  OK(seed_config_set_string(config, "checkpoint_path", checkpoint));
  OK(seed_dataset_open_folder(images, &dataset));
  OK(seed_teacher_load(weights, "mobilenet_v3_small", config, &teacher));
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_queue_new(4096, DIM, 1, &queue));
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  OK(seed_report_new("before", &report));
  for (i = 0; i < 2000; ++i) OK(seed_report_add_paragraph(report, "a paragraph that takes its room on the disk"));

  /* With room: two steps, and every file once. */
  OK(seed_trainer_run(trainer, 2, NULL, NULL, NULL, &outcome));
  OK(seed_student_save(student, student_path));
  OK(seed_queue_save(queue, queue_path));
  OK(seed_report_write(report, report_path));
  old_student = content(student_path, &student_length);
  old_queue = content(queue_path, &queue_length);
  old_report = content(report_path, &report_length);

  /* Without: each refuses, and what was there stays. Nothing half-written takes the last of the room. */
  for (i = 0; i < 3; ++i) {
    leave_free(i == 0 ? 0 : i == 1 ? 40000 : 2000000);
    FULL(seed_trainer_run(trainer, 1, NULL, NULL, NULL, &outcome));
    FULL(seed_trainer_save(trainer, checkpoint));
    FULL(seed_student_save(student, student_path));
    if (i < 2) {
      FULL(seed_queue_save(queue, queue_path));
      FULL(seed_report_write(report, report_path));
    }
    OK(seed_config_set_int(config, "view_count", 400000));
    FULL(seed_bank_fill(bank_path, config, teacher, dataset, 0, NULL, NULL, NULL, NULL));
    OK(seed_config_set_int(config, "view_count", 0));
    unchanged(student_path, old_student, student_length, __LINE__);
    if (i < 2) unchanged(queue_path, old_queue, queue_length, __LINE__);
    if (i < 2) unchanged(report_path, old_report, report_length, __LINE__);
    CHECK(count_of("draft") == 0 && count_of("tmp") == 0);
    /* The old checkpoint can be read, by another trainer. */
    OK(seed_student_new("mobilenet_v3_small", config, &other));
    OK(seed_trainer_new(config, other, teacher, NULL, dataset, &again));
    OK(seed_trainer_resume(again, checkpoint));
    OK(seed_trainer_position(again, &step, &total));
    CHECK(step == (uint64_t)(2 + i));
    seed_trainer_free(again);
    seed_student_free(other);
    again = NULL;
    make_room();
    /* The same trainer goes on: the step was made, only its checkpoint is missing. */
    OK(seed_trainer_position(trainer, &step, &total));
    CHECK(step == (uint64_t)(3 + i));
    OK(seed_trainer_save(trainer, checkpoint));
  }
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  OK(seed_student_save(student, student_path));
  OK(seed_queue_save(queue, queue_path));
  OK(seed_report_write(report, report_path));
  OK(seed_config_set_int(config, "view_count", 2));
  OK(seed_bank_predict_size(IMAGES, 2, DIM, &bytes));
  OK(seed_bank_fill(bank_path, config, teacher, dataset, 0, NULL, NULL, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  OK(seed_bank_open(bank_path, teacher, &bank));
  OK(seed_bank_verify(bank));

  seed_bank_free(bank);
  seed_report_free(report);
  seed_queue_free(queue);
  seed_trainer_free(trainer);
  seed_student_free(student);
  seed_teacher_free(teacher);
  seed_dataset_free(dataset);
  seed_config_free(config);
  free(old_student);
  free(old_queue);
  free(old_report);
  if (failures == 0) printf("full: all checks passed\n");
  return failures != 0;
}
