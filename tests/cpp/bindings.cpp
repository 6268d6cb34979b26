// seed.hpp as a program sees it: the same checks in the build with exceptions and in the one without (SEED_NO_EXCEPTIONS).
//
//   bindings FOLDER      (an empty folder to write to)

#include "check.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

// What seed.hpp asks of a cv::Mat, without OpenCV.
struct Matrix {
  std::vector<std::uint8_t> memory;
  int dims, rows, cols;
  std::uint8_t *data;
  struct Step {
    std::size_t bytes;
    operator std::size_t() const { return bytes; }
  } step;
  int number;
  int type() const { return number; }

  Matrix(int height, int width, int type_number, std::size_t pixel, std::size_t gap = 0)
      : memory(static_cast<std::size_t>(height) * (static_cast<std::size_t>(width) * pixel + gap), 100), dims(2),
        rows(height), cols(width), data(memory.data()), step{static_cast<std::size_t>(width) * pixel + gap},
        number(type_number) {}
};
constexpr int cv_8uc1 = 0, cv_16uc1 = 2, cv_32fc1 = 5, cv_64fc1 = 6, cv_8uc2 = 8, cv_8uc3 = 16, cv_16uc3 = 18, cv_8uc4 = 24;

// A matrix in a GPU's memory: no `dims`. It must not be taken for one in main memory.
struct FarMatrix {
  int rows, cols;
  std::size_t step;
  std::uint8_t *data;
  int type() const { return 0; }
};
static_assert(std::is_convertible_v<Matrix, seed::ImageView>);
static_assert(!std::is_convertible_v<FarMatrix, seed::ImageView>);
static_assert(!std::is_convertible_v<std::vector<std::uint8_t>, seed::ImageView>);

template <class T> constexpr bool moves_only() {
  return !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> && std::is_nothrow_move_constructible_v<T> &&
         std::is_nothrow_move_assignable_v<T> && !std::is_default_constructible_v<T>;
}
static_assert(moves_only<seed::Config>() && moves_only<seed::Dataset>() && moves_only<seed::Teacher>() &&
              moves_only<seed::Student>() && moves_only<seed::Queue>() && moves_only<seed::Trainer>() &&
              moves_only<seed::CancelToken>() && moves_only<seed::Session>() && moves_only<seed::Report>() &&
              moves_only<seed::Bank>() && moves_only<seed::Classifier>() && moves_only<seed::Anomaly>() && moves_only<seed::Distilled>());

void start() {
  FAILS(ErrorCode::NotInitialized, seed::Config::create());
  TAKE(seed::init());
  TAKE(seed::init());
  CHECK(std::string(seed::version()).substr(0, 2) == "0.");
}

void config() {
  auto config = TAKE(seed::Config::create({{"batch_size", 8}, {"learning_rate", 0.25}, {"device", "cpu"}}));
  CHECK(TAKE(config.get_int("batch_size")) == 8);
  CHECK(TAKE(config.get_float("learning_rate")) == 0.25);
  CHECK(TAKE(config.get_string("device")) == "cpu");
  TAKE(config.set("seed", std::size_t{7}));
  TAKE(config.set("momentum", 0.5f));
  TAKE(config.set("learning_rate", 1));
  TAKE(config.set("device", std::string("auto")));
  TAKE(config.parse("steps=20, device=cpu\nlearning_rate=1.0"));
  CHECK(TAKE(config.get_int("steps")) == 20 && TAKE(config.get_string("device")) == "cpu");
  FAILS(ErrorCode::Config, config.parse("steps=30 nothing"));
  CHECK(TAKE(config.get_int("steps")) == 20);
  TAKE(config.parse("steps=0 device=auto"));
  CHECK(TAKE(config.get_int("seed")) == 7 && TAKE(config.get_float("learning_rate")) == 1);
  FAILS(ErrorCode::Config, seed::Config::create({{"batch_size", 8}, {"batchsize", 8}}));
  FAILS(ErrorCode::Config, config.set("batch_size", -1));
  FAILS(ErrorCode::Config, config.set("seed", std::uint64_t{1} << 63));
  FAILS(ErrorCode::Config, config.get_int("device"));
  auto copy = TAKE(seed::Config::from_json(TAKE(config.to_json())));
  CHECK(TAKE(copy.get_int("seed")) == 7);
  FAILS(ErrorCode::Config, seed::Config::from_json("{"));
  TAKE(copy.preset("site"));
  CHECK(TAKE(copy.get_int("batch_size")) == 32 && TAKE(copy.get_float("learning_rate")) == 0.2);
  TAKE(copy.preset("site_from_weights"));
  CHECK(TAKE(copy.get_float("learning_rate")) == 0.05);
  FAILS(ErrorCode::Config, copy.preset("sight"));
  CHECK(TAKE(copy.get_float("learning_rate")) == 0.05);
}

// An empty object answers every function with an error, and gives its handle away only once.
void empty_objects() {
  auto config = TAKE(seed::Config::create());
  seed::Config moved = std::move(config);
  CHECK(!config && config.get() == nullptr && moved);
  FAILS(ErrorCode::InvalidArgument, config.set("batch_size", 8));
  FAILS(ErrorCode::InvalidArgument, config.to_json());
  config = std::move(moved);
  CHECK(config && !moved);
  moved = TAKE(seed::Config::create());
  moved = std::move(config); // frees the one that it had
  seed_config_free(moved.release());
  CHECK(!moved);

  auto good = TAKE(seed::Config::create());
  seed::Dataset dataset(nullptr);
  seed::Teacher teacher(nullptr);
  seed::Student student(nullptr);
  seed::Queue queue(nullptr);
  seed::Trainer trainer(nullptr);
  seed::CancelToken token(nullptr);
  seed::Session session(nullptr);
  seed::Model model(nullptr);
  seed::Report report(nullptr);
  auto pixels = stripes(8, 8, 2);
  seed::ImageView image(pixels.data(), 8, 8, seed::PixelFormat::Mono8);
  std::array<float, 2> row{1, 0};
  FAILS(ErrorCode::InvalidArgument, dataset.push(image));
  FAILS(ErrorCode::InvalidArgument, dataset.count());
  FAILS(ErrorCode::InvalidArgument, dataset.name(0));
  FAILS(ErrorCode::InvalidArgument, teacher.dim());
  FAILS(ErrorCode::InvalidArgument, seed::Teacher::from_function({}, 4, "nothing", good));
  FAILS(ErrorCode::InvalidArgument, seed::Embeddings(nullptr).dim());
  FAILS(ErrorCode::InvalidArgument, seed::Teacher::from_bank(seed::Bank(nullptr)));
  FAILS(ErrorCode::InvalidArgument, seed::Teacher::from_embeddings(seed::Embeddings(nullptr)));
  FAILS(ErrorCode::InvalidArgument, student.save("/nowhere"));
  FAILS(ErrorCode::InvalidArgument, queue.push({row, 2}));
  FAILS(ErrorCode::InvalidArgument, queue.similarities({row, 2}));
  FAILS(ErrorCode::InvalidArgument, trainer.run());
  FAILS(ErrorCode::InvalidArgument, trainer.run([](const seed::Progress &) { return true; }, 1, &token));
  FAILS(ErrorCode::InvalidArgument, trainer.position());
  FAILS(ErrorCode::InvalidArgument, seed::Trainer::create(good, student, teacher, dataset));
  FAILS(ErrorCode::InvalidArgument, seed::Trainer::create(good, student, teacher));
  FAILS(ErrorCode::InvalidArgument, token.trigger());
  FAILS(ErrorCode::InvalidArgument, session.embed(image));
  FAILS(ErrorCode::InvalidArgument, session.embed(dataset));
  FAILS(ErrorCode::InvalidArgument, session.describe());
  FAILS(ErrorCode::InvalidArgument, session.engine());
  FAILS(ErrorCode::InvalidArgument, student.export_to("/nowhere", {}));
  FAILS(ErrorCode::InvalidArgument, student.set_provenance("key", "1"));
  FAILS(ErrorCode::InvalidArgument, model.info());
  FAILS(ErrorCode::InvalidArgument, model.provenance());
  FAILS(ErrorCode::InvalidArgument, seed::Model::of(session));
  FAILS(ErrorCode::InvalidArgument, seed::Session::from_student(student, good));
  FAILS(ErrorCode::InvalidArgument, report.add_paragraph("text"));
}

// A ramp of 12 bits has 16 levels by the upper 8 of 16 bits, and 256 by a range.
void ranges() {
  std::vector<std::uint16_t> ramp(64 * 64);
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<std::uint16_t>(i);
  auto dataset = TAKE(seed::Dataset::create());
  TAKE(dataset.push(seed::ImageView(ramp.data(), 64, 64, seed::PixelFormat::Mono16)));
  const auto levels = [&] {
    const auto picture = TAKE(dataset.pixels(0));
    return std::set<std::uint8_t>(picture.pixels.begin(), picture.pixels.end()).size();
  };
  CHECK(levels() == 16 && TAKE(dataset.range()).empty());
  auto config = TAKE(seed::Config::create());
  TAKE(config.parse("range=dataset range.low_percentile=0 range.high_percentile=100"));
  TAKE(dataset.set_range(config));
  CHECK(levels() == 256);
  CHECK(TAKE(dataset.range()) == "range=fixed range.low=0 range.high=4095 range.gamma=1");
  TAKE(config.set("range", "fixed"));
  FAILS(ErrorCode::Config, dataset.set_range(config));
  CHECK(levels() == 256);
  const std::vector<float> corners{0, 0, 64, 0, 0, 64};
  const auto mask = TAKE(seed::polygon_mask(corners, 64, 64));
  CHECK(mask.size() == 64 * 64 && mask[0] == 255 && mask.back() == 0);
  const seed::ImageView masked(mask.data(), 64, 64, seed::PixelFormat::Mono8);
  TAKE(dataset.set_ignored(masked));
  TAKE(dataset.set_ignored(0, masked));
  FAILS(ErrorCode::InvalidArgument, dataset.set_ignored(1, masked));
  TAKE(dataset.clear_ignored());
  TAKE(dataset.clear_ignored(0));
  auto reading = TAKE(seed::Config::create());
  TAKE(reading.parse("exif=ignore page=0"));
  TAKE(dataset.set_reading(reading));
  const std::string deep("P5 2 1 4095\n\x0f\xff\x00\x20", 16);
  const seed::Span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t *>(deep.data()), deep.size());
  CHECK(TAKE(dataset.push_encoded(bytes, "deep")) == 1);
  const auto model = TAKE(seed::Model::of_architecture("resnet18", TAKE(seed::Config::create())));
  CHECK(TAKE(model.range()) == "range=full range.gamma=1");
}

