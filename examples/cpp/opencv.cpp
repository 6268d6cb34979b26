// Gives cv::Mat to a student as it is: whole images, grey or colour, and a region that lies inside another image.
//
//   opencv STUDENT.safetensors IMAGE IMAGE...

#include "seed.hpp"

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace {

void run(const std::string &student_file, const std::vector<std::string> &files) {
  seed::init();
  auto session = seed::Session::open(student_file, seed::Config::create());
  std::vector<cv::Mat> images;
  for (const std::string &file : files) {
    images.push_back(cv::imread(file, cv::IMREAD_UNCHANGED));
    if (images.back().empty()) throw std::runtime_error("cannot read " + file);
  }
  const auto vectors = session.embed(seed::views(images));
  const auto nearest = seed::neighbours({vectors, session.dim()}, 1);
  for (std::size_t i = 0; i < files.size(); ++i)
    std::printf("%s (%d x %d, %d channels) is most like %s\n", files[i].c_str(), images[i].cols, images[i].rows,
                images[i].channels(), files[nearest[i]].c_str());

  // A region shares the rows of its image; nothing is copied.
  const cv::Mat &whole = images.front();
  const cv::Mat middle = whole(cv::Rect(whole.cols / 4, whole.rows / 4, std::max(1, whole.cols / 2), std::max(1, whole.rows / 2)));
  const auto inner = session.embed(middle);
  float cosine = 0;
  for (std::size_t j = 0; j < inner.size(); ++j) cosine += inner[j] * vectors[j];
  std::printf("the middle of %s and the whole of it: cosine %.3f\n", files.front().c_str(), cosine);
}

} // namespace

int main(int count, char **words) {
  if (count < 4) {
    std::fprintf(stderr, "usage: opencv STUDENT.safetensors IMAGE IMAGE...\n");
    return 2;
  }
  try {
    run(words[1], std::vector<std::string>(words + 2, words + count));
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "opencv: %s\n", error.what());
    return 1;
  }
}
