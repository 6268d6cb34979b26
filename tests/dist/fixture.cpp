// Makes what the examples are tried on: two folders of drawn frames, and a network with random weights that is their teacher and, for
// the examples that need a student, their student.
//
//   fixture FOLDER       writes FOLDER/images/{columns,rows}/*.bmp and FOLDER/network.safetensors
#include <seed.hpp>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace {

constexpr unsigned side = 40;

// A grey picture as a BMP of 24 bits a pixel, which every decoder reads: rows from below, each of 4·n bytes.
void write(const std::string &path, const std::vector<unsigned char> &grey) {
  const auto word = [](unsigned value) {
    return std::string{static_cast<char>(value), static_cast<char>(value >> 8), static_cast<char>(value >> 16),
                       static_cast<char>(value >> 24)};
  };
  const unsigned bytes = side * side * 3;
  std::string file = "BM" + word(54 + bytes) + word(0) + word(54) + word(40) + word(side) + word(side) + word(1 | 24u << 16) +
                     word(0) + word(bytes) + word(2835) + word(2835) + word(0) + word(0);
  for (unsigned y = side; y-- > 0;)
    for (unsigned x = 0; x < side; ++x) file.append(3, static_cast<char>(grey[y * side + x]));
  std::ofstream out(path, std::ios::binary);
  out.write(file.data(), static_cast<std::streamsize>(file.size()));
  if (!out) throw seed::Error(seed::ErrorCode::Io, "cannot write " + path);
}

} // namespace

int main(int count, char **words) {
  if (count != 2) return 2;
  const std::string folder = words[1];
  try {
    seed::init();
    for (unsigned number = 0; number < 24; ++number) {
      const bool rows = number % 2 != 0;
      std::vector<unsigned char> grey(side * side);
      for (unsigned at = 0; at < side * side; ++at) {
        const unsigned place = (rows ? at / side : at % side) + number / 6;
        grey[at] = static_cast<unsigned char>(place / (3 + number / 2 % 3) % 2 != 0 ? 220 - number : 20 + number);
      }
      write(folder + "/images/" + (rows ? "rows" : "columns") + "/" + std::to_string(number) + ".bmp", grey);
    }
    auto config = seed::Config::create({{"image_width", 32}, {"image_height", 32}, {"embedding_dim", 16}});
    seed::Student::create("mobilenet_v3_small", config).save(folder + "/network.safetensors");
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "fixture: %s\n", error.what());
    return 1;
  }
}
