/* Teachers that are no network of libseed: a TorchScript file, an engine behind a callback, embeddings from a file. The folder
   holds what tests/golden/make_teachers.py wrote. Also compiled as C++17. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 6, SIDE = 32, IMAGES = 9 };

/* An engine of the application: what it is given, what it is asked to do wrong, and what it has seen. */
struct engine {
  seed_trainer *trainer, *other;
  seed_student *student;
  const char *bank;
  const seed_config *config;
  const seed_dataset *dataset;
  seed_teacher *teacher;
  struct DLManagedTensorVersioned *kept;
  int calls, fail_at, zero_at, keep_at, releases;
  int32_t format;
};

static int32_t embed(seed_teacher_batch *batch, void *user_data) {
  struct engine *engine = (struct engine *)user_data;
  size_t image, i, plane = (size_t)batch->height * batch->width;
  int call = engine->calls++;
  CHECK(batch->struct_size == sizeof *batch);
  CHECK(batch->width == SIDE && batch->height == SIDE && batch->count > 0 && batch->dim == DIM);
  CHECK(batch->device == SEED_DEVICE_CPU && batch->device_index == 0 && batch->format == engine->format);
  CHECK(batch->message_capacity >= 64 && batch->message[0] == 0 && batch->tensor != NULL);
  for (image = 0; image < batch->count; ++image) {
    for (i = 0; i < DIM; ++i) {
      double sum = 1e-3;
      size_t k;
      for (k = 0; k < plane / 2; ++k) {
        size_t at = i % 2 * (plane / 2) + k; /* the upper half, the lower half */
        sum += engine->format == SEED_BATCH_FLOAT_NCHW
                   ? ((const float *)batch->images)[(image * 3 + i / 2) * plane + at]
                   : ((const uint8_t *)batch->images)[(image * plane + at) * 3 + i / 2];
      }
      batch->embeddings[image * DIM + i] = call == engine->zero_at ? 0 : (float)sum;
    }
  }
  if (engine->trainer != NULL) { /* the caller's own handles are busy; others are not */
    uint64_t step, total;
    char file[512];
    sprintf(file, "%s.student", engine->bank);
    FAILS(SEED_ERROR_BUSY, seed_trainer_position(engine->trainer, &step, &total));
    FAILS(SEED_ERROR_BUSY, seed_trainer_run(engine->trainer, 0, NULL, NULL, NULL, NULL));
    OK(seed_student_save(engine->student, file));
    if (call == 0) { /* a whole other run within the call */
      int32_t outcome = -1;
      OK(seed_trainer_run(engine->other, 0, NULL, NULL, NULL, &outcome));
      CHECK(outcome == SEED_OUTCOME_FINISHED);
    }
  } else if (engine->dataset != NULL) {
    FAILS(SEED_ERROR_BUSY,
          seed_bank_fill(engine->bank, engine->config, engine->teacher, engine->dataset, 0, NULL, NULL, NULL, NULL));
  }
  if (call == engine->keep_at) {
    engine->kept = batch->tensor;
    batch->tensor = NULL;
  }
  if (call == engine->fail_at) {
    strcpy(batch->message, "out of paper");
    return 42;
  }
  return 0;
}

static void release(void *user_data) { ++((struct engine *)user_data)->releases; }

/* The error's words. */
static void says(seed_error *error, int32_t code, const char *words) {
  if (error == NULL || strstr(seed_error_message(error), words) == NULL) {
    fprintf(stderr, "\"%s\" does not say \"%s\"\n", seed_error_message(error), words);
    CHECK(0);
  }
  FAILS(code, error);
}

/* A run of another student over an embedding an image. */
static seed_trainer *run_over_a_table(seed_config *config, seed_dataset *dataset) {
  float rows[IMAGES * DIM];
  seed_embeddings *table = NULL;
  seed_teacher *teacher = NULL;
  seed_student *student = NULL;
  seed_trainer *trainer = NULL;
  size_t i;
  for (i = 0; i < IMAGES * DIM; ++i) rows[i] = i % DIM == i / DIM % DIM ? 3.0f : 0.5f;
  OK(seed_embeddings_new(rows, IMAGES, DIM, &table));
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_teacher_from_embeddings(table, &teacher));
  seed_embeddings_free(table); /* the teacher holds it */
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  seed_teacher_free(teacher); /* the trainer holds both */
  seed_student_free(student);
  return trainer;
}

