// A TorchScript module from its source text and tensors. Every function catches every exception, as in shim.cpp.

#include "guarded.h"

#include <torch/csrc/jit/api/module.h>

#include <torch/csrc/jit/serialization/export.h>

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

extern "C" {

// Compiles `source` (TorchScript, methods of a module) over `count` buffers `names[i]` = `tensors[i]` and writes the module to
// the open `file`, with `extra` as the extra file `extra_name`. The module is in eval mode. No global state is touched. `*failure`
// receives errno where the file could not be written, else 0.
char *seed_compile_script(const char *source, const char *const *names, const at::Tensor *const *tensors, size_t count,
                       const char *extra_name, const char *extra, int file, int *failure) {
  return guarded([&] {
    torch::jit::Module module("__torch__.SeedStudent");
    for (size_t i = 0; i < count; ++i) module.register_buffer(names[i], tensors[i]->detach());
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
