// Distils a student on a folder of unlabelled images, embeds them with it and shows nearest neighbours.
//
//   folder IMAGES TEACHER ARCHITECTURE STUDENT.safetensors [SIDE [EPOCHS]]
//
//   folder /data/frames resnet50.pth resnet50 student.safetensors 96 4

#include "seed.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void run(const std::string &images, const std::string &teacher_file, const std::string &architecture,
         const std::string &student_file, int side, int epochs) {
  seed::init();
  auto frames = seed::Dataset::open_folder(images);
  const std::size_t count = frames.count();
  // The paper's settings are for a million images; these suit a few thousand.
  auto config = seed::Config::create({{"image_width", side},
                                      {"image_height", side},
                                      {"epochs", epochs},
                                      {"batch_size", std::min<std::size_t>(32, count)},
                                      {"learning_rate", 0.2},
                                      {"queue_capacity", 1024},
                                      {"temperature_student", 0.1},
                                      {"temperature_teacher", 0.02},
                                      {"view.crop_scale_min", 0.8},
                                      {"view.blur_probability", 0}});
  auto teacher = seed::Teacher::load(teacher_file, architecture, config);
  config.set("embedding_dim", teacher.dim());
  auto student = seed::Student::create("mobilenet_v3_small", config);
  auto trainer = seed::Trainer::create(config, student, teacher, frames);
  trainer.run([](const seed::Progress &progress) {
    std::printf("step %llu/%llu  loss %.4f  %.0f images/s  %.0f s left\n",
                static_cast<unsigned long long>(progress.step), static_cast<unsigned long long>(progress.total_steps),
                progress.loss, progress.images_per_second, progress.eta_seconds);
    return true; // false would end the run
  });
  student.save(student_file);

  auto session = seed::Session::open(student_file, config);
  const auto vectors = session.embed(frames);
  const std::size_t k = std::min<std::size_t>(3, count - 1);
  const auto nearest = seed::neighbours({vectors, session.dim()}, k);
  for (std::size_t i = 0; i < std::min<std::size_t>(5, count); ++i) {
    std::printf("%s is like", frames.name(i).c_str());
    for (std::size_t j = 0; j < k; ++j) std::printf(" %s", frames.name(nearest[i * k + j]).c_str());
    std::printf("\n");
  }
  for (std::size_t i = 0; i < frames.skipped_count(); ++i) std::printf("skipped %s\n", frames.skipped(i).c_str());
}

} // namespace

int main(int count, char **words) {
  if (count < 5) {
    std::fprintf(stderr, "usage: folder IMAGES TEACHER ARCHITECTURE STUDENT.safetensors [SIDE [EPOCHS]]\n");
    return 2;
  }
  try {
    run(words[1], words[2], words[3], words[4], count > 5 ? std::atoi(words[5]) : 96,
        count > 6 ? std::atoi(words[6]) : 4);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "folder: %s\n", error.what());
    return 1;
  }
}