void images() {
  auto dataset = TAKE(seed::Dataset::create());
  auto grey = stripes(20, 10, 3);
  seed::ImageView packed(grey.data(), 20, 10, seed::PixelFormat::Mono8);
  CHECK(packed.row_stride == 20 && packed.struct_size == sizeof(seed_image));
  CHECK(seed::ImageView(grey.data(), 3, 3, seed::PixelFormat::PlanarF32).row_stride == 12);
  CHECK(seed::ImageView(grey.data(), 5, 3, seed::PixelFormat::Mono10p).row_stride == 7);
  CHECK(seed::ImageView(grey.data(), 5, 3, seed::PixelFormat::Mono12Packed).row_stride == 8);
  CHECK(seed::ImageView(grey.data(), 5, 3, seed::PixelFormat::Rgb16).row_stride == 30);
  CHECK(seed::ImageView(grey.data(), 5, 3, seed::PixelFormat::MonoF32).row_stride == 20);
  CHECK(seed::ImageView(grey.data(), 5, 3, static_cast<seed::PixelFormat>(24)).row_stride == 0);
  CHECK(TAKE(dataset.push(packed)) == 0);
  CHECK(TAKE(dataset.push(seed::ImageView(grey.data(), 10, 10, seed::PixelFormat::Mono8, 20), "left half")) == 1);
  CHECK(TAKE(dataset.name(1)) == "left half" && TAKE(dataset.name(0)) == "0");
  FAILS(ErrorCode::InvalidArgument, dataset.name(2));
  FAILS(ErrorCode::InvalidArgument, dataset.push(seed::ImageView(nullptr, 4, 4, seed::PixelFormat::Mono8)));
  FAILS(ErrorCode::InvalidArgument, dataset.push(seed::ImageView(grey.data(), 0, 4, seed::PixelFormat::Mono8)));
  FAILS(ErrorCode::InvalidArgument,
        dataset.push(seed::ImageView(grey.data(), 4, 4, static_cast<seed::PixelFormat>(77))));

  const struct {
    int type;
    std::size_t bytes;
    int32_t format;
  } types[] = {{cv_8uc1, 1, SEED_PIXEL_MONO8},
               {cv_16uc1, 2, SEED_PIXEL_MONO16},
               {cv_8uc3, 3, SEED_PIXEL_BGR8},
               {cv_8uc4, 4, SEED_PIXEL_BGRA8},
               {cv_32fc1, 4, SEED_PIXEL_MONO_F32}};
  for (const auto &type : types) {
    Matrix matrix(6, 5, type.type, type.bytes, 16);
    seed::ImageView view = matrix;
    CHECK(view.format == type.format && view.width == 5 && view.height == 6);
    CHECK(view.row_stride == 5 * type.bytes + 16 && view.data == matrix.data);
    TAKE(dataset.push(matrix));
  }
  CHECK(TAKE(dataset.count()) == 7 && TAKE(dataset.skipped_count()) == 0);
  Matrix empty(1, 1, cv_8uc1, 1);
  empty.rows = empty.cols = -1; // as OpenCV has it for more than two dimensions
  FAILS(ErrorCode::InvalidArgument, dataset.push(empty));
  for (int type : {cv_64fc1, cv_8uc2, cv_16uc3}) {
    Matrix matrix(6, 5, type, 8);
#ifdef SEED_NO_EXCEPTIONS
    FAILS(ErrorCode::InvalidArgument, dataset.push(matrix)); // a constructor cannot return the better answer
#else
    FAILS(ErrorCode::Unsupported, dataset.push(matrix));
#endif
  }
  FAILS(ErrorCode::Io, seed::Dataset::open_folder("/no/such/folder"));
  FAILS(ErrorCode::InvalidArgument, seed::Dataset::open_files({}));
  auto absent = TAKE(seed::Dataset::open_files({"/no/such/file.png", "/nor/this.png"}));
  CHECK(TAKE(absent.count()) == 2 && TAKE(absent.name(1)) == "/nor/this.png");
}

void queue() {
  auto queue = TAKE(seed::Queue::create(2, 3, 7));
  const std::vector<float> rows{3, 4, 0, 0, 0, 2, 1, 0, 0};
  TAKE(queue.push({rows, 3}));
  CHECK(TAKE(queue.length()) == 2 && TAKE(queue.capacity()) == 2 && TAKE(queue.dim()) == 3);
  auto similarities = TAKE(queue.similarities({seed::Span<const float>(rows.data() + 3, 3), 3}));
  CHECK(similarities.size() == 2 && std::fabs(similarities[0] + similarities[1] - 2) < 1e-5);
  FAILS(ErrorCode::InvalidArgument, queue.push({rows, 4}));
  FAILS(ErrorCode::InvalidArgument, queue.push({rows, 0}));
  FAILS(ErrorCode::InvalidArgument, seed::Queue::create(0, 3));
  FAILS(ErrorCode::Io, seed::Queue::load("/no/such/queue"));
}

void judging() {
  // Two groups of vectors at right angles.
  std::vector<float> vectors;
  std::vector<std::int64_t> labels;
  for (int i = 0; i < 12; ++i) {
    const auto tilt = static_cast<float>(i) / 100;
    vectors.insert(vectors.end(), {i % 2 ? 1.f : tilt, i % 2 ? tilt : 1.f});
    labels.push_back(i % 2);
  }
  seed::Rows rows{vectors, 2};
  CHECK(rows.count() == 12 && rows[3].size() == 2 && rows[3][0] == 1);
  CHECK(TAKE(seed::knn(rows, labels, 3)).accuracy_mean == 1);
  CHECK(TAKE(seed::knn_classify(rows, rows, labels, 3)) == labels);
  FAILS(ErrorCode::InvalidArgument, seed::knn_classify(rows, rows, labels, 13));
  FAILS(ErrorCode::InvalidArgument, seed::knn_classify(rows, rows, labels, 3, 0));
  FAILS(ErrorCode::InvalidArgument, seed::knn_classify(rows, {vectors, 3}, labels, 3));
  auto nearest = TAKE(seed::neighbours(rows, 2));
  CHECK(nearest.size() == 24);
  for (std::size_t i = 0; i < nearest.size(); ++i) CHECK(nearest[i] % 2 == i / 2 % 2 && nearest[i] != i / 2);
  CHECK(TAKE(seed::agreement(rows, rows, 3)) == 1);
  labels.pop_back();
  FAILS(ErrorCode::InvalidArgument, seed::knn(rows, labels, 3));
  FAILS(ErrorCode::InvalidArgument, seed::knn_classify(rows, rows, labels, 3));
  FAILS(ErrorCode::InvalidArgument, seed::neighbours({vectors, 5}, 2));
  FAILS(ErrorCode::InvalidArgument, seed::neighbours(rows, 12));
  FAILS(ErrorCode::InvalidArgument, seed::agreement(rows, {vectors, 3}, 3));
}

void report(const seed::Dataset &dataset, const std::string &folder) {
  auto report = TAKE(seed::Report::create("Report"));
  TAKE(report.add_paragraph("A paragraph."));
  TAKE(report.add_table("Table", {"network", "recall"}, {"student", ".7", "teacher", ".8"}));
  FAILS(ErrorCode::InvalidArgument, report.add_table("Table", {"network", "recall"}, {"student"}));
  FAILS(ErrorCode::InvalidArgument, report.add_table("Table", {}, {}));
  TAKE(report.add_point("Loss", "step", "loss", "student", 1, 2.5));
  const std::vector<std::uint32_t> queries{0, 1}, near{2, 3, 4, 5};
  TAKE(report.add_neighbours("Near", dataset, queries, "student", near, "teacher", near));
  FAILS(ErrorCode::InvalidArgument, report.add_neighbours("Near", dataset, queries, "a", near, "b", queries));
  TAKE(report.write(folder + "/report.html"));
  FAILS(ErrorCode::Io, report.write("/no/such/folder/report.html"));
}

