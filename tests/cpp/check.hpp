// Checks that read the same in the build of seed.hpp with exceptions and in the one without.
#ifndef SEED_TESTS_CHECK_HPP
#define SEED_TESTS_CHECK_HPP

#include "seed.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

inline int failures = 0;

inline void check(bool condition, const char *text, int line) {
  if (condition) return;
  std::fprintf(stderr, "line %d: %s is false\n", line, text);
  ++failures;
}
#define CHECK(...) check((__VA_ARGS__), #__VA_ARGS__, __LINE__)

inline void expect(seed::ErrorCode expected, const seed::Error &error, int line) {
  if (error.code() == expected && std::string(error.what()).size() >= 8) return;
  std::fprintf(stderr, "line %d: code %d, expected %d: %s\n", line, static_cast<int>(error.code()),
               static_cast<int>(expected), error.what());
  ++failures;
}

#ifdef SEED_NO_EXCEPTIONS

template <class T> T take(seed::Result<T> result, int line) {
  if (!result) {
    std::fprintf(stderr, "line %d: %s\n", line, result.error().what());
    std::exit(1);
  }
  return std::move(result).value();
}
inline void take(const seed::Status &status, int line) {
  if (status) return;
  std::fprintf(stderr, "line %d: %s\n", line, status.error().what());
  std::exit(1);
}
#define TAKE(...) take((__VA_ARGS__), __LINE__)
#define FAILS(code, ...)                                                                                               \
  do {                                                                                                                 \
    auto outcome_ = (__VA_ARGS__);                                                                                     \
    CHECK(!outcome_);                                                                                                  \
    expect((code), outcome_.error(), __LINE__);                                                                        \
  } while (0)

#else

#define TAKE(...) (__VA_ARGS__)
#define FAILS(code, ...)                                                                                               \
  do {                                                                                                                 \
    try {                                                                                                              \
      (void)(__VA_ARGS__);                                                                                             \
      std::fprintf(stderr, "line %d: %s did not throw\n", __LINE__, #__VA_ARGS__);                                     \
      ++failures;                                                                                                      \
    } catch (const seed::Error &error_) {                                                                              \
      expect((code), error_, __LINE__);                                                                                \
    }                                                                                                                  \
  } while (0)

#endif

using seed::ErrorCode;

// A grey frame of the application's, in stripes of the given period.
inline std::vector<std::uint8_t> stripes(unsigned width, unsigned height, unsigned period) {
  std::vector<std::uint8_t> pixels(width * height);
  for (unsigned y = 0; y < height; ++y)
    for (unsigned x = 0; x < width; ++x) pixels[y * width + x] = (x / period + y / (2 * period)) % 2 ? 220 : 40;
  return pixels;
}

#endif