/* A teacher whose answers are stored says its width and serves a trainer over a data set. Whatever shows a teacher images refuses it,
   says what it found, and leaves nothing behind; `live`, which can be shown images, comes further there. */
static void stands_in(seed_config *config, seed_student *student, seed_teacher *stored, seed_dataset *dataset,
                      seed_teacher *live, const char *bank_file, int64_t wanted) {
  static const char *const names[2] = {"a", "b"};
  static const int64_t labels[IMAGES] = {0, 1, 0, 1, 0, 1, 0, 1, 0};
  const char *const needs = "needs a teacher that can be shown images, found a ";
  char other[512], found[8];
  seed_teacher *none = NULL;
  seed_trainer *trainer = NULL;
  seed_session *session = NULL;
  seed_model *model = NULL;
  seed_distilled *distilled = NULL;
  seed_classifier *classifier = NULL, *second = NULL;
  seed_store *store = NULL;
  seed_config *planned = NULL;
  seed_night_result result;
  FILE *file;
  int64_t dim = 0;
  int32_t outcome = -1;
  size_t length = 0;
  OK(seed_teacher_dim(stored, &dim));
  CHECK(dim == wanted);
  OK(seed_teacher_warnings(stored, found, sizeof found, &length));
  CHECK(length == 1 && found[0] == 0);
  says(seed_trainer_new(config, student, stored, NULL, NULL, &trainer), SEED_ERROR_INVALID_ARGUMENT, "data set");
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_teacher_from_bank((const seed_bank *)stored, &none));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_teacher_from_embeddings((const seed_embeddings *)stored, &none));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_teacher_from_bank(NULL, &none));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_teacher_from_embeddings(NULL, &none));

  says(seed_teacher_parameter_count(stored, &dim), SEED_ERROR_UNSUPPORTED, needs);
  CHECK(dim == wanted);
  sprintf(other, "%s.other", bank_file);
  says(seed_bank_fill(other, config, stored, dataset, 0, NULL, NULL, NULL, &outcome), SEED_ERROR_UNSUPPORTED, needs);
  file = fopen(other, "rb");
  CHECK(file == NULL && outcome == -1);
  says(seed_session_from_teacher(stored, config, &session), SEED_ERROR_UNSUPPORTED, needs);
  says(seed_model_from_teacher(stored, config, &model), SEED_ERROR_UNSUPPORTED, needs);
  sprintf(other, "%s.distilled", bank_file);
  says(seed_distil(dataset, stored, "mobilenet_v3_small", NULL, 5, other, config, NULL, NULL, NULL, &distilled),
       SEED_ERROR_UNSUPPORTED, needs);
  file = fopen(other, "rb");
  CHECK(file == NULL && distilled == NULL);
  OK(seed_config_new(&planned));
  says(seed_config_plan(planned, dataset, stored, "mobilenet_v3_small", 0, 5), SEED_ERROR_UNSUPPORTED, needs);
  sprintf(other, "%s.store", bank_file);
  OK(seed_store_open(other, NULL, &store));
  memset(&result, 0, sizeof result);
  result.struct_size = sizeof result;
  sprintf(other, "%s.night", bank_file);
  says(seed_night_run(config, store, stored, other, student, NULL, NULL, NULL, NULL, NULL, &result),
       SEED_ERROR_UNSUPPORTED, needs);
  seed_store_free(store);
  /* The anchor of a classifier. */
  OK(seed_config_set_int(planned, "image_width", SIDE));
  OK(seed_config_set_int(planned, "image_height", SIDE));
  OK(seed_config_set_string(planned, "device", "cpu"));
  OK(seed_config_set_string(planned, "precision", "fp32"));
  OK(seed_config_set_string(planned, "finetune.mode", "full"));
  OK(seed_config_set_int(planned, "finetune.epochs", 1));
  OK(seed_config_set_float(planned, "finetune.anchor", 1));
  says(seed_classifier_fit(planned, student, NULL, stored, dataset, labels, IMAGES, names, 2, NULL, NULL, NULL, NULL,
                           &classifier),
       SEED_ERROR_UNSUPPORTED, needs);
  OK(seed_classifier_fit(planned, student, NULL, live, dataset, labels, IMAGES, names, 2, NULL, NULL, NULL, NULL,
                         &classifier));
  says(seed_classifier_distil(planned, student, NULL, stored, classifier, dataset, labels, IMAGES, names, 2, NULL, NULL,
                              NULL, NULL, &second),
       SEED_ERROR_UNSUPPORTED, needs);
  CHECK(none == NULL && trainer == NULL && session == NULL && model == NULL && second == NULL);
  seed_classifier_free(classifier);
  seed_config_free(planned);
}

