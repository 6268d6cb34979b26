/* Weights of others in C: what a file is, students that start from it, and what is said when it does not fit. */
#include "check.h"

#include <stdlib.h>

static char *described(const char *path) {
  size_t length = 0;
  char *text;
  OK(seed_weights_describe(path, NULL, 0, &length));
  text = (char *)calloc(1, length + 1);
  OK(seed_weights_describe(path, text, length, &length));
  CHECK(strlen(text) + 1 == length);
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_weights_describe(path, text, length - 1, &length));
  return text;
}

static char *report_of(const seed_student *student) {
  size_t length = 0;
  char *text;
  OK(seed_student_weights_report(student, NULL, 0, &length));
  text = (char *)calloc(1, length + 1);
  OK(seed_student_weights_report(student, text, length, &length));
  return text;
}

typedef seed_error *warnings_of(const void *object, char *buffer, size_t capacity, size_t *length);

/* The warnings of an object by the rule of all texts, or an error of the first question. */
static char *warnings(warnings_of *ask, const void *object) {
  size_t length = 0;
  char *text;
  OK(ask(object, NULL, 0, &length));
  text = (char *)calloc(1, length + 1);
  OK(ask(object, text, length, &length));
  CHECK(strlen(text) + 1 == length);
  if (length > 1) FAILS(SEED_ERROR_BUFFER_TOO_SMALL, ask(object, text, length - 1, &length));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, ask(object, text, length, NULL));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, ask(NULL, text, length, &length));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, ask(&length, text, length, &length));
  return text;
}

static seed_error *of_student(const void *object, char *buffer, size_t capacity, size_t *length) {
  return seed_student_warnings((const seed_student *)object, buffer, capacity, length);
}

static seed_error *of_teacher(const void *object, char *buffer, size_t capacity, size_t *length) {
  return seed_teacher_warnings((const seed_teacher *)object, buffer, capacity, length);
}

/* Tensors that nobody understands are told, and those that training keeps beside a network are not. */
static void strangers(const char *path, seed_config *config, seed_student *student) {
  seed_teacher *teacher = NULL;
  char *text = warnings(of_student, student);
  CHECK(strcmp(text, "") == 0);
  free(text);
  OK(seed_student_load_weights(student, path));
  OK(seed_student_load_weights(student, path));
  text = warnings(of_student, student);
  CHECK(strcmp(text, "1 tensors of the file were not understood and are not used: stranger") == 0);
  free(text);
  OK(seed_teacher_load(path, "mobilenet_v3_small", config, &teacher));
  text = warnings(of_teacher, teacher);
  CHECK(strcmp(text, "1 tensors of the file were not understood and are not used: stranger") == 0);
  free(text);
  seed_teacher_free(teacher);
}

static seed_student *student_of(seed_config *config, const char *architecture, int64_t seed, int64_t dim) {
  seed_student *student = NULL;
  OK(seed_config_set_int(config, "seed", seed));
  OK(seed_config_set_int(config, "embedding_dim", dim));
  OK(seed_student_new(architecture, config, &student));
  return student;
}

static void embed(const seed_student *student, seed_config *config, float *vector, size_t capacity) {
  static uint8_t grey[40 * 40];
  seed_session *session = NULL;
  seed_image image;
  size_t i, length = 0;
  for (i = 0; i < sizeof grey; ++i) grey[i] = (uint8_t)(i * 7 % 251);
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = grey;
  image.width = image.height = 40;
  image.row_stride = 40;
  image.format = SEED_PIXEL_MONO8;
  image.device = SEED_DEVICE_CPU;
  OK(seed_session_from_student(student, config, &session));
  OK(seed_session_embed(session, &image, 1, vector, capacity, &length));
  CHECK(length == capacity);
  seed_session_free(session);
}

