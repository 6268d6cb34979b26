// TorchScript modules as frozen programs: load, ask, release. Every function catches every exception.

#include "guarded.h"

#include <ATen/ATen.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace {

// A file in memory. libtorch's own adapter copies from wherever a damaged archive points to; this one looks first.
class Memory final : public caffe2::serialize::ReadAdapterInterface {
public:
  Memory(const uint8_t *bytes, size_t length) : bytes_(bytes), length_(length) {}
  size_t size() const override { return length_; }
  size_t read(uint64_t position, void *buffer, size_t count, const char * = "") const override {
    if (position > length_ || count > length_ - position) throw std::runtime_error("the archive points outside itself");
    memcpy(buffer, bytes_ + position, count);
    return count;
  }

private:
  const uint8_t *bytes_;
  size_t length_;
};

// The tensor in what a module gave: itself, or the one called `name` of a dict or tuple (a tuple's field, or a number
// from 0), or the first one where `name` is empty.
at::Tensor chosen(const c10::IValue &output, const std::string &name) {
  if (output.isTensor()) {
    if (!name.empty()) throw std::invalid_argument("the module gives one tensor, none that is called \"" + name + "\"");
    return output.toTensor();
  }
  std::string names;
  std::optional<at::Tensor> found;
  auto look = [&](const std::string &key, const std::string &number, const c10::IValue &value) {
    if (!value.isTensor()) return;
    names += (names.empty() ? "" : ", ") + key;
    if (!found && (name.empty() || name == key || name == number)) found = value.toTensor();
  };
  if (output.isGenericDict()) {
    for (const auto &entry : output.toGenericDict()) {
      if (entry.key().isString()) look(entry.key().toStringRef(), "", entry.value());
    }
  } else if (output.isTuple()) {
    const auto &elements = output.toTupleRef().elements();
    auto schema = output.type()->expect<c10::TupleType>()->schema();
    for (size_t i = 0; i < elements.size(); ++i) {
      std::string number = std::to_string(i);
      look(schema && i < schema->arguments().size() ? schema->arguments()[i].name() : number, number, elements[i]);
    }
  } else if (output.isTensorList()) {
    auto elements = output.toTensorList();
    for (size_t i = 0; i < elements.size(); ++i) look(std::to_string(i), std::to_string(i), elements.get(i));
  } else {
    throw std::invalid_argument("the module gives a " + output.tagKind() + ", expected a tensor, a tuple or a dict");
  }
  if (found) return *found;
  throw std::invalid_argument(name.empty() ? "the module gives no tensor"
                                           : "the module gives no tensor called \"" + name + "\", but " + names);
}

} // namespace

// A module in eval mode, and the type that its weights have.
struct seed_shim_script {
  torch::jit::Module module;
  at::ScalarType type;
};

extern "C" {

// The program in `length` bytes, on the CPU (device_index −1) or a CUDA device. `parameters` becomes the number of its
// parameters' elements; `why_not_frozen` becomes a text for seed_shim_free where it runs as it is, or NULL.
char *seed_shim_script_load(const uint8_t *bytes, size_t length, int32_t device_index, seed_shim_script **output,
                            int64_t *parameters, char **why_not_frozen) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    at::Device device = device_index < 0 ? at::Device(at::kCPU)
                                         : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(device_index));
    auto module = torch::jit::load(std::make_shared<Memory>(bytes, length), device, /*load_debug_files=*/false);
    if (!module.find_method("forward")) throw std::invalid_argument("the module has no method forward");
    module.eval();
    auto loaded = std::make_unique<seed_shim_script>(seed_shim_script{module, at::kFloat});
    int64_t count = 0;
    bool typed = false;
    for (const at::Tensor &parameter : module.parameters()) {
      count += parameter.numel();
      if (!typed && at::isFloatingType(parameter.scalar_type())) {
        loaded->type = parameter.scalar_type();
        typed = true;
      }
    }
    *why_not_frozen = nullptr;
    try {
      loaded->module = torch::jit::freeze(module);
    } catch (const std::exception &error) {
      *why_not_frozen = message(error.what());
    }
    *parameters = count;
    *output = loaded.release();
  });
}

// What the module gives for `images`, which are cast to the type of its weights: a tensor of any shape, in float32.
char *seed_shim_script_forward(seed_shim_script *script, const at::Tensor *images, const char *name,
                               at::Tensor **output) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    c10::IValue given = script->module.forward({images->to(script->type)});
    at::Tensor tensor = chosen(given, name);
    if (!tensor.defined()) throw std::invalid_argument("the module gives an undefined tensor");
    if (!at::isFloatingType(tensor.scalar_type())) {
      throw std::invalid_argument(std::string("the module gives numbers of type ") + at::toString(tensor.scalar_type()) +
                                  ", expected floating point");
    }
    *output = new at::Tensor(tensor.to(at::kFloat));
  });
}

// The name of the type that the module computes in.
char *seed_shim_script_type(const seed_shim_script *script, char **output) {
  return guarded([&] { *output = message(at::toString(script->type)); });
}

void seed_shim_script_free(seed_shim_script *script) { delete script; }

} // extern "C"
