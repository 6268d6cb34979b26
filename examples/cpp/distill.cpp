// Distils a compact student from a frozen teacher on a folder of unlabelled images, saves it, opens it again and judges
// it. Knows seed.h only.
//
//   distill --images DIR --teacher FILE --out DIR [--teacher-arch mobilenet_v2] [--student-arch mobilenet_v3_small]
//           [--labels FILE.csv] [--bank FILE] [--size N] [--epochs N] [--batch N] [--set KEY=VALUE ...]
//
// With --bank the teacher sees view_count views of each image (4) once and is not asked again in later epochs.
//
// The optional label file is only for judging: lines `file,label` or `file,label,second label` with text labels; files
// are named relative to DIR. Nothing of it reaches the training.

#include "seed.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

// Every libseed error becomes an exception with libseed's own words.
void check(seed_error *error) {
  if (error == nullptr) return;
  std::string message = seed_error_message(error);
  seed_error_free(error);
  throw std::runtime_error(message);
}

template <typename T, void (*Free)(T *)> struct Freer {
  void operator()(T *object) const { Free(object); }
};
template <typename T, void (*Free)(T *)> using Handle = std::unique_ptr<T, Freer<T, Free>>;
using Config = Handle<seed_config, seed_config_free>;
using Dataset = Handle<seed_dataset, seed_dataset_free>;
using Teacher = Handle<seed_teacher, seed_teacher_free>;
using Student = Handle<seed_student, seed_student_free>;
using Bank = Handle<seed_bank, seed_bank_free>;
using Trainer = Handle<seed_trainer, seed_trainer_free>;
using Session = Handle<seed_session, seed_session_free>;
using Report = Handle<seed_report, seed_report_free>;

// Calls a libseed function whose last argument receives the new handle.
template <typename H, typename Function, typename... Arguments> H make(Function function, Arguments... arguments) {
  typename H::pointer object = nullptr;
  check(function(arguments..., &object));
  return H(object);
}

struct Options {
  std::string images, teacher, out = "demo", labels, bank;
  std::string teacher_arch = "mobilenet_v2", student_arch = "mobilenet_v3_small";
  int size = 96, epochs = 16, batch = 32;
  // Settings of seed.h, later ones over earlier ones. The paper's views suit 200 epochs of a million images; a few minutes
  // on a few thousand call for milder ones and a small queue.
  std::string settings = "learning_rate=0.2 queue_capacity=1024 temperature_student=0.1 temperature_teacher=0.02 warmup_steps=20 "
                         "view.crop_scale_min=0.8 view.brightness=0.1 view.contrast=0.1 view.blur_probability=0 progress_every=50";
};

Options parse(int count, char **words) {
  Options options;
  std::map<std::string, std::string *> texts{{"--images", &options.images},
                                             {"--teacher", &options.teacher},
                                             {"--out", &options.out},
                                             {"--labels", &options.labels},
                                             {"--bank", &options.bank},
                                             {"--teacher-arch", &options.teacher_arch},
                                             {"--student-arch", &options.student_arch}};
  std::map<std::string, int *> numbers{
      {"--size", &options.size}, {"--epochs", &options.epochs}, {"--batch", &options.batch}};
  for (int i = 1; i < count; i += 2) {
    std::string name = words[i];
    if (i + 1 >= count) throw std::runtime_error(name + " needs a value");
    if (name == "--set")
      options.settings += std::string(" ") + words[i + 1];
    else if (auto text = texts.find(name); text != texts.end())
      *text->second = words[i + 1];
    else if (auto number = numbers.find(name); number != numbers.end())
      *number->second = std::stoi(words[i + 1]);
    else
      throw std::runtime_error("unknown option " + name);
  }
  if (options.images.empty() || options.teacher.empty())
    throw std::runtime_error("usage: distill --images DIR --teacher FILE [--out DIR] [--teacher-arch NAME] "
                             "[--student-arch NAME] [--labels FILE.csv] [--bank FILE] [--size N] [--epochs N] [--batch N] "
                             "[--set KEY=VALUE ...]");
  return options;
}

std::string image_name(const seed_dataset *dataset, size_t index) {
  size_t length = 0;
  check(seed_dataset_name(dataset, index, nullptr, 0, &length));
  std::string name(length, '\0');
  check(seed_dataset_name(dataset, index, name.data(), name.size(), &length));
  name.resize(std::char_traits<char>::length(name.c_str()));
  return name;
}

// One question that the label file answers: for each image a class number, or -1 where the file is silent.
struct Question {
  std::string title;
  std::vector<int64_t> labels;
};

