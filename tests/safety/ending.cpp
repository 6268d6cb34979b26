/* The same of C++: threads whose exceptions nobody catches, and objects with static storage that stop their threads when they are
 * destroyed, made before the library was initialised and after.
 *
 *   ending FOLDER ROUNDS */
#include "ending.h"

#include <seed.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace {

std::atomic<int> calls{0};

/* Embeds and trains until it is destroyed. */
class Line {
 public:
  ~Line() {
    stop_ = true;
    for (std::thread &thread : threads_) thread.join();
  }

  /* `alone`: nobody will wait for the threads, and an exception in them ends the process by a signal. */
  void begin(const std::string &folder, bool alone) {
    config_ = std::make_unique<seed::Config>(seed::Config::create({{"image_width", 32},
                                                                    {"image_height", 32},
                                                                    {"batch_size", 3},
                                                                    {"steps", 1000000},
                                                                    {"queue_capacity", 10},
                                                                    {"embedding_dim", DIM},
                                                                    {"projection_hidden", 32},
                                                                    {"progress_every", 1},
                                                                    {"workers", 1},
                                                                    {"device", "cpu"}}));
    const auto dataset = seed::Dataset::open_folder(folder + "/images");
    const auto teacher = seed::Teacher::load(folder + "/teacher.safetensors", "mobilenet_v3_small", *config_);
    student_ = std::make_unique<seed::Student>(seed::Student::create("mobilenet_v3_small", *config_));
    session_ = std::make_unique<seed::Session>(seed::Session::from_student(*student_, *config_));
    trainer_ = std::make_unique<seed::Trainer>(seed::Trainer::create(*config_, *student_, teacher, dataset));
    const auto guarded = [this, alone](auto body) {
      return [this, alone, body] {
        if (alone) return body();
        try {
          body();
        } catch (const seed::Error &error) {
          /* The process has been ending for so long that this thread is waited for. */
          if (error.code() != seed::ErrorCode::Cancelled || ending_for() < .3) _exit(4);
        }
      };
    };
    threads_.emplace_back(guarded([this] {
      std::vector<std::uint8_t> pixels(WIDTH * HEIGHT * 3);
      for (unsigned number = 0; !stop_; ++number, ++calls) {
        paint(pixels.data(), number);
        const auto row = session_->embed(seed::ImageView(pixels.data(), WIDTH, HEIGHT, seed::PixelFormat::Rgb8));
        if (row.size() != DIM) _exit(4);
      }
    }));
    threads_.emplace_back(guarded([this] {
      trainer_->run([this](const seed::Progress &) { return ++calls, !stop_; });
    }));
    // The first calls are ending.c's matter.
    while (calls < 300) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (!alone) return;
    for (std::thread &thread : threads_) thread.detach();
    threads_.clear();
  }

 private:
  std::atomic<bool> stop_{false};
  std::unique_ptr<seed::Config> config_;
  std::unique_ptr<seed::Student> student_;
  std::unique_ptr<seed::Session> session_;
  std::unique_ptr<seed::Trainer> trainer_;
  std::vector<std::thread> threads_;
};

/* Older than the library's own exit handlers. */
Line before;

Line &after() {
  static Line line;
  return line;
}

enum Way { ALONE, BEFORE, AFTER, WAYS };
const char *const ways[WAYS] = {"nobody waits", "an older object waits", "a younger object waits"};

int end(Way way, const std::string &folder) {
  seed::init();
  switch (way) {
    case ALONE: (new Line)->begin(folder, true); break;
    case BEFORE: before.begin(folder, false); break;
    default: after().begin(folder, false);
  }
  ends();
  return CODE;
}

} // namespace

int main(int count, char **words) {
  double longest[WAYS] = {};
  int mine = 0, status = 0;
  if (count < 3) return 2;
  const std::string folder = words[1];
  pid_t child = fork();
  if (child == 0) {
    OK(seed_init(SEED_ABI_VERSION));
    write_images((folder + "/images").c_str());
    write_teacher(small_config(), (folder + "/teacher.safetensors").c_str());
    _exit(failures != 0);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  for (int round = 0; round < std::atoi(words[2]); ++round) {
    const Way way = static_cast<Way>(round % WAYS);
    const double over = one_ends("C++", ways[way], &mine);
    if (mine) return end(way, folder);
    if (over > longest[way]) longest[way] = over;
  }
  for (int way = 0; way < WAYS; ++way) std::printf("%-24s %.3f s\n", ways[way], longest[way]);
  if (failures == 0) std::printf("all checks passed\n");
  return failures != 0;
}