// Teachers that are no network of libseed. The run has 8 steps of "batch_size" images.
void teachers(const seed::Config &config, const seed::Student &student, const seed::Dataset &dataset) {
  auto counter = std::make_shared<std::atomic<int>>(0);
  std::weak_ptr<std::atomic<int>> alive = counter;
  // The mean level of each of 16 bands of rows.
  seed::TeacherFunction embed = [counter](seed::TeacherBatch &batch) {
    CHECK(batch.struct_size == sizeof batch && batch.dim == 16 && batch.height == 32 && batch.width == 32);
    CHECK(batch.device == SEED_DEVICE_CPU && batch.tensor != nullptr);
    const auto *levels = static_cast<const std::uint8_t *>(batch.images);
    const std::size_t band = 2 * 32 * 3;
    for (std::size_t i = 0; i < batch.count * batch.dim; ++i) {
      float sum = 1;
      for (std::size_t k = 0; k < band; ++k) sum += levels[i * band + k];
      batch.embeddings[i] = sum;
    }
    if (++*counter != 3) return true;
#ifndef SEED_NO_EXCEPTIONS
    throw std::runtime_error("the engine is out of paper");
#else
    return false;
#endif
  };
  for (const char *method : {"moco_v2", "simclr", "swav"}) {
    auto alone = TAKE(seed::Config::create({{"image_width", 32},
                                            {"image_height", 32},
                                            {"batch_size", 4},
                                            {"steps", 2},
                                            {"queue_capacity", 8},
                                            {"workers", 1},
                                            {"device", "cpu"},
                                            {"method", method}}));
    auto learner = TAKE(seed::Student::create("mobilenet_v3_small", alone));
    auto without = TAKE(seed::Trainer::create(alone, learner, dataset));
    CHECK(TAKE(without.run()) == seed::Outcome::Finished);
  }
  seed::Trainer trainer(nullptr);
  {
    auto teacher =
        TAKE(seed::Teacher::from_function(std::move(embed), 16, "bands 1", config, seed::BatchFormat::Uint8Nhwc));
    CHECK(TAKE(teacher.dim()) == 16);
    FAILS(ErrorCode::Unsupported, teacher.parameter_count());
    trainer = TAKE(seed::Trainer::create(config, student, teacher, dataset));
    auto session = TAKE(seed::Session::from_teacher(teacher, config));
    CHECK(TAKE(session.embed(dataset)).size() == 16 * TAKE(dataset.count()));
  }
  *counter = 0;
  counter.reset();
  CHECK(!alive.expired());
#ifndef SEED_NO_EXCEPTIONS
  try {
    trainer.run();
    CHECK(false);
  } catch (const seed::Error &error) {
    CHECK(error.code() == seed::ErrorCode::Cancelled);
    CHECK(std::string(error.what()).find("returned 1: the engine is out of paper") != std::string::npos);
  }
#else
  FAILS(ErrorCode::Cancelled, trainer.run());
#endif
  CHECK(TAKE(trainer.position()).step == 2);
  CHECK(TAKE(trainer.run()) == seed::Outcome::Finished);
  trainer = seed::Trainer(nullptr);
  CHECK(alive.expired()); // the last of what held the function is gone

  auto embed_nothing = [](seed::TeacherBatch &) { return true; };
  FAILS(ErrorCode::InvalidArgument, seed::Teacher::from_function(embed_nothing, 0, "nothing", config));
  FAILS(ErrorCode::InvalidArgument, seed::Teacher::from_function(embed_nothing, 4, "", config));
  FAILS(ErrorCode::Io, seed::Teacher::load_torchscript("/no/such/module.pt", config));
  FAILS(ErrorCode::Io, seed::Embeddings::load("/no/such/table.npy"));

  std::vector<float> rows(16 * TAKE(dataset.count()));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i % 16 == i / 16 % 16) + .1f;
  FAILS(ErrorCode::InvalidArgument, seed::Embeddings::create({rows.data(), 17}, 16));
  auto embeddings = TAKE(seed::Embeddings::create({rows.data(), rows.size()}, 16));
  CHECK(TAKE(embeddings.count()) == TAKE(dataset.count()) && TAKE(embeddings.dim()) == 16);
  const auto stored = TAKE(seed::Teacher::from_embeddings(embeddings));
  embeddings = seed::Embeddings(nullptr); // the teacher holds them
  CHECK(TAKE(stored.dim()) == 16);
  FAILS(ErrorCode::Unsupported, seed::Session::from_teacher(stored, config));
  FAILS(ErrorCode::InvalidArgument, seed::Trainer::create(config, student, stored));
  trainer = TAKE(seed::Trainer::create(config, student, stored, dataset));
  CHECK(TAKE(trainer.run()) == seed::Outcome::Finished);
  const auto short_one = TAKE(seed::Teacher::from_embeddings(TAKE(seed::Embeddings::create({rows.data(), 16}, 16))));
  FAILS(ErrorCode::Mismatch, seed::Trainer::create(config, student, short_one, dataset));
}

struct Files {
  std::string teacher, student, checkpoint;
};

void training(const std::string &folder) {
  const Files files{folder + "/teacher.safetensors", folder + "/student.safetensors", folder + "/checkpoint"};
  auto config = TAKE(seed::Config::create({{"image_width", 32},
                                           {"image_height", 32},
                                           {"batch_size", 4},
                                           {"steps", 8},
                                           {"queue_capacity", 10},
                                           {"embedding_dim", 16},
                                           {"progress_every", 1},
                                           {"queue.fill", "noise"}, // the engines count their calls
                                           {"precision", "fp32"}}));
  auto dataset = TAKE(seed::Dataset::create());
  std::vector<std::vector<std::uint8_t>> frames;
  for (unsigned i = 0; i < 7; ++i) frames.push_back(stripes(40, 36, 2 + i));
  for (const auto &frame : frames)
    TAKE(dataset.push(seed::ImageView(frame.data(), 40, 36, seed::PixelFormat::Mono8)));

  // A student's file serves as a teacher.
  TAKE(TAKE(seed::Student::create("mobilenet_v3_small", config)).save(files.teacher));
  FAILS(ErrorCode::Mismatch, seed::Teacher::load(files.teacher, "resnet18", config));
  auto teacher = TAKE(seed::Teacher::load(files.teacher, "mobilenet_v3_small", config));
  CHECK(TAKE(teacher.dim()) == 16 && TAKE(teacher.parameter_count()) > 1000000);
  TAKE(config.set("embedding_dim", TAKE(teacher.dim())));
  TAKE(config.set("seed", 5));
  auto student = TAKE(seed::Student::create("mobilenet_v3_small", config));
  CHECK(TAKE(student.dim()) == 16 && TAKE(student.parameter_count()) == TAKE(teacher.parameter_count()));
  auto queue = TAKE(seed::Queue::create(10, 16));
  FAILS(ErrorCode::InvalidArgument, seed::Trainer::create(config, student, teacher, dataset, seed::Queue(nullptr)));
  {
    FAILS(ErrorCode::InvalidArgument, seed::World::join(1, 1, "127.0.0.1:29500"));
    FAILS(ErrorCode::InvalidArgument, seed::World::join(0, 1, "127.0.0.1:29500", std::chrono::milliseconds(-1)));
    FAILS(ErrorCode::InvalidArgument, seed::World(nullptr).position());
    auto world = TAKE(seed::World::join(0, 1, "file:" + files.teacher + ".address", std::chrono::minutes(1)));
    CHECK(TAKE(world.position()).rank == 0 && TAKE(world.position()).size == 1);
    auto joined = TAKE(seed::Trainer::create(config, student, teacher, dataset));
    FAILS(ErrorCode::InvalidArgument, joined.set_world(seed::World(nullptr)));
    TAKE(joined.set_world(world));
    FAILS(ErrorCode::InvalidArgument, joined.set_world(world));
  }
  auto trainer = TAKE(seed::Trainer::create(config, student, teacher, dataset, queue));

  int calls = 0;
  auto outcome = TAKE(trainer.run([&](const seed::Progress &progress) {
    // The first report comes before the first step, and seven frames are too few for a probe.
    CHECK(std::isfinite(progress.loss) == (calls > 0) && std::isnan(progress.eta_seconds) == (calls == 0));
    CHECK(progress.step == static_cast<unsigned>(calls) && progress.total_steps == 8 && std::isnan(progress.probe_agreement));
    FAILS(ErrorCode::Busy, trainer.position());
    return ++calls < 3;
  }));
  CHECK(outcome == seed::Outcome::Cancelled && calls == 3);
  CHECK(TAKE(queue.length()) == 8);

#ifndef SEED_NO_EXCEPTIONS
  // An exception passes around C, not through it, and the trainer goes on afterwards.
  struct Stop {
    int step;
  };
  try {
    trainer.run([](const seed::Progress &progress) -> bool {
      if (std::isnan(progress.loss)) return true;
      throw Stop{static_cast<int>(progress.step)};
    });
    CHECK(false);
  } catch (const Stop &stop) {
    CHECK(stop.step == 3);
  }
  CHECK(trainer.position().step == 3);
  auto session = seed::Session::from_student(student, config);
  try {
    session.embed(dataset, [](std::size_t, std::size_t) -> bool { throw Stop{9}; });
    CHECK(false);
  } catch (const Stop &stop) {
    CHECK(stop.step == 9);
  }
#else
  CHECK(TAKE(trainer.run({}, 1)) == seed::Outcome::Paused);
#endif

  auto token = TAKE(seed::CancelToken::create());
  TAKE(token.trigger());
  CHECK(TAKE(trainer.run({}, 0, &token)) == seed::Outcome::Cancelled);
  TAKE(token.reset());
  CHECK(TAKE(trainer.run({}, 1, &token)) == seed::Outcome::Paused);
  TAKE(trainer.save(files.checkpoint));
  std::vector<Matrix> matrices(2, Matrix(30, 30, cv_8uc3, 3));
  for (auto &matrix : matrices) matrix.data = matrix.memory.data(); // the copy's own
  CHECK(std::isfinite(TAKE(trainer.step(seed::views(matrices)))));
  FAILS(ErrorCode::InvalidArgument, trainer.step({}));

  // Another thread pushes frames while the run goes on.
  std::thread camera([&] {
    for (int i = 0; i < 20; ++i) {
      auto frame = stripes(24, 24, 3);
      TAKE(dataset.push(seed::ImageView(frame.data(), 24, 24, seed::PixelFormat::Mono8)));
    }
  });
  outcome = TAKE(trainer.run());
  camera.join();
  CHECK(outcome == seed::Outcome::Finished);
  auto position = TAKE(trainer.position());
  CHECK(position.step == 8 && position.total_steps == 8 && TAKE(dataset.count()) == 27);
  TAKE(student.save(files.student));
  FAILS(ErrorCode::Io, trainer.resume("/no/such/checkpoint"));

  teachers(config, student, dataset);

  // Objects hold what they use: the trainer outlives what it was made of.
  student = seed::Student(nullptr);
  teacher = seed::Teacher(nullptr);
  trainer = seed::Trainer(nullptr);
  student = TAKE(seed::Student::load(files.student, config));
  CHECK(TAKE(student.dim()) == 16);
  FAILS(ErrorCode::InvalidArgument, student.weights_report());
  TAKE(student.load_weights(files.teacher));
  CHECK(TAKE(student.weights_report()).find("\"head\":true") != std::string::npos);
  CHECK(TAKE(seed::describe_weights(files.teacher)).find("mobilenet_v3_small") != std::string::npos);
  FAILS(ErrorCode::Io, student.load_weights("/no/such/file"));
  FAILS(ErrorCode::Io, seed::describe_weights("/no/such/file"));
  report(dataset, folder);
}

