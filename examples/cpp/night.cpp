// A station's day and night: frames come in, and in the morning there may be a better student.
//
//   night TEACHER.pt ARCHITECTURE IMAGES PLACE [KEY=VALUE...]     a day and its night; run it again for the next one
//   night restore PLACE                                          the student before
//
// IMAGES (one folder a class) stand for the camera: each run pushes those that come next into PLACE/line.seed, from a thread of its
// own, and labels some of them as a person would. Then the night works in PLACE/station; Ctrl-C interrupts it, and the next run goes on
// with it. A session answers for the line all the while and gets the new student where the gate lets it pass.
//
// KEY=VALUE  student=ARCHITECTURE   of the first night (mobilenet_v3_small)
//            initial=FILE           ImageNet weights that it starts from
//            frames=N               images a day (400)
//            labels=SHARE           of the frames that get a label (.3)
//            option.KEY             a number of seed_night_options, as option.kl_margin=.2
//            anything else          a setting of libseed: steps, batch_size, image_width, finetune.mode, …

#include "seed.hpp"

#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<bool> interrupted{false};

// What the words of the command line say.
struct Plan {
  seed::Config config = seed::Config::create();
  seed::NightOptions options;
  std::string student = "mobilenet_v3_small", initial;
  std::size_t frames = 400;
  double labels = .3;

  void set(const std::string &word) {
    const auto equals = word.find('=');
    if (equals == std::string::npos) throw std::runtime_error(word + " is no KEY=VALUE");
    const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
    const double number = std::strtod(value.c_str(), nullptr);
    if (key == "student")
      student = value;
    else if (key == "initial")
      initial = value;
    else if (key == "frames")
      frames = static_cast<std::size_t>(number);
    else if (key == "labels")
      labels = number;
    else if (key.rfind("option.", 0) == 0)
      set_option(key.substr(7), number);
    else
      config.parse(word);
  }

private:
  void set_option(const std::string &key, double number) {
    const std::map<std::string, double *> shares = {{"held_out", &options.held_out},
                                                    {"replay", &options.replay},
                                                    {"kl_margin", &options.kl_margin},
                                                    {"overlap_margin", &options.overlap_margin},
                                                    {"recall_margin", &options.recall_margin},
                                                    {"latency_factor", &options.latency_factor}};
    const std::map<std::string, std::uint64_t *> counts = {{"min_new_frames", &options.min_new_frames},
                                                           {"max_compared", &options.max_compared},
                                                           {"min_labels", &options.min_labels},
                                                           {"min_reference", &options.min_reference},
                                                           {"queue_frames", &options.queue_frames}};
    if (const auto share = shares.find(key); share != shares.end())
      *share->second = number;
    else if (const auto count = counts.find(key); count != counts.end())
      *count->second = static_cast<std::uint64_t>(number);
    else
      throw std::runtime_error("unknown option." + key);
  }
};

// The day: the next images, from the line's thread. Order and labels are the same in every run.
void day(seed::Store &store, const std::string &folder, const Plan &plan) {
  auto camera = seed::Dataset::open_folder(folder);
  const auto classes = camera.class_labels();
  const std::size_t count = camera.count();
  std::set<std::string> known;
  for (const auto id : store.list()) known.insert(store.name(id));
  std::thread line([&] {
    try {
      std::size_t pushed = 0;
      for (std::size_t i = 0; i < count && pushed < plan.frames; ++i) {
        const std::size_t image = i * 7919 % count; // a prime step visits every image once, the classes mixed
        const std::string name = camera.name(image);
        if (!known.insert(name).second) continue;
        const auto picture = camera.pixels(image);
        seed::StoreEntry entry;
        entry.name = name;
        if (std::fmod(static_cast<double>(image) * .6180339887, 1) < plan.labels && classes[image] >= 0) {
          entry.label = classes[image];
          entry.label_text = camera.class_name(static_cast<std::size_t>(classes[image]));
        }
        if (store.push(picture.view(), entry, 60000) != 0) ++pushed;
      }
      std::printf("the day: %zu frames\n", pushed);
    } catch (const seed::Error &error) {
      std::fprintf(stderr, "the line: %s\n", error.what());
    }
  });
  line.join();
  store.flush();
}

