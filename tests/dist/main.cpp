// What a user's first program does: a student embeds an image.
#include <seed.hpp>

#include <cstdio>
#include <vector>

int main() {
  try {
    seed::init();
    auto config = seed::Config::create({{"image_width", 32}, {"image_height", 32}, {"embedding_dim", 8}});
    auto student = seed::Student::create("mobilenet_v3_small", config);
    auto session = seed::Session::from_student(student, config);
    const std::vector<std::uint8_t> pixels(32 * 32, 90);
    const auto vector = session.embed(seed::ImageView(pixels.data(), 32, 32, seed::PixelFormat::Mono8));
    std::printf("libseed %s: %zu numbers\n", seed::version(), vector.size());
    return vector.size() == 8 ? 0 : 1;
  } catch (const seed::Error &error) {
    std::fprintf(stderr, "uses_seed: %s\n", error.what());
    return 1;
  }
}
