// A network in eval mode as a list of fused operations: convolution with folded batch norm, activation and residual sum
// in one pass; for transformers patches, layer norm, attention and linear layers, whose tokens stay float32. On the CPU they are libtorch's own oneDNN operators with weights packed once; elsewhere, and where those
// are not built in, plain ATen. Every function catches every exception, as in shim.cpp.

#include "guarded.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using Scalars = torch::List<std::optional<at::Scalar>>;
using Unary = std::optional<std::string_view>;

using ConvPointwise = at::Tensor(const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &,
                                 at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view, Scalars,
                                 Unary);
using ConvAdd = at::Tensor &(at::Tensor &, const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &,
                             at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view,
                             std::optional<at::Scalar>, Unary, Scalars, Unary);
using PackConv = at::Tensor(const at::Tensor &, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t,
                            c10::OptionalArrayRef<int64_t>);

template <typename Signature> c10::TypedOperatorHandle<Signature> find(const char *name, const char *overload) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

// The numbers of model::layers::Activation.
enum Activation : int32_t { Identity, Relu, Relu6, Hardswish, Hardsigmoid, Silu, Sigmoid, Gelu };

std::string_view onednn_name(int32_t activation) {
  switch (activation) {
  case Relu: return "relu";
  case Relu6: return "hardtanh";
  case Hardswish: return "hardswish";
  case Hardsigmoid: return "hardsigmoid";
  case Silu: return "swish";
  case Sigmoid: return "sigmoid";
  case Gelu: return "gelu";
  default: return "none";
  }
}

Scalars onednn_scalars(int32_t activation) {
  Scalars scalars;
  if (activation == Relu6) {
    scalars.push_back(at::Scalar(0.0));
    scalars.push_back(at::Scalar(6.0));
  }
  return scalars;
}

void activate(at::Tensor &x, int32_t activation) {
  switch (activation) {
  case Relu: at::relu_(x); break;
  case Relu6: at::hardtanh_(x, 0, 6); break;
  case Hardswish: at::hardswish_(x); break;
  case Hardsigmoid: at::hardsigmoid_(x); break;
  case Silu: at::silu_(x); break;
  case Sigmoid: at::sigmoid_(x); break;
  case Gelu: at::gelu_(x); break;
  default: break;
  }
}

enum Kind : int32_t { Conv, MaxPool, Squeeze, Mean, Linear, Patches, LayerNorm, Attention, Token, SamePadding, Activate };

struct Operation {
  int32_t kind, input, other, output, activation, gate;
  int64_t stride, padding, groups;
  // Conv, Linear, LayerNorm: weight, bias. Squeeze: weight and bias of both layers. Patches: weight, bias, first tokens,
  // table of positions.
  std::vector<at::Tensor> weights;
  // Conv: the packed weight. Patches: the positions of the images that the program is prepared for.
  at::Tensor packed;
  // Attention: heads. Token: which one. Patches: whether shrinking the table filters first. SamePadding: the kernel.
  int64_t number = 0;
  double eps = 0;
};

struct Program {
  std::vector<Operation> operations;
  int32_t values = 1; // value 0 is the batch of images
  at::ScalarType dtype = at::kFloat;
  bool onednn = false;
  // The operation that reads a value last; its memory is given back after that.
  std::vector<int32_t> last_use;
};

int32_t add(Program &program, Operation operation) {
  TORCH_CHECK(operation.input >= 0 && operation.input < program.values && operation.other < program.values,
              "fused program: a value is read before it is written");
  operation.output = program.values++;
  program.operations.push_back(std::move(operation));
  return program.values - 1;
}

