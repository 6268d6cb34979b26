// Distils a student on a folder of unlabelled images, embeds them with it and shows nearest neighbours. The examples of the
// other languages do the same.
//
//   folder IMAGES TEACHER ARCHITECTURE STUDENT.safetensors [SIDE [STEPS [BATCH]]]
//
//   folder /data/frames resnet50.pth resnet50 student.safetensors 96 800 32

#include "seed.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

constexpr const char *student_architecture = "mobilenet_v3_small";

void run(const std::string &images, const std::string &teacher_file, const std::string &architecture,
         const std::string &student_file, int side, int steps, int batch) {
  seed::init();
  auto frames = seed::Dataset::open_folder(images);
  const std::size_t count = frames.count();
  // The paper's settings are for a million images; these suit a few thousand.
  auto config = seed::Config::create({{"image_width", side},
                                      {"image_height", side},
                                      {"steps", steps},
                                      {"batch_size", std::min<std::size_t>(static_cast<std::size_t>(batch), count)},
                                      {"queue_capacity", 1024},
                                      {"warmup_steps", std::min(20, steps / 10)},
                                      {"progress_every", std::max(1, std::min(10, steps / 10))},
                                      {"learning_rate", 0.2},
                                      {"temperature_student", 0.1},
                                      {"temperature_teacher", 0.02},
                                      {"view.crop_scale_min", 0.8},
                                      {"view.brightness", 0.1},
                                      {"view.contrast", 0.1},
                                      {"view.blur_probability", 0}});
  auto teacher = seed::Teacher::load(teacher_file, architecture, config);
  auto student = seed::Student::create(student_architecture, config);
  std::printf("%zu images, teacher %s (%zu numbers an image), student %s\n", count, architecture.c_str(),
              teacher.dim(), student_architecture);
  auto trainer = seed::Trainer::create(config, student, teacher, frames);
  trainer.run([](const seed::Progress &progress) {
    if (progress.step == 0) return true; // the first report comes before the first step
    std::printf("step %llu/%llu  loss %.4f  %.0f images/s  %.0f s left\n",
                static_cast<unsigned long long>(progress.step), static_cast<unsigned long long>(progress.total_steps),
                progress.loss, progress.images_per_second, progress.eta_seconds);
    return true; // false would end the run
  });
  student.save(student_file);
  std::printf("student: %s\n", student_file.c_str());

  auto session = seed::Session::open(student_file, config);
  auto by_teacher = seed::Session::from_teacher(teacher, config);
  const auto vectors = session.embed(frames), teacher_vectors = by_teacher.embed(frames);
  const std::size_t k = std::min<std::size_t>(3, count - 1), queries = std::min<std::size_t>(5, count);
  const seed::Rows rows{vectors, session.dim()};
  std::printf("of the teacher's %zu nearest the student finds %.1f %%, chance %.1f %%\n", k,
              100 * seed::agreement(rows, {teacher_vectors, by_teacher.dim()}, k),
              100 * static_cast<double>(k) / static_cast<double>(count - 1));
  const auto nearest = seed::neighbours(rows, k);
  for (std::size_t i = 0; i < queries; ++i) {
    const std::size_t query = i * count / queries;
    std::printf("%s is most like", frames.name(query).c_str());
    for (std::size_t j = 0; j < k; ++j) std::printf("  %s", frames.name(nearest[query * k + j]).c_str());
    std::printf("\n");
  }
  for (std::size_t i = 0; i < frames.skipped_count(); ++i) std::printf("skipped %s\n", frames.skipped(i).c_str());
}

} // namespace

int main(int count, char **words) {
  const auto number = [&](int place, int otherwise) { return count > place ? std::atoi(words[place]) : otherwise; };
  const int side = number(5, 96), steps = number(6, 800), batch = number(7, 32);
  if (count < 5 || count > 8 || side < 1 || steps < 1 || batch < 1) {
    std::fprintf(stderr, "usage: folder IMAGES TEACHER ARCHITECTURE STUDENT.safetensors [SIDE [STEPS [BATCH]]]\n");
    return 2;
  }
  try {
    run(words[1], words[2], words[3], words[4], side, steps, batch);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "folder: %s\n", error.what());
    return 1;
  }
}
