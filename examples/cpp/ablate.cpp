// Compares methods, temperatures and teachers on a folder of labelled images, one folder a class: one table, a file of figures and a
// report with charts.
//
//   ablate IMAGES OUT KEY=VALUE...
//
// teachers=ARCHITECTURE:FILE,…   published weights; "moco_v2:ARCHITECTURE", "simclr:…" and "swav:…" stand for a network that is trained
//                                by that method on the same images first, as long as a run (needed, one at least)
// methods=seed,l2,…              methods of distillation and, without a teacher, moco_v2, simclr and swav (seed)
// temperatures=0.01,0.02,…       τ_T of the method seed; other methods do not have it (what the preset says)
// seeds=N                        runs of each, which differ in every random draw (3)
// k=N                            nearest images that kNN and the agreement look at (10)
// student=ARCHITECTURE           (resnet18_w0.5)
// seconds=S                      wall time of each run instead of equal steps: the time of some steps decides how many it makes
// preset=NAME                    settings to begin with (site); other words are settings of libseed, such as epochs=60
//
// A run's student, checkpoint and figures lie in OUT. Stopped or killed, the same call goes on where it was. Students are judged by
// their features: weighted kNN and logistic regression over five splits into two thirds and one, and the share of the teacher's k
// nearest images that are the student's too. Figures are balanced recalls, mean ± deviation over the seeds.

#include "seed.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

std::vector<std::string> split(const std::string &text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, at);)
    if (!part.empty()) parts.push_back(part);
  return parts;
}

bool needs_no_teacher(const std::string &method) { return method == "moco_v2" || method == "simclr" || method == "swav"; }

struct Options {
  std::string images, out, student = "resnet18_w0.5", preset = "site", settings;
  std::vector<std::string> teachers, methods{"seed"}, temperatures;
  std::uint64_t seeds = 3;
  std::size_t k = 10;
  double seconds = 0;

  Options(int count, char **words) : images(words[1]), out(words[2]) {
    for (int i = 3; i < count; ++i) {
      const std::string word = words[i];
      const auto equals = word.find('=');
      if (equals == std::string::npos) throw std::runtime_error(word + " is no KEY=VALUE");
      const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
      if (key == "teachers") teachers = split(value, ',');
      else if (key == "methods") methods = split(value, ',');
      else if (key == "temperatures") temperatures = split(value, ',');
      else if (key == "seeds") seeds = std::stoull(value);
      else if (key == "k") k = std::stoull(value);
      else if (key == "seconds") seconds = std::stod(value);
      else if (key == "student") student = value;
      else if (key == "preset") preset = value;
      else settings += word + " ";
    }
    if (teachers.empty()) throw std::runtime_error("no teacher is given: teachers=ARCHITECTURE:FILE");
    if (methods.empty() || seeds == 0) throw std::runtime_error("there is nothing to compare: methods and seeds must not be empty");
  }

  // What must be the same for figures to stand in one table.
  std::string identity() const {
    return images + "\n" + student + "\n" + preset + "\n" + settings + "\n" + std::to_string(k) + " " + std::to_string(seconds) + "\n";
  }
};

// One run, and what came of it.
struct Cell {
  std::string teacher, method, temperature; // the temperature is empty where the method has none
  std::uint64_t seed = 0;
  double steps = 0, seconds = 0, knn = 0, linear = 0, agreement = 0;

  std::string name() const {
    std::string name = teacher + "-" + method + (temperature.empty() ? "" : "-" + temperature) + "-" + std::to_string(seed);
    std::replace_if(name.begin(), name.end(), [](char c) { return c == '/' || c == ':'; }, '_');
    return name;
  }
};

constexpr const char *HEAD = "teacher,method,temperature_teacher,seed,steps,seconds,knn,linear,agreement";

std::string quoted(const std::string &text) {
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? "\"\"" : std::string(1, c);
  return result + "\"";
}

// The figures that are there; a line that a killed process left half is made again.
std::map<std::string, Cell> read_cells(const fs::path &path) {
  std::map<std::string, Cell> cells;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    // The teacher's name stands in quotes and holds none.
    const auto end = line.rfind('"');
    if (line.empty() || line.front() != '"' || end == 0) continue;
    Cell cell;
    cell.teacher = line.substr(1, end - 1);
    std::vector<std::string> rest;
    std::istringstream stream(line.substr(std::min(line.size(), end + 2)));
    for (std::string part; std::getline(stream, part, ',');) rest.push_back(part);
    if (rest.size() != 8) continue;
    cell.method = rest[0], cell.temperature = rest[1], cell.seed = std::strtoull(rest[2].c_str(), nullptr, 10);
    double *const numbers[] = {&cell.steps, &cell.seconds, &cell.knn, &cell.linear, &cell.agreement};
    for (std::size_t i = 0; i < std::size(numbers); ++i) *numbers[i] = std::strtod(rest[i + 3].c_str(), nullptr);
    cells[cell.name()] = cell;
  }
  return cells;
}

