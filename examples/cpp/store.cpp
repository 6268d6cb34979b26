// Frames of a line into a bounded store, labels afterwards, and a look at whether the frames are still the same.
//
//   store STUDENT STORE FOLDER [FRAMES A SECOND]
//
// The images of FOLDER stand for the camera. A thread pushes them at the given rate and never waits for the disk. Then they are
// labelled by the folder each lies in, as a person would tomorrow. At last the store is a data set: the first
// half of the frames becomes the reference of a drift signal, and batches of the second half are compared with it.

#include "seed.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

void run(const std::string &student, const std::string &path, const std::string &folder, double rate) {
  auto session = seed::Session::open(student, seed::Config::create());
  auto camera = seed::Dataset::open_folder(folder);
  const std::size_t count = camera.count();
  seed::StoreOptions options;
  options.max_frames = 2000;
  options.keep = static_cast<std::int32_t>(seed::Keep::Reservoir);
  auto store = seed::Store::open(path, options);

  std::thread line([&] {
    try {
      const auto start = std::chrono::steady_clock::now();
      for (std::size_t i = 0; i < count; ++i) {
        std::this_thread::sleep_until(start + std::chrono::duration<double>(static_cast<double>(i) / rate));
        const auto picture = camera.pixels(i);
        seed::StoreEntry entry;
        entry.name = camera.name(i);
        store.push(picture.view(), entry); // 0 where the queue is full: counted, and the line goes on
      }
    } catch (const seed::Error &error) {
      std::fprintf(stderr, "the line: %s\n", error.what());
    }
  });
  line.join();
  store.flush();

  // Labels come later, from whoever looks at the frames; here from the folder's name.
  std::map<std::string, std::int64_t> classes;
  for (std::int64_t id : store.list(seed::StoreFilter(seed::Labelled::No))) {
    const std::string name = store.name(id);
    const std::string word = name.substr(0, name.find('/'));
    if (word.size() == name.size()) continue;
    const auto number = static_cast<std::int64_t>(classes.size());
    store.set_label(id, classes.emplace(word, number).first->second, word);
  }
  const auto stats = store.stats();
  std::printf("%llu pushed, %llu dropped, %llu in the store, %.1f MB\n", static_cast<unsigned long long>(stats.pushed),
              static_cast<unsigned long long>(stats.dropped), static_cast<unsigned long long>(stats.frames),
              static_cast<double>(stats.file_bytes) / 1e6);
  for (const auto &entry : classes)
    std::printf("  %zu of class %s\n", store.list(seed::StoreFilter(seed::Labelled::OfClass, entry.second)).size(),
                entry.first.c_str());

  const auto ids = store.list();
  const std::size_t half = ids.size() / 2, dim = session.dim();
  const auto rows = session.embed(store.dataset(ids));
  const seed::Span<const float> all(rows);
  const std::size_t batch = half / 2;
  if (half < 20) {
    std::printf("too few frames for a reference\n");
    return;
  }
  auto drift = seed::Drift::create({all.subspan(0, half * dim), dim});
  for (std::size_t first = half; first + batch <= ids.size(); first += batch) {
    const auto signal = drift.measure({all.subspan(first * dim, batch * dim), dim});
    std::printf("frames %lld to %lld: energy %.4f, threshold %.4f, p %.3f%s\n", static_cast<long long>(ids[first]),
                static_cast<long long>(ids[first + batch - 1]), signal.energy, signal.threshold, signal.p_value,
                signal.raised != 0 ? ", not what the student knows" : "");
  }
}

} // namespace

int main(int count, char **words) {
  if (count < 4) {
    std::fprintf(stderr, "usage: store STUDENT STORE FOLDER [FRAMES A SECOND]\n");
    return 2;
  }
  try {
    seed::init();
    run(words[1], words[2], words[3], count > 4 ? std::atof(words[4]) : 30);
    return 0;
  } catch (const seed::Error &error) {
    std::fprintf(stderr, "store: %s\n", error.what());
    return 1;
  }
}
