// How good the feature maps of networks are for segmentation: a linear head on each learns from a few masks and is judged on other
// frames, over repeated splits. Writes the table and pictures to segment.html, and the first network's segmenter to segmenter.safetensors.
//
//   segment IMAGES MASKS NETWORK... [KEY=VALUE...]
//
// IMAGES has one folder a class, MASKS/CLASS/NAME.png marks (above level 127) what belongs to CLASS in IMAGES/CLASS/NAME.*; class 0 is what
// nothing marks. Frames without a mask are left aside, but those of good=CLASS show nothing at all.
// NETWORK   student:FILE   random:ARCHITECTURE   weights:ARCHITECTURE:FILE (published weights, such as a teacher's)
// KEY=VALUE are settings of libseed (segment.masks_per_class=5, image_width=224, …), runs=N (3), good=CLASS and out=FOLDER (.).

#include "seed.hpp"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Options {
  std::string images, masks, good, out = ".";
  std::vector<std::string> networks;
  std::uint32_t runs = 3;
  seed::Config config = seed::Config::create();
};

struct Frames {
  seed::Dataset dataset;
  std::vector<std::string> classes{"background"};
  std::vector<std::vector<std::uint8_t>> pixels; // of each frame's mask; empty where it has none
  std::vector<seed::ImageView> masks;
};

bool read_file(const std::string &path, std::vector<std::uint8_t> &bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  return true;
}

Frames frames_of(const Options &options) {
  Frames found{seed::Dataset::open_folder(options.images), {"background"}, {}, {}};
  const auto labels = found.dataset.class_labels();
  // A class has a number as soon as one of its frames has a mask.
  std::vector<std::uint8_t> number(found.dataset.class_count(), 0);
  found.pixels.resize(found.dataset.count());
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < found.dataset.count(); ++i) {
    const std::string name = found.dataset.name(i);
    const auto label = static_cast<std::size_t>(labels[i]);
    const std::string class_name = found.dataset.class_name(label);
    const bool marked = read_file(options.masks + "/" + name.substr(0, name.find_last_of('.')) + ".png", bytes);
    if (!marked && class_name != options.good) {
      found.masks.push_back(seed::Segmenter::no_mask());
      continue;
    }
    const auto frame = found.dataset.pixels(i).view();
    auto &pixels = found.pixels[i];
    pixels.assign(std::size_t{frame.width} * frame.height, 0);
    if (marked) {
      const auto mask = seed::decode(bytes);
      if (mask.width != frame.width || mask.height != frame.height)
        throw std::runtime_error("the mask of " + name + " has another size than the frame");
      if (number[label] == 0) {
        number[label] = static_cast<std::uint8_t>(found.classes.size());
        found.classes.push_back(class_name);
      }
      const std::size_t step = mask.pixels.size() / pixels.size();
      for (std::size_t at = 0; at < pixels.size(); ++at)
        if (mask.pixels[at * step] > 127) pixels[at] = number[label];
    }
    found.masks.emplace_back(pixels.data(), frame.width, frame.height, seed::PixelFormat::Mono8);
  }
  return found;
}

seed::Student network_of(const std::string &network, const seed::Config &config) {
  const auto colon = network.find(':');
  const std::string kind = network.substr(0, colon), rest = colon == std::string::npos ? "" : network.substr(colon + 1);
  if (kind == "student") return seed::Student::load(rest, config);
  if (kind == "random") return seed::Student::create(rest, config);
  const auto second = rest.find(':');
  if (kind != "weights" || second == std::string::npos)
    throw std::runtime_error(network + " is neither student:FILE, random:ARCHITECTURE nor weights:ARCHITECTURE:FILE");
  auto student = seed::Student::create(rest.substr(0, second), config);
  student.load_weights(rest.substr(second + 1));
  return student;
}

std::string number(double value, double deviation = std::nan("")) {
  if (std::isnan(value)) return "n/a";
  char text[48];
  std::isnan(deviation) ? std::snprintf(text, sizeof text, "%.3f", value)
                        : std::snprintf(text, sizeof text, "%.3f ± %.3f", value, deviation);
  return text;
}

