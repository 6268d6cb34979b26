/* A run of some steps with a checkpoint after each, for the programs that end it in the middle. */
#include "station.h"

#include <unistd.h>

/* Distils `steps` steps from the last checkpoint on and writes the student; NULL or the first error. Prints a line after each step. */
static inline seed_error *run_on(const char *folder, int steps, int32_t (*tell)(const seed_progress *, void *)) {
  char *images = path_in(folder, "images"), *weights = path_in(folder, "teacher.safetensors"),
       *checkpoint = path_in(folder, "work/checkpoint"), *result = path_in(folder, "work/student.safetensors"),
       *manifest = path_in(folder, "work/checkpoint/manifest.json");
  seed_config *config = small_config();
  seed_dataset *dataset = NULL;
  seed_teacher *teacher = NULL;
  seed_student *student = NULL;
  seed_trainer *trainer = NULL;
  seed_error *error = NULL;
  OK(seed_config_set_int(config, "steps", steps));
  OK(seed_config_set_int(config, "checkpoint_every", 1));
  OK(seed_config_set_string(config, "checkpoint_path", checkpoint));
  error = seed_dataset_open_folder(images, &dataset);
  if (error == NULL) error = seed_teacher_load(weights, "mobilenet_v3_small", config, &teacher);
  if (error == NULL) error = seed_student_new("mobilenet_v3_small", config, &student);
  if (error == NULL) error = seed_trainer_new(config, student, teacher, NULL, dataset, &trainer);
  if (error == NULL && access(manifest, F_OK) == 0) error = seed_trainer_resume(trainer, checkpoint);
  if (error == NULL) error = seed_trainer_run(trainer, 0, tell, NULL, NULL, NULL);
  if (error == NULL) error = seed_student_save(student, result);
  seed_trainer_free(trainer);
  seed_student_free(student);
  seed_teacher_free(teacher);
  seed_dataset_free(dataset);
  seed_config_free(config);
  free(images);
  free(weights);
  free(checkpoint);
  free(result);
  free(manifest);
  return error;
}
