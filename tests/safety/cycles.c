/* A day of a station in short: every object is made, used and freed again and again, and the process's memory stays where
 * it was after the first rounds.
 *
 *   cycles FOLDER CYCLES */
#include "station.h"

#include <malloc.h>
#include <unistd.h>

static char *p_images, *p_teacher, *p_queue, *p_report, *p_bank, *p_checkpoint, *p_student;
static seed_config *config, *banking;
static seed_dataset *dataset;
static seed_teacher *teacher;
static seed_student *student;
static seed_session *session;
static float rows[IMAGES * DIM];
static uint8_t pixels[WIDTH * HEIGHT * 3];

/* Bytes of main memory that this process holds. */
static long resident(void) {
  long all = 0, here = 0;
  FILE *file;
  malloc_trim(0); /* what the allocator keeps for later is no growth */
  file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%ld %ld", &all, &here) == 2);
  fclose(file);
  return here * sysconf(_SC_PAGESIZE);
}

static void configs(void) {
  seed_config *one = NULL, *two = NULL;
  char json[4096];
  size_t length = 0;
  OK(seed_config_new(&one));
  OK(seed_config_set_string(one, "device", "cpu"));
  OK(seed_config_to_json(one, json, sizeof json, &length));
  OK(seed_config_from_json(json, &two));
  FAILS(SEED_ERROR_CONFIG, seed_config_set_int(two, "batch_sizes", 3));
  seed_config_free(one);
  seed_config_free(two);
}

static void tokens(void) {
  seed_cancel_token *token = NULL;
  OK(seed_cancel_token_new(&token));
  OK(seed_cancel_token_pause(token));
  OK(seed_cancel_token_resume(token));
  OK(seed_cancel_token_trigger(token));
  seed_cancel_token_free(token);
}

static void datasets(void) {
  seed_dataset *folder = NULL, *pushed = NULL;
  seed_image image = view_of(pixels);
  uint8_t out[WIDTH * HEIGHT * 3];
  size_t length = 0;
  OK(seed_dataset_open_folder(p_images, &folder));
  OK(seed_dataset_pixels(folder, 1, NULL, out, sizeof out, &length));
  OK(seed_dataset_new(&pushed));
  OK(seed_dataset_push(pushed, &image, "one", NULL));
  FAILS(SEED_ERROR_FORMAT, seed_dataset_push_encoded(pushed, pixels, 60, NULL, NULL));
  seed_dataset_free(folder);
  seed_dataset_free(pushed);
}

static void queues(void) {
  seed_queue *one = NULL, *two = NULL;
  size_t length = 0;
  uint32_t nearest[2];
  OK(seed_queue_new(20, DIM, 3, &one));
  OK(seed_queue_push(one, rows, IMAGES, DIM));
  OK(seed_queue_nearest(one, rows, 1, DIM, 2, nearest, NULL, 2, &length));
  OK(seed_queue_snapshot(one, &two));
  OK(seed_queue_restore(one, two));
  OK(seed_queue_save(one, p_queue));
  seed_queue_free(two);
  OK(seed_queue_load(p_queue, &two));
  seed_queue_free(one);
  seed_queue_free(two);
}

static void reports(void) {
  seed_report *report = NULL;
  uint32_t queries[1] = {0}, near[2] = {1, 2};
  OK(seed_report_new("a day", &report));
  OK(seed_report_add_paragraph(report, "text"));
  OK(seed_report_add_point(report, "loss", "step", "loss", "run", 1, 2));
  OK(seed_report_add_neighbours(report, "near", dataset, queries, 1, 2, "a", near, "b", near));
  OK(seed_report_write(report, p_report));
  seed_report_free(report);
}

