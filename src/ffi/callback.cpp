// Calls a function of the application; what it throws ends here, since nothing may unwind through Rust's frames of a call.

#include <cstddef>
#include <cstdio>
#include <exception>

// Runs `call` with `data`; 1 where it threw, with the first `capacity` bytes of a reason, NUL included.
extern "C" int seed_callback_run(void (*call)(void *), void *data, char *reason, std::size_t capacity) noexcept {
  try {
    call(data);
    return 0;
  } catch (const std::exception &error) {
    std::snprintf(reason, capacity, "%s", error.what());
  } catch (...) {
    std::snprintf(reason, capacity, "something that is no std::exception");
  }
  return 1;
}
