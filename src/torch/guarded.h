// How C++ exceptions end at the border to Rust: as a message, or NULL where there was none.

#pragma once

#include <c10/util/Exception.h>

#include <cstdlib>
#include <cstring>
#include <exception>

// strdup may fail when memory is out; the Rust side needs some non-NULL text even then.
inline char seed_shim_out_of_memory[] = "out of memory";

inline char *message(const char *text) noexcept {
  char *copy = strdup(text);
  return copy ? copy : seed_shim_out_of_memory;
}

template <typename Body> char *guarded(Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error &error) {
    return message(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return message(error.what());
  } catch (...) {
    return message("something that is no std::exception");
  }
}