void sessions(const std::string &folder) {
  auto config = TAKE(seed::Config::create({{"precision", "fp32"}}));
  FAILS(ErrorCode::Io, seed::Session::open("/no/such/student", config));
  auto session = TAKE(seed::Session::open(folder + "/student.safetensors", config));
  CHECK(TAKE(session.describe()).find("cpu") != std::string::npos);
  CHECK(TAKE(session.engine()) == "libtorch: the setting \"engine\" is \"libtorch\"");
  const std::size_t dim = TAKE(session.dim());
  CHECK(dim == 16 && TAKE(session.parameter_count()) > 1000000);

  auto first = stripes(64, 64, 4), second = stripes(48, 64, 9);
  const std::vector<seed::ImageView> images{{first.data(), 64, 64, seed::PixelFormat::Mono8},
                                            {second.data(), 48, 64, seed::PixelFormat::Mono8}};
  auto both = TAKE(session.embed(images));
  auto alone = TAKE(session.embed(images[1]));
  CHECK(both.size() == 2 * dim && alone.size() == dim);
  double norm = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    CHECK(std::fabs(both[dim + i] - alone[i]) < 1e-4);
    norm += static_cast<double>(alone[i]) * static_cast<double>(alone[i]);
  }
  CHECK(std::fabs(norm - 1) < 1e-3);
  CHECK(TAKE(session.embed(seed::Span<const seed::ImageView>())).empty());

  auto input = TAKE(session.preprocess(images));
  auto second_input = TAKE(session.preprocess(images[1]));
  CHECK(input.size() == 2 * second_input.size());
  CHECK(std::equal(second_input.rbegin(), second_input.rend(), input.rbegin()));
  CHECK(TAKE(TAKE(seed::Model::of(session)).info()).resize == static_cast<std::int32_t>(seed::Resize::Whole));

  std::array<float, 40> memory;
  memory.fill(77);
  CHECK(TAKE(session.embed_into(images, memory)) == 2 * dim);
  CHECK(std::fabs(memory[0] - both[0]) < 1e-5 && memory[2 * dim] == 77);
  CHECK(TAKE(session.embed_into(images[0], memory)) == dim);
  FAILS(ErrorCode::BufferTooSmall, session.embed_into(images, seed::Span<float>(memory.data(), 31)));
  FAILS(ErrorCode::BufferTooSmall, session.embed_into(images, seed::Span<float>()));
  Matrix matrix(20, 20, cv_8uc3, 3, 4);
  CHECK(TAKE(session.embed(matrix)).size() == dim);

  auto dataset = TAKE(seed::Dataset::create());
  for (const auto &image : images) TAKE(dataset.push(image));
  std::size_t last = 0, calls = 0;
  auto pushed = TAKE(session.embed(dataset, [&](std::size_t done, std::size_t total) {
    CHECK(total == 2 && done <= total);
    last = done;
    return ++calls > 0;
  }));
  CHECK(pushed.size() == 2 * dim && last == 2 && calls > 0);
  CHECK(std::fabs(pushed[0] - both[0]) < 1e-4);
  FAILS(ErrorCode::Cancelled, session.embed(dataset, [](std::size_t, std::size_t) { return false; }));
  CHECK(TAKE(session.embed_into(dataset, memory)) == 2 * dim);
  FAILS(ErrorCode::BufferTooSmall, session.embed_into(dataset, seed::Span<float>()));
  auto token = TAKE(seed::CancelToken::create());
  TAKE(token.trigger());
  FAILS(ErrorCode::Cancelled, session.embed_into(dataset, memory, {}, &token));
  FAILS(ErrorCode::InvalidArgument, session.embed(dataset, {}, std::array{seed::CancelToken(nullptr)}.data()));

  // Threads that come at once may share a batch, so the last bits differ.
  std::atomic<int> equal{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      auto vector = TAKE(session.embed(images[1]));
      float apart = 0;
      for (std::size_t j = 0; j < dim; ++j) apart = std::fmax(apart, std::fabs(vector[j] - alone[j]));
      if (apart < 1e-4f) ++equal;
    });
  for (auto &thread : threads) thread.join();
  CHECK(equal == 3);
}

void models(const std::string &folder) {
  auto config = TAKE(seed::Config::create({{"precision", "fp32"}, {"embedding_dim", 16}}));
  const auto names = TAKE(seed::architectures());
  CHECK(names.size() > 10 && std::count(names.begin(), names.end(), "resnet18") == 1);
  auto planned = TAKE(seed::Model::of_architecture("resnet18", config));
  CHECK(TAKE(planned.info()).input_width == 224 && TAKE(planned.info()).feature_dim == 512);
  FAILS(ErrorCode::InvalidArgument, seed::Model::of_architecture("resnet19", config));

  auto student = TAKE(seed::Student::load(folder + "/student.safetensors", config));
  TAKE(student.set_provenance("line", "{\"name\": \"press 4\"}"));
  FAILS(ErrorCode::InvalidArgument, student.set_provenance("line", "press 4"));
  auto model = TAKE(seed::Model::of(student));
  const auto info = TAKE(model.info());
  CHECK(TAKE(model.architecture()) == "mobilenet_v3_small" && info.embedding_dim == 16 && info.input_width == 32);
  CHECK(static_cast<seed::HeadKind>(info.head) == seed::HeadKind::Projection && info.multiply_adds > 0);
  const auto provenance = TAKE(model.provenance());
  CHECK(provenance.find("press 4") != std::string::npos && provenance.find("\"step\":8") != std::string::npos);

  seed::ExportOptions options;
  options.input = seed::ExportInput::Bytes;
  options.outputs = seed::ExportOutputs::Both;
  for (auto format : {seed::ExportFormat::Onnx, seed::ExportFormat::TorchScript, seed::ExportFormat::Torchvision,
                      seed::ExportFormat::Backbone}) {
    options.format = format;
    TAKE(student.export_to(folder + "/exported", options));
    auto exported = TAKE(seed::Model::open(folder + "/exported"));
    CHECK(TAKE(exported.provenance()) == provenance && TAKE(exported.info()).parameters == info.parameters);
  }
  FAILS(ErrorCode::Io, student.export_to("/no/such/folder/student", options));
  FAILS(ErrorCode::Io, seed::Model::open("/no/such/file"));
  auto session = TAKE(seed::Session::from_student(student, config));
  CHECK(TAKE(TAKE(seed::Model::of(session)).provenance()) == provenance);
  auto teacher = TAKE(seed::Teacher::load(folder + "/teacher.safetensors", "mobilenet_v3_small", config));
  CHECK(TAKE(TAKE(seed::Model::of(teacher, config)).info()).input_height == 224);
}