bool report(const seed::NightProgress &progress) {
  static const char *const stages[] = {"", "distil", "fine-tune", "evaluate", "swap", "report"};
  if (progress.done == 0)
    std::printf("%5.0f s  %s\n", progress.elapsed_seconds, stages[progress.stage]);
  else if (progress.stage == SEED_NIGHT_DISTIL && std::isfinite(progress.loss)) // NaN before the first step of a call
    std::printf("%5.0f s  step %llu of %llu: loss %.4f, %.1f images/s, %.0f s left\n", progress.elapsed_seconds,
                static_cast<unsigned long long>(progress.done), static_cast<unsigned long long>(progress.total), progress.loss,
                progress.images_per_second, progress.eta_seconds);
  std::fflush(stdout);
  return !interrupted;
}

void print(const seed::NightResult &result) {
  static const char *const endings[] = {"nothing to do", "interrupted, run it again to go on", "the old student stays",
                                        "the new student is live"};
  std::printf("%s%s%s\n", endings[result.outcome], result.reason[0] == 0 ? "" : ": ", result.reason);
  if (result.ended() != seed::NightOutcome::Kept && result.ended() != seed::NightOutcome::Live) return;
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf("night %llu, %.0f s: %llu new frames; learned from %llu, %llu of them older; %llu labelled\n",
              number(result.night), result.seconds, number(result.new_frames), number(result.learned_frames),
              number(result.older_frames), number(result.labelled_frames));
  std::printf("%-28s %8s %8s\n", "", "live", "new");
  const auto row = [](const char *what, double old_value, double new_value) {
    std::printf("%-28s %8.3f %8.3f\n", what, old_value, new_value);
  };
  row("KL to the teacher", result.kl_old, result.kl_new);
  row("overlap with the teacher", result.overlap_old, result.overlap_new);
  row("kNN balanced recall", result.recall_old, result.recall_new);
  row("ms a frame", result.latency_old, result.latency_new);
  std::printf("new classifier: balanced recall %.3f on %llu frames of the reference\n", result.classifier_recall,
              number(result.reference_frames));
}

void run(const std::vector<std::string> &words) {
  const std::string &folder = words[2], &place = words[3], station = place + "/station";
  Plan plan;
  for (std::size_t i = 4; i < words.size(); ++i) plan.set(words[i]);
  auto teacher = seed::Teacher::load(words[0], words[1], plan.config);
  plan.config.set("embedding_dim", teacher.dim());
  std::filesystem::create_directories(place);
  auto store = seed::Store::open(place + "/line.seed");

  // The first student, or whatever is live by now.
  auto first = seed::Student::create(plan.student, plan.config);
  if (!plan.initial.empty()) first.load_weights(plan.initial);
  bool begun = false, known = false;
  try {
    const std::string said = seed::describe_night(station);
    known = true;
    begun = said.find("\"begun\":null") == std::string::npos;
  } catch (const seed::Error &) {
    // There was no night yet.
  }
  auto session = known ? seed::Session::open(station + "/live/student.safetensors", plan.config)
                       : seed::Session::from_student(first, plan.config);
  if (begun)
    std::printf("going on with the night that was interrupted\n");
  else
    day(store, folder, plan);

  seed::NightExtras extras;
  extras.first = &first;
  extras.options = plan.options;
  extras.session = &session;
  extras.on_progress = report;
  print(seed::night(plan.config, store, teacher, station, extras));
  std::printf("see %s/report.html\n", station.c_str());
}

} // namespace

int main(int count, char **words) {
  if (count != 3 && count < 5) {
    std::fprintf(stderr, "usage: night TEACHER.pt ARCHITECTURE IMAGES PLACE [KEY=VALUE...]\n       night restore PLACE\n");
    return 2;
  }
  std::signal(SIGINT, [](int) { interrupted = true; });
  try {
    seed::init();
    if (count == 3) {
      const std::string station = std::string(words[2]) + "/station";
      seed::restore_night(station, seed::Config::create());
      std::printf("%s\n", seed::describe_night(station).c_str());
    } else {
      run({words + 1, words + count});
    }
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "night: %s\n", error.what());
    return 1;
  }
}
