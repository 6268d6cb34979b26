// Judges a network by the usual protocols on labelled images, one folder a class; each figure is mean ± deviation over seeds.
//
//   evaluate PROTOCOL NETWORK IMAGES [KEY=VALUE...]
//
// PROTOCOL  knn       weighted 10-NN on features, 2/3 gallery
//           linear    logistic regression on features, trained on 2/3
//           few       the same with 1 % and 10 % of these labels
//           semi      all layers fine-tuned on 1 % and 10 % of the labels of 2/3, or on finetune.label_fraction or
//                     finetune.labels_per_class of them
//           transfer  a student of other images: linear, or with finetune.mode=full all layers; with test=DIR tested there
//           linear-sgd  the paper's: a linear layer by SGD on frozen features, learned from IMAGES, tested on test=DIR
//           semi-whole  the paper's: all layers fine-tuned on 1 % and 10 % of the labels of IMAGES, or as for semi, without a
//                     held-out part, so that nothing is calibrated; tested on test=DIR
// NETWORK   student:FILE   random:ARCHITECTURE   weights:ARCHITECTURE:FILE (published weights, such as a teacher's)
// KEY=VALUE are settings of libseed (seed, device, finetune.…; output=embedding judges embeddings instead of features), runs=N, the
//           number of seeds (5), and test=DIR.

#include "seed.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

struct Options {
  std::string protocol, network, images, test;
  std::uint32_t runs = 5;
  seed::Config config = seed::Config::create();
};

void set(Options &options, const std::string &word) {
  const auto equals = word.find('=');
  if (equals == std::string::npos) throw std::runtime_error(word + " is no KEY=VALUE");
  const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
  if (key == "runs")
    options.runs = static_cast<std::uint32_t>(std::stoul(value));
  else if (key == "test")
    options.test = value;
  else
    options.config.parse(word);
}

struct Images {
  seed::Dataset dataset;
  std::vector<std::string> names;
  std::vector<std::int64_t> labels;

  explicit Images(const std::string &folder) : dataset(seed::Dataset::open_folder(folder)) {
    labels = dataset.class_labels();
    for (std::size_t i = 0; i < dataset.class_count(); ++i) names.push_back(dataset.class_name(i));
  }
};

seed::Student network_of(const std::string &network, const seed::Config &config) {
  const auto colon = network.find(':');
  const std::string kind = network.substr(0, colon), rest = colon == std::string::npos ? "" : network.substr(colon + 1);
  if (kind == "student") return seed::Student::load(rest, config);
  if (kind == "random") return seed::Student::create(rest, config);
  const auto second = rest.find(':');
  if (kind != "weights" || second == std::string::npos)
    throw std::runtime_error(network + " is neither student:FILE, random:ARCHITECTURE nor weights:ARCHITECTURE:FILE");
  auto student = seed::Student::create(rest.substr(0, second), config);
  student.load_weights(rest.substr(second + 1));
  return student;
}

// What answers that know nothing reach in the mean over the classes.
void print_chance(std::size_t classes) { std::printf("  %-16s %.3f\n", "chance", 1.0 / static_cast<double>(classes)); }

// NaN is what cannot be computed: AUROC without images of two classes, the recall of a class without a test image.
void print(const char *what, double mean, double deviation) {
  if (std::isnan(mean)) std::printf("  %-16s n/a\n", what);
  else std::printf("  %-16s %.3f ± %.3f\n", what, mean, deviation);
}

void print(const seed::LinearResult &result, const std::vector<std::string> &names) {
  print("accuracy", result.accuracy_mean, result.accuracy_deviation);
  print("balanced recall", result.balanced_recall_mean, result.balanced_recall_deviation);
  print("AUROC", result.auroc_mean, result.auroc_deviation);
  print_chance(names.size());
  for (std::size_t i = 0; i < result.recalls.size(); ++i) {
    if (std::isnan(result.recalls[i])) std::printf("  recall of %s n/a\n", names[i].c_str());
    else std::printf("  recall of %s %.3f\n", names[i].c_str(), result.recalls[i]);
  }
}

// The images to be tested on, which have the same classes.
Images tested_on(const Options &options, const Images &images) {
  if (options.test.empty()) throw std::runtime_error(options.protocol + " needs test=DIR, images of their own to be tested on");
  Images test(options.test);
  if (test.names != images.names) throw std::runtime_error(options.test + " has other classes than " + options.images);
  return test;
}

// The shares of the labels that the options name.
std::vector<double> shares(const Options &options) {
  const double share = options.config.get_float("finetune.label_fraction");
  const bool said = options.config.get_int("finetune.labels_per_class") > 0 || share < 1;
  return said ? std::vector<double>{share} : std::vector<double>{0.01, 0.1};
}

void print_share(const Options &options, double share) {
  const auto limit = options.config.get_int("finetune.labels_per_class");
  std::printf("all layers fine-tuned on ");
  limit > 0 ? std::printf("%d labels a class:\n", static_cast<int>(limit)) : std::printf("%g %% of the labels:\n", 100 * share);
}