void store(const std::string &folder) {
  const std::string path = folder + "/line.seed";
  seed::Store none(nullptr);
  auto pixels = stripes(40, 30, 5);
  const seed::ImageView image(pixels.data(), 40, 30, seed::PixelFormat::Mono8);
  FAILS(ErrorCode::InvalidArgument, none.push(image));
  FAILS(ErrorCode::InvalidArgument, none.list());
  seed::StoreOptions options;
  options.keep = 9;
  FAILS(ErrorCode::InvalidArgument, seed::Store::open(path, options));
  options.keep = static_cast<std::int32_t>(seed::Keep::Newest);
  options.struct_size = 4;
  FAILS(ErrorCode::InvalidArgument, seed::Store::open(path, options));
  options.struct_size = sizeof options;
  options.max_frames = 5;
  auto store = TAKE(seed::Store::open(path, options));
  FAILS(ErrorCode::Busy, seed::Store::open(path));
  auto reader = TAKE(seed::Store::open_to_read(path));

  std::array<float, 2> vector{0, 5};
  seed::StoreEntry entry;
  entry.name = "part 1";
  entry.metadata = "{\"line\": 3}";
  entry.time_us = 1234567;
  entry.embedding = vector;
  entry.label = 0;
  entry.label_text = "good";
  CHECK(TAKE(store.push(image, entry)) == 1);
  const std::int64_t second = TAKE(store.push(image, {}, 1000));
  CHECK(second == 2);
  TAKE(store.set_label(second, 4, "scratch"));
  FAILS(ErrorCode::InvalidArgument, store.set_label(99, 4));
  FAILS(ErrorCode::InvalidArgument, reader.flush());
  TAKE(store.flush());
  const std::vector<std::int64_t> both{1, 2};
  CHECK(TAKE(store.list()) == both && TAKE(reader.list()) == both);
  CHECK(TAKE(store.list(seed::StoreFilter(seed::Labelled::OfClass, 4))) == std::vector<std::int64_t>{2});
  CHECK(TAKE(store.list(seed::StoreFilter(seed::Labelled::No))).empty());
  CHECK((TAKE(store.labels(both)) == std::vector<std::int64_t>{0, 4}));
  TAKE(store.set_label(second, -1));
  CHECK((TAKE(store.labels(both)) == std::vector<std::int64_t>{0, -1}));

  const auto record = TAKE(reader.describe(1));
  CHECK(record.width == 40 && record.height == 30 && record.channels == 1 && record.bits == 8);
  CHECK(record.time_us == 1234567 && record.label == 0);
  CHECK(record.encoding == static_cast<std::int32_t>(seed::Encoding::Png));
  CHECK(TAKE(reader.name(1)) == "part 1" && TAKE(reader.metadata(1)) == "{\"line\": 3}");
  CHECK(TAKE(reader.label_text(1)) == "good" && TAKE(reader.name(2)).empty());
  CHECK((TAKE(reader.embedding(1)) == std::vector<float>{0, 1}) && TAKE(reader.embedding(2)).empty());
  CHECK(TAKE(reader.pixels(1)).pixels == pixels);
  const auto file = TAKE(reader.encoded(1));
  CHECK(file.size() == record.bytes && TAKE(seed::decode(file)).pixels == pixels);
  FAILS(ErrorCode::InvalidArgument, reader.pixels(7));

  CHECK(TAKE(store.push_encoded(file)) == 3);
  CHECK(TAKE(store.push_encoded(seed::Span<const std::uint8_t>(file.data(), file.size() / 2))) == 4);
  FAILS(ErrorCode::InvalidArgument, store.push_encoded({}));
  TAKE(store.flush());
  auto stats = TAKE(store.stats());
  CHECK(stats.pushed == 4 && stats.stored == 3 && stats.failed == 1 && stats.frames == 3 && stats.queue_frames == 0);
  CHECK(TAKE(store.trouble()).empty());

  auto dataset = TAKE(reader.dataset());
  const std::vector<std::int64_t> order{3, 1};
  auto chosen = TAKE(reader.dataset(order));
  FAILS(ErrorCode::InvalidArgument, reader.dataset(seed::Span<const std::int64_t>()));
  CHECK(TAKE(dataset.count()) == 3 && TAKE(chosen.count()) == 2);
  CHECK(TAKE(chosen.name(0)) == "frame 3" && TAKE(chosen.name(1)) == "part 1");

  auto config = TAKE(seed::Config::create({{"precision", "fp32"}}));
  auto session = TAKE(seed::Session::open(folder + "/student.safetensors", config));
  FAILS(ErrorCode::Mismatch, store.embed_by(session)); // 16 wide, not 2
  TAKE(store.embed_no_longer());
  TAKE(store.remove(both));
  CHECK(TAKE(store.list()) == std::vector<std::int64_t>{3});
  TAKE(store.close());
  TAKE(store.close());
  FAILS(ErrorCode::Internal, store.push(image));
  CHECK(TAKE(store.list()) == std::vector<std::int64_t>{3}); // reading goes on
  store = seed::Store(nullptr);
  reader = seed::Store(nullptr);
  CHECK(TAKE(chosen.pixels(0)).pixels == pixels); // lives on

  std::size_t calls = 0;
  TAKE(seed::Store::check(path, [&](std::size_t, std::size_t total) { return ++calls > 0 && total == 1; }));
  FAILS(ErrorCode::Cancelled, seed::Store::check(path, [](std::size_t, std::size_t) { return false; }));
  const auto salvage = TAKE(seed::Store::repair(path, path + ".new"));
  CHECK(calls > 0 && salvage.saved == 1 && salvage.lost == 0 && !salvage.list_damaged);
  options.max_frames = 2;
  options.set(seed::Keep::Novel);
  FAILS(ErrorCode::Mismatch, seed::Store::open(path, options)); // frame 3 has no embedding
  auto novel = TAKE(seed::Store::open(folder + "/novel.seed", options));
  FAILS(ErrorCode::InvalidArgument, novel.push(image));
  TAKE(novel.embed_by(session));
  for (unsigned period : {2u, 2u, 9u}) {
    auto frame = stripes(40, 30, period);
    TAKE(novel.push(seed::ImageView(frame.data(), 40, 30, seed::PixelFormat::Mono8), {}, 5000));
  }
  TAKE(novel.flush());
  // Which of the second and third stays is up to a network that was hardly trained.
  CHECK(TAKE(novel.list()).size() == 2 && TAKE(novel.list())[0] == 1 && TAKE(novel.embedding(1)).size() == 16);
  CHECK(TAKE(novel.stats()).passed_over + TAKE(novel.stats()).evicted == 1);
}

void nights(const std::string &folder) {
  const std::string station = folder + "/station", path = folder + "/night.seed";
  auto config = TAKE(seed::Config::create({{"precision", "fp32"}, {"device", "cpu"}}));
  for (const char *side : {"image_width", "image_height"}) TAKE(config.set(side, std::int64_t{32}));
  TAKE(config.set("embedding_dim", std::int64_t{16}));
  auto teacher = TAKE(seed::Teacher::load(folder + "/teacher.safetensors", "mobilenet_v3_small", config));
  auto first = TAKE(seed::Student::create("resnet10_w0.25", config));
  auto store = TAKE(seed::Store::open(path));
  FAILS(ErrorCode::Io, seed::describe_night(station));
  FAILS(ErrorCode::InvalidArgument, seed::night(config, store, teacher, station)); // no student yet
  const seed::Student none(nullptr);
  const seed::Session empty(nullptr);
  const seed::CancelToken nothing(nullptr);
  seed::NightExtras extras;
  extras.first = &none;
  FAILS(ErrorCode::InvalidArgument, seed::night(config, store, teacher, station, extras));
  extras.first = &first;
  extras.session = &empty;
  FAILS(ErrorCode::InvalidArgument, seed::night(config, store, teacher, station, extras));
  FAILS(ErrorCode::InvalidArgument, seed::restore_night(station, config, &empty));
  extras.session = nullptr;
  extras.cancel = &nothing;
  FAILS(ErrorCode::InvalidArgument, seed::night(config, store, teacher, station, extras));
  extras.cancel = nullptr;
  extras.options.held_out = 2;
  FAILS(ErrorCode::InvalidArgument, seed::night(config, store, teacher, station, extras));
  extras.options.held_out = .4;
  auto result = TAKE(seed::night(config, store, teacher, station, extras));
  CHECK(result.ended() == seed::NightOutcome::NothingNew && std::string(result.reason).find("0 new frames") == 0);
  CHECK(TAKE(seed::describe_night(station)).find("\"nights\":0") != std::string::npos);
  FAILS(ErrorCode::InvalidArgument, seed::restore_night(station, config)); // nothing was replaced

  for (unsigned i = 0; i < 40; ++i) {
    const auto pixels = stripes(40, 30, 2 + i % 9);
    TAKE(store.push(seed::ImageView(pixels.data(), 40, 30, seed::PixelFormat::Mono8), {}, 5000));
  }
  TAKE(store.flush());
  extras.options.min_new_frames = 20;
  unsigned reports = 0;
  extras.on_progress = [&](const seed::NightProgress &progress) {
    return ++reports > 0 && progress.night == 1 && progress.stage != static_cast<std::int32_t>(seed::NightStage::Distil);
  };
  result = TAKE(seed::night(config, store, teacher, station, extras));
  CHECK(result.ended() == seed::NightOutcome::Cancelled && reports == 1);
  CHECK(TAKE(seed::describe_night(station)).find("\"stage\":\"distil\"") != std::string::npos);
}

// From frames to a student in one call; the teacher is 16 numbers wide.
void distilling(const std::string &folder) {
  auto config = TAKE(seed::Config::create({{"image_width", 32}, {"image_height", 32}, {"batch_size", 8}, {"workers", 1},
                                           {"device", "cpu"}, {"precision", "fp32"}}));
  const std::string weights = folder + "/teacher.safetensors", out = folder + "/distilled";
  const auto teacher = TAKE(seed::Teacher::load(weights, "mobilenet_v3_small", config));
  const auto frames = TAKE(seed::Dataset::create());
  for (unsigned i = 0; i < 48; ++i) {
    const auto pixels = stripes(40, 30, 2 + i % 9);
    TAKE(frames.push(seed::ImageView(pixels.data(), 40, 30, seed::PixelFormat::Mono8),
                     (i % 9 < 4 ? "narrow/" : "wide/") + std::to_string(i)));
  }
  auto planned = TAKE(seed::Config::from_json(TAKE(config.to_json())));
  TAKE(planned.set("momentum", 0.5));
  TAKE(planned.plan(frames, teacher, "mobilenet_v3_small", 5));
  CHECK(TAKE(planned.get_float("momentum")) == 0.5 && TAKE(planned.get_int("queue_capacity")) == 48);
  CHECK(TAKE(planned.get_float("learning_rate")) == 0.2);
  TAKE(planned.plan(frames, teacher, "mobilenet_v3_small", 5, true));
  CHECK(TAKE(planned.get_float("learning_rate")) == 0.05);
  FAILS(ErrorCode::InvalidArgument, planned.plan(frames, teacher, "mobilenet_v3_small", .5));
  FAILS(ErrorCode::InvalidArgument, planned.plan(seed::Dataset(nullptr), teacher, "mobilenet_v3_small", 5));

  seed::DistilExtras extras;
  extras.config = &config;
  const auto call = [&] { return seed::distil(frames, teacher, "mobilenet_v3_small", 3, out, extras); };
  const seed::Config none(nullptr);
  const seed::CancelToken nothing(nullptr);
  extras.config = &none;
  FAILS(ErrorCode::InvalidArgument, call());
  extras.config = &config;
  extras.cancel = &nothing;
  FAILS(ErrorCode::InvalidArgument, call());
  const auto token = TAKE(seed::CancelToken::create());
  extras.cancel = &token;
  extras.weights = "/no/such/file";
  FAILS(ErrorCode::Io, call());
  extras.weights = weights;
  FAILS(ErrorCode::InvalidArgument, seed::distil(frames, teacher, "mobilenet_v9", 3, out));
  FAILS(ErrorCode::InvalidArgument, seed::distil(frames, teacher, "mobilenet_v3_small", .5, out));
  FAILS(ErrorCode::InvalidArgument, seed::distil(frames, seed::Teacher(nullptr), "mobilenet_v3_small", 3, out));
  FAILS(ErrorCode::InvalidArgument, seed::Distilled(nullptr).summary());
  FAILS(ErrorCode::InvalidArgument, seed::Distilled(nullptr).student());
  FAILS(ErrorCode::InvalidArgument, seed::Distilled(nullptr).warnings());
  FAILS(ErrorCode::InvalidArgument, seed::Distilled(nullptr).settings());

  TAKE(token.trigger());
  CHECK(TAKE(TAKE(call()).summary()).ended() == seed::Outcome::Cancelled);
  TAKE(token.reset());
#ifndef SEED_NO_EXCEPTIONS
  extras.on_progress = [](const seed::DistilProgress &progress) -> bool { throw progress.stage; };
  try {
    call();
    CHECK(false);
  } catch (std::int32_t stage) {
    CHECK(stage == SEED_DISTIL_PLAN);
  }
#endif
  auto stage = seed::DistilStage::Plan;
  double agreement = -1;
  extras.on_progress = [&](const seed::DistilProgress &progress) {
    CHECK(progress.stage >= static_cast<std::int32_t>(stage));
    stage = static_cast<seed::DistilStage>(progress.stage);
    agreement = progress.probe_agreement;
    return true;
  };
  const auto distilled = TAKE(call());
  const auto summary = TAKE(distilled.summary());
  CHECK(summary.ended() == seed::Outcome::Finished && summary.images == 48 && summary.classes == 2 && summary.steps > 0);
  CHECK(stage == seed::DistilStage::Report && agreement >= 0 && agreement <= 1 && summary.recall_chance == .5);
  CHECK(TAKE(distilled.warnings()).size() == summary.warnings);
  auto settings = TAKE(seed::Config::from_json(TAKE(distilled.settings())));
  CHECK(TAKE(settings.get_int("batch_size")) == 8);
  const auto student = TAKE(distilled.student());
  CHECK(TAKE(student.dim()) == 16);
  CHECK(TAKE(TAKE(seed::Session::open(out + "/student.safetensors", config)).dim()) == 16);
}

