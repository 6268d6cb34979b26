// What libseed needs of libtorch and tch lacks: memory formats, autocast with device and dtype, a fused SGD over all
// parameters. Every function catches every exception: it returns NULL, or a message that seed_shim_free releases.
// So does what the application's own functions throw. Tensors cross as torch-sys does it, as pointers to at::Tensor owned by the Rust side.

#include "guarded.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_sgd.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

extern "C" {

void seed_shim_free(char *text) {
  if (text != seed_shim_out_of_memory) free(text);
}

// The libtorch of this process, as "2.11.0…" inside the text of its build settings.
char *seed_shim_show_config(char **out) {
  return guarded([&] { *out = message(at::show_config().c_str()); });
}

// A copy in channels-last strides, or another reference where the tensor has them already. 4-d tensors only.
char *seed_shim_channels_last(const at::Tensor *input, at::Tensor **output) {
  return guarded([&] { *output = new at::Tensor(input->contiguous(at::MemoryFormat::ChannelsLast)); });
}

// Runs a function of the application.
char *seed_shim_call(void (*call)(void *), void *data) {
  return guarded([&] { call(data); });
}

struct seed_shim_autocast {
  int32_t device;
  int32_t dtype;
  int32_t enabled;
};

// Enters autocast for one device type (c10::DeviceType) with one dtype (c10::ScalarType) on this thread and writes what
// was set before into `previous`; seed_shim_autocast_leave puts it back.
char *seed_shim_autocast_enter(seed_shim_autocast wanted, seed_shim_autocast *previous) {
  return guarded([&] {
    auto device = static_cast<at::DeviceType>(wanted.device);
    seed_shim_autocast before{wanted.device, static_cast<int32_t>(at::autocast::get_autocast_dtype(device)),
                              at::autocast::is_autocast_enabled(device) ? 1 : 0};
    at::autocast::increment_nesting();
    at::autocast::set_autocast_enabled(device, wanted.enabled != 0);
    at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(wanted.dtype));
    *previous = before;
  });
}

char *seed_shim_autocast_leave(seed_shim_autocast previous) {
  return guarded([&] {
    auto device = static_cast<at::DeviceType>(previous.device);
    // The cache of cast weights is only good while their values stand still.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device, previous.enabled != 0);
    at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(previous.dtype));
  });
}

// One fused SGD step over all parameters, in place: v = momentum·v + (g + weight_decay·p), p = p − lr·v; at the first
// step v = g + weight_decay·p. A parameter without gradient is left out, as torch.optim.SGD does. Gradients are dropped.
char *seed_shim_fused_sgd(at::Tensor *const *parameters, at::Tensor *const *momenta, size_t count, double lr,
                          double weight_decay, double momentum, int32_t first_step) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> values, gradients, buffers;
    values.reserve(count), gradients.reserve(count), buffers.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      at::Tensor &gradient = parameters[i]->mutable_grad();
      if (!gradient.defined()) continue;
      values.push_back(*parameters[i]);
      // The kernel walks memory, so gradient and momentum must lie as the parameter does.
      at::Tensor aligned = gradient;
      if (aligned.strides() != parameters[i]->strides()) {
        aligned = at::empty_like(*parameters[i]);
        aligned.copy_(gradient);
      }
      gradients.push_back(std::move(aligned));
      buffers.push_back(*momenta[i]);
    }
    if (values.empty()) return;
    at::_fused_sgd_(values, gradients, buffers, weight_decay, momentum, lr, /*dampening=*/0., /*nesterov=*/false,
                    /*maximize=*/false, /*is_first_step=*/first_step != 0);
    for (size_t i = 0; i < count; ++i) parameters[i]->mutable_grad().reset();
  });
}

// Scales all gradients so that their common L2 norm is at most max_norm, as torch.nn.utils.clip_grad_norm_ does, without
// waiting for the device. Parameters without gradient do not count. `norm` becomes the norm before, 0-dim.
char *seed_shim_clip_gradients(at::Tensor *const *parameters, size_t count, double max_norm, at::Tensor **norm) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> gradients;
    gradients.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      if (parameters[i]->grad().defined()) gradients.push_back(parameters[i]->mutable_grad());
    }
    at::Tensor total = gradients.empty() ? at::zeros({}) : at::stack(at::_foreach_norm(gradients, 2)).norm();
    at::Tensor scale = (max_norm / (total + 1e-6)).clamp_max(1.);
    if (!gradients.empty()) at::_foreach_mul_(gradients, scale);
    *norm = new at::Tensor(std::move(total));
  });
}

// A tensor of shape and type only, without numbers: torch's device "meta".
char *seed_shim_shape_only(const int64_t *sizes, size_t rank, int32_t dtype, at::Tensor **output) {
  return guarded([&] {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype)).device(at::kMeta);
    *output = new at::Tensor(at::empty(at::IntArrayRef(sizes, rank), options));
  });
}

// Drops the gradients of all parameters, so that the next backward pass starts from nothing.
char *seed_shim_drop_gradients(at::Tensor *const *parameters, size_t count) {
  return guarded([&] {
    for (size_t i = 0; i < count; ++i) parameters[i]->mutable_grad().reset();
  });
}

} // extern "C"