// Two frames of each class: what is not background, over the frame, with the mask's outline.
void add_pictures(seed::Report &report, const Frames &frames, const seed::Segmenter &segmenter) {
  std::vector<int> shown(frames.classes.size(), 0);
  for (std::size_t i = 0; i < frames.masks.size(); ++i) {
    std::uint8_t highest = 0;
    for (const auto one : frames.pixels[i]) highest = one > highest ? one : highest;
    if (frames.pixels[i].empty() || shown[highest]++ >= 2) continue;
    const auto picture = frames.dataset.pixels(i);
    const auto found = segmenter.segment(picture.view());
    seed::HeatMap map;
    map.distances.resize(found.classes.size());
    for (std::size_t at = 0; at < map.distances.size(); ++at) {
      map.distances[at] = found.classes[at] != 0 ? found.confidences[at] : 1 - found.confidences[at];
      map.score = map.distances[at] > map.score ? map.distances[at] : map.score;
    }
    report.add_heat_map("What is no background", frames.dataset.name(i), picture.view(), map, 0.5F, frames.pixels[i]);
  }
}

void run(Options &options) {
  const Frames frames = frames_of(options);
  std::size_t masks = 0;
  for (const auto &pixels : frames.pixels) masks += !pixels.empty();
  std::printf("%zu masks of %zu classes\n", masks, frames.classes.size());
  auto report = seed::Report::create("Segmentation");
  std::vector<std::string> heads{"network", "mIoU", "pixels"}, cells;
  heads.insert(heads.end(), frames.classes.begin(), frames.classes.end());
  for (const auto &name : options.networks) {
    const auto student = network_of(name, options.config);
    const auto found = seed::Segmenter::evaluate(options.config, student, frames.dataset, frames.masks,
                                                 frames.classes.size(), options.runs);
    std::printf("%s\n  %-16s %s\n  %-16s %s\n", name.c_str(), "mIoU",
                number(found.mean_iou_mean, found.mean_iou_deviation).c_str(), "pixels",
                number(found.accuracy_mean, found.accuracy_deviation).c_str());
    cells.push_back(name);
    cells.push_back(number(found.mean_iou_mean, found.mean_iou_deviation));
    cells.push_back(number(found.accuracy_mean, found.accuracy_deviation));
    for (std::size_t i = 0; i < found.ious.size(); ++i) {
      std::printf("  IoU of %-9s %s\n", frames.classes[i].c_str(), number(found.ious[i]).c_str());
      cells.push_back(number(found.ious[i]));
    }
  }
  report.add_table("Intersection over union, " + std::to_string(options.runs) + " splits", heads, cells);
  const auto student = network_of(options.networks.front(), options.config);
  const auto segmenter =
      seed::Segmenter::fit(options.config, student, frames.dataset, frames.masks, frames.classes);
  for (const auto &warning : segmenter.warnings()) std::printf("warning: %s\n", warning.c_str());
  segmenter.save(options.out + "/segmenter.safetensors");
  report.add_paragraph("Pictures of " + options.networks.front() + ", whose segmenter has learned from these frames too.");
  add_pictures(report, frames, segmenter);
  report.write(options.out + "/segment.html");
}

} // namespace

int main(int count, char **words) {
  if (count < 4) {
    std::fprintf(stderr, "usage: segment IMAGES MASKS NETWORK... [KEY=VALUE...]\n");
    return 2;
  }
  try {
    seed::init();
    Options options{words[1], words[2], "", ".", {}};
    for (int i = 3; i < count; ++i) {
      const std::string word = words[i];
      const auto equals = word.find('=');
      const std::string key = word.substr(0, equals);
      if (equals == std::string::npos) options.networks.push_back(word);
      else if (key == "runs") options.runs = static_cast<std::uint32_t>(std::stoul(word.substr(equals + 1)));
      else if (key == "good") options.good = word.substr(equals + 1);
      else if (key == "out") options.out = word.substr(equals + 1);
      else options.config.parse(word);
    }
    if (options.networks.empty()) throw std::runtime_error("no network was named");
    run(options);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "segment: %s\n", error.what());
    return 1;
  }
}