void convolve(const Program &program, const Operation &op, std::vector<at::Tensor> &values, bool other_is_free) {
  const int64_t stride[] = {op.stride, op.stride}, padding[] = {op.padding, op.padding}, dilation[] = {1, 1};
  const at::Tensor &input = values[op.input];
  if (!program.onednn) {
    at::Tensor out = at::conv2d(input, op.weights[0], op.weights[1], stride, padding, dilation, op.groups);
    if (op.other >= 0) out.add_(values[op.other]);
    activate(out, op.activation);
    values[op.output] = std::move(out);
    return;
  }
  static const auto plain = find<ConvPointwise>("mkldnn::_convolution_pointwise", "");
  static const auto add_in_place = find<ConvAdd>("mkldnn::_convolution_pointwise_", "binary");
  if (op.other < 0) {
    values[op.output] = plain.call(input, op.packed, op.weights[1], padding, stride, dilation, op.groups,
                                   onednn_name(op.activation), onednn_scalars(op.activation), "");
    return;
  }
  at::Tensor sum = other_is_free ? values[op.other] : values[op.other].clone();
  Unary unary;
  if (op.activation != Identity) unary = onednn_name(op.activation);
  add_in_place.call(sum, input, op.packed, op.weights[1], padding, stride, dilation, op.groups, "add", std::nullopt,
                    unary, onednn_scalars(op.activation), "");
  values[op.output] = std::move(sum);
}

// The table of positions (1, G, G, D) for another grid: (1, rows, columns, D), float32. Bicubic, as torch's interpolate to
// that size; `antialias` widens the filter where the table shrinks.
at::Tensor resample(const at::Tensor &table, int64_t rows, int64_t columns, bool antialias) {
  if (table.size(1) == rows && table.size(2) == columns) return table;
  const int64_t size[] = {rows, columns};
  at::Tensor planes = table.permute({0, 3, 1, 2}).contiguous();
  planes = antialias ? at::_upsample_bicubic2d_aa(planes, size, false) : at::upsample_bicubic2d(planes, size, false);
  return planes.permute({0, 2, 3, 1}).contiguous();
}

// Whether a weight is computed with in float32 whatever the program's format: what is added to the tokens, and what
// normalises them, as under autocast.
bool stays_float(const Operation &op, size_t weight) {
  return op.kind == LayerNorm || (op.kind == Patches && weight >= 2);
}

// Zeros before and behind `side` pixels, so that a convolution gives ⌈side/stride⌉ of them.
std::pair<int64_t, int64_t> same_padding(int64_t side, int64_t kernel, int64_t stride) {
  const int64_t zeros = std::max<int64_t>(((side + stride - 1) / stride - 1) * stride + kernel - side, 0);
  return {zeros / 2, zeros - zeros / 2};
}

// Images (B, 3, H, W) → tokens (B, first + H/p·W/p, D), float32.
void patches(const Operation &op, std::vector<at::Tensor> &values) {
  const at::Tensor &images = values[op.input];
  const int64_t stride[] = {op.stride, op.stride};
  at::Tensor grid = at::conv2d(images, op.weights[0], op.weights[1], stride); // (B, D, H/p, W/p)
  const int64_t rows = grid.size(2), columns = grid.size(3);
  // The prepared positions lie as (1, rows, columns, D), so that their sides can be compared.
  const bool prepared = op.packed.defined() && op.packed.size(1) == rows && op.packed.size(2) == columns;
  at::Tensor positions =
      prepared ? op.packed.flatten(1, 2) : resample(op.weights[3], rows, columns, op.number != 0).flatten(1, 2);
  at::Tensor tokens = grid.flatten(2).transpose(1, 2).to(at::kFloat) + positions;
  values[op.output] = at::cat({op.weights[2].expand({grid.size(0), -1, -1}), tokens}, 1);
}

// softmax(q·kᵀ/√d)·v per head: (B, T, 3·heads·d) → (B, T, heads·d).
void attend(const Operation &op, std::vector<at::Tensor> &values) {
  const at::Tensor &input = values[op.input];
  const int64_t batch = input.size(0), tokens = input.size(1), width = input.size(2) / 3;
  at::Tensor qkv = input.view({batch, tokens, 3, op.number, width / op.number}).permute({2, 0, 3, 1, 4});
  at::Tensor out = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]); // (B, heads, T, d)
  values[op.output] = out.transpose(1, 2).reshape({batch, tokens, width});
}

