// Makes a classifier of a student and a folder of labelled images, one folder a class, and tries it on another such folder.
//
//   finetune STUDENT.safetensors LABELLED CLASSIFIER.safetensors [TEST] [KEY=VALUE...]
//
// KEY=VALUE are settings of libseed, such as finetune.mode=full or finetune.labels_per_class=5 (docs/finetune.md). It writes
// finetune.html: confusion matrices, pictures of each class with what was mistaken, a map of the student's features. Where the
// classifier's file exists, its classes are kept, and new folders of LABELLED become new classes; their names must come behind the
// known ones. With taught_by=FILE the classifier in FILE, such as one that this program fitted to a large teacher, teaches the
// student, on images of LABELLED itself that lie in no class's folder as well.

#include "seed.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace {

struct Images {
  seed::Dataset dataset;
  std::vector<std::string> names;
  std::vector<std::int64_t> labels;

  explicit Images(const std::string &folder) : dataset(seed::Dataset::open_folder(folder)) {
    labels = dataset.class_labels();
    for (std::size_t i = 0; i < dataset.class_count(); ++i) names.push_back(dataset.class_name(i));
  }

  // Renumbers the labels by `order`, which must hold every name.
  void order_as(const std::vector<std::string> &order) {
    for (auto &label : labels) {
      if (label < 0) continue;
      const auto place = std::find(order.begin(), order.end(), names[static_cast<std::size_t>(label)]);
      if (place == order.end())
        throw std::runtime_error("the classifier has no class " + names[static_cast<std::size_t>(label)]);
      label = static_cast<std::int64_t>(place - order.begin());
    }
    names = order;
  }
};

std::vector<std::string> names_of(const seed::Classifier &classifier) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < classifier.class_count(); ++i) names.push_back(classifier.class_name(i));
  return names;
}

bool report(const seed::FinetuneProgress &progress) {
  static const char *const stages[] = {"embedding", "linear fit", "all layers"};
  if (progress.stage == SEED_STAGE_EMBEDDING && progress.done < progress.total && progress.done % 320 != 0) return true;
  std::printf("%s %llu of %llu", stages[progress.stage], static_cast<unsigned long long>(progress.done),
              static_cast<unsigned long long>(progress.total));
  if (progress.held_out_loss == progress.held_out_loss)
    std::printf(": held-out loss %.4f, accuracy %.3f", progress.held_out_loss, progress.held_out_accuracy);
  std::printf("\n");
  return true;
}

// What the classifier makes of images, and how the student's features lie.
void add_images(seed::Report &report, const std::string &title, const Images &images, const seed::Classifier &classifier,
                const seed::Session &session) {
  const auto verdicts = classifier.classify(images.dataset);
  const auto features = session.embed(images.dataset);
  const seed::Rows rows{features, session.dim()};
  report.add_heading(title);
  report.add_confusion("Confusion", images.labels, verdicts.classes, images.names);
  seed::Report::ClassSheetOptions sheet;
  sheet.embeddings = rows;
  sheet.classes = verdicts.classes;
  sheet.confidences = verdicts.confidences;
  report.add_class_sheet("Pictures of each class", images.dataset, images.labels, images.names, sheet);
  report.add_map("Map of features", rows, images.dataset, images.labels, images.names);
}

void run(const std::vector<std::string> &words) {
  const std::string &student_file = words[0], &folder = words[1], &classifier_file = words[2];
  auto config = seed::Config::create();
  const std::string taught_by = "taught_by=";
  std::string test, tutor_file;
  for (std::size_t i = 3; i < words.size(); ++i)
    if (words[i].find('=') == std::string::npos)
      test = words[i];
    else if (words[i].compare(0, taught_by.size(), taught_by) == 0)
      tutor_file = words[i].substr(taught_by.size());
    else
      config.parse(words[i]);

  Images images(folder);
  seed::Classifier::FitOptions options;
  options.on_progress = report;
  seed::Classifier classifier{nullptr}, tutor{nullptr};
  if (!tutor_file.empty()) {
    tutor = seed::Classifier::open(tutor_file, config);
    options.taught_by = &tutor;
    images.order_as(names_of(tutor));
  }
  if (std::ifstream(classifier_file).good()) {
    auto earlier = seed::Classifier::open(classifier_file, config);
    auto names = names_of(earlier);
    for (const auto &name : images.names)
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    images.order_as(names);
    classifier = seed::Classifier::fit(config, earlier, images.dataset, images.labels, images.names, options);
  } else {
    auto student = seed::Student::load(student_file, config);
    classifier = seed::Classifier::fit(config, student, images.dataset, images.labels, images.names, options);
  }
  classifier.save(classifier_file);
  std::cout << classifier.describe() << '\n';
  for (const auto &warning : classifier.warnings()) std::cout << "note: " << warning << '\n';

  auto report = seed::Report::create("Classifier of " + folder);
  // Of very few images none can be held out.
  if (!classifier.confusion().empty()) report.add_confusion("Held-out images", classifier);
  config.set("output", "features");
  const auto session = seed::Session::from_student(seed::Student::load(student_file, config), config);
  if (test.empty()) {
    add_images(report, "All labelled images", images, classifier, session);
  } else {
    Images unseen(test);
    unseen.order_as(images.names);
    std::cout << "test " << classifier.judge(unseen.dataset, unseen.labels) << '\n';
    const auto verdicts = classifier.classify(unseen.dataset);
    std::size_t unsure = 0;
    for (const auto one : verdicts.unsure) unsure += one;
    std::printf("%zu of %zu test images are unsure\n", unsure, verdicts.unsure.size());
    add_images(report, "Test images", unseen, classifier, session);
  }
  report.write("finetune.html");
}

} // namespace

int main(int count, char **words) {
  if (count < 4) {
    std::fprintf(stderr, "usage: finetune STUDENT.safetensors LABELLED CLASSIFIER.safetensors [TEST] [KEY=VALUE...]\n");
    return 2;
  }
  try {
    seed::init();
    run({words + 1, words + count});
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "finetune: %s\n", error.what());
    return 1;
  }
}
