/* The application's locale is its own: with digits in groups and a decimal comma in C++'s streams (and in C's, where the system has a
 * German locale) all files are written and read as without.
 *
 *   locale FOLDER NAME   the life in FOLDER; NAME is "german" or "classic" */
#include <clocale>
#include <cmath>
#include <locale>
#include <sstream>
#include <string>

#include "station.h"

namespace {

struct German : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

/* The embedding of a picture by a program of libtorch. */
void ask(const seed_config *config, const char *path, float *row) {
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  seed_teacher *script = NULL;
  seed_session *session = NULL;
  size_t length = 0;
  paint(pixels, 3);
  OK(seed_teacher_load_torchscript(path, NULL, config, &script));
  OK(seed_session_from_teacher(script, config, &session));
  OK(seed_session_embed(session, &image, 1, row, DIM, &length));
  seed_session_free(session);
  seed_teacher_free(script);
}

void live(const char *folder, const char *name, const char *architecture) {
  static const struct {
    const char *name;
    int32_t format, input;
  } files[] = {{"out.backbone", SEED_EXPORT_BACKBONE, SEED_EXPORT_INPUT_NORMALISED},
               {"out.torchvision", SEED_EXPORT_TORCHVISION, SEED_EXPORT_INPUT_NORMALISED},
               {"out.onnx", SEED_EXPORT_ONNX, SEED_EXPORT_INPUT_BYTES},
               {"out.pt", SEED_EXPORT_TORCHSCRIPT, SEED_EXPORT_INPUT_NORMALISED}};
  const std::string here = std::string(folder) + "/" + name + "-" + architecture;
  char *const images = path_in(folder, "images");
  seed_config *config = small_config();
  seed_dataset *dataset = NULL;
  seed_teacher *teacher = NULL;
  seed_student *student = NULL, *again = NULL;
  seed_trainer *trainer = NULL;
  seed_session *session = NULL;
  seed_report *report = NULL;
  float row[DIM], other[DIM];
  uint8_t pixels[WIDTH * HEIGHT * 3] = {0};
  seed_image image = view_of(pixels);
  size_t length = 0;
  (void)mkdir(here.c_str(), 0777);
  auto at = [&](const char *file) { return here + "/" + file; };
  write_images(images);
  OK(seed_config_set_float(config, "learning_rate", 0.25));
  OK(seed_config_set_int(config, "projection_hidden", 2048)); /* with a thousand to be grouped */
  OK(seed_student_new(architecture, config, &again));
  OK(seed_student_save(again, at("teacher").c_str()));
  OK(seed_teacher_load(at("teacher").c_str(), architecture, config, &teacher));
  OK(seed_dataset_open_folder(images, &dataset));
  OK(seed_student_new(architecture, config, &student));
  OK(seed_trainer_new(config, student, teacher, NULL, dataset, &trainer));
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, NULL));
  OK(seed_trainer_save(trainer, at("checkpoint").c_str()));
  OK(seed_trainer_resume(trainer, at("checkpoint").c_str()));
  OK(seed_student_save(student, at("student").c_str()));
  for (const auto &file : files) {
    if (file.format == SEED_EXPORT_TORCHVISION && std::string(architecture) == "vit_small_patch16") continue; /* it has none */
    seed_model *model = NULL;
    seed_export_options how;
    memset(&how, 0, sizeof how);
    how.struct_size = sizeof how;
    how.format = file.format;
    how.input = file.input;
    OK(seed_student_export(student, at(file.name).c_str(), &how));
    OK(seed_model_open(at(file.name).c_str(), &model));
    seed_model_free(model);
  }
  paint(pixels, 3);
  OK(seed_session_open(at("student").c_str(), config, &session));
  OK(seed_session_embed(session, &image, 1, row, DIM, &length));
  ask(config, at("out.pt").c_str(), other);
  for (unsigned i = 0; i < DIM; ++i) CHECK(std::fabs(row[i] - other[i]) < 1e-4f);
  OK(seed_report_new("locale", &report));
  OK(seed_report_add_point(report, "loss", "x", "y", "a", 1000.5, 12345.25));
  OK(seed_report_write(report, at("report.html").c_str()));
  seed_report_free(report);
  seed_session_free(session);
  seed_trainer_free(trainer);
  seed_student_free(student);
  seed_student_free(again);
  seed_teacher_free(teacher);
  seed_dataset_free(dataset);
  seed_config_free(config);
  free(images);
}

} // namespace

int main(int count, char **words) {
  if (count < 3) return 2;
  const bool german = std::string(words[2]) == "german";
  const char *c_locale = "as it was";
  if (german) {
    std::locale::global(std::locale(std::locale(), new German));
    for (const char *name : {"de_DE.UTF-8", "de_DE.utf8", "de_DE"})
      if (setlocale(LC_ALL, name) != NULL) c_locale = name;
  }
  const std::locale before = std::locale();
  const std::string c_before = setlocale(LC_ALL, NULL);
  std::ostringstream number;
  number << 1234 << ' ' << 0.5;
  CHECK(number.str() == (german ? "1.234 0,5" : "1234 0.5"));
  OK(seed_init(SEED_ABI_VERSION));
  for (const char *architecture : {"mobilenet_v3_small", "vit_small_patch16"}) live(words[1], words[2], architecture);
  CHECK(std::locale() == before && c_before == setlocale(LC_ALL, NULL)); /* and nobody has changed it */
  if (failures == 0) printf("locale: all checks passed, C's locale %s\n", c_locale);
  return failures != 0;
}