void trust(const std::string &folder) {
  auto config = TAKE(seed::Config::create({{"precision", "fp32"}}));
  auto student = TAKE(seed::Student::load(folder + "/student.safetensors", config));
  CHECK(TAKE(student.provenance()).find("\"library\"") != std::string::npos);
  TAKE(student.set_provenance("fidelity", "{\"kl\": 0.5}"));
  FAILS(ErrorCode::InvalidArgument, student.set_provenance("fidelity", "{no json"));
  TAKE(student.save(folder + "/noted.safetensors"));
  auto noted = TAKE(seed::Student::load(folder + "/noted.safetensors", config));
  CHECK(TAKE(noted.provenance()).find("{\"kl\":0.5}") != std::string::npos);
  TAKE(noted.remove_provenance("fidelity"));
  CHECK(TAKE(noted.provenance()).find("fidelity") == std::string::npos);

  auto session = TAKE(seed::Session::open(folder + "/student.safetensors", config));
  const std::size_t dim = TAKE(session.dim());
  auto frames = TAKE(seed::Dataset::create());
  std::vector<std::int64_t> labels;
  for (unsigned number = 0; number < 40; ++number) {
    auto pixels = stripes(40 + number, 48, 2 + 4 * (number % 2));
    TAKE(frames.push(seed::ImageView(pixels.data(), 40 + number, 48, seed::PixelFormat::Mono8)));
    labels.push_back(number % 2);
  }
  const auto rows = TAKE(session.embed(frames));
  const seed::Rows table{rows, dim};
  const auto then = TAKE(seed::fidelity(table, table, table, 5, 0.1, 0.1));
  CHECK(then.frames == 40 && then.queue == 40 && then.k == 5);
  CHECK(std::fabs(then.kl.value) < 1e-6 && then.overlap.value == 1 && then.cosine.low > 0.999);
  FAILS(ErrorCode::InvalidArgument, seed::fidelity(table, table, table, 40));
  FAILS(ErrorCode::InvalidArgument, seed::fidelity(table, table, {rows, dim / 2}, 5));
  CHECK(TAKE(seed::worse_since(then, then)) == 0);
  std::vector<float> turned(rows.rbegin(), rows.rend());
  const auto now = TAKE(seed::fidelity({turned, dim}, table, table, 5, 0.1, 0.1));
  CHECK((TAKE(seed::worse_since(then, now)) & SEED_WORSE_COSINE) != 0);
  const auto other = TAKE(seed::fidelity(table, table, table, 6, 0.1, 0.1));
  FAILS(ErrorCode::Mismatch, seed::worse_since(then, other));

  seed::Drift none(nullptr);
  FAILS(ErrorCode::InvalidArgument, none.measure(table));
  auto drift = TAKE(seed::Drift::create(table));
  TAKE(drift.save(folder + "/drift.safetensors"));
  auto loaded = TAKE(seed::Drift::load(folder + "/drift.safetensors"));
  FAILS(ErrorCode::Io, seed::Drift::load("/no/such/reference"));
  FAILS(ErrorCode::Format, seed::Drift::load(folder + "/student.safetensors"));
  const seed::Rows batch{seed::Span<const float>(turned.data(), 20 * dim), dim};
  const auto signal = TAKE(loaded.measure(batch));
  CHECK(signal.energy > signal.threshold && signal.raised == 1 && signal.p_value < 0.05);
  // A student that was hardly trained gives nearly equal vectors; whitening shows the rounding of the file's.
  CHECK(std::fabs(signal.energy - TAKE(drift.measure(batch)).energy) < 0.02 * signal.energy);
  FAILS(ErrorCode::InvalidArgument, drift.measure(table)); // more than half of the reference
  FAILS(ErrorCode::Mismatch, drift.measure({rows, dim / 2}));

  auto fresh = TAKE(seed::Session::open(folder + "/noted.safetensors", config));
  seed::GateOptions options;
  options.k = 3;
  options.latency_factor = 100; // the clock is not what is tested here
  options.temperature_teacher = 0.2;
  std::size_t calls = 0;
  // Vectors that are nearly equal have other neighbours with every rounding; a random ResNet's are apart.
  auto other_config = TAKE(seed::Config::create({{"precision", "fp32"}, {"image_width", 32}, {"image_height", 32}}));
  auto resnet = TAKE(seed::Student::create("resnet10", other_config));
  auto live = TAKE(seed::Session::from_student(resnet, other_config));
  auto same = TAKE(seed::Session::from_student(resnet, other_config));
  const auto verdict = TAKE(seed::judge(live, same, live, frames, frames, labels, options,
                                        [&](std::size_t done, std::size_t total) { return ++calls > 0 && done <= total; }));
  CHECK(verdict.passes == 1 && verdict.kl.holds == 1 && verdict.overlap.new_value == 1 && calls >= 6);
  CHECK(verdict.recall.difference.value == 0 && verdict.latency.old_value > 0);
  TAKE(session.swap(fresh)); // the old one is in `fresh` now, and the same call brings it back
  TAKE(session.swap(fresh));
  options.struct_size = 1;
  FAILS(ErrorCode::InvalidArgument, seed::judge(session, fresh, session, frames, frames, labels, options));
  FAILS(ErrorCode::Cancelled, seed::judge(session, fresh, session, frames, frames, labels, {},
                                          [](std::size_t, std::size_t) { return false; }));
  labels.pop_back();
  FAILS(ErrorCode::InvalidArgument, seed::judge(session, fresh, session, frames, frames, labels));
}

void logging() {
  std::atomic<int> lines{0};
  auto broken = TAKE(seed::Dataset::open_files({"/no/such/file.png"}));
  auto config = TAKE(seed::Config::create({{"image_width", 32}, {"image_height", 32}}));
  auto student = TAKE(seed::Student::create("mobilenet_v3_small", config));
  auto session = TAKE(seed::Session::from_student(student, config));
  auto count_line = [&lines](seed::LogLevel level, std::string_view message) {
    CHECK(level == seed::LogLevel::Warn || level == seed::LogLevel::Error);
    CHECK(!message.empty());
    ++lines;
#ifndef SEED_NO_EXCEPTIONS
    throw 1; // must not cross C
#endif
  };
  TAKE(seed::log_to(seed::LogLevel::Warn, count_line));
  FAILS(ErrorCode::Io, session.embed(broken));
  CHECK(TAKE(broken.skipped_count()) == 1);
  CHECK(TAKE(broken.skipped(0)).find("/no/such/file.png: ") == 0);
  TAKE(seed::log_to(seed::LogLevel::Off, nullptr));
  CHECK(lines > 0);
}