static void callbacks(seed_config *config, seed_dataset *dataset, const char *bank_file, int32_t format) {
  struct engine engine;
  seed_teacher *teacher = NULL, *other = NULL, *stored = NULL;
  seed_student *student = NULL;
  seed_trainer *trainer = NULL, *second = NULL;
  seed_bank *bank = NULL, *again = NULL;
  seed_session *session = NULL;
  int64_t dim = 0;
  uint64_t step = 0, total = 0;
  int32_t outcome = -1;
  size_t length = 0;
  float rows[IMAGES * DIM];
  memset(&engine, 0, sizeof engine);
  engine.format = format;
  engine.fail_at = engine.zero_at = engine.keep_at = -1;
  engine.bank = bank_file;
  engine.config = config;

  FAILS(SEED_ERROR_INVALID_ARGUMENT,
        seed_teacher_from_callback(NULL, &engine, release, DIM, "bands 1", format, SEED_DEVICE_CPU, config, &teacher));
  FAILS(SEED_ERROR_INVALID_ARGUMENT,
        seed_teacher_from_callback(embed, &engine, release, 0, "bands 1", format, SEED_DEVICE_CPU, config, &teacher));
  FAILS(SEED_ERROR_INVALID_ARGUMENT,
        seed_teacher_from_callback(embed, &engine, release, DIM, "", format, SEED_DEVICE_CPU, config, &teacher));
  FAILS(SEED_ERROR_INVALID_ARGUMENT,
        seed_teacher_from_callback(embed, &engine, release, DIM, "bands 1", 3, SEED_DEVICE_CPU, config, &teacher));
  FAILS(SEED_ERROR_INVALID_ARGUMENT,
        seed_teacher_from_callback(embed, &engine, release, DIM, "bands 1", format, 9, config, &teacher));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_teacher_from_callback(embed, &engine, release, DIM, "bands 1", format,
                                                                SEED_DEVICE_CUDA, config, &teacher));
  CHECK(engine.releases == 0 && teacher == NULL);
  OK(seed_teacher_from_callback(embed, &engine, release, DIM, "bands 1", format, SEED_DEVICE_CPU, config, &teacher));
  OK(seed_teacher_dim(teacher, &dim));
  CHECK(dim == DIM);
  FAILS(SEED_ERROR_UNSUPPORTED, seed_teacher_parameter_count(teacher, &dim));

  /* In the loop: fails once, gives zeros once, and nothing is lost. */
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  engine.student = student;
  engine.trainer = trainer;
  engine.other = run_over_a_table(config, dataset);
  engine.fail_at = 2;
  engine.zero_at = 4;
  engine.keep_at = 1;
  says(seed_trainer_run(trainer, 0, NULL, NULL, NULL, &outcome), SEED_ERROR_CANCELLED,
       "the teacher's callback returned 42: out of paper");
  OK(seed_trainer_position(trainer, &step, &total));
  CHECK(step == 2 && total == 6 && engine.calls == 3);
  says(seed_trainer_run(trainer, 0, NULL, NULL, NULL, &outcome), SEED_ERROR_MISMATCH, "zeros only for image ");
  OK(seed_trainer_position(trainer, &step, &total));
  CHECK(step == 3);
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  engine.trainer = NULL;
  seed_trainer_free(engine.other);

  /* The tensor that was taken over outlives its call; a session takes it as any other. */
  CHECK(engine.kept != NULL);
  OK(seed_session_from_student(student, config, &session));
  {
    struct DLManagedTensorVersioned *vectors = NULL;
    OK(seed_session_embed_dlpack(session, engine.kept, &vectors));
    /* Floats (B, D) are no images; what is refused is released all the same. */
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_embed_dlpack(session, vectors, &vectors));
  }
  seed_session_free(session);
  session = NULL;

  /* Into a bank, and out of it. */
  OK(seed_config_set_int(config, "view_count", 2));
  engine.dataset = dataset;
  engine.teacher = teacher;
  OK(seed_bank_fill(bank_file, config, teacher, dataset, 0, NULL, NULL, NULL, &outcome));
  engine.dataset = NULL;
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  OK(seed_bank_open(bank_file, teacher, &bank));
  OK(seed_teacher_from_callback(embed, &engine, NULL, DIM, "bands 2", format, SEED_DEVICE_CPU, config, &other));
  says(seed_bank_open(bank_file, other, &bank), SEED_ERROR_MISMATCH, "bands 1");
  seed_teacher_free(other);
  OK(seed_teacher_from_bank(bank, &stored));
  stands_in(config, student, stored, dataset, teacher, bank_file, DIM);
  OK(seed_bank_open(bank_file, stored, &again)); /* of the same teacher */
  seed_bank_free(again);
  OK(seed_trainer_new(config, student, stored, NULL, dataset, &second));
  seed_teacher_free(stored);
  OK(seed_trainer_run(second, 0, NULL, NULL, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  seed_trainer_free(second);
  seed_bank_free(bank);
  OK(seed_config_set_int(config, "view_count", 0));

  /* As a session. */
  OK(seed_session_from_teacher(teacher, config, &session));
  OK(seed_session_embed_dataset(session, dataset, NULL, NULL, NULL, rows, IMAGES * DIM, &length));
  CHECK(length == IMAGES * DIM && isfinite(rows[0]));
  engine.fail_at = engine.calls;
  rows[0] = 77;
  says(seed_session_embed_dataset(session, dataset, NULL, NULL, NULL, rows, IMAGES * DIM, &length),
       SEED_ERROR_CANCELLED, "out of paper");
  CHECK(rows[0] == 77);
  OK(seed_config_set_string(config, "output", "features"));
  FAILS(SEED_ERROR_UNSUPPORTED, seed_session_from_teacher(teacher, config, &session));
  OK(seed_config_set_string(config, "output", "embedding"));

  /* The user data is released once, when the last of what holds the teacher goes. */
  seed_teacher_free(teacher);
  seed_session_free(session);
  CHECK(engine.releases == 0);
  seed_trainer_free(trainer);
  CHECK(engine.releases == 1);
  seed_student_free(student);
}

static void torchscript(seed_config *config, seed_dataset *dataset, const char *folder) {
  char file[512];
  seed_teacher *teacher = NULL;
  seed_student *student = NULL;
  seed_trainer *trainer = NULL;
  int64_t number = 0;
  int32_t outcome = -1;
  sprintf(file, "%s/dict.pt", folder);
  says(seed_teacher_load_torchscript(file, "embedding", config, &teacher), SEED_ERROR_MISMATCH, "tokens, pooled");
  OK(seed_teacher_load_torchscript(file, "pooled", config, &teacher));
  seed_teacher_free(teacher);
  teacher = NULL;
  FAILS(SEED_ERROR_IO, seed_teacher_load_torchscript("/no/such/file.pt", NULL, config, &teacher));
  sprintf(file, "%s/single.npy", folder);
  FAILS(SEED_ERROR_FORMAT, seed_teacher_load_torchscript(file, NULL, config, &teacher));
  CHECK(teacher == NULL);
  sprintf(file, "%s/tensor.pt", folder);
  OK(seed_teacher_load_torchscript(file, NULL, config, &teacher));
  OK(seed_teacher_dim(teacher, &number));
  CHECK(number == DIM);
  OK(seed_teacher_parameter_count(teacher, &number));
  CHECK(number == 180);
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  seed_teacher_free(teacher); /* the trainer holds it */
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  seed_trainer_free(trainer);
  seed_student_free(student);
}

static void tables(seed_config *config, seed_dataset *dataset, const char *folder) {
  static float rows[IMAGES * DIM];
  char file[512];
  seed_embeddings *table = NULL;
  seed_teacher *teacher = NULL, *stored = NULL;
  seed_bank *bank = NULL;
  seed_student *student = NULL;
  seed_trainer *trainer = NULL;
  size_t i, count = 0;
  int64_t dim = 0;
  int32_t outcome = -1;
  double loss = 0;
  sprintf(file, "%s/half.npy", folder);
  OK(seed_embeddings_load(file, &table));
  OK(seed_embeddings_count(table, &count));
  OK(seed_embeddings_dim(table, &dim));
  CHECK(count == 5 && dim == 3);
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_teacher_from_embeddings(table, &stored));
  says(seed_trainer_new(config, student, stored, NULL, dataset, &trainer), SEED_ERROR_MISMATCH,
       "5 embeddings for 9 images");
  seed_teacher_free(stored);
  seed_embeddings_free(table);
  sprintf(file, "%s/named.safetensors", folder);
  OK(seed_embeddings_load(file, &table));
  OK(seed_teacher_from_embeddings(table, &stored));
  says(seed_trainer_new(config, student, stored, NULL, dataset, &trainer), SEED_ERROR_MISMATCH,
       "9 of 9 images have no embedding, or one of zeros or NaN: 0, 1, 2");
  seed_embeddings_free(table);
  seed_teacher_free(stored);
  sprintf(file, "%s/tensor.pt", folder);
  FAILS(SEED_ERROR_FORMAT, seed_embeddings_load(file, &table));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_embeddings_new(rows, 0, DIM, &table));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_embeddings_new(rows, (size_t)-1, DIM, &table));
  for (i = 0; i < IMAGES * DIM; ++i) rows[i] = i % DIM == i / DIM % DIM ? 3.0f : 0.5f;
  OK(seed_embeddings_new(rows, IMAGES, DIM, &table));
  OK(seed_teacher_from_embeddings(table, &stored));
  seed_embeddings_free(table); /* the teacher holds it */
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_teacher_from_embeddings(table, &teacher));
  sprintf(file, "%s/tensor.pt", folder);
  OK(seed_teacher_load_torchscript(file, NULL, config, &teacher));
  sprintf(file, "%s/float.bank", folder);
  stands_in(config, student, stored, dataset, teacher, file, DIM);
  seed_teacher_free(teacher);
  says(seed_bank_open(file, stored, &bank), SEED_ERROR_UNSUPPORTED, "found a table of 9 embeddings");
  OK(seed_trainer_new(config, student, stored, NULL, dataset, &trainer));
  seed_teacher_free(stored); /* the trainer holds it */
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  {
    seed_image image;
    memset(&image, 0, sizeof image);
    image.struct_size = sizeof image;
    image.data = rows;
    image.width = image.height = 8;
    image.row_stride = 8;
    image.format = SEED_PIXEL_MONO8;
    says(seed_trainer_step(trainer, &image, 1, &loss), SEED_ERROR_INVALID_ARGUMENT, "stored embeddings");
  }
  seed_trainer_free(trainer);
  seed_student_free(student);
}

