/* Students, classifiers and detectors for other programs, and networks in figures and words. Also compiled as C++17. */
#include "check.h"

#include <stdlib.h>

#define SIDE 32

static seed_config *config_of(const char *json) {
  seed_config *config = NULL;
  OK(seed_config_from_json(json, &config));
  return config;
}

static void paint(uint8_t *pixels, unsigned number) {
  unsigned i;
  for (i = 0; i < SIDE * SIDE; ++i) pixels[i] = (uint8_t)(i * (3 + number) + i / 61 * number);
}

static seed_model_info info_of(const seed_model *model) {
  seed_model_info info;
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  OK(seed_model_get_info(model, &info));
  return info;
}

/* The text of a model, to be freed. */
static char *provenance_of(const seed_model *model) {
  size_t length = 0;
  char *text;
  OK(seed_model_provenance(model, NULL, 0, &length));
  text = (char *)malloc(length + 1);
  OK(seed_model_provenance(model, text, length, &length));
  CHECK(strlen(text) + 1 == length);
  return text;
}

static void architectures(void) {
  seed_config *config = config_of("{\"embedding_dim\": 128}");
  size_t count = 0, i;
  char name[64];
  size_t length = 0;
  OK(seed_architecture_count(&count));
  CHECK(count >= 40);
  for (i = 0; i < count; ++i) {
    seed_model *model = NULL;
    seed_model_info info;
    char found[64];
    OK(seed_architecture_name(i, name, sizeof name, &length));
    OK(seed_model_new(name, config, &model));
    OK(seed_model_architecture(model, found, sizeof found, &length));
    CHECK(strcmp(name, found) == 0);
    info = info_of(model);
    CHECK(info.parameters > 100000 && info.embedding_dim == 128 && info.feature_dim >= 128);
    CHECK(info.multiply_adds > 1000000);
    CHECK(info.input_width == 224 && info.input_height == 224 && info.input_channels == 3 && info.resize == SEED_RESIZE_WHOLE);
    CHECK(info.head == SEED_HEAD_PROJECTION && info.mean[0] == 0.485 && info.std[2] == 0.225);
    if (strcmp(name, "resnet18") == 0) {
      /* 1.8141 GMac with 1000 classes; here the head has 512·512 + 512·128. */
      CHECK(info.parameters == 11504832 && info.multiply_adds == 1814073344 - 512000 + 512 * 512 + 512 * 128);
    }
    seed_model_free(model);
  }
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_architecture_name(count, name, sizeof name, &length));
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_architecture_name(0, name, 2, &length));
  seed_config_free(config);
}