void classifying(const std::string &folder) {
  auto config = TAKE(seed::Config::create(
      {{"image_width", 32}, {"image_height", 32}, {"device", "cpu"}, {"workers", 1}, {"embedding_dim", 8}}));
  auto student = TAKE(seed::Student::create("mobilenet_v3_small", config));
  auto frames = TAKE(seed::Dataset::create());
  std::vector<std::vector<std::uint8_t>> pixels;
  for (unsigned i = 0; i < 24; ++i) {
    const bool upright = i % 2 == 0;
    std::vector<std::uint8_t> frame(40 * 40);
    for (unsigned at = 0; at < frame.size(); ++at)
      frame[at] = ((upright ? at % 40 : at / 40) + i / 2 % 4) / (3 + i / 8) % 2 ? 220 : 40;
    TAKE(frames.push(seed::ImageView(frame.data(), 40, 40, seed::PixelFormat::Mono8),
                     (upright ? "columns/" : "rows/") + std::to_string(i)));
    pixels.push_back(std::move(frame));
  }
  CHECK(TAKE(frames.class_count()) == 2);
  CHECK(TAKE(frames.class_name(0)) == "columns" && TAKE(frames.class_name(1)) == "rows");
  FAILS(ErrorCode::InvalidArgument, frames.class_name(2));
  auto labels = TAKE(frames.class_labels());
  CHECK(labels.size() == 24 && labels[0] == 0 && labels[1] == 1);
  CHECK(TAKE(frames.broken()) == std::vector<std::uint8_t>(24, 0));

  int reports = 0;
  seed::Outcome outcome = seed::Outcome::Paused;
  seed::Classifier::FitOptions options;
  options.on_progress = [&reports](const seed::FinetuneProgress &progress) {
    CHECK(progress.struct_size == sizeof progress && progress.done <= progress.total);
    ++reports;
    return true;
  };
  options.outcome = &outcome;
  const std::vector<std::string> names{"columns", "rows"};
  auto classifier = TAKE(seed::Classifier::fit(config, student, frames, labels, names, options));
  CHECK(outcome == seed::Outcome::Finished && reports > 1);
  CHECK(TAKE(classifier.class_count()) == 2 && TAKE(classifier.class_name(1)) == "rows");
  CHECK(TAKE(classifier.confusion()).size() == 4);
  CHECK(TAKE(classifier.confusion_csv()).find("columns") != std::string::npos);
  CHECK(TAKE(classifier.describe()).find("\"temperature\"") != std::string::npos);
  CHECK(TAKE(classifier.judge(frames, labels)).find("\"balanced_recall\"") != std::string::npos);

  TAKE(classifier.save(folder + "/classifier.safetensors"));
  auto opened = TAKE(seed::Classifier::open(folder + "/classifier.safetensors", config));
  TAKE(opened.export_to(folder + "/classifier.onnx", seed::ExportInput::Bytes));
  const auto network = TAKE(TAKE(seed::Model::open(folder + "/classifier.onnx")).info());
  CHECK(static_cast<seed::HeadKind>(network.head) == seed::HeadKind::Classifier && network.embedding_dim == 2);
  FAILS(ErrorCode::Io, opened.export_to("/no/such/folder/classifier.onnx", seed::ExportInput::Unit));
  FAILS(ErrorCode::InvalidArgument, opened.export_to(folder + "/classifier.onnx", static_cast<seed::ExportInput>(9)));
  FAILS(ErrorCode::Format, seed::Classifier::open(folder + "/student.safetensors", config));
  auto all = TAKE(opened.classify(frames));
  auto one = TAKE(opened.classify(seed::ImageView(pixels[3].data(), 40, 40, seed::PixelFormat::Mono8)));
  CHECK(all.classes.size() == 24 && all.probabilities.size() == 48 && one.classes.size() == 1);
  CHECK(one.classes[0] == all.classes[3] && std::fabs(one.confidences[0] - all.confidences[3]) < 1e-3f);
  CHECK(std::fabs(one.probabilities[0] + one.probabilities[1] - 1) < 1e-5f);

  // The same student taught by that classifier, with labels for a few images only.
  auto full = TAKE(seed::Config::create({{"device", "cpu"}, {"finetune.mode", "full"}, {"finetune.epochs", 1}}));
  auto few = labels;
  for (std::size_t i = 8; i < 24; ++i) few[i] = -1;
  seed::Classifier::FitOptions taught;
  taught.taught_by = &classifier;
  auto pupil = TAKE(seed::Classifier::fit(full, student, frames, few, names, taught));
  CHECK(TAKE(pupil.class_count()) == 2);
  FAILS(ErrorCode::Mismatch, seed::Classifier::fit(full, student, frames, few, {"rows", "columns"}, taught));
  seed::Classifier none{nullptr};
  taught.taught_by = &none;
  FAILS(ErrorCode::InvalidArgument, seed::Classifier::fit(full, student, frames, few, names, taught));

  std::size_t told = 0, total = 0;
  const auto count = [&](std::size_t done, std::size_t all) {
    told = done;
    total = all;
    return true;
  };
  const auto semi = TAKE(seed::semi_supervised(full, student, frames, labels, 2, count));
  CHECK(told == total && total == 4 && semi.recalls.size() == 2);
  CHECK(std::fabs(semi.balanced_recall_mean - (semi.recalls[0] + semi.recalls[1]) / 2) < 1e-9);
  const auto carried = TAKE(seed::transfer(config, student, frames, labels, {&frames, labels}, 1));
  CHECK(carried.accuracy_mean >= 0.5 && carried.accuracy_deviation == 0);
  CHECK(TAKE(seed::transfer(config, student, frames, labels, {}, 2)).recalls.size() == 2);
  const auto stop = [](std::size_t, std::size_t) { return false; };
  FAILS(ErrorCode::Cancelled, seed::semi_supervised(full, student, frames, labels, 2, stop));
  FAILS(ErrorCode::Cancelled, seed::transfer(config, student, frames, labels, {}, 2, stop));
  FAILS(ErrorCode::InvalidArgument, seed::semi_supervised(full, student, frames, labels, 0));

  TAKE(config.set("linear.epochs", 3));
  seed::FinetuneProgress last{};
  const auto fitting = [&](const seed::FinetuneProgress &progress) {
    last = progress;
    return true;
  };
  const seed::TestImages tested{&frames, labels};
  const auto probed = TAKE(seed::linear_sgd(config, student, frames, labels, tested, fitting));
  CHECK(probed.images == labels.size() && probed.test_images == labels.size() && probed.recalls.size() == 2);
  CHECK(std::fabs(probed.balanced_recall - (probed.recalls[0] + probed.recalls[1]) / 2) < 1e-9);
  CHECK(probed.top5_accuracy == 1 && std::isfinite(probed.loss) && std::isfinite(probed.train_loss));
  CHECK(last.stage == static_cast<std::int32_t>(seed::Stage::Test) && last.done == labels.size());
  const auto no_more = [](const seed::FinetuneProgress &) { return false; };
  FAILS(ErrorCode::Cancelled, seed::linear_sgd(config, student, frames, labels, tested, no_more));
  FAILS(ErrorCode::InvalidArgument, seed::linear_sgd(config, student, frames, labels, {}));
  const std::vector<std::int64_t> wild(labels.size(), std::int64_t{1} << 40);
  FAILS(ErrorCode::InvalidArgument, seed::linear_sgd(config, student, frames, wild, tested));

  // Masks whose left half is marked, for all frames but the first.
  std::vector<std::vector<std::uint8_t>> halves;
  std::vector<seed::ImageView> masks;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto picture = TAKE(frames.pixels(i));
    halves.emplace_back(std::size_t{picture.width} * picture.height);
    for (std::size_t at = 0; at < halves[i].size(); ++at) halves[i][at] = at % picture.width < picture.width / 2;
    masks.push_back(i == 0 ? seed::Segmenter::no_mask()
                           : seed::ImageView(halves[i].data(), picture.width, picture.height, seed::PixelFormat::Mono8));
  }
  const auto segmenter = TAKE(seed::Segmenter::fit(config, student, frames, masks, {"right", "left"}));
  CHECK(TAKE(segmenter.class_count()) == 2 && TAKE(segmenter.warnings()).empty());
  const auto half = TAKE(frames.pixels(1));
  const auto segmented = TAKE(segmenter.segment(half.view()));
  CHECK(segmented.classes.size() == halves[1].size() && segmented.confidences.size() == halves[1].size());
  const auto overlap = TAKE(seed::mask_overlap(segmented.classes, halves[1], 2));
  CHECK(overlap.ious.size() == 2 && std::fabs(overlap.mean - (overlap.ious[0] + overlap.ious[1]) / 2) < 1e-9);
  const std::string kept = folder + "/segmenter.safetensors";
  TAKE(segmenter.save(kept));
  const auto again = TAKE(seed::Segmenter::open(kept, config));
  CHECK(TAKE(again.segment(half.view())).classes == segmented.classes);
  CHECK(TAKE(again.describe()).find("\"left\"") != std::string::npos);
  const auto spread = TAKE(seed::Segmenter::evaluate(config, student, frames, masks, 2, 2));
  CHECK(spread.ious.size() == 2 && spread.mean_iou_mean > 0 && spread.accuracy_mean > 0);
  FAILS(ErrorCode::Cancelled, seed::Segmenter::fit(config, student, frames, masks, {"right", "left"}, stop));
  FAILS(ErrorCode::InvalidArgument, seed::Segmenter::fit(config, student, frames, masks, {"one"}));
  FAILS(ErrorCode::InvalidArgument, seed::mask_overlap(halves[1], halves[1], 1));

  // A third class joins; the names that are known must come first.
  FAILS(ErrorCode::Mismatch, seed::Classifier::fit(config, classifier, frames, labels, {"rows", "columns"}));
  for (std::size_t i = 0; i < 6; ++i) labels[i] = 2;
  auto three = TAKE(seed::Classifier::fit(config, classifier, frames, labels, {"columns", "rows", "new"}));
  CHECK(TAKE(three.class_count()) == 3);
  FAILS(ErrorCode::InvalidArgument, seed::Classifier::fit(config, student, frames, labels, names));

  auto cancel = TAKE(seed::CancelToken::create());
  TAKE(cancel.trigger());
  options.cancel = &cancel;
  FAILS(ErrorCode::Cancelled, seed::Classifier::fit(config, student, frames, labels, {"a", "b", "c"}, options));
  FAILS(ErrorCode::Cancelled, opened.classify(frames, {}, &cancel));
  auto report = TAKE(seed::Report::create("classes"));
  TAKE(report.add_confusion("confusion", classifier));
  seed::Report::ClassSheetOptions sheet;
  sheet.classes = all.classes;
  sheet.confidences = all.confidences;
  TAKE(report.add_class_sheet("classes", frames, labels, {"columns", "rows", "new"}, sheet));
  TAKE(report.add_confusion("all", labels, all.classes, {"columns", "rows", "new"}));
  sheet.classes = {all.classes.data(), 3};
  FAILS(ErrorCode::InvalidArgument, report.add_class_sheet("few", frames, labels, {"columns", "rows", "new"}, sheet));
}

