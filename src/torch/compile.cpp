// A TorchScript module from its source text and tensors. Every function catches every exception, as in shim.cpp.

#include "guarded.h"

#include <torch/csrc/jit/api/module.h>

#include <cstddef>
#include <cstdint>
#include <fstream>

extern "C" {

// Compiles `source` (TorchScript, methods of a module) over `count` buffers `names[i]` = `tensors[i]` and writes the module to
// `path`, with `extra` as the extra file `extra_name`. The module is in eval mode. No global state is touched.
char *seed_compile_script(const char *source, const char *const *names, const at::Tensor *const *tensors, size_t count,
                       const char *extra_name, const char *extra, const char *path) {
  return guarded([&] {
    torch::jit::Module module("__torch__.SeedStudent");
    for (size_t i = 0; i < count; ++i) module.register_buffer(names[i], tensors[i]->detach());
    // Module::eval of C++ and Python set this; a module without it is refused there.
    module.register_attribute("training", c10::BoolType::get(), false);
    module.define(source);
    // Through a stream: given a path, libtorch would name the folder in the archive after the file.
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    module.save(file, {{extra_name, extra}});
    file.close();
    TORCH_CHECK(file.good(), "cannot write ", path);
  });
}

} // extern "C"
