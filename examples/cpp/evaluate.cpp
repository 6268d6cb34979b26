// Judges a network by the usual protocols on labelled images, one folder a class; each figure is mean ± deviation over seeds.
//
//   evaluate PROTOCOL NETWORK IMAGES [KEY=VALUE...]
//
// PROTOCOL  knn      weighted 10-NN on features, 2/3 gallery
//           linear   logistic regression on features, trained on 2/3
//           few      the same with 1 % and 10 % of these labels
//           semi     all layers fine-tuned on 1 % and 10 % of the labels, tested on a third
//           full     all layers fine-tuned on all labels of two thirds; with a student of other images: transfer
// NETWORK   student:FILE   teacher:ARCHITECTURE:FILE   random:ARCHITECTURE   (semi and full take students and random ones)
// KEY=VALUE are settings of libseed (seed, device, finetune.…) and runs=N, the number of seeds (5).

#include "seed.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

std::uint32_t runs = 5;

void set(seed::Config &config, const std::string &word) {
  const auto equals = word.find('=');
  const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
  char *end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  if (key == "runs")
    runs = static_cast<std::uint32_t>(number);
  else if (value.empty() || *end != '\0')
    config.set(key, value);
  else if (value.find_first_of(".eE") == std::string::npos)
    config.set(key, static_cast<std::int64_t>(number));
  else
    config.set(key, number);
}

struct Images {
  seed::Dataset dataset;
  std::vector<std::string> names;
  std::vector<std::int32_t> labels;

  explicit Images(const std::string &folder) : dataset(seed::Dataset::open_folder(folder)) {
    labels = dataset.class_labels();
    for (std::size_t i = 0; i < dataset.class_count(); ++i) names.push_back(dataset.class_name(i));
  }
};

seed::Student student_of(const std::string &network, const seed::Config &config) {
  if (network.rfind("student:", 0) == 0) return seed::Student::load(network.substr(8), config);
  if (network.rfind("random:", 0) == 0) return seed::Student::create(network.substr(7), config);
  throw std::runtime_error(network + " cannot be fine-tuned: give student:FILE or random:ARCHITECTURE");
}

seed::Session session_of(const std::string &network, const seed::Config &config) {
  if (network.rfind("teacher:", 0) != 0) return seed::Session::from_student(student_of(network, config), config);
  const auto colon = network.find(':', 8);
  if (colon == std::string::npos) throw std::runtime_error("give a teacher as teacher:ARCHITECTURE:FILE");
  const auto teacher = seed::Teacher::load(network.substr(colon + 1), network.substr(8, colon - 8), config);
  return seed::Session::from_teacher(teacher, config);
}

// The number behind "key": in a JSON object; the first one where the key occurs often.
double number_of(const std::string &json, const std::string &key) {
  const auto place = json.find('"' + key + "\":");
  if (place == std::string::npos) throw std::runtime_error("no " + key + " in " + json);
  return std::strtod(json.c_str() + place + key.size() + 3, nullptr); // null is 0
}

void print(const char *what, double mean, double deviation) { std::printf("  %-16s %.3f ± %.3f\n", what, mean, deviation); }

void print(const char *what, const std::vector<double> &values) {
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  print(what, mean, values.size() > 1 ? std::sqrt(squares / static_cast<double>(values.size() - 1)) : 0);
}

void print(const seed::LinearResult &result, const std::vector<std::string> &names) {
  print("accuracy", result.accuracy_mean, result.accuracy_deviation);
  print("balanced recall", result.balanced_recall_mean, result.balanced_recall_deviation);
  print("AUROC", result.auroc_mean, result.auroc_deviation);
  for (std::size_t i = 0; i < result.recalls.size(); ++i) std::printf("  recall of %s %.3f\n", names[i].c_str(), result.recalls[i]);
}

// Fine-tunes all layers on the share `fraction` of two thirds of each class's labels and judges on the last third.
void fine_tune(const std::string &network, const Images &images, seed::Config &config, double fraction) {
  config.set("finetune.mode", "full");
  config.set("finetune.label_fraction", fraction);
  std::vector<double> accuracies, balanced, aurocs;
  for (std::uint32_t run = 0; run < runs; ++run) {
    config.set("seed", std::size_t{run});
    // Which third, by the run; the order within a class is that of the names.
    auto learned = images.labels, tested = images.labels;
    std::vector<std::size_t> counts(images.names.size(), run);
    for (std::size_t i = 0; i < learned.size(); ++i)
      if (learned[i] >= 0) (counts[static_cast<std::size_t>(learned[i])]++ % 3 == 0 ? learned : tested)[i] = -1;
    const auto classifier =
        seed::Classifier::fit(config, student_of(network, config), images.dataset, learned, images.names);
    const auto judged = classifier.judge(images.dataset, tested);
    accuracies.push_back(number_of(judged, "accuracy"));
    balanced.push_back(number_of(judged, "balanced_recall"));
    aurocs.push_back(number_of(judged, "auroc"));
  }
  std::printf("all layers fine-tuned on %g %% of the labels:\n", 100 * fraction);
  print("accuracy", accuracies);
  print("balanced recall", balanced);
  print("AUROC", aurocs);
}

void run(const std::string &protocol, const std::string &network, const std::string &folder, seed::Config &config) {
  const Images images(folder);
  if (protocol == "semi" || protocol == "full") {
    for (const double fraction : protocol == "full" ? std::vector<double>{1.0} : std::vector<double>{0.01, 0.1})
      fine_tune(network, images, config, fraction);
    return;
  }
  config.set("output", "features");
  const auto session = session_of(network, config);
  const auto vectors = session.embed(images.dataset);
  const seed::Rows rows{vectors, session.dim()};
  const auto seed = static_cast<std::uint64_t>(config.get_int("seed"));
  if (protocol == "knn") {
    const std::vector<std::int64_t> labels(images.labels.begin(), images.labels.end());
    const auto result = seed::knn(rows, labels, 10, runs, seed);
    std::printf("10-NN:\n");
    print("accuracy", result.accuracy_mean, result.accuracy_deviation);
    print("balanced recall", result.balanced_recall_mean, result.balanced_recall_deviation);
  } else if (protocol == "linear" || protocol == "few") {
    for (const double fraction : protocol == "linear" ? std::vector<double>{1.0} : std::vector<double>{0.01, 0.1}) {
      std::printf("linear on %g %% of the labels:\n", 100 * fraction);
      print(seed::linear(rows, images.labels, runs, seed, fraction), images.names);
    }
  } else {
    throw std::runtime_error("unknown protocol " + protocol + "; it is knn, linear, few, semi or full");
  }
}

} // namespace

int main(int count, char **words) {
  if (count < 4) {
    std::fprintf(stderr, "usage: evaluate knn|linear|few|semi|full NETWORK IMAGES [KEY=VALUE...]\n");
    return 2;
  }
  try {
    seed::init();
    auto config = seed::Config::create();
    for (int i = 4; i < count; ++i) set(config, words[i]);
    run(words[1], words[2], words[3], config);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "evaluate: %s\n", error.what());
    return 1;
  }
}
