// Learns good parts and finds what does not look like them. Half of the good images are learned, the others and all images of
// the other folders are judged; with masks the heat maps are judged, too. With anomaly.group=folder, images of the same folder below
// GOOD show the same part: half of the folders are learned then.
//
//   anomaly STUDENT.safetensors IMAGES GOOD DETECTOR.safetensors [MASKS] [KEY=VALUE...]
//
// IMAGES has one folder a class, GOOD is the name of that with the good parts; MASKS/CLASS/NAME.png marks the defects of
// IMAGES/CLASS/NAME.jpg. KEY=VALUE are settings, such as anomaly.false_alarm_rate=0.05 (docs/anomaly.md). Prints AUROC by image
// and by pixel, PRO, alarms, milliseconds a frame, and the ten images that were judged worst. Writes anomaly.html with heat maps
// of defects that were found, defects that were not, and good parts that look worst.

#include "seed.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

// The defects of an image: 1 for each marked pixel. An image without a mask has none.
std::vector<std::uint8_t> mask_of(const std::string &masks, const std::string &name, std::uint32_t width,
                                  std::uint32_t height) {
  std::vector<std::uint8_t> mask(std::size_t{width} * height, 0);
  std::ifstream file(masks + "/" + name.substr(0, name.find_last_of('.')) + ".png", std::ios::binary);
  if (!file) return mask;
  const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto picture = seed::decode(bytes);
  if (picture.width != width || picture.height != height)
    throw std::runtime_error("the mask of " + name + " has another size than the image");
  const std::size_t step = picture.pixels.size() / mask.size();
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = picture.pixels[i * step] > 127;
  return mask;
}

// Milliseconds of calls: the half that is faster, and 95 of 100, take at most so long.
void print_times(const char *what, std::vector<double> times) {
  if (times.empty()) return;
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) { return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))]; };
  std::printf("%s: median %.2f ms a frame, p95 %.2f ms\n", what, at(0.5), at(0.95));
}

struct Judged {
  std::size_t number;
  std::string name;
  float score;
  std::uint8_t bad, alarm;
};

// Heat maps of at most eight images of `judged` that are bad or good, as `bad` says, from the highest score or the lowest.
void add_heat_maps(seed::Report &report, const std::string &title, const seed::Dataset &images, const seed::Anomaly &detector,
                   const std::string &masks, std::vector<Judged> judged, bool bad, bool highest) {
  std::sort(judged.begin(), judged.end(),
            [&](const Judged &a, const Judged &b) { return highest ? a.score > b.score : a.score < b.score; });
  const auto threshold = detector.threshold();
  std::size_t shown = 0;
  for (const auto &one : judged) {
    if ((one.bad != 0) != bad) continue;
    const auto picture = images.pixels(one.number);
    const auto view = picture.view();
    std::vector<std::uint8_t> mask;
    if (!masks.empty()) mask = mask_of(masks, one.name, view.width, view.height);
    report.add_heat_map(title, one.name, view, detector.map(view), threshold.score, mask);
    if (++shown == 8) break;
  }
}