/* The parts of a report that show what was made of images. */
static void pages(void) {
  static const int64_t classes[IMAGES] = {0, 1, 0, 1, 0, 1}, answers[IMAGES] = {0, 1, 1, 1, 0, -1};
  static const char *const names[] = {"even", "odd"};
  static float map[WIDTH * HEIGHT];
  static uint8_t mask[WIDTH * HEIGHT];
  seed_image image = view_of(pixels);
  seed_map_options options;
  seed_report *report = NULL;
  map[WIDTH + 1] = 2;
  mask[WIDTH + 2] = 1;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.method = SEED_MAP_PCA;
  OK(seed_report_new("a day", &report));
  OK(seed_report_add_heading(report, "by class"));
  OK(seed_report_add_class_sheet(report, "classes", dataset, classes, IMAGES, names, 2, rows, DIM, answers, NULL, 1));
  OK(seed_report_add_confusion_of(report, "confusion", classes, answers, IMAGES, names, 2));
  OK(seed_report_add_map(report, "map", rows, IMAGES, DIM, classes, names, 2, dataset, &options));
  OK(seed_report_add_heat_map(report, "heat", "a part", &image, map, mask, WIDTH * HEIGHT, 2, 1));
  OK(seed_report_add_time_point(report, "agreement", "KL", "student", 1700000000000000, .5, .4, .6));
  OK(seed_report_add_limit(report, "agreement", "worst", .8));
  OK(seed_report_write(report, p_report));
  seed_report_free(report);
}

static void evaluations(void) {
  static const int64_t labels[IMAGES] = {0, 1, 0, 1, 0, 1};
  seed_knn_result result;
  uint32_t nearest[IMAGES * 2];
  size_t length = 0;
  double share = 0;
  result.struct_size = sizeof result;
  OK(seed_knn_evaluate(rows, IMAGES, DIM, labels, 1, 2, 0, &result));
  OK(seed_neighbours(rows, IMAGES, DIM, 2, nearest, IMAGES * 2, &length));
  OK(seed_agreement(rows, DIM, rows, DIM, IMAGES, 2, &share));
}

static void embeddings(void) {
  seed_image image = view_of(pixels);
  float row[DIM];
  size_t length = 0;
  OK(seed_session_embed(session, &image, 1, row, DIM, &length));
}

/* An error must not cost memory either. */
static void errors(void) {
  seed_image image = view_of(pixels);
  float row[DIM];
  size_t length = 0;
  seed_session *none = NULL;
  image.format = 99;
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_embed(session, &image, 1, row, DIM, &length));
  FAILS(SEED_ERROR_IO, seed_session_open("/no/such/file", config, &none));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_student_new("no such network", config, NULL));
}

static void banks(void) {
  seed_bank *bank = NULL;
  uint64_t done = 0, total = 0;
  OK(seed_bank_open(p_bank, NULL, &bank));
  OK(seed_bank_verify(bank));
  OK(seed_bank_rows(bank, &done, &total));
  seed_bank_free(bank);
}

/* Teachers of what is stored, refused by what shows a teacher images, and freed before and after what they are made of. */
static void stored(void) {
  seed_bank *bank = NULL;
  seed_embeddings *table = NULL;
  seed_teacher *of_bank = NULL, *of_table = NULL;
  seed_session *none = NULL;
  int64_t dim = 0;
  OK(seed_bank_open(p_bank, teacher, &bank));
  OK(seed_teacher_from_bank(bank, &of_bank));
  OK(seed_embeddings_new(rows, IMAGES, DIM, &table));
  OK(seed_teacher_from_embeddings(table, &of_table));
  seed_bank_free(bank);
  OK(seed_teacher_dim(of_bank, &dim));
  FAILS(SEED_ERROR_UNSUPPORTED, seed_session_from_teacher(of_bank, config, &none));
  FAILS(SEED_ERROR_UNSUPPORTED, seed_session_from_teacher(of_table, config, &none));
  seed_teacher_free(of_bank);
  seed_teacher_free(of_table);
  seed_embeddings_free(table);
}

static void students(void) {
  seed_student *one = NULL;
  OK(seed_student_new("mobilenet_v3_small", config, &one));
  seed_student_free(one);
}

static void teachers(void) {
  seed_teacher *one = NULL;
  OK(seed_teacher_load(p_teacher, "mobilenet_v3_small", config, &one));
  seed_teacher_free(one);
}

