/* Networks by their names alone: a Vision Transformer teaches a narrow student with one grey channel, on images that are not
 * square; what does not fit is an error that says what would. Also compiled as C++17. */
#include "check.h"

#include <math.h>
#include <stdlib.h>

#define DIM 12
#define WIDTH 60
#define HEIGHT 50

/* A grey picture that differs with `number`. */
static void paint(uint8_t *pixels, unsigned number) {
  unsigned i;
  for (i = 0; i < WIDTH * HEIGHT; ++i) pixels[i] = (uint8_t)(i / (1 + number % 5) * (number + 3) % (60 + 9 * number));
}

static seed_image image_of(const uint8_t *pixels) {
  seed_image image;
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = pixels;
  image.width = WIDTH;
  image.height = HEIGHT;
  image.row_stride = WIDTH;
  image.format = SEED_PIXEL_MONO8;
  return image;
}

static void fails_saying(seed_error *error, int32_t code, const char *part, int line) {
  if (error == NULL || strstr(seed_error_message(error), part) == NULL) {
    fprintf(stderr, "line %d: \"%s\" is not in: %s\n", line, part, seed_error_message(error));
    ++failures;
  }
  expect(error, code, line);
}

static void distil(const char *folder) {
  char weights[512], file[512];
  static uint8_t pixels[WIDTH * HEIGHT];
  float vector[DIM], again[DIM];
  double length = 0;
  size_t count = 0;
  int64_t dim = 0, parameters = 0;
  unsigned i;
  seed_image image = image_of(pixels);
  seed_config *config = NULL;
  seed_dataset *dataset = NULL;
  seed_student *transformer = NULL, *student = NULL;
  seed_teacher *teacher = NULL;
  seed_trainer *trainer = NULL;
  seed_session *session = NULL;
  snprintf(weights, sizeof weights, "%s/teacher.safetensors", folder);
  snprintf(file, sizeof file, "%s/student.safetensors", folder);

  OK(seed_config_new(&config));
  OK(seed_config_set_int(config, "image_width", 64));
  OK(seed_config_set_int(config, "image_height", 32));
  OK(seed_config_set_int(config, "batch_size", 4));
  OK(seed_config_set_int(config, "steps", 2));
  OK(seed_config_set_int(config, "queue_capacity", 8));
  OK(seed_config_set_int(config, "embedding_dim", DIM));
  OK(seed_config_set_string(config, "precision", "fp32"));

  /* A teacher's file: a transformer of random weights with a head. */
  OK(seed_student_new("vit_small_patch16", config, &transformer));
  OK(seed_student_save(transformer, weights));
  OK(seed_teacher_load(weights, "vit_small_patch16", config, &teacher));
  OK(seed_teacher_dim(teacher, &dim));
  CHECK(dim == DIM);
  OK(seed_teacher_parameter_count(teacher, &parameters));
  CHECK(parameters == 21665664 + 384 * 384 + 384 + 384 * DIM + DIM);
  fails_saying(seed_teacher_load(weights, "vit_small_patch14_dinov2", config, &teacher), SEED_ERROR_MISMATCH,
               "blocks.0.ls1.gamma", __LINE__);

  OK(seed_config_set_int(config, "image_channels", 1));
  OK(seed_student_new("resnet18_w0.25", config, &student));
  OK(seed_student_parameter_count(student, &parameters));
  /* Without torchvision's classifier of 1000 classes, with a head, and two of three channels less in the 7x7 stem. */
  CHECK(parameters == 831096 - 129000 + 128 * 128 + 128 + 128 * DIM + DIM - 2 * 49 * 16);

  OK(seed_dataset_new(&dataset));
  for (i = 0; i < 8; ++i) {
    paint(pixels, i);
    OK(seed_dataset_push(dataset, &image, NULL, NULL));
  }
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, NULL));
  seed_trainer_free(trainer);
  trainer = NULL;

  OK(seed_student_save(student, file));
  OK(seed_session_from_student(student, config, &session));
  OK(seed_session_embed(session, &image, 1, vector, DIM, &count));
  CHECK(count == DIM);
  for (i = 0; i < DIM; ++i) length += (double)vector[i] * vector[i];
  CHECK(fabs(length - 1) < 1e-4);
  seed_session_free(session);
  session = NULL;
  OK(seed_session_open(file, config, &session));
  OK(seed_session_embed(session, &image, 1, again, DIM, &count));
  for (i = 0; i < DIM; ++i) CHECK(fabs(again[i] - vector[i]) < 1e-5);
  seed_session_free(session);

  /* A student with three channels does not fit settings that say one, and sizes must be whole patches. */
  fails_saying(seed_trainer_new(config, transformer, teacher, NULL, dataset, &trainer), SEED_ERROR_MISMATCH,
               "image_channels is 1", __LINE__);
  OK(seed_config_set_int(config, "image_height", 40));
  session = NULL;
  fails_saying(seed_session_from_teacher(teacher, config, &session), SEED_ERROR_INVALID_ARGUMENT,
               "multiples of 16, got 40x64; the nearest is 48x64", __LINE__);
  CHECK(session == NULL);
  OK(seed_config_set_int(config, "image_channels", 2));
  seed_student_free(student);
  student = NULL;
  fails_saying(seed_student_new("resnet10", config, &student), SEED_ERROR_CONFIG, "image_channels is 2", __LINE__);
  OK(seed_config_set_int(config, "image_channels", 3));
  fails_saying(seed_student_new("resnet18_w0.3", config, &student), SEED_ERROR_INVALID_ARGUMENT,
               "did you mean resnet18_w0.", __LINE__);
  fails_saying(seed_student_new("vit_small_patch16", config, &student), SEED_ERROR_INVALID_ARGUMENT,
               "multiples of 16, got 40x64; the nearest is 48x64", __LINE__);
  CHECK(student == NULL);

  seed_dataset_free(dataset);
  seed_teacher_free(teacher);
  seed_student_free(transformer);
  seed_config_free(config);
}

int main(int count, char **words) {
  if (count < 2) return 2;
  OK(seed_init(SEED_ABI_VERSION));
  distil(words[1]);
  if (failures == 0) printf("networks: all checks passed\n");
  return failures != 0;
}