// Whole or as it was before.
void write_cells(const fs::path &path, const std::vector<Cell> &cells) {
  const fs::path other = path.string() + ".new";
  std::ofstream file(other);
  file << HEAD << "\n";
  file.precision(6);
  for (const Cell &cell : cells)
    file << quoted(cell.teacher) << ',' << cell.method << ',' << cell.temperature << ',' << cell.seed << ',' << cell.steps << ','
         << cell.seconds << ',' << cell.knn << ',' << cell.linear << ',' << cell.agreement << "\n";
  file.close();
  if (!file) throw std::runtime_error("cannot write " + other.string());
  fs::rename(other, path);
}

struct Images {
  seed::Dataset dataset;
  std::vector<std::int64_t> labels;

  explicit Images(const std::string &folder) : dataset(seed::Dataset::open_folder(folder)), labels(dataset.class_labels()) {
    if (dataset.class_count() < 2) throw std::runtime_error(folder + " has no folders of two classes");
  }
};

struct Features {
  std::vector<float> values;
  std::size_t dim = 0;

  seed::Rows rows() const { return {values, dim}; }
};

seed::Config settings_of(const Options &options, std::uint64_t seed, const std::string &method) {
  auto config = seed::Config::create();
  config.preset(options.preset);
  // A method without a teacher has views, rates and an optimiser of its own; the images' size and the epochs are the others'.
  if (needs_no_teacher(method)) {
    const auto width = config.get_int("image_width"), height = config.get_int("image_height");
    const auto epochs = config.get_int("epochs"), batch = config.get_int("batch_size"), queue = config.get_int("queue_capacity");
    config.preset(method);
    for (const auto &[key, value] : {std::pair("image_width", width), std::pair("image_height", height), std::pair("epochs", epochs),
                                     std::pair("batch_size", batch), std::pair("queue_capacity", queue)})
      config.set(key, value);
  } else {
    config.set("method", method);
  }
  // Equal steps on equal images: no frames apart for a probe, and the student of the last step.
  config.set("probe.images", 0);
  config.parse(options.settings);
  config.set("seed", static_cast<std::int64_t>(seed));
  config.set("output", "features");
  return config;
}

void show(const std::string &name, const seed_progress &progress) {
  std::fprintf(stderr, "\r%-60s step %llu/%llu  loss %.3f  %.0f s left   ", name.c_str(),
               static_cast<unsigned long long>(progress.step), static_cast<unsigned long long>(progress.total_steps), progress.loss,
               progress.eta_seconds);
}

// As many steps as fit into the time, by the time of some: of a trainer of its own, since a run's schedule needs its length.
std::int64_t steps_in(double seconds, const Options &options, const seed::Config &given, const seed::Teacher *teacher,
                      const Images &images) {
  constexpr int FIRST = 5, MEASURED = 25;
  auto config = seed::Config::from_json(given.to_json());
  config.set("steps", static_cast<std::int64_t>(FIRST + MEASURED));
  config.set("checkpoint_path", "");
  const auto student = seed::Student::create(options.student, config);
  auto trainer = teacher == nullptr ? seed::Trainer::create(config, student, images.dataset)
                                    : seed::Trainer::create(config, student, *teacher, images.dataset);
  trainer.run({}, FIRST);
  const auto start = std::chrono::steady_clock::now();
  trainer.run();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(seconds * MEASURED / taken.count()));
}

struct Trained {
  seed::Student student;
  double steps = 0, seconds = 0;
};

// A run that goes on from its checkpoint where there is one; the student's file is there when it has finished.
Trained train(const Options &options, const std::string &name, seed::Config &config, const seed::Teacher *teacher,
              const Images &images) {
  const fs::path folder = fs::path(options.out) / name, file = folder / "student.safetensors", checkpoint = folder / "checkpoint",
                 length = folder / "steps", done = folder / "done", gone = folder / "gone";
  fs::create_directories(folder);
  fs::remove_all(gone);
  if (double steps = 0, seconds = 0; std::ifstream(done) >> steps >> seconds && fs::exists(file))
    return {seed::Student::load(file.string(), config), steps, seconds};
  if (options.seconds > 0) {
    std::int64_t steps = 0;
    if (std::ifstream kept(length); !(kept >> steps)) {
      steps = steps_in(options.seconds, options, config, teacher, images);
      std::ofstream(length) << steps << "\n";
    }
    config.set("steps", steps);
  }
  config.set("checkpoint_path", checkpoint.string());
  const auto start = std::chrono::steady_clock::now();
  auto student = seed::Student::create(options.student, config);
  auto trainer = teacher == nullptr ? seed::Trainer::create(config, student, images.dataset)
                                    : seed::Trainer::create(config, student, *teacher, images.dataset);
  if (fs::exists(checkpoint)) trainer.resume(checkpoint.string());
  const auto begun = trainer.position();
  trainer.run([&](const seed_progress &progress) {
    show(name, progress);
    return true;
  });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  student.save(file.string());
  // Of a run that went on, the time of the whole by that of its last part.
  const auto all = static_cast<double>(begun.total_steps), made = static_cast<double>(begun.total_steps - begun.step);
  const double seconds = made > 0 ? taken.count() * all / made : 0;
  std::ofstream(done) << all << " " << seconds << "\n";
  // Aside in one step, so that no half of it is gone on with.
  if (fs::exists(checkpoint)) fs::rename(checkpoint, gone);
  fs::remove_all(gone);
  return {std::move(student), all, seconds};
}