/* Distils a few steps and exports in every way. */
static void student(const char *folder) {
  seed_config *config =
      config_of("{\"image_width\": 32, \"image_height\": 32, \"embedding_dim\": 8, \"projection_hidden\": 24, \"steps\": 3, "
                "\"batch_size\": 2, \"queue_capacity\": 4, \"precision\": \"fp32\", \"device\": \"cpu\"}");
  seed_student *origin = NULL, *learner = NULL;
  seed_teacher *teacher = NULL;
  seed_dataset *dataset = NULL;
  seed_trainer *trainer = NULL;
  seed_session *session = NULL;
  seed_model *model = NULL;
  seed_model_info info, other;
  seed_export_options options;
  uint8_t pixels[SIDE * SIDE];
  seed_image image;
  char path[1024], *before, *after;
  unsigned i;

  snprintf(path, sizeof path, "%s/teacher.safetensors", folder);
  OK(seed_student_new("mobilenet_v3_small", config, &origin));
  OK(seed_student_save(origin, path));
  OK(seed_teacher_load(path, "mobilenet_v3_small", config, &teacher));
  OK(seed_model_from_teacher(teacher, config, &model));
  CHECK(info_of(model).input_width == 32);
  before = provenance_of(model);
  CHECK(strcmp(before, "{}") == 0);
  free(before);
  seed_model_free(model);

  OK(seed_student_new("mobilenet_v3_small", config, &learner));
  OK(seed_model_from_student(learner, &model));
  before = provenance_of(model);
  CHECK(strstr(before, "\"library\":\"libseed ") != NULL && strstr(before, "distillation") == NULL);
  free(before);
  seed_model_free(model);

  OK(seed_dataset_new(&dataset));
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = pixels;
  image.width = image.height = SIDE;
  image.row_stride = SIDE;
  image.format = SEED_PIXEL_MONO8;
  for (i = 0; i < 5; ++i) {
    paint(pixels, i);
    OK(seed_dataset_push(dataset, &image, NULL, NULL));
  }
  OK(seed_trainer_new(config, learner, teacher, NULL, dataset, &trainer));
  OK(seed_trainer_run(trainer, 2, NULL, NULL, NULL, NULL));
  OK(seed_model_from_student(learner, &model));
  before = provenance_of(model);
  CHECK(strstr(before, "\"images\":5") != NULL && strstr(before, "\"step\":2") != NULL);
  CHECK(strstr(before, "\"architecture\":\"mobilenet_v3_small\"") != NULL && strstr(before, "\"loss\":") != NULL);
  CHECK(strstr(before, "\"queue_capacity\":4") != NULL && strstr(before, "checkpoint_path") == NULL);
  free(before);
  seed_model_free(model);
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, NULL));

  OK(seed_student_set_provenance(learner, "knn", "{\"recall\": 0.75}"));
  OK(seed_student_set_provenance(learner, "gone", "1"));
  OK(seed_student_set_provenance(learner, "gone", "null"));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_set_provenance(learner, "knn", "{"));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_set_provenance(learner, "", "1"));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_set_provenance(learner, "library", "\"mine\""));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_set_provenance(learner, "distillation", "1"));
  OK(seed_model_from_student(learner, &model));
  before = provenance_of(model);
  info = info_of(model);
  seed_model_free(model);
  CHECK(strstr(before, "0.75") != NULL && strstr(before, "gone") == NULL && strstr(before, "\"step\":3") != NULL);
  CHECK(info.embedding_dim == 8 && info.feature_dim == 1024 && info.head == SEED_HEAD_PROJECTION);

  OK(seed_session_from_student(learner, config, &session));
  OK(seed_model_from_session(session, &model));
  after = provenance_of(model);
  CHECK(strcmp(before, after) == 0);
  free(after);
  seed_model_free(model);
  seed_session_free(session);

  memset(&options, 0, sizeof options);
  snprintf(path, sizeof path, "%s/exported", folder);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_export(learner, path, &options));
  options.struct_size = sizeof options;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_export(learner, path, &options));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_export(learner, path, NULL));
  for (options.format = SEED_EXPORT_ONNX; options.format <= SEED_EXPORT_BACKBONE; ++options.format) {
    for (options.input = SEED_EXPORT_INPUT_NORMALISED; options.input <= SEED_EXPORT_INPUT_BYTES; ++options.input) {
      OK(seed_student_export(learner, path, &options));
      model = NULL;
      OK(seed_model_open(path, &model));
      after = provenance_of(model);
      other = info_of(model);
      CHECK(strcmp(before, after) == 0 && memcmp(&info, &other, sizeof info) == 0);
      free(after);
      seed_model_free(model);
    }
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_export(learner, path, &options));
    options.input = SEED_EXPORT_INPUT_UNIT;
    options.outputs = SEED_EXPORT_OUTPUT_STAGES;
    OK(seed_student_export(learner, path, &options));
    options.outputs = 4;
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_export(learner, path, &options));
    options.outputs = SEED_EXPORT_OUTPUT_BOTH;
    FAILS(SEED_ERROR_IO, seed_student_export(learner, "/no/such/folder/student", &options));
  }
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_export(learner, path, &options));
  snprintf(path, sizeof path, "%s/learner.safetensors", folder);
  OK(seed_student_save(learner, path));
  OK(seed_model_open(path, &model));
  after = provenance_of(model);
  CHECK(strcmp(before, after) == 0);
  free(after);
  free(before);
  memset(&other, 0, sizeof other);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_model_get_info(model, &other));
  seed_model_free(model);
  FAILS(SEED_ERROR_IO, seed_model_open("/no/such/file", &model));
  FAILS(SEED_ERROR_FORMAT, seed_model_open("/proc/self/exe", &model));
  seed_trainer_free(trainer);
  seed_dataset_free(dataset);
  seed_teacher_free(teacher);
  seed_student_free(learner);
  seed_student_free(origin);
  seed_config_free(config);
}

