// A TorchScript module from its source text and tensors. Every function catches every exception, as in shim.cpp.

#include "guarded.h"

#include <torch/csrc/jit/api/module.h>

#include <torch/csrc/jit/serialization/export.h>

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <sstream>

extern "C" {

// Whether C++ streams, through which libtorch writes a module's code, print numbers as its reader wants them.
int seed_compile_prints_plainly(void) {
  try {
    std::ostringstream text;
    text << 1234567 << ' ' << .5;
    return text.str() == "1234567 0.5";
  } catch (...) {
    return 0;
  }
}

// Compiles `source` (TorchScript, methods of a module) over `count` buffers `names[i]` = `tensors[i]` and `number_count` numbers
// `number_names[i]` = `numbers[i]`, which are ints where `whole[i]` is not 0, and writes the module to
// the open `file`, with `extra` as the extra file `extra_name`. The module is in eval mode. No global state is touched. `*failure`
// receives errno where the file could not be written, else 0.
char *seed_compile_script(const char *source, const char *const *names, const at::Tensor *const *tensors, size_t count,
                       const char *const *number_names, const double *numbers, const uint8_t *whole, size_t number_count,
                       const char *extra_name, const char *extra, int file, int *failure) {
  return guarded([&] {
    torch::jit::Module module("__torch__.SeedStudent");
    for (size_t i = 0; i < count; ++i) module.register_buffer(names[i], tensors[i]->detach());
    for (size_t i = 0; i < number_count; ++i) {
      if (whole[i]) module.register_attribute(number_names[i], c10::IntType::get(), static_cast<int64_t>(numbers[i]));
      else module.register_attribute(number_names[i], c10::FloatType::get(), numbers[i]);
    }
    // Module::eval of C++ and Python set this; a module without it is refused there.
    module.register_attribute("training", c10::BoolType::get(), false);
    module.define(source);
    // Where writing fails, libtorch throws again in a destructor, and the process ends. So this never fails, and tells afterwards.
    *failure = 0;
    auto write = [&](const void *bytes, size_t size) -> size_t {
      auto next = static_cast<const char *>(bytes);
      for (size_t left = size; left > 0 && *failure == 0;) {
        auto written = ::write(file, next, left);
        if (written > 0) next += written, left -= static_cast<size_t>(written);
        else if (written == 0 || errno != EINTR) *failure = written == 0 ? EIO : errno;
      }
      return size;
    };
    torch::jit::ExportModule(module, write, {{extra_name, extra}});
  });
}

} // extern "C"
