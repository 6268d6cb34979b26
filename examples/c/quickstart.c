/* From a folder of frames and a teacher to a student in one call.
 *
 *   quickstart FRAMES TEACHER-FILE TEACHER-ARCHITECTURE STUDENT-ARCHITECTURE SECONDS OUT [WEIGHTS|-] [KEY=VALUE ...]
 *
 * OUT receives student.safetensors and report.html. Interrupted, the same command goes on. No setting is needed; those that are given
 * are kept. */

#include <seed.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(seed_error *error) {
  if (error == NULL) return;
  fprintf(stderr, "quickstart: %s\n", seed_error_message(error));
  seed_error_free(error);
  exit(1);
}

static int32_t on_progress(const seed_distil_progress *progress, void *user_data) {
  static const char *const stages[] = {"", "plan", "teacher", "distil", "report"};
  double *last = user_data;
  int ends = progress->done <= 1 || progress->done == progress->total; /* a stage's first and last report, and one in five seconds */
  if (!ends && progress->elapsed_seconds - *last < 5) return 0;
  *last = progress->elapsed_seconds;
  printf("%6.1f s  %-8s %llu / %llu", progress->elapsed_seconds, stages[progress->stage], (unsigned long long)progress->done,
         (unsigned long long)progress->total);
  if (isfinite(progress->loss)) printf("  loss %.3f", progress->loss);
  if (progress->images_per_second > 0) printf("  %.0f images/s", progress->images_per_second);
  if (isfinite(progress->eta_seconds)) printf("  %.0f s left", progress->eta_seconds);
  if (isfinite(progress->probe_agreement)) printf("  agreement %.3f", progress->probe_agreement);
  if (isfinite(progress->probe_recall)) printf("  10-NN %.3f", progress->probe_recall);
  printf("\n");
  fflush(stdout);
  return 0;
}

static void set(seed_config *config, char *setting) {
  char *equals = strchr(setting, '='), *rest;
  if (equals == NULL) {
    fprintf(stderr, "quickstart: %s is not KEY=VALUE\n", setting);
    exit(2);
  }
  *equals = 0;
  long long whole = strtoll(equals + 1, &rest, 10);
  if (*rest == 0 && rest != equals + 1) {
    check(seed_config_set_int(config, setting, whole));
    return;
  }
  double number = strtod(equals + 1, &rest);
  if (*rest == 0 && rest != equals + 1)
    check(seed_config_set_float(config, setting, number));
  else
    check(seed_config_set_string(config, setting, equals + 1));
}

int main(int count, char **words) {
  if (count < 7) {
    fprintf(stderr, "usage: quickstart FRAMES TEACHER-FILE TEACHER-ARCHITECTURE STUDENT-ARCHITECTURE SECONDS OUT [WEIGHTS|-] "
                    "[KEY=VALUE ...]\n");
    return 2;
  }
  check(seed_init(SEED_ABI_VERSION));
  seed_config *config = NULL;
  check(seed_config_new(&config));
  for (int i = 8; i < count; ++i) set(config, words[i]);
  seed_dataset *frames = NULL;
  check(seed_dataset_open_folder(words[1], &frames));
  seed_teacher *teacher = NULL;
  check(seed_teacher_load(words[2], words[3], config, &teacher));
  const char *weights = count > 7 && strcmp(words[7], "-") != 0 ? words[7] : NULL;

  double last = -1e9;
  seed_distilled *distilled = NULL;
  check(seed_distil(frames, teacher, words[4], weights, atof(words[5]), words[6], config, on_progress, &last, NULL, &distilled));

  seed_distil_summary summary = {.struct_size = sizeof summary};
  check(seed_distilled_summary(distilled, &summary));
  printf("%llu steps, %.0f s\n", (unsigned long long)summary.steps, summary.seconds);
  printf("agreement with the teacher: %.3f before, %.3f after (chance %.3f)\n", summary.agreement_before,
         summary.agreement_after, summary.agreement_chance);
  if (summary.classes > 0)
    printf("balanced 10-NN recall: %.3f before, %.3f +- %.3f after, teacher %.3f (chance %.3f)\n", summary.recall_before,
           summary.recall_after, summary.recall_after_deviation, summary.recall_teacher, summary.recall_chance);
  size_t length = 0;
  check(seed_distilled_warnings(distilled, NULL, 0, &length));
  char *warnings = malloc(length);
  if (warnings == NULL) return 1;
  check(seed_distilled_warnings(distilled, warnings, length, &length));
  if (warnings[0] != 0) printf("warnings:\n%s\n", warnings);
  free(warnings);
  seed_distilled_free(distilled);
  seed_teacher_free(teacher);
  seed_dataset_free(frames);
  seed_config_free(config);
  return 0;
}