/* What a classifier and a detector are exported with is a network in a file that seed_model_open reads. */
static void exported_network(const char *path, int32_t head) {
  seed_model *model = NULL;
  seed_model_info info;
  char *text;
  OK(seed_model_open(path, &model));
  info = info_of(model);
  CHECK(info.head == head && info.input_width == SIDE && info.resize == SEED_RESIZE_WHOLE);
  text = provenance_of(model);
  CHECK(strstr(text, "\"line\":\"press 4\"") != NULL);
  free(text);
  seed_model_free(model);
}

/* Classifiers and detectors as ONNX: every input, and what they are not written as. */
static void judges(const char *folder) {
  static const char *const names[] = {"even", "odd"};
  seed_config *config = config_of("{\"image_width\": 32, \"image_height\": 32, \"embedding_dim\": 8, \"precision\": \"fp32\", "
                                  "\"device\": \"cpu\", \"anomaly.memory_min\": 20}");
  seed_student *student = NULL;
  seed_dataset *dataset = NULL;
  seed_classifier *classifier = NULL;
  seed_anomaly *anomaly = NULL;
  seed_export_options options;
  uint8_t pixels[SIDE * SIDE];
  int64_t labels[12];
  seed_image image;
  char path[1024];
  unsigned i;

  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_student_set_provenance(student, "line", "\"press 4\""));
  OK(seed_dataset_new(&dataset));
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = pixels;
  image.width = image.height = image.row_stride = SIDE;
  image.format = SEED_PIXEL_MONO8;
  for (i = 0; i < 12; ++i) {
    paint(pixels, i);
    labels[i] = i % 2;
    OK(seed_dataset_push(dataset, &image, NULL, NULL));
  }
  OK(seed_classifier_fit(config, student, NULL, NULL, dataset, labels, 12, names, 2, NULL, NULL, NULL, NULL, &classifier));
  OK(seed_anomaly_fit(config, student, dataset, NULL, NULL, NULL, &anomaly));

  snprintf(path, sizeof path, "%s/judge.onnx", folder);
  memset(&options, 0, sizeof options);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_classifier_export(classifier, path, &options));
  options.struct_size = sizeof options;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_anomaly_export(anomaly, path, &options));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_classifier_export(classifier, path, NULL));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_anomaly_export(NULL, path, &options));
  for (options.format = SEED_EXPORT_TORCHSCRIPT; options.format <= SEED_EXPORT_BACKBONE; ++options.format) {
    FAILS(SEED_ERROR_UNSUPPORTED, seed_classifier_export(classifier, path, &options));
    FAILS(SEED_ERROR_UNSUPPORTED, seed_anomaly_export(anomaly, path, &options));
  }
  options.format = SEED_EXPORT_ONNX;
  options.outputs = SEED_EXPORT_OUTPUT_FEATURES;
  FAILS(SEED_ERROR_UNSUPPORTED, seed_classifier_export(classifier, path, &options));
  FAILS(SEED_ERROR_UNSUPPORTED, seed_anomaly_export(anomaly, path, &options));
  options.outputs = 0;
  for (options.input = SEED_EXPORT_INPUT_NORMALISED; options.input <= SEED_EXPORT_INPUT_BYTES; ++options.input) {
    OK(seed_classifier_export(classifier, path, &options));
    exported_network(path, SEED_HEAD_CLASSIFIER);
    OK(seed_anomaly_export(anomaly, path, &options));
    exported_network(path, SEED_HEAD_NONE);
  }
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_classifier_export(classifier, path, &options));
  options.input = SEED_EXPORT_INPUT_BYTES;
  FAILS(SEED_ERROR_IO, seed_classifier_export(classifier, "/no/such/folder/classifier.onnx", &options));
  FAILS(SEED_ERROR_IO, seed_anomaly_export(anomaly, "/no/such/folder/detector.onnx", &options));
  exported_network(path, SEED_HEAD_NONE);

  seed_anomaly_free(anomaly);
  seed_classifier_free(classifier);
  seed_dataset_free(dataset);
  seed_student_free(student);
  seed_config_free(config);
}

