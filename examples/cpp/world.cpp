// Distils a student by several processes that share each step's images. Start it once for each rank, on one machine or on several:
//
//   world RANK SIZE ADDRESS IMAGES TEACHER ARCHITECTURE STUDENT.safetensors [KEY=VALUE...]
//
//   world 0 2 192.168.0.10:29500 /data/frames resnet50.pth resnet50 student.safetensors batch_size=64 steps=2000   # on 192.168.0.10
//   world 1 2 192.168.0.10:29500 /data/frames resnet50.pth resnet50 student.safetensors batch_size=64 steps=2000   # elsewhere
//
// Images, teacher and settings are the same for all; batch_size is the images of a step over all processes. Rank 0 prints and writes the
// student. With checkpoint_path=FOLDER a run that was interrupted goes on from there: all ranks must be able to read it. On one machine
// ADDRESS may be file:PATH of a file that is not there yet. Nothing is encrypted: use it in a network that you trust (docs/world.md).

#include "seed.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>

namespace {

constexpr const char *student_architecture = "mobilenet_v3_small";

void run(unsigned rank, unsigned size, char **words, int count) {
  seed::init();
  auto config = seed::Config::create({{"image_width", 96},
                                      {"image_height", 96},
                                      {"batch_size", 64},
                                      {"queue_capacity", 1024},
                                      {"learning_rate", 0.2},
                                      {"temperature_student", 0.1},
                                      {"temperature_teacher", 0.02},
                                      {"device", "cpu"}});
  for (int i = 8; i < count; ++i) config.parse(words[i]);
  auto frames = seed::Dataset::open_folder(words[4]);
  auto teacher = seed::Teacher::load(words[5], words[6], config);
  auto student = seed::Student::create(student_architecture, config);
  auto trainer = seed::Trainer::create(config, student, teacher, frames);

  // Waits for the others, at most ten minutes. Each process would make the whole run without this.
  auto world = seed::World::join(rank, size, words[3]);
  trainer.set_world(world);
  const auto checkpoint = config.get_string("checkpoint_path");
  if (!checkpoint.empty() && std::filesystem::exists(checkpoint)) trainer.resume(checkpoint);

  trainer.run([&](const seed::Progress &progress) {
    if (rank != 0 || progress.step == 0) return true; // the first report comes before the first step
    std::printf("step %llu/%llu  loss %.4f  %.0f images/s of %u processes  %.0f s left\n",
                static_cast<unsigned long long>(progress.step), static_cast<unsigned long long>(progress.total_steps),
                progress.loss, progress.images_per_second, size, progress.eta_seconds);
    std::fflush(stdout);
    return true; // false would end the run, on all processes
  });
  if (rank != 0) return;
  student.save(words[7]);
  std::printf("student: %s\n", words[7]);
}

} // namespace

int main(int count, char **words) {
  if (count < 8) {
    std::fprintf(stderr, "usage: world RANK SIZE ADDRESS IMAGES TEACHER ARCHITECTURE STUDENT.safetensors [KEY=VALUE...]\n");
    return 2;
  }
  try {
    run(static_cast<unsigned>(std::atoi(words[1])), static_cast<unsigned>(std::atoi(words[2])), words, count);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "world: rank %s: %s\n", words[1], error.what());
    return 1;
  }
}
