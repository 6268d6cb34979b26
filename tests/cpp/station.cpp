// What runs beside a working station, through seed.hpp: banks, pause, hot swap, a look into the queue, images as files in
// memory, devices, DLPack. In the build with exceptions and in the one without.
//
//   station FOLDER      (an empty folder to write to)

#include "check.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <thread>

// By the layout of dlpack.h, version 1, which seed.hpp does not ask for.
struct DLManagedTensorVersioned {
  std::uint32_t major, minor;
  void *manager;
  void (*deleter)(DLManagedTensorVersioned *self);
  std::uint64_t flags;
  void *data;
  std::int32_t device_type, device_id, dimensions;
  std::uint8_t type_code, type_bits;
  std::uint16_t type_lanes;
  std::int64_t *shape, *strides;
  std::uint64_t byte_offset;
};

namespace {

constexpr std::size_t most = std::numeric_limits<std::size_t>::max();

seed::Config small() {
  return TAKE(seed::Config::create({{"image_width", 32},
                                    {"image_height", 32},
                                    {"batch_size", 4},
                                    {"steps", 8},
                                    {"queue_capacity", 10},
                                    {"embedding_dim", 16},
                                    {"progress_every", 1},
                                    {"precision", "fp32"}}));
}

seed::Dataset frames(unsigned count) {
  auto dataset = TAKE(seed::Dataset::create());
  for (unsigned i = 0; i < count; ++i) {
    auto frame = stripes(40, 36, 2 + i % 8);
    TAKE(dataset.push(seed::ImageView(frame.data(), 40, 36, seed::PixelFormat::Mono8)));
  }
  return dataset;
}

void devices() {
  CHECK(seed::libtorch_version().substr(0, 2) == "2.");
  CHECK(TAKE(seed::device_count()) < 1000);
  CHECK(!TAKE(seed::device_name("cpu")).empty());
  const auto memory = TAKE(seed::memory_use("cpu"));
  CHECK(memory.process_bytes > 0 && memory.process_peak_bytes >= memory.process_bytes);
  CHECK(memory.device_free_bytes <= memory.device_total_bytes && memory.device_taken_bytes == memory.process_bytes);
  FAILS(ErrorCode::InvalidArgument, seed::device_name("gpu"));
  FAILS(ErrorCode::InvalidArgument, seed::memory_use("gpu"));
}

// A grey PGM is no format of ours; a 24-bit BMP is the shortest to write by hand.
std::vector<std::uint8_t> bitmap(std::uint8_t width, std::uint8_t height) {
  const unsigned row = (3u * width + 3) / 4 * 4, size = 54 + row * height;
  std::vector<std::uint8_t> file(size);
  const auto put = [&](std::size_t place, unsigned value) {
    for (int i = 0; i < 4; ++i) file[place + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value >> 8 * i);
  };
  file[0] = 'B';
  file[1] = 'M';
  put(2, size);
  put(10, 54);
  put(14, 40);
  put(18, width);
  put(22, height);
  file[26] = 1;
  file[28] = 24;
  for (unsigned y = 0; y < height; ++y)
    for (unsigned x = 0; x < width; ++x) {
      std::uint8_t *pixel = &file[54 + y * row + 3 * x];
      pixel[0] = 10;                                         // blue
      pixel[1] = static_cast<std::uint8_t>(10 * (height - 1 - y)); // green; the lowest row comes first
      pixel[2] = static_cast<std::uint8_t>(20 * x);          // red
    }
  return file;
}

void encoded() {
  const auto file = bitmap(7, 5);
  const auto picture = TAKE(seed::decode(file));
  CHECK(picture.width == 7 && picture.height == 5 && picture.format == seed::PixelFormat::Rgb8);
  CHECK(picture.pixels.size() == 105 && picture.pixels[3 * (2 * 7 + 4)] == 80 && picture.pixels[3 * (2 * 7 + 4) + 1] == 20);
  auto dataset = TAKE(seed::Dataset::create());
  CHECK(TAKE(dataset.push_encoded(file, "from memory")) == 0 && TAKE(dataset.push_encoded(file)) == 1);
  CHECK(TAKE(dataset.name(0)) == "from memory" && TAKE(dataset.name(1)) == "1");
  CHECK(TAKE(dataset.pixels(1)).pixels == picture.pixels);
  CHECK(TAKE(dataset.push(picture.view())) == 2);
  const std::array<std::uint8_t, 3> broken{1, 2, 3};
  FAILS(ErrorCode::Format, seed::decode(broken));
  FAILS(ErrorCode::Format, dataset.push_encoded(broken));
  FAILS(ErrorCode::InvalidArgument, dataset.pixels(3));
  auto absent = TAKE(seed::Dataset::open_files({"/no/such/file.png"}));
  FAILS(ErrorCode::Io, absent.pixels(0));
  CHECK(TAKE(absent.skipped_count()) == 1);
}

void queue() {
  auto queue = TAKE(seed::Queue::create(4, 2, 7));
  TAKE(queue.push({std::array{3.f, 0.f, 0.f, 5.f, 1.f, 1.f}, 2}));
  const auto rows = TAKE(queue.rows(1, 2));
  CHECK(rows.size() == 4 && rows[1] == 1 && std::fabs(rows[2] - std::sqrt(.5f)) < 1e-6f);
  CHECK(TAKE(queue.rows(4, 0)).empty());
  FAILS(ErrorCode::InvalidArgument, queue.rows(3, 2));
  FAILS(ErrorCode::InvalidArgument, queue.rows(most, most));

  const std::array<float, 4> queries{0, 1, 1, .1f};
  const auto near = TAKE(queue.nearest({queries, 2}, 2));
  CHECK(near.indices == std::vector<std::uint32_t>{1, 2, 0, 2} && near.similarities.size() == 4);
  CHECK(std::fabs(near.similarities[1] - std::sqrt(.5f)) < 1e-6f);
  // Three rows were pushed; what is refused takes no memory.
  for (std::size_t k : {std::size_t{0}, std::size_t{4}, most / 8}) FAILS(ErrorCode::InvalidArgument, queue.nearest({queries, 2}, k));
  FAILS(ErrorCode::Mismatch, queue.nearest({queries, 4}, 1));
  FAILS(ErrorCode::InvalidArgument, queue.nearest({queries, 3}, 1));

  const auto found = TAKE(seed::neighbours_in({queries, 2}, {std::array{1.f, 0.f, 0.f, 2.f, -1.f, 0.f}, 2}, 3));
  CHECK(found.indices == std::vector<std::uint32_t>{1, 0, 2, 0, 1, 2});
  for (std::size_t k : {std::size_t{0}, std::size_t{3}, most / 8})
    FAILS(ErrorCode::InvalidArgument, seed::neighbours_in({queries, 2}, {queries, 2}, k));
  FAILS(ErrorCode::InvalidArgument, seed::neighbours_in({queries, 2}, {queries, 4}, 1));
  FAILS(ErrorCode::InvalidArgument, seed::neighbours({queries, 2}, most / 8));

  const auto before = TAKE(queue.rows(0, 4));
  const auto snapshot = TAKE(queue.snapshot());
  TAKE(queue.push({std::array{0.f, -1.f}, 2}));
  CHECK(TAKE(snapshot.length()) == 3 && TAKE(queue.length()) == 4);
  TAKE(queue.restore(snapshot));
  CHECK(TAKE(queue.rows(0, 4)) == before);
  FAILS(ErrorCode::Mismatch, queue.restore(TAKE(seed::Queue::create(5, 2))));
  FAILS(ErrorCode::InvalidArgument, queue.restore(seed::Queue(nullptr)));
}

void banks(const std::string &folder) {
  const std::string file = folder + "/bank", weights = folder + "/teacher.safetensors";
  auto config = small();
  TAKE(config.set("view_count", 10));
  TAKE(TAKE(seed::Student::create("mobilenet_v3_small", config)).save(weights));
  const auto teacher = TAKE(seed::Teacher::load(weights, "mobilenet_v3_small", config));
  const auto images = frames(8);
  FAILS(ErrorCode::Io, seed::Bank::open(file));
  CHECK(TAKE(seed::Bank::fill(file, config, teacher, images, {}, 1)) == seed::Outcome::Paused);
  {
    const auto begun = TAKE(seed::Bank::open(file, teacher));
    const auto rows = TAKE(begun.rows());
    CHECK(rows.finished >= 1 && rows.finished < 80 && rows.total == 80);
    FAILS(ErrorCode::Busy, seed::Bank::fill(file, config, teacher, images));
  }
#ifndef SEED_NO_EXCEPTIONS
  try {
    seed::Bank::fill(file, config, teacher, images, [](const seed_bank_progress &) -> bool { throw 7; });
    CHECK(false);
  } catch (int thrown) {
    CHECK(thrown == 7);
  }
#endif
  // What the exception left unfinished may be little or nothing.
  std::uint64_t last = 0;
  CHECK(TAKE(seed::Bank::fill(file, config, teacher, images, [&](const seed_bank_progress &progress) {
          CHECK(progress.rows > last && progress.total_rows == 80);
          last = progress.rows;
          return true;
        })) == seed::Outcome::Finished);
  auto token = TAKE(seed::CancelToken::create());
  TAKE(token.trigger());
  CHECK(TAKE(seed::Bank::fill(folder + "/other", config, teacher, images, {}, 0, &token)) == seed::Outcome::Cancelled);

  auto bank = TAKE(seed::Bank::open(file));
  TAKE(bank.verify());
  CHECK(TAKE(bank.dim()) == 16 && TAKE(bank.images()) == 8 && TAKE(bank.views()) == 10);
  CHECK(TAKE(bank.header()).substr(0, 1) == "{");
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  CHECK(TAKE(seed::Bank::predict_size(8, 10, 16)) == static_cast<std::uint64_t>(stream.tellg()));
  FAILS(ErrorCode::InvalidArgument, seed::Bank::predict_size(0, 1, 1));

  TAKE(config.set("seed", 5));
  const auto student = TAKE(seed::Student::create("mobilenet_v3_small", config));
  const auto stored = TAKE(seed::Teacher::from_bank(bank));
  bank = seed::Bank(nullptr); // the teacher holds it
  CHECK(TAKE(stored.dim()) == 16 && TAKE(stored.warnings()).empty());
  FAILS(ErrorCode::Unsupported, stored.parameter_count());
  FAILS(ErrorCode::Unsupported, seed::Bank::fill(folder + "/third", config, stored, images));
  CHECK(TAKE(TAKE(seed::Bank::open(file, stored)).views()) == 10); // of the same teacher
  FAILS(ErrorCode::Mismatch, seed::Trainer::create(config, student, stored, images)); // views of another seed
  TAKE(config.set("seed", 0));
  const auto queue = TAKE(seed::Queue::create(10, 16));
  auto trainer = TAKE(seed::Trainer::create(config, student, stored, images, queue));
  CHECK(TAKE(trainer.run({}, 2)) == seed::Outcome::Paused && TAKE(queue.length()) == 8);
  FAILS(ErrorCode::InvalidArgument, seed::Trainer::create(config, student, stored, images, seed::Queue(nullptr)));
  auto without = TAKE(seed::Trainer::create(config, student, stored, images));
  CHECK(TAKE(without.run({}, 1)) == seed::Outcome::Paused);
}

// Waits, for a minute at most, until the fact is one.
template <class Fact> void soon(Fact &&fact, const char *text) {
  for (int i = 0; i < 6000 && !fact(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  check(fact(), text, __LINE__);
}

void pausing(const std::string &folder) {
  auto config = small();
  for (const auto &[key, value] : {std::pair("steps", 1000000), std::pair("nice", 5)}) TAKE(config.set(key, value));
  TAKE(config.set("duty_cycle", .9));
  const auto teacher = TAKE(seed::Teacher::load(folder + "/teacher.safetensors", "mobilenet_v3_small", config));
  const auto student = TAKE(seed::Student::create("mobilenet_v3_small", config));
  const auto images = frames(8);
  auto trainer = TAKE(seed::Trainer::create(config, student, teacher, images));
  const auto token = TAKE(seed::CancelToken::create());
  std::atomic<std::uint64_t> step{0};
  std::atomic<int> outcome{-1};
  std::thread run([&] {
    outcome = static_cast<int>(TAKE(trainer.run(
        [&](const seed::Progress &progress) {
          step = progress.step;
          return true;
        },
        0, &token)));
  });
  soon([&] { return step > 1; }, "a run goes on");
  TAKE(token.pause());
  std::uint64_t stands = 0;
  soon(
      [&] {
        stands = step;
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        return stands == step;
      },
      "a paused run stands");
  TAKE(token.resume());
  soon([&] { return step > stands; }, "a resumed run goes on");
  TAKE(token.pause());
  TAKE(token.trigger());
  run.join();
  CHECK(outcome == static_cast<int>(seed::Outcome::Cancelled));
}

void swapping() {
  auto config = small();
  const auto pixels = stripes(40, 36, 3);
  const seed::ImageView image(pixels.data(), 40, 36, seed::PixelFormat::Mono8);
  const auto make = [&](int number, int dim) {
    TAKE(config.set("seed", number));
    TAKE(config.set("embedding_dim", dim));
    return TAKE(seed::Session::from_student(TAKE(seed::Student::create("resnet10", config)), config));
  };
  const auto running = make(1, 16), other = make(2, 16), narrow = make(3, 8);
  const auto apart = [](const std::vector<float> &a, const std::vector<float> &b) {
    float most_apart = 0;
    for (std::size_t i = 0; i < a.size(); ++i) most_apart = std::fmax(most_apart, std::fabs(a[i] - b[i]));
    return most_apart;
  };
  const auto first = TAKE(running.embed(image)), second = TAKE(other.embed(image));
  CHECK(apart(first, second) > 1e-2f);
  TAKE(running.swap(other));
  CHECK(apart(TAKE(running.embed(image)), second) < 1e-4f && apart(TAKE(other.embed(image)), first) < 1e-4f);
  TAKE(running.swap(other));
  CHECK(apart(TAKE(running.embed(image)), first) < 1e-4f);
  FAILS(ErrorCode::Mismatch, running.swap(narrow));
  FAILS(ErrorCode::InvalidArgument, running.swap(seed::Session(nullptr)));

  // The same image as a DLPack tensor.
  static int deleted = 0;
  std::array<std::int64_t, 4> shape{1, 36, 40, 1};
  DLManagedTensorVersioned tensor{};
  tensor.major = 1;
  tensor.deleter = [](DLManagedTensorVersioned *) { ++deleted; };
  tensor.data = const_cast<std::uint8_t *>(pixels.data());
  tensor.device_type = 1;
  tensor.dimensions = 4;
  tensor.type_code = 1;
  tensor.type_bits = 8;
  tensor.type_lanes = 1;
  tensor.shape = shape.data();
  auto *vectors = TAKE(running.embed_dlpack(&tensor));
  CHECK(deleted == 1 && vectors->dimensions == 2 && vectors->shape[0] == 1 && vectors->shape[1] == 16);
  const auto *values = static_cast<const float *>(vectors->data);
  // The tensor's way rounds halves otherwise here and there: a level of 255.
  CHECK(apart(std::vector<float>(values, values + 16), first) < 5e-3f);
  vectors->deleter(vectors);
  tensor.type_bits = 64;
  FAILS(ErrorCode::InvalidArgument, running.embed_dlpack(&tensor));
  FAILS(ErrorCode::InvalidArgument, seed::Session(nullptr).embed_dlpack(&tensor));
  CHECK(deleted == 3);
}

// What is saved to memory is what a disk would have, and is opened like it.
void memory_files() {
  auto queue = TAKE(seed::Queue::create(6, 4, 1));
  TAKE(queue.save("memory://queue"));
  const auto bytes = TAKE(seed::memory_file("memory://queue"));
  CHECK(bytes.size() > 6 * 4 * sizeof(float));
  TAKE(seed::put_memory_file("memory://copy", bytes));
  TAKE(seed::Queue::load("memory://copy"));
  TAKE(seed::remove_memory_file("memory://copy"));
  FAILS(ErrorCode::Io, seed::Queue::load("memory://copy"));
  FAILS(ErrorCode::Io, seed::memory_file("memory://copy"));
  FAILS(ErrorCode::InvalidArgument, seed::put_memory_file("copy", bytes));
}

} // namespace

int main(int count, char **words) {
  if (count < 2) return 2;
  TAKE(seed::init());
  devices();
  encoded();
  queue();
  memory_files();
  banks(words[1]);
  pausing(words[1]);
  swapping();
  if (failures == 0) std::printf("station: all checks passed\n");
  return failures != 0;
}