// A teacher of published weights, or one that is trained on the images first, and what it says of each of them.
struct Taught {
  seed::Teacher teacher;
  Features features;
};

Taught teacher_of(const Options &options, const std::string &word, const Images &images) {
  const auto colon = word.find(':');
  if (colon == std::string::npos) throw std::runtime_error(word + " is no ARCHITECTURE:FILE and no METHOD:ARCHITECTURE");
  std::string first = word.substr(0, colon), file = word.substr(colon + 1);
  // Another seed than the students have: MoCo-v2's student would be its own teacher.
  auto config = settings_of(options, 1'000'000, needs_no_teacher(first) ? first : "seed");
  if (needs_no_teacher(first)) {
    Options own = options;
    own.student = file;
    const std::string name = "teacher-" + first + "-" + own.student;
    const fs::path made = fs::path(options.out) / name / "student.safetensors";
    if (!fs::exists(made)) train(own, name, config, nullptr, images);
    first = own.student, file = made.string();
  }
  auto teacher = seed::Teacher::load(file, first, config);
  const auto session = seed::Session::from_teacher(teacher, config);
  return {std::move(teacher), {session.embed(images.dataset), session.dim()}};
}

void judge(Cell &cell, const Options &options, const seed::Student &student, const seed::Config &config, const Images &images,
           const Features &teacher) {
  const auto session = seed::Session::from_student(student, config);
  const Features features{session.embed(images.dataset), session.dim()};
  cell.knn = seed::knn(features.rows(), images.labels, options.k).balanced_recall_mean;
  cell.linear = seed::linear(features.rows(), images.labels).balanced_recall_mean;
  cell.agreement = seed::agreement(features.rows(), teacher.rows(), options.k);
}

std::string number(double value, int digits = 3) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

// Mean and sample deviation over the cells' seeds; of one seed no deviation is known.
std::string over_seeds(const std::vector<Cell> &cells, double Cell::*figure, int digits = 3) {
  double sum = 0, squares = 0;
  for (const Cell &cell : cells) sum += cell.*figure;
  const double mean = sum / static_cast<double>(cells.size());
  for (const Cell &cell : cells) squares += (cell.*figure - mean) * (cell.*figure - mean);
  if (cells.size() < 2) return number(mean, digits);
  return number(mean, digits) + " ± " + number(std::sqrt(squares / static_cast<double>(cells.size() - 1)), digits);
}

// What a group of seeds is called.
std::vector<std::string> group_of(const Cell &cell) { return {cell.teacher, cell.method, cell.temperature}; }