void reports(const std::string &folder) {
  auto report = TAKE(seed::Report::create("parts"));
  TAKE(report.add_heading("a heading"));
  const std::vector<float> values{1, 0, .9f, .1f, 0, 1, .2f, 1};
  const std::vector<std::int64_t> labels{0, 0, 1, -1};
  TAKE(report.add_map("bare", seed::Rows{values, 2}));
  TAKE(report.add_map("labelled", seed::Rows{values, 2}, labels, {"a", "<b>"}, seed::MapMethod::Pca));
  FAILS(ErrorCode::InvalidArgument, report.add_map("few", seed::Rows{values, 4}, labels, {"a", "b"}));
  FAILS(ErrorCode::InvalidArgument, report.add_map("absent", seed::Rows{values, 2}, seed::Dataset(nullptr), labels, {"a", "b"}));

  const std::vector<std::uint8_t> pixels(12, 90), mask{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  const seed::ImageView view(pixels.data(), 4, 3, seed::PixelFormat::Mono8);
  seed::HeatMap map;
  map.distances.assign(12, .5f);
  map.distances[5] = map.score = 2;
  TAKE(report.add_heat_map("heat", "bare", view, map));
  TAKE(report.add_heat_map("heat", "whole", view, map, 1, mask));
  map.distances.pop_back();
  FAILS(ErrorCode::InvalidArgument, report.add_heat_map("heat", "short", view, map));

  seed::Fidelity fidelity{};
  fidelity.kl = {.5, .4, .6};
  seed::DriftSignal signal{};
  signal.struct_size = sizeof signal;
  signal.energy = 2;
  signal.raised = 1;
  TAKE(report.add_time_point("agreement", "KL", "student", 1700000000000000, fidelity.kl));
  TAKE(report.add_time_point("agreement", "KL", "teacher", 1700000000000000, 0));
  TAKE(report.add_drift("drift", 1700000000000000, signal));
  TAKE(report.add_limit("agreement", "worst", .7));
  FAILS(ErrorCode::InvalidArgument, report.add_limit("no such chart", "worst", .7));
  TAKE(report.write(folder + "/parts.html"));

  auto events = TAKE(seed::EventFile::create(folder + "/board", 3));
  TAKE(events.add_scalar("agreement/KL", 3, .5));
  FAILS(ErrorCode::InvalidArgument, events.add_scalar("", 4, .5));
  FAILS(ErrorCode::Io, seed::EventFile::create(folder + "/parts.html"));
}

// One good part: the threshold comes of itself, and the warning says so.
void few_parts(const seed::Config &config, const seed::Student &student, const seed::ImageView &part) {
  auto good = TAKE(seed::Dataset::create());
  TAKE(good.push(part));
  auto detector = TAKE(seed::Anomaly::fit(config, student, good));
  const auto threshold = TAKE(detector.threshold());
  CHECK(std::isfinite(threshold.score) && threshold.score > 0 && std::isnan(threshold.rate));
  const auto warnings = TAKE(detector.warnings());
  CHECK(warnings.size() == 1 && warnings[0].find("none of the 1 good parts was held out") == 0);
  CHECK(TAKE(good.warnings()).empty() && TAKE(student.warnings()).empty());
}

void anomalies(const std::string &folder) {
  auto config = TAKE(seed::Config::create({{"image_width", 64},
                                           {"image_height", 64},
                                           {"device", "cpu"},
                                           {"embedding_dim", 8},
                                           {"anomaly.held_out", 0.5},
                                           {"anomaly.false_alarm_rate", 0.2},
                                           {"anomaly.memory_share", 0.1}}));
  auto student = TAKE(seed::Student::create("resnet10", config));
  auto session = TAKE(seed::Session::from_student(student, config));
  CHECK(TAKE(session.stage_count()) == 4);
  auto stage = TAKE(session.stage(1));
  CHECK(stage.name == "layer2" && stage.channels == 128 && stage.stride == 8);
  FAILS(ErrorCode::InvalidArgument, session.stage(4));

  auto good = TAKE(seed::Dataset::create());
  const auto part = [](unsigned number, bool scratch) {
    std::vector<std::uint8_t> pixels(64 * 48);
    for (unsigned at = 0; at < pixels.size(); ++at)
      pixels[at] = static_cast<std::uint8_t>(scratch && at / 64 > 20 && at / 64 < 26 && at % 64 > 30 ? 250 : 100 + (at % 64 + number) % 20);
    return pixels;
  };
  for (unsigned i = 0; i < 20; ++i) {
    const auto pixels = part(i, false);
    TAKE(good.push(seed::ImageView(pixels.data(), 64, 48, seed::PixelFormat::Mono8)));
  }
  std::size_t told = 0;
  auto detector = TAKE(seed::Anomaly::fit(config, student, good, [&told](std::size_t done, std::size_t total) {
    CHECK(done <= total && total == 20);
    told = done;
    return true;
  }));
  CHECK(told == 20);
  const auto threshold = TAKE(detector.threshold());
  CHECK(threshold.score > 0 && std::fabs(threshold.rate - 0.2) < 1e-9);
  CHECK(TAKE(detector.describe()).find("\"layer3\"") != std::string::npos);
  const auto sound = part(4, false), scratched = part(4, true);
  const std::vector<seed::ImageView> images{{sound.data(), 64, 48, seed::PixelFormat::Mono8},
                                            {scratched.data(), 64, 48, seed::PixelFormat::Mono8}};
  CHECK(TAKE(detector.warnings()).empty());
  few_parts(config, student, images[0]);
  CHECK(TAKE(session.feature_map("layer2", images)).size() == 2 * 128 * 8 * 8);
  FAILS(ErrorCode::InvalidArgument, session.feature_map("layer9", images));
  const auto found = TAKE(detector.score(images));
  CHECK(found.scores[1] > 2 * found.scores[0] && found.alarms[1] == 1);
  const auto map = TAKE(detector.map(images[1]));
  const auto painted = TAKE(seed::heat_map_picture(images[1], map.distances, NAN, NAN));
  CHECK(painted.format == seed::PixelFormat::Rgb8 && painted.width == images[1].width && painted.height == images[1].height);
  CHECK(TAKE(seed::decode(TAKE(seed::encode(painted.view())))).pixels == painted.pixels);
  FAILS(ErrorCode::InvalidArgument, seed::heat_map_picture(images[1], std::vector<float>(3), 0, 1));
  FAILS(ErrorCode::Io, seed::save(painted.view(), "/no/such/folder/map.png"));
  CHECK(map.distances.size() == 64 * 48 && map.alarm && std::fabs(map.score - found.scores[1]) < 1e-3f * map.score);

  TAKE(detector.save(folder + "/good.safetensors"));
  auto opened = TAKE(seed::Anomaly::open(folder + "/good.safetensors", config));
  TAKE(opened.export_to(folder + "/good.onnx", seed::ExportInput::Bytes));
  CHECK(static_cast<seed::HeadKind>(TAKE(TAKE(seed::Model::open(folder + "/good.onnx")).info()).head) == seed::HeadKind::None);
  FAILS(ErrorCode::Io, opened.export_to("/no/such/folder/good.onnx", seed::ExportInput::Unit));
  FAILS(ErrorCode::InvalidArgument, opened.export_to(folder + "/good.onnx", static_cast<seed::ExportInput>(9)));
  CHECK(std::fabs(TAKE(opened.score(images[1])).scores[0] - found.scores[1]) < 1e-3f * map.score);
  FAILS(ErrorCode::Format, seed::Anomaly::open(folder + "/student.safetensors", config));
  auto more = TAKE(seed::Dataset::create());
  TAKE(more.push(images[1]));
  TAKE(opened.add(config, more));
  CHECK(TAKE(opened.score(images[1])).scores[0] < 0.5f * map.score);
  FAILS(ErrorCode::Cancelled, opened.add(config, more, [](std::size_t, std::size_t) { return false; }));

  const std::vector<float> scores{0.1f, 0.4f, 0.35f, 0.8f};
  CHECK(TAKE(seed::auroc(scores, std::vector<std::uint8_t>{0, 0, 1, 1})) == 0.75);
  FAILS(ErrorCode::InvalidArgument, seed::auroc(scores, std::vector<std::uint8_t>{1, 1, 1, 1}));
  FAILS(ErrorCode::InvalidArgument, seed::auroc(scores, std::vector<std::uint8_t>{1}));
  std::vector<float> rows;
  std::vector<std::int64_t> labels;
  for (int i = 0; i < 40; ++i) {
    labels.push_back(i % 2);
    rows.insert(rows.end(), {static_cast<float>(i % 2 * 3 + i % 5), static_cast<float>(i % 7), static_cast<float>(i % 2)});
  }
  const auto probe = TAKE(seed::linear({rows, 3}, labels, 3, 1));
  CHECK(probe.accuracy_mean == 1 && probe.auroc_mean == 1 && probe.recalls == std::vector<double>({1, 1}));
  FAILS(ErrorCode::InvalidArgument, seed::linear({rows, 3}, labels, 3, 1, 0));
  FAILS(ErrorCode::InvalidArgument, seed::linear({rows, 3}, std::vector<std::int64_t>(40, 0)));
  const std::vector<std::uint8_t> mask{0, 0, 0, 1};
  const std::vector<std::uint32_t> two{2};
  CHECK(TAKE(seed::region_overlap(scores, mask, two, two)) == 1);
  FAILS(ErrorCode::InvalidArgument, seed::region_overlap(scores, mask, two, std::vector<std::uint32_t>{3}));
}

} // namespace

int main(int count, char **words) {
  if (count < 2) return 2;
  start();
  config();
  empty_objects();
  images();
  ranges();
  queue();
  judging();
  training(words[1]);
  sessions(words[1]);
  models(words[1]);
  store(words[1]);
  nights(words[1]);
  distilling(words[1]);
  trust(words[1]);
  classifying(words[1]);
  reports(words[1]);
  anomalies(words[1]);
  logging();
  if (failures == 0) std::printf("bindings: all checks passed\n");
  return failures != 0;
}