static void sessions(void) {
  seed_session *one = NULL;
  OK(seed_session_from_student(student, config, &one));
  OK(seed_session_swap(session, one));
  embeddings();
  seed_session_free(one);
}

/* A student, a trainer, a step, a checkpoint, and back to it. */
static void trainers(void) {
  seed_student *own = NULL;
  seed_trainer *trainer = NULL;
  OK(seed_student_new("mobilenet_v3_small", config, &own));
  OK(seed_trainer_new(config, own, teacher, NULL, dataset, &trainer));
  OK(seed_trainer_run(trainer, 1, NULL, NULL, NULL, NULL));
  OK(seed_trainer_save(trainer, p_checkpoint));
  OK(seed_trainer_resume(trainer, p_checkpoint));
  OK(seed_student_save(own, p_student));
  seed_trainer_free(trainer);
  seed_student_free(own);
}

/* What is made once in `every` cycles: a network takes some milliseconds to make. */
static const struct {
  const char *name;
  void (*use)(void);
  int every;
} OBJECTS[] = {{"config", configs, 1},         {"cancel token", tokens, 1}, {"data set", datasets, 1},
               {"queue", queues, 1},           {"report", reports, 1},      {"evaluation", evaluations, 1},
               {"embedding", embeddings, 1},   {"error", errors, 1},        {"bank", banks, 1},
               {"stored", stored, 1},          {"student", students, 10},   {"teacher", teachers, 10},
               {"session", sessions, 50},      {"trainer", trainers, 50},   {"page", pages, 10}};

int main(int count, char **words) {
  long cycles, warm, now, grown, worst;
  size_t length = 0;
  unsigned i;
  if (count < 3) return 2;
  cycles = atol(words[2]);
  p_images = path_in(words[1], "images");
  p_teacher = path_in(words[1], "teacher.safetensors");
  p_queue = path_in(words[1], "queue");
  p_report = path_in(words[1], "report.html");
  p_bank = path_in(words[1], "bank");
  p_checkpoint = path_in(words[1], "checkpoint");
  p_student = path_in(words[1], "student");
  OK(seed_init(SEED_ABI_VERSION));
  write_images(p_images);
  paint(pixels, 3);
  config = small_config();
  banking = small_config();
  OK(seed_config_set_int(banking, "view_count", 2));
  write_teacher(config, p_teacher);
  OK(seed_teacher_load(p_teacher, "mobilenet_v3_small", config, &teacher));
  OK(seed_dataset_open_folder(p_images, &dataset));
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  OK(seed_session_from_student(student, config, &session));
  OK(seed_session_embed_dataset(session, dataset, NULL, NULL, NULL, rows, IMAGES * DIM, &length));
  OK(seed_bank_fill(p_bank, banking, teacher, dataset, 0, NULL, NULL, NULL, NULL));
  for (i = 0; i < sizeof OBJECTS / sizeof *OBJECTS; ++i) {
    long own = cycles / OBJECTS[i].every, warming = own / 10 < 20 ? 20 : own / 10, made;
    for (made = 0; made < warming; ++made) OBJECTS[i].use();
    warm = worst = resident();
    for (made = 0; made < own && failures < 20; ++made) {
      OBJECTS[i].use();
      if (made % 100 == 0 && (now = resident()) > worst) worst = now;
    }
    grown = resident() - warm;
    printf("%-12s %6ld times: %6ld KiB more at the end, %ld at most\n", OBJECTS[i].name, own, grown / 1024,
           (worst - warm) / 1024);
    /* 2 MiB of play for the allocator's pools, and 40 bytes a cycle: no object is that small. */
    if (grown > (2L << 20) + 40 * own) {
      fprintf(stderr, "%s: %ld bytes more after %ld times\n", OBJECTS[i].name, grown, own);
      ++failures;
    }
  }
  seed_session_free(session);
  seed_student_free(student);
  seed_dataset_free(dataset);
  seed_teacher_free(teacher);
  seed_config_free(banking);
  seed_config_free(config);
  return failures != 0;
}