void write_report(const Options &options, const std::vector<Cell> &cells) {
  std::map<std::vector<std::string>, std::vector<Cell>> groups;
  std::vector<std::vector<std::string>> order;
  for (const Cell &cell : cells) {
    if (groups[group_of(cell)].empty()) order.push_back(group_of(cell));
    groups[group_of(cell)].push_back(cell);
  }
  const std::vector<std::string> heads{"teacher", "method", "τ_T", "seeds", "kNN", "linear", "agreement", "seconds"};
  std::vector<std::string> texts;
  auto report = seed::Report::create("Methods compared on " + options.images);
  report.add_paragraph("Balanced recall of weighted " + std::to_string(options.k) + "-NN and of logistic regression on features, over five splits into two thirds and "
                       "one; agreement is the share of the teacher's nearest images. Mean ± deviation over the seeds. Student: " +
                       options.student + ". Settings: preset " + options.preset + ", " + options.settings);
  for (const auto &name : order) {
    const auto &group = groups[name];
    const std::vector<std::string> row{name[0], name[1], name[2].empty() ? "–" : name[2], std::to_string(group.size()),
                                       over_seeds(group, &Cell::knn), over_seeds(group, &Cell::linear),
                                       over_seeds(group, &Cell::agreement),
                                       group[0].steps > 0 ? over_seeds(group, &Cell::seconds, 0) : "–"};
    texts.insert(texts.end(), row.begin(), row.end());
    for (const Cell &cell : group) {
      const std::string series = name[2].empty() ? cell.method : cell.method + " " + cell.teacher;
      if (!name[2].empty()) {
        const double temperature = std::log10(std::strtod(name[2].c_str(), nullptr));
        report.add_point("kNN by temperature", "log10 of τ_T", "balanced recall", series, temperature, cell.knn);
      }
      if (cell.steps > 0)
        report.add_point("kNN by time", "seconds", "balanced recall", cell.method, cell.seconds, cell.knn);
    }
  }
  report.add_table("Methods", heads, texts);
  report.write((fs::path(options.out) / "report.html").string());
  for (std::size_t i = 0; i < heads.size(); ++i) std::printf("%s%s", i == 0 ? "| " : " | ", heads[i].c_str());
  std::printf(" |\n|---|---|---|---|---|---|---|---|\n");
  for (std::size_t i = 0; i < texts.size(); ++i)
    std::printf("%s%s%s", i % heads.size() == 0 ? "| " : " | ", texts[i].c_str(), (i + 1) % heads.size() == 0 ? " |\n" : "");
}

void run(const Options &options) {
  fs::create_directories(options.out);
  const fs::path out = options.out, identity = out / "settings.txt", table = out / "figures.csv";
  if (std::ifstream kept(identity); kept) {
    const std::string text{std::istreambuf_iterator<char>(kept), std::istreambuf_iterator<char>()};
    if (text != options.identity())
      throw std::runtime_error(options.out + " has figures of other settings, which do not belong in one table:\n" + text +
                               "Take another folder.");
  } else {
    std::ofstream(identity) << options.identity();
  }
  const Images images(options.images);
  const auto known = read_cells(table);
  std::vector<Cell> cells;
  const auto add = [&](Cell cell, const auto &make) {
    if (const auto found = known.find(cell.name()); found != known.end()) cell = found->second;
    else make(cell);
    cells.push_back(cell);
    // What is not asked for this time stays in the file.
    auto all = cells;
    for (const auto &[name, other] : known)
      if (std::none_of(cells.begin(), cells.end(), [&name = name](const Cell &one) { return one.name() == name; })) all.push_back(other);
    write_cells(table, all);
    std::fprintf(stderr, "\r%-60s kNN %.3f, linear %.3f, agreement %.3f, %.0f s   \n", cell.name().c_str(), cell.knn, cell.linear,
                 cell.agreement, cell.seconds);
  };
  for (const std::string &word : options.teachers) {
    const auto taught = teacher_of(options, word, images);
    const auto config = settings_of(options, 0, "seed");
    add({word, "(the teacher itself)", ""}, [&](Cell &cell) {
      cell.knn = seed::knn(taught.features.rows(), images.labels, options.k).balanced_recall_mean;
      cell.linear = seed::linear(taught.features.rows(), images.labels).balanced_recall_mean;
      cell.agreement = 1;
    });
    for (std::uint64_t seed = 0; seed < options.seeds; ++seed)
      add({word, "(an untrained student)", "", seed}, [&](Cell &cell) {
        const auto own = settings_of(options, seed, "seed");
        judge(cell, options, seed::Student::create(options.student, own), own, images, taught.features);
      });
    for (const std::string &method : options.methods) {
      auto temperatures = options.temperatures;
      if (method != "seed") temperatures = {""};
      else if (temperatures.empty()) temperatures = {number(config.get_float("temperature_teacher"), 4)};
      for (const std::string &temperature : temperatures)
        for (std::uint64_t seed = 0; seed < options.seeds; ++seed)
          add({word, method, temperature, seed}, [&](Cell &cell) {
            auto own = settings_of(options, seed, method);
            if (!temperature.empty()) own.set("temperature_teacher", std::strtod(temperature.c_str(), nullptr));
            const auto *teacher = needs_no_teacher(method) ? nullptr : &taught.teacher;
            const auto trained = train(options, cell.name(), own, teacher, images);
            cell.steps = trained.steps, cell.seconds = trained.seconds;
            judge(cell, options, trained.student, own, images, taught.features);
          });
    }
  }
  write_report(options, cells);
}

} // namespace

int main(int count, char **words) {
  if (count < 4) {
    std::fprintf(stderr, "usage: ablate IMAGES OUT teachers=ARCHITECTURE:FILE[,…] [methods=…] [temperatures=…] [seeds=N] [KEY=VALUE...]\n");
    return 2;
  }
  try {
    seed::init();
    run(Options(count, words));
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "ablate: %s\n", error.what());
    return 1;
  }
}