int main(int count, char **words) {
  static uint8_t pixels[40 * 40 * 3];
  seed_config *config = NULL;
  seed_dataset *dataset = NULL;
  size_t i, image;
  char file[512];
  if (count < 2) return 2;
  OK(seed_init(SEED_ABI_VERSION));
  OK(seed_config_new(&config));
  OK(seed_config_set_int(config, "image_width", SIDE));
  OK(seed_config_set_int(config, "image_height", SIDE));
  OK(seed_config_set_int(config, "batch_size", 4));
  OK(seed_config_set_int(config, "steps", 6));
  OK(seed_config_set_int(config, "queue_capacity", 10));
  OK(seed_config_set_string(config, "queue.fill", "noise")); /* the engine counts its calls */
  OK(seed_config_set_int(config, "embedding_dim", DIM));
  OK(seed_config_set_string(config, "precision", "fp32"));
  OK(seed_config_set_string(config, "device", "cpu"));
  OK(seed_dataset_new(&dataset));
  for (image = 0; image < IMAGES; ++image) {
    seed_image view;
    for (i = 0; i < sizeof pixels; ++i) pixels[i] = (uint8_t)(i / (1 + image % 5) * (image + 3) % 251);
    memset(&view, 0, sizeof view);
    view.struct_size = sizeof view;
    view.data = pixels;
    view.width = view.height = 40;
    view.row_stride = 120;
    view.format = SEED_PIXEL_RGB8;
    OK(seed_dataset_push(dataset, &view, NULL, NULL));
  }
  torchscript(config, dataset, words[1]);
  sprintf(file, "%s/float.bank", words[1]);
  callbacks(config, dataset, file, SEED_BATCH_FLOAT_NCHW);
  sprintf(file, "%s/bytes.bank", words[1]);
  callbacks(config, dataset, file, SEED_BATCH_UINT8_NHWC);
  tables(config, dataset, words[1]);
  seed_dataset_free(dataset);
  seed_config_free(config);
  return failures != 0;
}