void step(const Program &program, const Operation &op, std::vector<at::Tensor> &values, bool other_is_free) {
  const at::Tensor &input = values[op.input];
  switch (op.kind) {
  case Conv: return convolve(program, op, values, other_is_free);
  case MaxPool: {
    const int64_t kernel[] = {3, 3}, stride[] = {2, 2}, padding[] = {1, 1};
    values[op.output] = at::max_pool2d(input, kernel, stride, padding);
    return;
  }
  case Squeeze: {
    // x·gate(W₂·inner(W₁·mean(x)))
    at::Tensor squeezed = at::linear(input.mean({2, 3}), op.weights[0], op.weights[1]);
    activate(squeezed, op.activation);
    at::Tensor factors = at::linear(squeezed, op.weights[2], op.weights[3]);
    activate(factors, op.gate);
    at::Tensor out = input;
    values[op.output] = out.mul_(factors.unsqueeze(2).unsqueeze(3));
    return;
  }
  case Mean: values[op.output] = input.mean({2, 3}); return;
  case Linear: {
    at::Tensor out = at::linear(input, op.weights[0], op.weights[1]);
    activate(out, op.activation);
    if (op.other < 0) {
      values[op.output] = std::move(out);
    } else {
      // The sum keeps the type of what is added to.
      at::Tensor sum = other_is_free ? values[op.other] : values[op.other].clone();
      values[op.output] = sum.add_(out);
    }
    return;
  }
  case Patches: return patches(op, values);
  case LayerNorm:
    values[op.output] =
        at::layer_norm(input.to(at::kFloat), {input.size(-1)}, op.weights[0], op.weights[1], op.eps).to(program.dtype);
    return;
  case Attention: return attend(op, values);
  case SamePadding: {
    const auto rows = same_padding(input.size(2), op.number, op.stride);
    const auto columns = same_padding(input.size(3), op.number, op.stride);
    const int64_t zeros[] = {columns.first, columns.second, rows.first, rows.second};
    values[op.output] = at::constant_pad_nd(input, zeros);
    return;
  }
  case Activate: {
    at::Tensor out = input;
    activate(out, op.activation);
    values[op.output] = std::move(out);
    return;
  }
  case Token: values[op.output] = input.select(1, op.number); return;
  }
}

} // namespace