/* How frames become the network's image: the setting, the figure, and the bytes. */
static void resizes(void) {
  static const char *const words[] = {"whole", "letterbox", "centre"};
  static const int32_t kinds[] = {SEED_RESIZE_WHOLE, SEED_RESIZE_LETTERBOX, SEED_RESIZE_CENTRE};
  uint8_t pixels[2 * SIDE * SIDE], bytes[3 * SIDE * SIDE + 1];
  seed_image image;
  unsigned i;

  memset(pixels, 200, sizeof pixels);
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = pixels;
  image.width = 2 * SIDE;
  image.height = SIDE;
  image.row_stride = 2 * SIDE;
  image.format = SEED_PIXEL_MONO8;
  for (i = 0; i < 3; ++i) {
    seed_config *config = config_of("{\"image_width\": 32, \"image_height\": 32, \"embedding_dim\": 8, \"device\": \"cpu\"}");
    seed_student *student = NULL;
    seed_session *session = NULL;
    seed_model *model = NULL;
    char word[16];
    size_t length = 0;
    OK(seed_config_set_string(config, "resize", words[i]));
    OK(seed_config_get_string(config, "resize", word, sizeof word, &length));
    CHECK(strcmp(word, words[i]) == 0);
    FAILS(SEED_ERROR_CONFIG, seed_config_set_string(config, "resize", "stretch"));
    FAILS(SEED_ERROR_CONFIG, seed_config_set_int(config, "resize", 1));
    OK(seed_student_new("mobilenet_v3_small", config, &student));
    OK(seed_config_set_string(config, "resize", words[(i + 1) % 3])); /* the student keeps its own */
    OK(seed_session_from_student(student, config, &session));
    OK(seed_model_from_session(session, &model));
    CHECK(info_of(model).resize == kinds[i]);

    OK(seed_session_preprocess(session, &image, 1, NULL, 0, &length));
    CHECK(length == 3 * SIDE * SIDE);
    bytes[0] = bytes[length] = 77;
    FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_session_preprocess(session, &image, 1, bytes, length - 1, &length));
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_preprocess(session, NULL, 1, bytes, length, &length));
    image.format = 99;
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_preprocess(session, &image, 1, bytes, length, &length));
    image.format = SEED_PIXEL_MONO8;
    CHECK(bytes[0] == 77);
    OK(seed_session_preprocess(session, &image, 1, bytes, sizeof bytes, &length));
    CHECK(length == 3 * SIDE * SIDE && bytes[length] == 77);
    /* The first rows of a letterbox are ImageNet's mean colour. */
    CHECK(bytes[0] == (i == 1 ? 124 : 200) && bytes[1] == (i == 1 ? 116 : 200) && bytes[2] == (i == 1 ? 104 : 200));
    CHECK(bytes[3 * (SIDE / 2 * SIDE + SIDE / 2)] == 200);
    OK(seed_session_preprocess(session, NULL, 0, bytes, sizeof bytes, &length));
    CHECK(length == 0);

    seed_model_free(model);
    seed_session_free(session);
    seed_student_free(student);
    seed_config_free(config);
  }
}

int main(int count, char **words) {
  if (count < 2) return 2;
  OK(seed_init(SEED_ABI_VERSION));
  architectures();
  student(words[1]);
  judges(words[1]);
  resizes();
  return failures != 0;
}
