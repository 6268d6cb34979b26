// Distils a student on frames that a camera's thread brings while the training goes on. The camera's thread never waits:
// it leaves its newest frame in a mailbox and goes on; a frame that was not fetched in time is dropped and counted.
//
//   camera TEACHER ARCHITECTURE STUDENT.safetensors [SIDE [STEPS]]

#include "seed.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr std::uint32_t width = 320, height = 240;
using Frame = std::vector<std::uint8_t>; // width·height grey pixels

// Room for one frame. Both sides exchange a pointer and never wait for each other.
class Mailbox {
public:
  ~Mailbox() { delete slot_.load(); }
  // Leaves a frame; tells whether the one before had been fetched.
  bool leave(std::unique_ptr<Frame> frame) {
    std::unique_ptr<Frame> before(slot_.exchange(frame.release()));
    return before == nullptr;
  }
  // The newest frame, or nothing.
  std::unique_ptr<Frame> fetch() { return std::unique_ptr<Frame>(slot_.exchange(nullptr)); }

private:
  std::atomic<Frame *> slot_{nullptr};
};

// A stand-in for a camera: stripes that drift, with a spot on every tenth frame.
std::unique_ptr<Frame> capture(unsigned number) {
  auto frame = std::make_unique<Frame>(width * height);
  for (std::uint32_t y = 0; y < height; ++y)
    for (std::uint32_t x = 0; x < width; ++x) {
      const bool spot = number % 10 == 0 && (x - 160) * (x - 160) + (y - 120) * (y - 120) < 900;
      (*frame)[y * width + x] = spot ? 250 : static_cast<std::uint8_t>(60 + (x * (1 + number % 3) + number * 7) % 120);
    }
  return frame;
}

// The threads beside the training. Leaving the scope, by an exception too, stops and joins them.
class Line {
public:
  explicit Line(const seed::Dataset &dataset) : camera_([this] { watch(); }), feeder_([this, &dataset] { feed(dataset); }) {}
  ~Line() {
    stop_ = true;
    camera_.join();
    feeder_.join();
  }
  unsigned dropped() const { return dropped_; }

private:
  void watch() {
    for (unsigned number = 0; !stop_; ++number) {
      if (!mailbox_.leave(capture(number))) ++dropped_;
      std::this_thread::sleep_for(std::chrono::milliseconds(20)); // the camera's pace
    }
  }
  void feed(const seed::Dataset &dataset) {
    // Pushed frames stay in memory, so there is an end to them.
    constexpr unsigned most = 2000;
    for (unsigned kept = 0; !stop_ && kept < most;) {
      if (auto frame = mailbox_.fetch()) {
        try {
          dataset.push(seed::ImageView(frame->data(), width, height, seed::PixelFormat::Mono8));
          ++kept;
        } catch (const seed::Error &error) {
          std::fprintf(stderr, "camera: a frame was left out: %s\n", error.what());
        }
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  }

  Mailbox mailbox_;
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> dropped_{0};
  std::thread camera_, feeder_; // last, so that what they use is there first
};

void run(const std::string &teacher_file, const std::string &architecture, const std::string &student_file, int side,
         int steps) {
  seed::init();
  // The number of images is not known, so the run is counted in steps.
  auto config = seed::Config::create({{"image_width", side},
                                      {"image_height", side},
                                      {"steps", steps},
                                      {"batch_size", 16},
                                      {"learning_rate", 0.1},
                                      {"queue_capacity", 256},
                                      {"temperature_student", 0.1},
                                      {"temperature_teacher", 0.02}});
  auto teacher = seed::Teacher::load(teacher_file, architecture, config);
  auto student = seed::Student::create("mobilenet_v3_small", config);
  auto frames = seed::Dataset::create();
  auto trainer = seed::Trainer::create(config, student, teacher, frames);

  Line line(frames);
  while (frames.count() < 32) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  // A call of run works on the frames that are there when it begins, so short calls follow the camera.
  auto outcome = seed::Outcome::Paused;
  while (outcome == seed::Outcome::Paused) {
    const std::size_t there = frames.count();
    outcome = trainer.run({}, 10);
    std::printf("step %llu on %zu frames; %u frames came too fast or too late to be kept\n", static_cast<unsigned long long>(trainer.position().step),
                there, line.dropped());
  }
  student.save(student_file);

  auto session = seed::Session::from_student(student, config);
  auto newest = capture(1000);
  const auto vector = session.embed(seed::ImageView(newest->data(), width, height, seed::PixelFormat::Mono8));
  const auto known = session.embed(frames);
  const seed::Rows rows{known, vector.size()};
  std::size_t best = 0;
  float highest = -2;
  for (std::size_t i = 0; i < rows.count(); ++i) {
    float cosine = 0; // of unit vectors
    for (std::size_t j = 0; j < rows.dim; ++j) cosine += vector[j] * rows[i][j];
    if (cosine > highest) {
      highest = cosine;
      best = i;
    }
  }
  std::printf("a new frame is most like frame %s: cosine %.3f\n", frames.name(best).c_str(), highest);
}

} // namespace

int main(int count, char **words) {
  if (count < 4) {
    std::fprintf(stderr, "usage: camera TEACHER ARCHITECTURE STUDENT.safetensors [SIDE [STEPS]]\n");
    return 2;
  }
  try {
    run(words[1], words[2], words[3], count > 4 ? std::atoi(words[4]) : 96, count > 5 ? std::atoi(words[5]) : 60);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "camera: %s\n", error.what());
    return 1;
  }
}