extern "C" {

char *seed_fused_new(Program **out) {
  return guarded([&] { *out = new Program; });
}

void seed_fused_free(Program *program) { delete program; }

// act(conv(input) + other): weight (O, I/groups, k, k), bias (O), other -1 for none. Gives the number of the value.
char *seed_fused_conv(Program *program, int32_t input, int32_t other, const at::Tensor *weight, const at::Tensor *bias,
                      int64_t stride, int64_t padding, int64_t groups, int32_t activation, int32_t *output) {
  return guarded([&] {
    *output = add(*program, {Conv, input, other, 0, activation, Identity, stride, padding, groups, {*weight, *bias}, {}});
  });
}

// 3×3, stride 2, padding 1.
char *seed_fused_max_pool(Program *program, int32_t input, int32_t *output) {
  return guarded([&] { *output = add(*program, {MaxPool, input, -1, 0, Identity, Identity, 2, 1, 1, {}, {}}); });
}

// Squeeze and excitation: weights (S, C), (S), (C, S), (C). Overwrites its input, which nothing may read afterwards.
char *seed_fused_squeeze(Program *program, int32_t input, const at::Tensor *const *weights, int32_t inner, int32_t gate,
                         int32_t *output) {
  return guarded([&] {
    std::vector<at::Tensor> own{*weights[0], *weights[1], *weights[2], *weights[3]};
    *output = add(*program, {Squeeze, input, -1, 0, inner, gate, 1, 0, 1, std::move(own), {}});
  });
}

// (B, C, H, W) → (B, C).
char *seed_fused_mean(Program *program, int32_t input, int32_t *output) {
  return guarded([&] { *output = add(*program, {Mean, input, -1, 0, Identity, Identity, 1, 0, 1, {}, {}}); });
}

// act(input·Wᵀ + b): weight (O, I), bias (O).
char *seed_fused_linear(Program *program, int32_t input, const at::Tensor *weight, const at::Tensor *bias,
                        int32_t activation, int32_t *output) {
  return guarded(
      [&] { *output = add(*program, {Linear, input, -1, 0, activation, Identity, 1, 0, 1, {*weight, *bias}, {}}); });
}

// Zeros around (B, C, H, W), as few as a convolution without padding needs to give ⌈H/stride⌉ × ⌈W/stride⌉.
char *seed_fused_same_padding(Program *program, int32_t input, int64_t kernel, int64_t stride, int32_t *output) {
  return guarded([&] {
    *output = add(*program, {SamePadding, input, -1, 0, Identity, Identity, stride, 0, 1, {}, {}, kernel});
  });
}

// act(input). Overwrites its input, which nothing may read afterwards.
char *seed_fused_activation(Program *program, int32_t input, int32_t activation, int32_t *output) {
  return guarded([&] { *output = add(*program, {Activate, input, -1, 0, activation, Identity, 1, 0, 1, {}, {}}); });
}

// act(input·Wᵀ + b) + other: weight (O, I), bias (O).
char *seed_fused_linear_sum(Program *program, int32_t input, int32_t other, const at::Tensor *weight,
                            const at::Tensor *bias, int32_t activation, int32_t *output) {
  return guarded([&] {
    *output = add(*program, {Linear, input, other, 0, activation, Identity, 1, 0, 1, {*weight, *bias}, {}});
  });
}

// Images (B, 3, H, W) → tokens (B, F + H/p·W/p, D): weights (D, 3, p, p), (D), first tokens (1, F, D), positions of the
// others (1, G, G, D), which are resampled to the images' grid.
char *seed_fused_patches(Program *program, int32_t input, const at::Tensor *const *weights, int32_t antialias,
                         int32_t *output) {
  return guarded([&] {
    std::vector<at::Tensor> own{*weights[0], *weights[1], *weights[2], *weights[3]};
    const int64_t patch = own[0].size(2);
    *output = add(*program, {Patches, input, -1, 0, Identity, Identity, patch, 0, 1, std::move(own), {}, antialias});
  });
}

// Layer normalisation over the last axis, in float32: weight (D), bias (D).
char *seed_fused_layer_norm(Program *program, int32_t input, const at::Tensor *weight, const at::Tensor *bias, double eps,
                            int32_t *output) {
  return guarded([&] {
    *output = add(*program, {LayerNorm, input, -1, 0, Identity, Identity, 1, 0, 1, {*weight, *bias}, {}, 0, eps});
  });
}

// Self-attention of `heads` heads: queries, keys and values (B, T, 3D) → (B, T, D).
char *seed_fused_attention(Program *program, int32_t input, int64_t heads, int32_t *output) {
  return guarded([&] {
    TORCH_CHECK(heads > 0, "fused program: attention with ", heads, " heads");
    *output = add(*program, {Attention, input, -1, 0, Identity, Identity, 1, 0, 1, {}, {}, heads});
  });
}

// One token: (B, T, D) → (B, D).
char *seed_fused_token(Program *program, int32_t input, int64_t number, int32_t *output) {
  return guarded([&] { *output = add(*program, {Token, input, -1, 0, Identity, Identity, 1, 0, 1, {}, {}, number}); });
}

// Ends the building: converts the weights to `dtype` and, with `onednn`, packs them for images (batch, C, height, width);
// other sizes run as well, but slower. Before this the program does not run.
char *seed_fused_prepare(Program *program, int32_t dtype, int32_t onednn, int64_t batch, int64_t height,
                         int64_t width) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    program->dtype = static_cast<at::ScalarType>(dtype);
    program->last_use.assign(program->values, -1);
    // Sizes of the values, for packing.
    std::vector<std::vector<int64_t>> sizes(program->values);
    // The first operation with weights is the one that reads the images' channels.
    int64_t channels = 3;
    for (const Operation &op : program->operations) {
      if (op.kind != Conv && op.kind != Patches) continue;
      channels = op.weights[0].size(1) * op.groups;
      break;
    }
    sizes[0] = {batch, channels, height, width};
    for (size_t i = 0; i < program->operations.size(); ++i) {
      Operation &op = program->operations[i];
      program->last_use[op.input] = static_cast<int32_t>(i);
      if (op.other >= 0) program->last_use[op.other] = static_cast<int32_t>(i);
      for (size_t weight = 0; weight < op.weights.size(); ++weight) {
        at::Tensor &tensor = op.weights[weight];
        const auto kept_as = stays_float(op, weight) ? at::kFloat : program->dtype;
        tensor = tensor.to(kept_as, /*non_blocking=*/false, /*copy=*/true);
        if (tensor.dim() == 4 && weight == 0) tensor = tensor.contiguous(at::MemoryFormat::ChannelsLast);
      }
      const auto &in = sizes[op.input];
      auto halved = [&](int64_t side, int64_t kernel) { return (side + 2 * op.padding - kernel) / op.stride + 1; };
      if (op.kind == Conv) {
        int64_t kernel = op.weights[0].size(2);
        sizes[op.output] = {batch, op.weights[0].size(0), halved(in.at(2), kernel), halved(in.at(3), kernel)};
        if (onednn) {
          static const auto pack = find<PackConv>("mkldnn::_reorder_convolution_weight", "");
          const int64_t stride[] = {op.stride, op.stride}, padding[] = {op.padding, op.padding}, dilation[] = {1, 1};
          op.packed = pack.call(op.weights[0], padding, stride, dilation, op.groups, at::IntArrayRef(in));
        }
      } else if (op.kind == MaxPool) {
        sizes[op.output] = {batch, in.at(1), halved(in.at(2), 3), halved(in.at(3), 3)};
      } else if (op.kind == SamePadding) {
        const auto rows = same_padding(in.at(2), op.number, op.stride);
        const auto columns = same_padding(in.at(3), op.number, op.stride);
        sizes[op.output] = {batch, in.at(1), in.at(2) + rows.first + rows.second,
                            in.at(3) + columns.first + columns.second};
      } else if (op.kind == Patches) {
        op.packed = resample(op.weights[3], in.at(2) / op.stride, in.at(3) / op.stride, op.number != 0);
      } else {
        sizes[op.output] = in;
      }
    }
    program->onednn = onednn != 0;
  });
}