std::vector<Question> read_labels(const std::string &path, const seed_dataset *dataset) {
  std::vector<Question> questions;
  if (path.empty()) return questions;
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read the label file " + path);
  std::map<std::string, size_t> index;
  size_t images = 0;
  check(seed_dataset_count(dataset, &images));
  for (size_t i = 0; i < images; ++i) index[image_name(dataset, i)] = i;
  std::vector<std::map<std::string, int64_t>> classes;
  std::string line;
  while (std::getline(file, line)) {
    std::stringstream words(line);
    std::string name, label;
    std::getline(words, name, ',');
    auto image = index.find(name);
    for (size_t column = 0; std::getline(words, label, ','); ++column) {
      if (column == questions.size()) {
        questions.push_back({"", std::vector<int64_t>(images, -1)});
        classes.emplace_back();
      }
      if (label.empty()) continue;
      auto number = classes[column].emplace(label, static_cast<int64_t>(classes[column].size())).first->second;
      if (image != index.end()) questions[column].labels[image->second] = number;
    }
  }
  for (size_t column = 0; column < questions.size(); ++column)
    for (const auto &[label, number] : classes[column])
      questions[column].title += (questions[column].title.empty() ? "" : " / ") + label;
  return questions;
}

// The embeddings of all images by one network, and how fast they came.
struct Embeddings {
  std::vector<float> rows;
  int64_t width = 0;
  double images_per_second = 0;
};

Embeddings embed(const seed_session *session, const seed_dataset *dataset) {
  Embeddings result;
  size_t length = 0;
  check(seed_session_dim(session, &result.width));
  check(seed_session_embed_dataset(session, dataset, nullptr, nullptr, nullptr, nullptr, 0, &length));
  result.rows.resize(length);
  auto start = std::chrono::steady_clock::now();
  check(seed_session_embed_dataset(session, dataset, nullptr, nullptr, nullptr, result.rows.data(), length, &length));
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  result.images_per_second = static_cast<double>(length) / static_cast<double>(result.width) / seconds.count();
  return result;
}

// kNN over the labelled images only.
seed_knn_result knn(const Embeddings &embeddings, const std::vector<int64_t> &labels) {
  std::vector<float> rows;
  std::vector<int64_t> kept;
  auto width = static_cast<size_t>(embeddings.width);
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0) continue;
    kept.push_back(labels[i]);
    rows.insert(rows.end(), embeddings.rows.begin() + static_cast<std::ptrdiff_t>(i * width),
                embeddings.rows.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
  }
  seed_knn_result result{};
  result.struct_size = sizeof result;
  check(seed_knn_evaluate(rows.data(), kept.size(), width, kept.data(), 10, 5, 0, &result));
  return result;
}

double agreement(const Embeddings &student, const Embeddings &teacher) {
  double share = 0;
  size_t count = student.rows.size() / static_cast<size_t>(student.width);
  check(seed_agreement(student.rows.data(), static_cast<size_t>(student.width), teacher.rows.data(),
                       static_cast<size_t>(teacher.width), count, 10, &share));
  return share;
}

std::vector<uint32_t> neighbours(const Embeddings &embeddings, size_t k) {
  size_t length = 0, count = embeddings.rows.size() / static_cast<size_t>(embeddings.width);
  std::vector<uint32_t> result(count * k);
  check(seed_neighbours(embeddings.rows.data(), count, static_cast<size_t>(embeddings.width), k, result.data(),
                        result.size(), &length));
  return result;
}

std::string number(double value, int digits = 3) {
  std::ostringstream text;
  text.setf(std::ios::fixed);
  text.precision(digits);
  text << value;
  return text.str();
}

struct Watcher {
  seed_report *report;
};

// Called on the thread that called seed_trainer_run.
int32_t on_progress(const seed_progress *progress, void *user_data) {
  auto *watcher = static_cast<Watcher *>(user_data);
  if (!std::isfinite(progress->loss)) { // the first report, before the first step
    std::printf("step %llu/%llu\n", static_cast<unsigned long long>(progress->step),
                static_cast<unsigned long long>(progress->total_steps));
    std::fflush(stdout);
    return 0;
  }
  auto left = static_cast<int>(progress->eta_seconds);
  std::printf("step %llu/%llu  loss %.4f  %.1f images/s  waited %.0f %%  ETA %d:%02d\n",
              static_cast<unsigned long long>(progress->step), static_cast<unsigned long long>(progress->total_steps),
              progress->loss, progress->images_per_second, 100 * progress->waiting_share, left / 60, left % 60);
  std::fflush(stdout);
  auto step = static_cast<double>(progress->step);
  seed_error *error = seed_report_add_point(watcher->report, "Loss", "step", "loss", "SEED loss", step, progress->loss);
  if (error == nullptr)
    error = seed_report_add_point(watcher->report, "Throughput", "step", "images/s", "distillation", step,
                                  progress->images_per_second);
  seed_error_free(error);
  return 0;
}

