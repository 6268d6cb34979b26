/* Memory that cannot be had: whatever is asked for too large gives SEED_ERROR_OUT_OF_MEMORY (or says that it is out of
 * bounds), and everything works as before afterwards. The process is kept small by setrlimit, so that nothing of the machine
 * is taken. */
#include "station.h"

#include <sys/resource.h>
#include <unistd.h>

static long virtual_bytes(void) {
  long all = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%ld", &all) == 1);
  fclose(file);
  return all * sysconf(_SC_PAGESIZE);
}

/* Leaves the process `bytes` more of address space than it has; 0: no limit. */
static void leave_memory(long bytes) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
  limit.rlim_cur = bytes == 0 ? limit.rlim_max : (rlim_t)(virtual_bytes() + bytes);
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* No error, or one with this code. */
static void fails_or_works(int32_t code, seed_error *error) {
  if (error != NULL && seed_error_code(error) != code) {
    printf("code %d: %s\n", (int)seed_error_code(error), seed_error_message(error));
    ++failures;
  }
  seed_error_free(error);
}

int main(int count, char **words) {
  char *images, *weights;
  seed_config *config;
  seed_dataset *dataset = NULL;
  seed_teacher *teacher = NULL;
  seed_student *student = NULL, *large = NULL;
  seed_trainer *trainer = NULL;
  seed_session *session = NULL, *wide = NULL;
  seed_queue *queue = NULL;
  static seed_image many[512];
  static uint8_t pixels[WIDTH * HEIGHT * 3];
  float row[DIM];
  size_t length = 0, i;
  double loss = 77;
  if (count < 2) return 2;
  images = path_in(words[1], "images");
  weights = path_in(words[1], "teacher.safetensors");
  OK(seed_init(SEED_ABI_VERSION));
  write_images(images);
  config = small_config();
  write_teacher(config, weights);
  OK(seed_teacher_load(weights, "mobilenet_v3_small", config, &teacher));
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_dataset_open_folder(images, &dataset));
  OK(seed_session_from_student(student, config, &session));
  for (i = 0; i < sizeof many / sizeof *many; ++i) many[i] = view_of(pixels);

  /* Once with memory, so that threads and pools are there. */
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  OK(seed_trainer_step(trainer, many, 4, &loss));
  OK(seed_session_embed(session, many, 1, row, DIM, &length));

  leave_memory(96L << 20);
  FAILS(SEED_ERROR_OUT_OF_MEMORY, seed_queue_new(1 << 22, 1024, 1, &queue)); /* the most that is allowed: 16 GiB */
  FAILS(SEED_ERROR_OUT_OF_MEMORY, seed_queue_new(1 << 20, 1024, 1, &queue));
  FAILS(SEED_ERROR_OUT_OF_MEMORY, seed_student_new("resnet152", config, &large));
  CHECK(queue == NULL && large == NULL);
  loss = 77;
  FAILS(SEED_ERROR_OUT_OF_MEMORY, seed_trainer_step(trainer, many, 512, &loss));
  CHECK(loss == 77);
  /* What is small still works, while memory is short. */
  OK(seed_session_embed(session, many, 1, row, DIM, &length));
  OK(seed_queue_new(10, DIM, 1, &queue));
  seed_queue_free(queue);
  OK(seed_config_set_int(config, "image_width", 4096));
  OK(seed_config_set_int(config, "image_height", 4096));
  FAILS(SEED_ERROR_OUT_OF_MEMORY, seed_session_from_teacher(teacher, config, &wide));
  OK(seed_config_set_int(config, "image_width", 32));
  OK(seed_config_set_int(config, "image_height", 32));

  /* Wherever in a step memory ends, that is an error: each batch here is of a new size, for which oneDNN writes code. */
  for (i = 0; i < 24; ++i) {
    leave_memory(0);
    leave_memory((long)(40 + 6 * i) << 20);
    fails_or_works(SEED_ERROR_OUT_OF_MEMORY, seed_trainer_step(trainer, many, 480 + i, &loss));
  }

  /* And with memory again the same trainer goes on. */
  leave_memory(0);
  OK(seed_trainer_step(trainer, many, 4, &loss));
  CHECK(loss == loss && loss != 77);
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, NULL));
  OK(seed_queue_new(1 << 16, DIM, 1, &queue));
  seed_queue_free(queue);
  seed_session_free(session);
  seed_trainer_free(trainer);
  seed_dataset_free(dataset);
  seed_student_free(student);
  seed_teacher_free(teacher);
  seed_config_free(config);
  free(images);
  free(weights);
  if (failures == 0) printf("memory: all checks passed\n");
  return failures != 0;
}