void run(const std::vector<std::string> &words) {
  auto config = seed::Config::create();
  std::string masks;
  for (std::size_t i = 4; i < words.size(); ++i)
    if (words[i].find('=') == std::string::npos)
      masks = words[i];
    else
      config.parse(words[i]);
  const std::string &folder = words[1], good_class = words[2];

  auto images = seed::Dataset::open_folder(folder);
  std::vector<std::string> learned;
  std::vector<std::size_t> judged_numbers;
  const bool by_folder = config.get_string("anomaly.group") == "folder";
  std::size_t good_count = 0;
  std::string last;
  for (std::size_t i = 0; i < images.count(); ++i) {
    const std::string name = images.name(i), part = by_folder ? name.substr(0, name.rfind('/')) : name;
    const bool good = name.substr(0, name.find('/')) == good_class;
    if (good && part != last) ++good_count;
    last = part;
    if (good && good_count % 2 == 1)
      learned.push_back(folder + "/" + name);
    else
      judged_numbers.push_back(i);
  }
  if (learned.empty()) throw std::runtime_error("there is no image in " + folder + "/" + good_class);

  auto student = seed::Student::load(words[0], config);
  const auto begin = std::chrono::steady_clock::now();
  auto detector = seed::Anomaly::fit(config, student, seed::Dataset::open_files(learned));
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  detector.save(words[3]);
  std::printf("learned %zu good images in %.1f s\n%s\n", learned.size(), spent.count(), detector.describe().c_str());

  std::vector<Judged> judged;
  std::vector<float> heat;
  std::vector<std::uint8_t> marked;
  std::vector<std::uint32_t> widths, heights;
  std::vector<double> with_map, without;
  const auto timed = [](std::vector<double> &times, auto &&call) {
    const auto start = std::chrono::steady_clock::now();
    auto found = call();
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    return found;
  };
  for (const auto i : judged_numbers) {
    const std::string name = images.name(i);
    const auto picture = images.pixels(i);
    const auto view = picture.view();
    timed(without, [&] { return detector.score(view); });
    const auto map = timed(with_map, [&] { return detector.map(view); });
    const bool bad = name.substr(0, name.find('/')) != good_class;
    judged.push_back({i, name, map.score, bad, map.alarm});
    if (masks.empty()) continue;
    const auto mask = mask_of(masks, name, view.width, view.height);
    heat.insert(heat.end(), map.distances.begin(), map.distances.end());
    marked.insert(marked.end(), mask.begin(), mask.end());
    widths.push_back(view.width);
    heights.push_back(view.height);
  }

  std::vector<float> scores;
  std::vector<std::uint8_t> bad;
  std::size_t alarms[2] = {0, 0}, counts[2] = {0, 0};
  for (const auto &one : judged) {
    scores.push_back(one.score);
    bad.push_back(one.bad);
    ++counts[one.bad];
    alarms[one.bad] += one.alarm;
  }
  std::printf("image AUROC %.4f\n", seed::auroc(scores, bad));
  if (!masks.empty()) {
    std::printf("pixel AUROC %.4f\n", seed::auroc(heat, marked));
    std::printf("PRO %.4f\n", seed::region_overlap(heat, marked, widths, heights));
  }
  std::printf("alarms: %zu of %zu good, %zu of %zu bad\n", alarms[0], counts[0], alarms[1], counts[1]);
  print_times("score", without);
  print_times("score and heat map", with_map);
  std::sort(judged.begin(), judged.end(), [](const Judged &a, const Judged &b) { return a.score > b.score; });
  for (std::size_t i = 0; i < judged.size() && i < 10; ++i)
    std::printf("%8.3f %s\n", static_cast<double>(judged[i].score), judged[i].name.c_str());

  auto report = seed::Report::create("Anomalies of " + folder);
  report.add_paragraph(std::to_string(alarms[1]) + " of " + std::to_string(counts[1]) + " bad images and " +
                       std::to_string(alarms[0]) + " of " + std::to_string(counts[0]) + " good ones are alarms.");
  add_heat_maps(report, "Defects: the highest scores", images, detector, masks, judged, true, true);
  add_heat_maps(report, "Defects: the lowest scores", images, detector, masks, judged, true, false);
  add_heat_maps(report, "Good parts: the highest scores", images, detector, masks, judged, false, true);
  report.write("anomaly.html");
}

} // namespace

int main(int count, char **words) {
  if (count < 5) {
    std::fprintf(stderr, "usage: anomaly STUDENT.safetensors IMAGES GOOD DETECTOR.safetensors [MASKS] [KEY=VALUE...]\n");
    return 2;
  }
  try {
    seed::init();
    run({words + 1, words + count});
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "anomaly: %s\n", error.what());
    return 1;
  }
}