struct Row {
  std::string name;
  std::vector<std::string> cells;
};

void add_sheet(seed_report *report, const seed_dataset *dataset, const Embeddings &student, const Embeddings &teacher) {
  constexpr size_t k = 5, queries = 12;
  size_t images = 0;
  check(seed_dataset_count(dataset, &images));
  auto left = neighbours(student, k), right = neighbours(teacher, k);
  std::vector<uint32_t> rows, left_rows, right_rows;
  for (size_t i = 0; i < queries && i < images; ++i) {
    size_t query = i * images / std::min(queries, images);
    rows.push_back(static_cast<uint32_t>(query));
    for (size_t j = 0; j < k; ++j) {
      left_rows.push_back(left[query * k + j]);
      right_rows.push_back(right[query * k + j]);
    }
  }
  check(seed_report_add_neighbours(report, "Nearest neighbours", dataset, rows.data(), rows.size(), k, "student",
                                   left_rows.data(), "teacher", right_rows.data()));
}

// A run with the teacher beside it, or with a bank that is filled now, or goes on being filled.
Trainer make_trainer(const Options &options, const seed_config *config, seed_student *student,
                     const seed_teacher *teacher, const seed_dataset *dataset) {
  seed_queue *queue = nullptr;
  if (options.bank.empty()) return make<Trainer>(seed_trainer_new, config, student, teacher, queue, dataset);
  check(seed_bank_fill(options.bank.c_str(), config, teacher, dataset, 0, nullptr, nullptr, nullptr, nullptr));
  auto bank = make<Bank>(seed_bank_open, options.bank.c_str(), teacher);
  auto stored = make<Teacher>(seed_teacher_from_bank, static_cast<const seed_bank *>(bank.get()));
  return make<Trainer>(seed_trainer_new, config, student, static_cast<const seed_teacher *>(stored.get()), queue, dataset);
}