int main(int count, char **words) {
  char earlier[512], wrong[512];
  char *text;
  float first[8], second[8];
  size_t length = 0;
  seed_config *config = NULL;
  seed_student *source, *student, *other;
  seed_error *error;
  FILE *file;
  if (count < 2) return 2;
  snprintf(earlier, sizeof earlier, "%s/earlier.safetensors", words[1]);
  snprintf(wrong, sizeof wrong, "%s/wrong.pth", words[1]);
  OK(seed_init(SEED_ABI_VERSION));
  OK(seed_config_new(&config));
  OK(seed_config_set_string(config, "device", "cpu"));
  OK(seed_config_set_int(config, "image_width", 32));
  OK(seed_config_set_int(config, "image_height", 32));
  OK(seed_config_set_int(config, "projection_hidden", 16));
  source = student_of(config, "mobilenet_v3_small", 1, 8);
  OK(seed_student_save(source, earlier));

  text = described(earlier);
  CHECK(strstr(text, "\"format\":\"safetensors\"") != NULL);
  CHECK(strstr(text, "\"architecture\":\"mobilenet_v3_small\"") != NULL);
  CHECK(strstr(text, "\"head\":{\"dim\":8,\"hidden\":16,\"kind\":\"projection\"}") != NULL);
  CHECK(strstr(text, "libseed.student.1") != NULL);
  free(text);

  /* The same head: all of it is taken, and the two students embed alike. */
  student = student_of(config, "mobilenet_v3_small", 2, 8);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_weights_report(student, NULL, 0, &length));
  embed(source, config, first, 8);
  embed(student, config, second, 8);
  CHECK(memcmp(first, second, sizeof first) != 0);
  OK(seed_student_load_weights(student, earlier));
  embed(student, config, second, 8);
  CHECK(memcmp(first, second, sizeof first) == 0);
  text = report_of(student);
  CHECK(strstr(text, "\"head\":true") != NULL && strstr(text, "\"layout\":\"torchvision\"") != NULL);
  CHECK(strstr(text, "\"ignored\":[]") != NULL);
  free(text);
  OK(seed_student_save(student, wrong));
  text = described(wrong);
  CHECK(strstr(text, "initial_weights") != NULL && strstr(text, "earlier.safetensors") != NULL);
  free(text);

  /* Another head: it stays, and the report names what was ignored. */
  other = student_of(config, "mobilenet_v3_small", 3, 4);
  OK(seed_student_load_weights(other, earlier));
  text = report_of(other);
  CHECK(strstr(text, "\"head\":false") != NULL && strstr(text, "projection.0.weight") != NULL);
  free(text);
  seed_student_free(other);

  /* Another network: refused by name, and the student is as it was. */
  other = student_of(config, "resnet10", 4, 8);
  embed(other, config, first, 8);
  error = seed_student_load_weights(other, earlier);
  CHECK(seed_error_code(error) == SEED_ERROR_MISMATCH);
  CHECK(strstr(seed_error_message(error), "the weights are those of mobilenet_v3_small") != NULL);
  seed_error_free(error);
  FAILS(SEED_ERROR_IO, seed_student_load_weights(other, "/no/such/file"));
  file = fopen(wrong, "wb");
  CHECK(file != NULL && fputs("no weights at all", file) >= 0 && fclose(file) == 0);
  FAILS(SEED_ERROR_FORMAT, seed_student_load_weights(other, wrong));
  FAILS(SEED_ERROR_FORMAT, seed_weights_describe(wrong, NULL, 0, &length));
  FAILS(SEED_ERROR_IO, seed_weights_describe("/no/such/file", NULL, 0, &length));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_weights_describe(earlier, NULL, 0, NULL));
  embed(other, config, second, 8);
  CHECK(memcmp(first, second, sizeof first) == 0);
  seed_student_free(other);
  snprintf(wrong, sizeof wrong, "%s/stranger.safetensors", words[1]);
  strangers(wrong, config, student);
  seed_student_free(student);
  seed_student_free(source);
  seed_config_free(config);
  if (failures == 0) printf("weights: all checks passed\n");
  return failures != 0;
}
