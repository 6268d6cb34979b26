// Inspects a stream of frames with a student: each frame is compared with the labelled images of a reference folder, one
// folder a label, and gets the label that its nearest ones vote for. No training happens here.
//
//   inspect STUDENT.safetensors REFERENCE WIDTH HEIGHT < frames
//
// Standard input brings raw grey frames, WIDTH·HEIGHT bytes each, for instance
//   ffmpeg -i line.mp4 -f rawvideo -pix_fmt gray - | inspect student.safetensors reference 640 480

#include "seed.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <string>
#include <vector>

namespace {

constexpr std::size_t nearest_count = 5;

// The labelled vectors that frames are compared with.
struct Reference {
  std::vector<float> vectors;
  std::size_t dim;
  std::vector<std::string> names, labels;

  Reference(const seed::Session &session, const std::string &folder) : dim(session.dim()) {
    auto images = seed::Dataset::open_folder(folder);
    vectors = session.embed(images);
    for (std::size_t i = 0; i < vectors.size() / dim; ++i) {
      names.push_back(images.name(i));
      const auto slash = names.back().find('/');
      if (slash == std::string::npos)
        throw std::runtime_error(names.back() + " has no label: sort the reference images into one folder a label");
      labels.push_back(names.back().substr(0, slash));
    }
  }
};

struct Verdict {
  std::string label, nearest;
  double share, cosine;
};

// The label with the most votes of the nearest reference images, each voting exp(cosine/.07).
Verdict judge(const std::vector<float> &vector, const Reference &reference) {
  const seed::Rows rows{reference.vectors, reference.dim};
  std::vector<double> cosines(rows.count(), 0);
  for (std::size_t i = 0; i < rows.count(); ++i)
    for (std::size_t j = 0; j < rows.dim; ++j) cosines[i] += static_cast<double>(vector[j]) * static_cast<double>(rows[i][j]);
  std::vector<std::size_t> order(rows.count());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const std::size_t k = std::min(nearest_count, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                    [&](std::size_t a, std::size_t b) { return cosines[a] > cosines[b]; });
  std::map<std::string, double> votes;
  double all = 0;
  for (std::size_t i = 0; i < k; ++i) {
    const double vote = std::exp(cosines[order[i]] / 0.07);
    votes[reference.labels[order[i]]] += vote;
    all += vote;
  }
  const auto best =
      std::max_element(votes.begin(), votes.end(), [](const auto &a, const auto &b) { return a.second < b.second; });
  return {best->first, reference.names[order[0]], best->second / all, cosines[order[0]]};
}

void run(const std::string &student_file, const std::string &folder, std::uint32_t width, std::uint32_t height) {
  seed::init();
  auto session = seed::Session::open(student_file, seed::Config::create());
  const Reference reference(session, folder);
  std::printf("%zu reference images; %s\n", reference.names.size(), session.describe().c_str());

  std::vector<std::uint8_t> frame(std::size_t{width} * height);
  const seed::ImageView view(frame.data(), width, height, seed::PixelFormat::Mono8);
  std::vector<float> vector(session.dim());
  double total = 0;
  std::size_t frames = 0;
  for (; std::fread(frame.data(), 1, frame.size(), stdin) == frame.size(); ++frames) {
    const auto start = std::chrono::steady_clock::now();
    session.embed_into(view, vector); // into memory of our own
    const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
    const auto verdict = judge(vector, reference);
    total += spent.count();
    std::printf("frame %zu: %s (%.0f %%), nearest %s at %.3f, %.2f ms\n", frames, verdict.label.c_str(),
                100 * verdict.share, verdict.nearest.c_str(), verdict.cosine, spent.count());
  }
  if (frames > 0) std::printf("%zu frames, %.2f ms each\n", frames, total / static_cast<double>(frames));
}

} // namespace

int main(int count, char **words) {
  const int width = count > 3 ? std::atoi(words[3]) : 0, height = count > 4 ? std::atoi(words[4]) : 0;
  if (width <= 0 || height <= 0) {
    std::fprintf(stderr, "usage: inspect STUDENT.safetensors REFERENCE WIDTH HEIGHT < frames\n");
    return 2;
  }
  try {
    run(words[1], words[2], static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height));
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "inspect: %s\n", error.what());
    return 1;
  }
}