// images (B, 3, H, W), channels-last, on the device of the weights → the values of the numbers `outputs` as float32, in their
// order. The program itself is only read: several threads may run it.
char *seed_fused_run(const Program *program, const at::Tensor *images, const int32_t *outputs, size_t count,
                     at::Tensor **results) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    TORCH_CHECK(!program->last_use.empty(), "fused program: not prepared");
    // What is asked for stays until the end; nothing may be computed in its place.
    std::vector<bool> wanted(program->values);
    int32_t last = 0;
    for (size_t i = 0; i < count; ++i) {
      TORCH_CHECK(outputs[i] > 0 && outputs[i] < program->values, "fused program: there is no value ", outputs[i]);
      wanted[outputs[i]] = true;
      last = std::max(last, outputs[i]);
    }
    std::vector<at::Tensor> values(program->values);
    values[0] = images->to(program->dtype);
    for (size_t i = 0; i < program->operations.size(); ++i) {
      const Operation &op = program->operations[i];
      auto ends = [&](int32_t value) {
        return value > 0 && !wanted[value] && program->last_use[value] == static_cast<int32_t>(i);
      };
      step(*program, op, values, op.other >= 0 && ends(op.other) && op.other != op.input);
      if (op.output == last) break;
      if (ends(op.input)) values[op.input].reset();
      if (op.other >= 0 && ends(op.other)) values[op.other].reset();
    }
    std::vector<std::unique_ptr<at::Tensor>> given;
    for (size_t i = 0; i < count; ++i)
      given.push_back(std::make_unique<at::Tensor>(values[outputs[i]].to(at::kFloat)));
    for (size_t i = 0; i < count; ++i) results[i] = given[i].release();
  });
}

} // extern "C"