int run(const Options &options) {
  check(seed_init(SEED_ABI_VERSION));
  // Better now than after minutes of work.
  std::filesystem::create_directories(options.out);
  auto start = std::chrono::steady_clock::now();

  auto config = make<Config>(seed_config_new);
  for (const char *key : {"image_width", "image_height"}) check(seed_config_set_int(config.get(), key, options.size));
  check(seed_config_set_int(config.get(), "batch_size", options.batch));
  check(seed_config_set_int(config.get(), "epochs", options.epochs));
  if (!options.bank.empty()) check(seed_config_set_int(config.get(), "view_count", 4));
  check(seed_config_parse(config.get(), options.settings.c_str()));

  auto dataset = make<Dataset>(seed_dataset_open_folder, options.images.c_str());
  auto teacher = make<Teacher>(seed_teacher_load, options.teacher.c_str(), options.teacher_arch.c_str(),
                               static_cast<const seed_config *>(config.get()));
  int64_t dim = 0;
  check(seed_teacher_dim(teacher.get(), &dim));
  check(seed_config_set_int(config.get(), "embedding_dim", dim));
  auto student = make<Student>(seed_student_new, options.student_arch.c_str(),
                               static_cast<const seed_config *>(config.get()));
  size_t images = 0;
  check(seed_dataset_count(dataset.get(), &images));
  auto questions = read_labels(options.labels, dataset.get());
  std::printf("%zu images, teacher %s (%lld numbers an image), student %s\n", images, options.teacher_arch.c_str(),
              static_cast<long long>(dim), options.student_arch.c_str());

  auto report = make<Report>(seed_report_new, "libseed: a student distilled on your images");
  std::string summary = std::to_string(images) + " images. The student (" + options.student_arch +
                        ") learned to reproduce the similarities of the teacher (" + options.teacher_arch +
                        ") without any label. All networks are judged by their embeddings, on the same five splits.";
  check(seed_report_add_paragraph(report.get(), summary.c_str()));
  const seed_config *settings = config.get();
  auto teacher_session =
      make<Session>(seed_session_from_teacher, static_cast<const seed_teacher *>(teacher.get()), settings);
  auto by_teacher = embed(teacher_session.get(), dataset.get());

  std::vector<Row> table;
  auto judge = [&](const std::string &name, const seed_session *session, const Embeddings &embeddings) {
    int64_t parameters = 0;
    check(seed_session_parameter_count(session, &parameters));
    Row row{name, {}};
    for (const auto &question : questions) {
      auto result = knn(embeddings, question.labels);
      row.cells.push_back(number(result.balanced_recall_mean) + " ± " + number(result.balanced_recall_deviation));
    }
    row.cells.push_back(number(agreement(embeddings, by_teacher)));
    row.cells.push_back(number(embeddings.images_per_second, 1));
    row.cells.push_back(number(static_cast<double>(parameters) / 1e6, 2) + " M");
    table.push_back(row);
  };
  auto follow = [&](double step) {
    auto session = make<Session>(seed_session_from_student, static_cast<const seed_student *>(student.get()), settings);
    auto embeddings = embed(session.get(), dataset.get());
    check(seed_report_add_point(report.get(), "Agreement with the teacher", "step", "share of the 10 nearest", "student",
                                step, agreement(embeddings, by_teacher)));
    for (const auto &question : questions)
      check(seed_report_add_point(report.get(), "kNN balanced recall", "step", "balanced recall",
                                  question.title.c_str(), step, knn(embeddings, question.labels).balanced_recall_mean));
    return std::make_pair(std::move(session), std::move(embeddings));
  };

  {
    auto [session, embeddings] = follow(0);
    judge("student before", session.get(), embeddings);
  }

  auto trainer = make_trainer(options, settings, student.get(), teacher.get(), dataset.get());
  uint64_t step = 0, total = 0;
  check(seed_trainer_position(trainer.get(), &step, &total));
  Watcher watcher{report.get()};
  int32_t outcome = SEED_OUTCOME_PAUSED;
  while (outcome == SEED_OUTCOME_PAUSED) {
    check(seed_trainer_run(trainer.get(), std::max<uint64_t>(1, total / 5), on_progress, &watcher, nullptr, &outcome));
    check(seed_trainer_position(trainer.get(), &step, &total));
    if (step < total) follow(static_cast<double>(step));
  }

  std::string file = options.out + "/student.safetensors";
  check(seed_student_save(student.get(), file.c_str()));
  auto session = make<Session>(seed_session_open, file.c_str(), settings);
  auto embeddings = embed(session.get(), dataset.get());
  judge("student after", session.get(), embeddings);
  judge("teacher", teacher_session.get(), by_teacher);
  check(seed_report_add_point(report.get(), "Agreement with the teacher", "step", "share of the 10 nearest", "student",
                              static_cast<double>(total), agreement(embeddings, by_teacher)));
  for (const auto &question : questions)
    check(seed_report_add_point(report.get(), "kNN balanced recall", "step", "balanced recall", question.title.c_str(),
                                static_cast<double>(total), knn(embeddings, question.labels).balanced_recall_mean));

  std::vector<std::string> header{"network"};
  for (const auto &question : questions) header.push_back("kNN " + question.title);
  for (const char *title : {"shared of teacher's 10 nearest", "images/s", "parameters"}) header.push_back(title);
  std::vector<const char *> heads, cells;
  for (const auto &title : header) heads.push_back(title.c_str());
  for (const auto &row : table) {
    cells.push_back(row.name.c_str());
    for (const auto &cell : row.cells) cells.push_back(cell.c_str());
  }
  check(seed_report_add_table(report.get(), "Figures", heads.data(), heads.size(), cells.data(), table.size()));
  add_sheet(report.get(), dataset.get(), embeddings, by_teacher);
  std::string page = options.out + "/report.html";
  check(seed_report_write(report.get(), page.c_str()));

  std::printf("\n");
  for (const auto &title : header) std::printf("%-32s", title.c_str());
  std::printf("\n");
  for (const auto &row : table) {
    std::printf("%-32s", row.name.c_str());
    for (const auto &cell : row.cells) std::printf("%-32s", cell.c_str());
    std::printf("\n");
  }
  size_t skipped = 0;
  check(seed_dataset_skipped_count(dataset.get(), &skipped));
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("\n%zu images skipped; %.0f s in all\nstudent: %s\nreport:  %s\n", skipped, seconds.count(), file.c_str(),
              page.c_str());
  return 0;
}

} // namespace

int main(int count, char **words) {
  try {
    return run(parse(count, words));
  } catch (const std::exception &error) {
    std::fflush(stdout);
    std::cerr << "distill: " << error.what() << "\n";
    return 1;
  }
}