void judge_by_sgd(const Options &options, const seed::Student &student, const Images &images) {
  const Images test = tested_on(options, images);
  const auto report = [](const seed::FinetuneProgress &progress) {
    if (progress.stage == static_cast<std::int32_t>(seed::Stage::Sgd))
      std::fprintf(stderr, "\rpass %llu, loss %.4f, %.0f s left   ", static_cast<unsigned long long>(progress.epoch),
                   progress.loss, progress.eta_seconds);
    return true;
  };
  const seed::TestImages tested{&test.dataset, test.labels};
  const auto found = seed::linear_sgd(options.config, student, images.dataset, images.labels, tested, report);
  std::fprintf(stderr, "\n");
  std::printf("linear by SGD, %llu images, tested on %llu:\n", static_cast<unsigned long long>(found.images),
              static_cast<unsigned long long>(found.test_images));
  std::printf("  %-16s %.3f\n  %-16s %.3f\n  %-16s %.3f\n", "top-1", found.accuracy, "top-5", found.top5_accuracy,
              "balanced recall", found.balanced_recall);
  print_chance(images.names.size());
  std::printf("  %-16s %.4f, on its own images %.4f\n", "loss", found.loss, found.train_loss);
  for (std::size_t i = 0; i < found.recalls.size(); ++i) {
    if (std::isnan(found.recalls[i])) std::printf("  recall of %s n/a\n", images.names[i].c_str());
    else std::printf("  recall of %s %.3f\n", images.names[i].c_str(), found.recalls[i]);
  }
}

// On frozen features: kNN, or linear on these shares of the labels.
void judge_features(const Options &options, const seed::Student &student, const Images &images,
                    const std::vector<double> &fractions) {
  const auto session = seed::Session::from_student(student, options.config);
  const auto vectors = session.embed(images.dataset);
  const seed::Rows rows{vectors, session.dim()};
  const auto seed = static_cast<std::uint64_t>(options.config.get_int("seed"));
  if (fractions.empty()) {
    const std::vector<std::int64_t> labels(images.labels.begin(), images.labels.end());
    const auto result = seed::knn(rows, labels, 10, options.runs, seed);
    std::printf("10-NN:\n");
    print("accuracy", result.accuracy_mean, result.accuracy_deviation);
    print("balanced recall", result.balanced_recall_mean, result.balanced_recall_deviation);
    print_chance(images.names.size());
  }
  for (const double fraction : fractions) {
    std::printf("linear on %g %% of the labels:\n", 100 * fraction);
    print(seed::linear(rows, images.labels, options.runs, seed, fraction), images.names);
  }
}

void run(Options &options) {
  const Images images(options.images);
  const auto student = network_of(options.network, options.config);
  if (options.protocol == "knn") {
    judge_features(options, student, images, {});
  } else if (options.protocol == "linear") {
    judge_features(options, student, images, {1});
  } else if (options.protocol == "few") {
    judge_features(options, student, images, {0.01, 0.1});
  } else if (options.protocol == "semi") {
    for (const double fraction : shares(options)) {
      options.config.set("finetune.label_fraction", fraction);
      print_share(options, fraction);
      print(seed::semi_supervised(options.config, student, images.dataset, images.labels, options.runs), images.names);
    }
  } else if (options.protocol == "semi-whole") {
    const Images test = tested_on(options, images);
    options.config.set("finetune.mode", "full");
    options.config.set("finetune.held_out", 0.0);
    for (const double fraction : shares(options)) {
      options.config.set("finetune.label_fraction", fraction);
      print_share(options, fraction);
      const seed::TestImages tested{&test.dataset, test.labels};
      print(seed::transfer(options.config, student, images.dataset, images.labels, tested, options.runs), images.names);
    }
  } else if (options.protocol == "linear-sgd") {
    judge_by_sgd(options, student, images);
  } else if (options.protocol == "transfer") {
    std::printf("transfer, %s:\n", options.config.get_string("finetune.mode").c_str());
    if (options.test.empty()) {
      print(seed::transfer(options.config, student, images.dataset, images.labels, {}, options.runs), images.names);
    } else {
      const Images test = tested_on(options, images);
      const seed::TestImages tested{&test.dataset, test.labels};
      print(seed::transfer(options.config, student, images.dataset, images.labels, tested, options.runs), images.names);
    }
  } else {
    throw std::runtime_error("unknown protocol " + options.protocol + "; it is knn, linear, few, semi, transfer, linear-sgd or semi-whole");
  }
}

} // namespace

int main(int count, char **words) {
  if (count < 4) {
    std::fprintf(stderr, "usage: evaluate knn|linear|few|semi|transfer|linear-sgd|semi-whole NETWORK IMAGES [KEY=VALUE...]\n");
    return 2;
  }
  try {
    seed::init();
    Options options{words[1], words[2], words[3], ""};
    options.config.set("output", "features");
    for (int i = 4; i < count; ++i) set(options, words[i]);
    run(options);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "evaluate: %s\n", error.what());
    return 1;
  }
}
