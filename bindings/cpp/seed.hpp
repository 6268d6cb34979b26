/// @file
/// libseed for C++17 and later, in one header over seed.h.
///
/// - Objects own what they hold, move, and are never copied. An empty one (moved from, or made from nullptr) may be used:
///   it answers with an error.
/// - Errors are exceptions of type seed::Error. With SEED_NO_EXCEPTIONS defined (by itself under -fno-exceptions) no
///   function throws: it returns seed::Result<T>, or seed::Status where there is no value. `seed::Returned<T>` below is
///   T in the first build and Result<T> in the second.
/// - Which functions may run on several threads at once is as in seed.h: those that are const here, unless they say more.
/// - Nothing of yours is kept after a call, but the function given to seed::log_to.

#ifndef SEED_HPP
#define SEED_HPP

#include "seed.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if __cplusplus < 201703L
#error "seed.hpp needs C++17: compile with -std=c++17 or later"
#endif

#if __cplusplus >= 202002L && __has_include(<span>)
#include <span>
#define SEED_HPP_STD_SPAN
#endif

#if !defined(SEED_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define SEED_NO_EXCEPTIONS
#endif

#include <exception>
#ifdef SEED_NO_EXCEPTIONS
#include <optional>
#else
#include <stdexcept>
#endif

static_assert(SEED_ABI_VERSION == 2, "this seed.hpp belongs to a seed.h of ABI 2; take both from one libseed");

/// Everything of libseed.
namespace seed {

// The two builds have different types of the same names; the inner name keeps the linker from mixing them up.
#ifdef SEED_NO_EXCEPTIONS
inline namespace returning {
#else
inline namespace throwing {
#endif

/// What went wrong; the SEED_ERROR_* of seed.h, which says what each means. A newer library may have more.
enum class ErrorCode : std::int32_t {
  Ok = SEED_OK,
  InvalidArgument = SEED_ERROR_INVALID_ARGUMENT,
  Config = SEED_ERROR_CONFIG,
  Io = SEED_ERROR_IO,
  Format = SEED_ERROR_FORMAT,
  Mismatch = SEED_ERROR_MISMATCH,
  OutOfMemory = SEED_ERROR_OUT_OF_MEMORY,
  Device = SEED_ERROR_DEVICE,
  Busy = SEED_ERROR_BUSY,
  Poisoned = SEED_ERROR_POISONED,
  Cancelled = SEED_ERROR_CANCELLED,
  Torch = SEED_ERROR_TORCH,
  Unsupported = SEED_ERROR_UNSUPPORTED,
  NotInitialized = SEED_ERROR_NOT_INITIALIZED,
  Internal = SEED_ERROR_INTERNAL,
  BufferTooSmall = SEED_ERROR_BUFFER_TOO_SMALL,
};

/// How much is logged; the SEED_LOG_* of seed.h.
enum class LogLevel : std::int32_t {
  Off = SEED_LOG_OFF,
  Error = SEED_LOG_ERROR,
  Warn = SEED_LOG_WARN,
  Info = SEED_LOG_INFO,
  Debug = SEED_LOG_DEBUG,
};

/// How the pixels of an image lie; the SEED_PIXEL_* of seed.h.
enum class PixelFormat : std::int32_t {
  Mono8 = SEED_PIXEL_MONO8,
  Mono16 = SEED_PIXEL_MONO16,
  Rgb8 = SEED_PIXEL_RGB8,
  Bgr8 = SEED_PIXEL_BGR8,
  Rgba8 = SEED_PIXEL_RGBA8,
  Bgra8 = SEED_PIXEL_BGRA8,
  PlanarF32 = SEED_PIXEL_PLANAR_F32,
  Mono10 = SEED_PIXEL_MONO10,
  Mono12 = SEED_PIXEL_MONO12,
  Mono14 = SEED_PIXEL_MONO14,
  Mono10p = SEED_PIXEL_MONO10P,
  Mono12p = SEED_PIXEL_MONO12P,
  Mono12Packed = SEED_PIXEL_MONO12PACKED,
  BayerRg8 = SEED_PIXEL_BAYER_RG8,
  BayerGr8 = SEED_PIXEL_BAYER_GR8,
  BayerGb8 = SEED_PIXEL_BAYER_GB8,
  BayerBg8 = SEED_PIXEL_BAYER_BG8,
  BayerRg12 = SEED_PIXEL_BAYER_RG12,
  BayerGr12 = SEED_PIXEL_BAYER_GR12,
  BayerGb12 = SEED_PIXEL_BAYER_GB12,
  BayerBg12 = SEED_PIXEL_BAYER_BG12,
  Rgb16 = SEED_PIXEL_RGB16,
  MonoF32 = SEED_PIXEL_MONO_F32,
};

/// How an engine is shown batches; the SEED_BATCH_* of seed.h.
enum class BatchFormat : std::int32_t {
  FloatNchw = SEED_BATCH_FLOAT_NCHW,
  Uint8Nhwc = SEED_BATCH_UINT8_NHWC,
};

/// Where an engine is shown batches; the SEED_DEVICE_* of seed.h.
enum class BatchDevice : std::int32_t {
  Cpu = SEED_DEVICE_CPU,
  Cuda = SEED_DEVICE_CUDA,
};

/// How Trainer::run ended; the SEED_OUTCOME_* of seed.h.
enum class Outcome : std::int32_t {
  Finished = SEED_OUTCOME_FINISHED,
  Paused = SEED_OUTCOME_PAUSED,
  Cancelled = SEED_OUTCOME_CANCELLED,
};

/// What Student::export_to writes; the SEED_EXPORT_* of seed.h.
enum class ExportFormat : std::int32_t {
  Onnx = SEED_EXPORT_ONNX,
  TorchScript = SEED_EXPORT_TORCHSCRIPT,
  Torchvision = SEED_EXPORT_TORCHVISION,
  Backbone = SEED_EXPORT_BACKBONE,
};

/// What an exported network takes; the SEED_EXPORT_INPUT_* of seed.h.
enum class ExportInput : std::int32_t {
  Normalised = SEED_EXPORT_INPUT_NORMALISED,
  Unit = SEED_EXPORT_INPUT_UNIT,
  Bytes = SEED_EXPORT_INPUT_BYTES,
};

/// What an exported network gives; the SEED_EXPORT_OUTPUT_* of seed.h.
enum class ExportOutputs : std::int32_t {
  Embedding = SEED_EXPORT_OUTPUT_EMBEDDING,
  Features = SEED_EXPORT_OUTPUT_FEATURES,
  Both = SEED_EXPORT_OUTPUT_BOTH,
  /// The feature maps c2 to c5, for the neck of a detector.
  Stages = SEED_EXPORT_OUTPUT_STAGES,
};

/// How a student is exported.
struct ExportOptions {
  /// What is written.
  ExportFormat format = ExportFormat::Onnx;
  /// What the network takes; files of weights have no input.
  ExportInput input = ExportInput::Normalised;
  /// What the network gives; files of weights have no outputs.
  ExportOutputs outputs = ExportOutputs::Embedding;
};

/// @cond
namespace detail {
inline seed_export_options raw(const ExportOptions &options) {
  return {sizeof(seed_export_options), static_cast<std::int32_t>(options.format),
          static_cast<std::int32_t>(options.input), static_cast<std::int32_t>(options.outputs), 0};
}
} // namespace detail
/// @endcond

/// How a frame becomes the network's image; the SEED_RESIZE_* of seed.h.
enum class Resize : std::int32_t {
  /// All of a frame, each side resized to the network's.
  Whole = SEED_RESIZE_WHOLE,
  /// All of a frame with its aspect ratio, padded by the mean colour.
  Letterbox = SEED_RESIZE_LETTERBOX,
  /// The shorter side resized to size · 256/224 and the middle cut out.
  Centre = SEED_RESIZE_CENTRE,
};

/// What follows the features of a network; the SEED_HEAD_* of seed.h.
enum class HeadKind : std::int32_t {
  None = SEED_HEAD_NONE,
  Projection = SEED_HEAD_PROJECTION,
  NormedProjection = SEED_HEAD_NORMED_PROJECTION,
  Classifier = SEED_HEAD_CLASSIFIER,
  LinearProjection = SEED_HEAD_LINEAR_PROJECTION,
};

/// A network in figures; `head` is one of HeadKind.
using ModelInfo = seed_model_info;

/// One report of a run. The first comes before the first step; its loss and its eta_seconds are NaN. The figures of the probe
/// (probe_agreement and the others) are NaN where the run is not probed.
using Progress = seed_progress;

/// What seed::knn found.
using KnnResult = seed_knn_result;

/// Receives a report of a run, on the thread that called Trainer::run. Return true to go on, false to end the run after
/// this step. What it throws comes out of Trainer::run once the run has ended.
using ProgressFunction = std::function<bool(const Progress &)>;

/// A batch for an engine that is the teacher; see seed_teacher_batch in seed.h.
using TeacherBatch = seed_teacher_batch;

/// Fills `batch.embeddings` and returns true. False or an exception fails the call that needed them, whose error then has the
/// exception's what(). It is called on the thread that computes, possibly on several at once, and may use libseed, but not
/// the trainer or bank it is called for.
using TeacherFunction = std::function<bool(TeacherBatch &batch)>;

/// One report of Classifier::fit or seed::linear_sgd.
using FinetuneProgress = seed_finetune_progress;

/// How a map of embeddings is made; the SEED_MAP_* of seed.h.
enum class MapMethod : std::int32_t {
  Pca = SEED_MAP_PCA,
  Tsne = SEED_MAP_TSNE,
};

/// What Classifier::fit or seed::linear_sgd is doing; the SEED_STAGE_* of seed.h.
enum class Stage : std::int32_t {
  Embedding = SEED_STAGE_EMBEDDING,
  Linear = SEED_STAGE_LINEAR,
  Full = SEED_STAGE_FULL,
  Sgd = SEED_STAGE_SGD,
  Test = SEED_STAGE_TEST,
};

/// Receives a report of Classifier::fit or seed::linear_sgd, on the thread that called. Return true to go on, false to end the fit with
/// the best classifier so far, and seed::linear_sgd as cancelled. What it throws comes out of the call.
using FinetuneFunction = std::function<bool(const FinetuneProgress &)>;

/// One report of seed::distil; `stage` is one of DistilStage.
using DistilProgress = seed_distil_progress;

/// What seed::distil is doing, in this order; the SEED_DISTIL_* of seed.h.
enum class DistilStage : std::int32_t {
  Plan = SEED_DISTIL_PLAN,
  Bank = SEED_DISTIL_BANK,
  Run = SEED_DISTIL_RUN,
  Report = SEED_DISTIL_REPORT,
};

/// Receives a report of seed::distil, on the thread that called. Return true to go on, false to end the call; the same call goes on
/// later. What it throws comes out of seed::distil.
using DistilFunction = std::function<bool(const DistilProgress &)>;

/// One report of seed::night.
using NightProgress = seed_night_progress;

/// What seed::night is doing; the SEED_NIGHT_DISTIL to SEED_NIGHT_REPORT of seed.h.
enum class NightStage : std::int32_t {
  Distil = SEED_NIGHT_DISTIL,
  Finetune = SEED_NIGHT_FINETUNE,
  Evaluate = SEED_NIGHT_EVALUATE,
  Swap = SEED_NIGHT_SWAP,
  Report = SEED_NIGHT_REPORT,
};

/// How seed::night ended; the SEED_NIGHT_NOTHING_NEW to SEED_NIGHT_LIVE of seed.h.
enum class NightOutcome : std::int32_t {
  NothingNew = SEED_NIGHT_NOTHING_NEW,
  Cancelled = SEED_NIGHT_CANCELLED,
  Kept = SEED_NIGHT_KEPT,
  Live = SEED_NIGHT_LIVE,
};

/// Receives a report of seed::night, on the thread that called. Return true to go on, false to end the call; the same call goes on
/// later. What it throws comes out of seed::night.
using NightFunction = std::function<bool(const NightProgress &)>;

/// Receives how many images of how many are done, on the thread that called. Return true to go on, false to cancel.
using CountFunction = std::function<bool(std::size_t done, std::size_t total)>;

/// Receives one line of the log, on any thread, possibly on several at once. It must not call libseed; what it throws is
/// dropped.
using LogFunction = std::function<void(LogLevel level, std::string_view message)>;

#ifdef SEED_HPP_STD_SPAN
/// A row of values in somebody else's memory.
template <class T> using Span = std::span<T>;
#else
/// A row of values in somebody else's memory; std::span where the language has it.
template <class T> class Span {
public:
  /// Nothing.
  constexpr Span() noexcept = default;
  /// `size` values from `data` on.
  constexpr Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
  /// All values of an array.
  template <std::size_t N> constexpr Span(T (&values)[N]) noexcept : data_(values), size_(N) {}
  /// All values of a std::vector, std::array or the like.
  template <class Container,
            class = std::enable_if_t<std::is_convertible_v<
                std::remove_pointer_t<decltype(std::declval<Container &>().data())> (*)[], T (*)[]>>,
            class = decltype(std::declval<Container &>().size())>
  constexpr Span(Container &&values) noexcept : data_(values.data()), size_(values.size()) {}
  /// The first value.
  constexpr T *data() const noexcept { return data_; }
  /// How many values there are.
  constexpr std::size_t size() const noexcept { return size_; }
  /// Whether there is none.
  constexpr bool empty() const noexcept { return size_ == 0; }
  /// Value `i`, which must be below size().
  constexpr T &operator[](std::size_t i) const { return data_[i]; }
  /// The first value.
  constexpr T *begin() const noexcept { return data_; }
  /// Behind the last value.
  constexpr T *end() const noexcept { return data_ + size_; }
  /// `count` values from number `first` on, which must all be there.
  constexpr Span subspan(std::size_t first, std::size_t count) const { return Span(data_ + first, count); }

private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};
#endif

/// @cond
namespace detail {

template <class T, void (*Free)(T *)> struct Freer {
  void operator()(T *object) const noexcept { Free(object); }
};
using OwnedError = std::unique_ptr<seed_error, Freer<seed_error, seed_error_free>>;

} // namespace detail
/// @endcond

#ifndef SEED_NO_EXCEPTIONS

/// A failed call: libseed's words and a code for the program.
class Error : public std::runtime_error {
public:
  /// An error with a message of the caller's.
  Error(ErrorCode code, const std::string &message) : std::runtime_error(message), code_(code) {}
  /// What a function of seed.h returned, which must not be NULL. Takes it over.
  explicit Error(seed_error *error) : Error(detail::OwnedError(error)) {}
  /// What went wrong, for the program.
  ErrorCode code() const noexcept { return code_; }

private:
  explicit Error(detail::OwnedError error)
      : std::runtime_error(seed_error_message(error.get())),
        code_(static_cast<ErrorCode>(seed_error_code(error.get()))) {}
  ErrorCode code_;
};

/// What a fallible function returns: T here; it throws seed::Error.
template <class T> using Returned = T;

/// @cond
namespace detail {

template <class T> [[noreturn]] T fail(ErrorCode code, const std::string &message) { throw Error(code, message); }

template <class T> T settle(seed_error *error, T value) {
  if (error != nullptr) throw Error(error);
  return value;
}

inline void settle(seed_error *error) {
  if (error != nullptr) throw Error(error);
}

} // namespace detail
/// @endcond

#else

/// A failed call, or none: libseed's words and a code for the program.
class Error {
public:
  /// No error.
  Error() = default;
  /// An error with a message of the caller's.
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}
  /// What a function of seed.h returned; NULL is no error. Takes it over.
  explicit Error(seed_error *error) : Error(detail::OwnedError(error)) {}
  /// What went wrong, for the program; ErrorCode::Ok when nothing did.
  ErrorCode code() const noexcept { return code_; }
  /// What went wrong, for a person. Lives as long as this object.
  const char *what() const noexcept { return message_.c_str(); }

private:
  explicit Error(detail::OwnedError error)
      : code_(static_cast<ErrorCode>(seed_error_code(error.get()))), message_(seed_error_message(error.get())) {}
  ErrorCode code_ = ErrorCode::Ok;
  std::string message_;
};

/// A value, or the error that came instead.
template <class T> class [[nodiscard]] Result {
public:
  /// A value.
  Result(T value) : value_(std::move(value)) {}
  /// An error.
  Result(Error error) : error_(std::move(error)) {}
  /// Whether there is a value.
  explicit operator bool() const noexcept { return value_.has_value(); }
  /// The error; ErrorCode::Ok where there is a value.
  const Error &error() const noexcept { return error_; }
  /// The value. Ends the program where there is none: ask first.
  T &value() & noexcept { return present(), *value_; }
  /// The value, to be read.
  const T &value() const & noexcept { return present(), *value_; }
  /// The value, to be moved out.
  T &&value() && noexcept { return present(), std::move(*value_); }
  /// As value().
  T &operator*() & noexcept { return value(); }
  /// As value().
  T &&operator*() && noexcept { return std::move(*this).value(); }
  /// As value().
  T *operator->() noexcept { return &value(); }

private:
  void present() const noexcept {
    if (!value_.has_value()) std::terminate();
  }
  std::optional<T> value_;
  Error error_;
};

/// Success, or an error.
template <> class [[nodiscard]] Result<void> {
public:
  /// Success.
  Result() = default;
  /// An error.
  Result(Error error) : error_(std::move(error)) {}
  /// Whether it succeeded.
  explicit operator bool() const noexcept { return error_.code() == ErrorCode::Ok; }
  /// The error; ErrorCode::Ok where there is none.
  const Error &error() const noexcept { return error_; }

private:
  Error error_;
};

/// What a function without a value returns.
using Status = Result<void>;

/// What a fallible function returns.
template <class T> using Returned = Result<T>;

/// @cond
namespace detail {

template <class T> Result<T> fail(ErrorCode code, const std::string &message) { return Error(code, message); }

template <class T> Result<T> settle(seed_error *error, T value) {
  if (error != nullptr) return Error(error);
  return Result<T>(std::move(value));
}

inline Status settle(seed_error *error) {
  if (error != nullptr) return Error(error);
  return {};
}

} // namespace detail
/// @endcond

#endif

/// @cond
namespace detail {

// The pointer of a span; never NULL, which would ask for the size instead of filling.
template <class T> T *place(Span<T> span, T &none) noexcept { return span.empty() ? &none : span.data(); }

// A call that fills a buffer by the rule of seed.h, into a string or vector that fits. A data set may grow between the
// question and the call, so it asks again.
template <class Container, class Ask> seed_error *fill(Container &result, Ask &&ask) {
  std::size_t length = 0;
  seed_error *error = ask(nullptr, 0, &length);
  while (error == nullptr) {
    result.resize(length);
    if (length == 0) return nullptr;
    error = ask(result.data(), result.size(), &length);
    if (error == nullptr) {
      result.resize(length);
      return nullptr;
    }
    if (seed_error_code(error) != SEED_ERROR_BUFFER_TOO_SMALL) break;
    seed_error_free(error);
    error = nullptr;
  }
  return error;
}

template <class Ask> Returned<std::string> text(Ask &&ask) {
  std::string result;
  seed_error *error = fill(result, ask);
  if (error == nullptr && !result.empty()) result.pop_back(); // the NUL, which std::string has by itself
  return settle(error, std::move(result));
}

// A text as its lines; none of an empty one.
template <class Ask> Returned<std::vector<std::string>> lines(Ask &&ask) {
  std::string all;
  std::vector<std::string> result;
  seed_error *error = fill(all, ask);
  if (error == nullptr && all.size() > 1) {
    for (char &character : all) {
      if (character == '\n') character = '\0';
    }
    for (std::size_t start = 0; start < all.size(); start += result.back().size() + 1) result.emplace_back(&all[start]);
  }
  return settle(error, std::move(result));
}

// A call that writes one number of type Raw, as a T.
template <class T, class Raw = T, class Ask> Returned<T> number(Ask &&ask) {
  Raw value{};
  seed_error *error = ask(&value);
  return settle(error, static_cast<T>(value));
}

// A call that makes a handle.
template <class Owner, class Make> Returned<Owner> make(Make &&call) {
  typename Owner::Raw *raw = nullptr;
  seed_error *error = call(&raw);
  return settle(error, Owner(raw));
}

// A std::function behind a C callback. Nothing that it throws crosses C: it is kept, and the call is asked to stop.
template <class Function> class Callback {
public:
  explicit Callback(const Function &function) noexcept : function_(function) {}

  template <class... Arguments> std::int32_t operator()(const Arguments &...arguments) noexcept {
#ifndef SEED_NO_EXCEPTIONS
    if (thrown_ != nullptr) return 1;
    try {
      return function_(arguments...) ? 0 : 1;
    } catch (...) {
      thrown_ = std::current_exception();
      return 1;
    }
#else
    return function_(arguments...) ? 0 : 1;
#endif
  }

  // Call this when C has returned, with what it returned.
  void rethrow([[maybe_unused]] seed_error *error) const {
#ifndef SEED_NO_EXCEPTIONS
    if (thrown_ == nullptr) return;
    seed_error_free(error);
    std::rethrow_exception(thrown_);
#endif
  }

private:
  const Function &function_;
#ifndef SEED_NO_EXCEPTIONS
  std::exception_ptr thrown_;
#endif
};

inline std::int32_t on_progress(const seed_progress *progress, void *user_data) {
  return (*static_cast<Callback<ProgressFunction> *>(user_data))(*progress);
}

inline std::int32_t on_bank_progress(const seed_bank_progress *progress, void *user_data) {
  return (*static_cast<Callback<std::function<bool(const seed_bank_progress &)>> *>(user_data))(*progress);
}

// Frees a teacher's function when the library needs it no more.
inline void on_release(void *user_data) noexcept { delete static_cast<TeacherFunction *>(user_data); }

inline std::int32_t on_teacher(seed_teacher_batch *batch, void *user_data) noexcept {
  const TeacherFunction &function = *static_cast<TeacherFunction *>(user_data);
#ifndef SEED_NO_EXCEPTIONS
  const char *reason = "an exception that is not a std::exception";
  try {
    return function(*batch) ? 0 : 1;
  } catch (const std::exception &error) {
    reason = nullptr;
    std::string_view(error.what()).substr(0, batch->message_capacity - 1).copy(batch->message, batch->message_capacity);
  } catch (...) {
  }
  if (reason != nullptr) std::string_view(reason).copy(batch->message, batch->message_capacity - 1);
  return 1;
#else
  return function(*batch) ? 0 : 1;
#endif
}

inline std::int32_t on_finetune(const seed_finetune_progress *progress, void *user_data) {
  return (*static_cast<Callback<FinetuneFunction> *>(user_data))(*progress);
}

inline std::int32_t on_distil(const seed_distil_progress *progress, void *user_data) {
  return (*static_cast<Callback<DistilFunction> *>(user_data))(*progress);
}

inline std::int32_t on_night(const seed_night_progress *progress, void *user_data) {
  return (*static_cast<Callback<NightFunction> *>(user_data))(*progress);
}

inline std::int32_t on_count(std::size_t done, std::size_t total, void *user_data) {
  return (*static_cast<Callback<CountFunction> *>(user_data))(done, total);
}

// Where log lines go. It is never destroyed: a line may come while the process ends.
struct LogTarget {
  std::mutex mutex;
  std::shared_ptr<const LogFunction> function;

  static LogTarget &instance() {
    static LogTarget *const target = new LogTarget;
    return *target;
  }
  std::shared_ptr<const LogFunction> swap(std::shared_ptr<const LogFunction> other) {
    std::lock_guard<std::mutex> guard(mutex);
    function.swap(other);
    return other;
  }
};

inline void on_log(std::int32_t level, const char *message, void *) noexcept {
#ifndef SEED_NO_EXCEPTIONS
  try {
#endif
    std::shared_ptr<const LogFunction> function;
    {
      LogTarget &target = LogTarget::instance();
      std::lock_guard<std::mutex> guard(target.mutex);
      function = target.function;
    }
    if (function != nullptr) (*function)(static_cast<LogLevel>(level), message);
#ifndef SEED_NO_EXCEPTIONS
  } catch (...) { // a log line is not worth the process
  }
#endif
}

// What makes a type a matrix like cv::Mat. `dims` tells it from matrices in a GPU's memory, which look the same otherwise.
template <class M, class = void> struct IsMatrix : std::false_type {};
template <class M>
struct IsMatrix<M, std::void_t<decltype(static_cast<const void *>(std::declval<const M &>().data)),
                               decltype(static_cast<std::size_t>(std::declval<const M &>().step)),
                               decltype(static_cast<int>(std::declval<const M &>().cols)),
                               decltype(static_cast<int>(std::declval<const M &>().rows)),
                               decltype(static_cast<int>(std::declval<const M &>().dims)),
                               decltype(static_cast<int>(std::declval<const M &>().type()))>> : std::true_type {};

// The format that OpenCV's type number means, or 0. The number is the depth (0: 8 bits, 2: 16 bits, 5: float) and, from bit 3 on,
// the number of channels less one; colours are in OpenCV's order, blue first.
constexpr std::int32_t matrix_format(int type) noexcept {
  constexpr int bits8 = 0, bits16 = 2, float32 = 5;
  const int depth = type & 7, channels = ((type >> 3) & 511) + 1;
  if (depth == bits16) return channels == 1 ? SEED_PIXEL_MONO16 : 0;
  if (depth == float32) return channels == 1 ? SEED_PIXEL_MONO_F32 : 0;
  if (depth != bits8) return 0;
  return channels == 1 ? SEED_PIXEL_MONO8 : channels == 3 ? SEED_PIXEL_BGR8 : channels == 4 ? SEED_PIXEL_BGRA8 : 0;
}

} // namespace detail
/// @endcond

/// A view of an image in the application's memory; it owns nothing, so the pixels must outlive it.
struct ImageView : seed_image {
  /// `rows` rows of `columns` pixels, `stride` bytes from one row to the next; 0 means without a gap.
  ImageView(const void *pixels, std::uint32_t columns, std::uint32_t rows, PixelFormat pixel_format,
            std::size_t stride = 0) noexcept
      : seed_image{} {
    // By format, of a row's pixel; rows of packed formats begin with a byte of their own.
    constexpr std::size_t bits[] = {0,  8,  16, 24, 24, 32, 32, 32, 16, 16, 16, 10,
                                    12, 12, 8,  8,  8,  8,  16, 16, 16, 16, 48, 32};
    constexpr auto known = static_cast<std::int32_t>(sizeof bits / sizeof *bits);
    struct_size = sizeof(seed_image);
    data = pixels;
    width = columns;
    height = rows;
    format = static_cast<std::int32_t>(pixel_format);
    row_stride = stride == 0 && format >= 1 && format < known ? (columns * bits[format] + 7) / 8 : stride;
    device = SEED_DEVICE_CPU;
  }

  /// A cv::Mat, or whatever looks like one: CV_8UC1, CV_8UC3 (blue first), CV_8UC4, CV_16UC1 and CV_32FC1, with any step. Another
  /// type throws ErrorCode::Unsupported; without exceptions the call that gets the view answers with an error.
  template <class Matrix, class = std::enable_if_t<detail::IsMatrix<Matrix>::value>>
  ImageView(const Matrix &matrix) : seed_image{} {
    struct_size = sizeof(seed_image);
    data = matrix.data;
    width = matrix.cols > 0 ? static_cast<std::uint32_t>(matrix.cols) : 0;
    height = matrix.rows > 0 ? static_cast<std::uint32_t>(matrix.rows) : 0;
    row_stride = static_cast<std::size_t>(matrix.step);
    format = matrix.dims > 2 ? 0 : detail::matrix_format(matrix.type());
    device = SEED_DEVICE_CPU;
#ifndef SEED_NO_EXCEPTIONS
    if (format == 0)
      detail::fail<void>(ErrorCode::Unsupported,
                         "a matrix of " + std::to_string(matrix.dims) + " dimensions and OpenCV type " +
                             std::to_string(matrix.type()) +
                             " is no image, expected 2 and CV_8UC1, CV_8UC3, CV_8UC4, CV_16UC1 or CV_32FC1");
#endif
  }
};
// So an array of one is an array of the other.
static_assert(sizeof(ImageView) == sizeof(seed_image) && std::is_trivially_copyable_v<ImageView>);

/// An image that owns its pixels: rows without padding, Mono8 or Rgb8.
struct Picture {
  /// height·width bytes of grey, or three times as many of red, green, blue.
  std::vector<std::uint8_t> pixels;
  /// Pixels a row.
  std::uint32_t width = 0;
  /// Rows.
  std::uint32_t height = 0;
  /// Mono8 or Rgb8.
  PixelFormat format = PixelFormat::Mono8;

  /// A view for the functions that take images; good while this object is left alone.
  ImageView view() const noexcept { return ImageView(pixels.data(), width, height, format); }
};

/// @cond
namespace detail {

// A call that gives an image by the rule of seed_image_decode.
template <class Ask> Returned<Picture> picture(Ask &&ask) {
  Picture result;
  seed_image image{};
  seed_error *error = fill(result.pixels, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
    return ask(&image, buffer, capacity, length);
  });
  result.width = image.width;
  result.height = image.height;
  result.format = static_cast<PixelFormat>(image.format);
  return settle(error, std::move(result));
}

} // namespace detail
/// @endcond

/// A polygon as a mask for Dataset::set_ignored: width·height bytes, 255 where a pixel's middle lies inside, else 0. `corners` are x and y
/// of each corner, in pixels.
inline Returned<std::vector<std::uint8_t>> polygon_mask(Span<const float> corners, std::uint32_t width, std::uint32_t height) {
  std::vector<std::uint8_t> result;
  seed_error *error = detail::fill(result, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
    return seed_polygon_mask(corners.data(), corners.size() / 2, width, height, buffer, capacity, length);
  });
  return detail::settle(error, std::move(result));
}

/// Decodes a JPEG, PNG, BMP, TIFF, WebP or PNM in memory.
inline Returned<Picture> decode(Span<const std::uint8_t> bytes) {
  return detail::picture([&](seed_image *image, std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
    return seed_image_decode(bytes.data(), bytes.size(), image, buffer, capacity, length);
  });
}

/// Copies `bytes` into an in-memory file named `path` ("memory://NAME"). All that opens or saves one file accepts such a name: for models that
/// come encrypted or from a database.
inline Returned<void> put_memory_file(const std::string &path, Span<const std::uint8_t> bytes) {
  return detail::settle(seed_memory_file_put(path.c_str(), bytes.data(), bytes.size()));
}

/// The bytes of an in-memory file.
inline Returned<std::vector<std::uint8_t>> memory_file(const std::string &path) {
  std::vector<std::uint8_t> result;
  seed_error *error = detail::fill(result, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
    return seed_memory_file_get(path.c_str(), buffer, capacity, length);
  });
  return detail::settle(error, std::move(result));
}

/// Removes an in-memory file. Its memory is released when the last reader closes it.
inline Returned<void> remove_memory_file(const std::string &path) { return detail::settle(seed_memory_file_remove(path.c_str())); }

/// Encodes an image as a PNG file, every bit kept.
inline Returned<std::vector<std::uint8_t>> encode(const ImageView &image) {
  std::vector<std::uint8_t> result;
  seed_error *error = detail::fill(result, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
    return seed_image_encode(&image, buffer, capacity, length);
  });
  return detail::settle(error, std::move(result));
}

/// Writes that PNG file to `path`, atomically.
inline Returned<void> save(const ImageView &image, const std::string &path) {
  return detail::settle(seed_image_save(&image, path.c_str()));
}

/// Paints a heat map (HeatMap::distances) over its image. `low` leaves a pixel as it is, `high` gives it the darkest colour; NAN is
/// the map's own lowest or highest value.
inline Returned<Picture> heat_map_picture(const ImageView &image, Span<const float> map, float low, float high) {
  return detail::picture([&](seed_image *picture, std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
    return seed_heat_map_picture(&image, map.data(), map.size(), low, high, picture, buffer, capacity, length);
  });
}

/// Views of all matrices of a vector or the like, for the functions that take several images.
template <class Matrices> std::vector<ImageView> views(const Matrices &matrices) {
  return std::vector<ImageView>(std::begin(matrices), std::end(matrices));
}

/// Vectors in somebody else's memory: `values` holds one after the other, `dim` floats each.
struct Rows {
  /// count·dim floats.
  Span<const float> values;
  /// The width of a vector.
  std::size_t dim = 0;

  /// How many vectors there are.
  std::size_t count() const noexcept { return dim == 0 ? 0 : values.size() / dim; }
  /// Vector `i`, which must be below count().
  Span<const float> operator[](std::size_t i) const { return values.subspan(i * dim, dim); }
};

/// @cond
namespace detail {

inline bool ragged(const Rows &rows) noexcept { return rows.dim == 0 || rows.values.size() % rows.dim != 0; }

inline std::string raggedness(const char *name, const Rows &rows) {
  return std::string(name) + " has " + std::to_string(rows.values.size()) + " floats, expected a multiple of its dim " +
         std::to_string(rows.dim);
}

/// The texts as C takes them, good while `texts` is left alone.
inline std::vector<const char *> pointers(const std::vector<std::string> &texts) {
  std::vector<const char *> found;
  found.reserve(texts.size());
  for (const std::string &text : texts) found.push_back(text.c_str());
  return found;
}

} // namespace detail
/// @endcond

/// What all objects share: one handle of seed.h, owned.
template <class T, void (*Free)(T *)> class Handle {
public:
  /// The type of seed.h.
  using Raw = T;
  /// An empty object.
  explicit Handle(std::nullptr_t) noexcept {}
  /// Takes over a handle of seed.h.
  explicit Handle(T *handle) noexcept : handle_(handle) {}
  /// Whether there is something in it.
  explicit operator bool() const noexcept { return handle_ != nullptr; }
  /// The handle, for functions of seed.h; NULL when empty. It stays this object's.
  T *get() const noexcept { return handle_.get(); }
  /// Hands the handle out; free it yourself.
  T *release() noexcept { return handle_.release(); }

private:
  std::unique_ptr<T, detail::Freer<T, Free>> handle_;
};

/// Prepares the library for this process; call it before anything else.
inline Returned<void> init() { return detail::settle(seed_init(SEED_ABI_VERSION)); }

/// The library's version, such as "0.1.0".
inline const char *version() noexcept { return seed_version(); }

/// Sends log lines up to `level` to `function` from now on, in place of the function before. Nothing, or LogLevel::Off,
/// ends it. It belongs to the process.
inline Returned<void> log_to(LogLevel level, LogFunction function) {
  const bool on = level != LogLevel::Off && function != nullptr;
  auto &target = detail::LogTarget::instance();
  auto before = target.swap(on ? std::make_shared<const LogFunction>(std::move(function)) : nullptr);
  seed_error *error = seed_log_set_callback(static_cast<std::int32_t>(level), on ? detail::on_log : nullptr, nullptr);
  if (error != nullptr) target.swap(std::move(before));
  return detail::settle(error);
}

/// Writes log lines to standard error from now on, chosen by `filter` in env_logger's syntax, such as "info".
inline Returned<void> log_to_stderr(const std::string &filter) {
  return detail::settle(seed_log_to_stderr(filter.c_str()));
}

/// A key of a configuration and its value: {"batch_size", 32}, {"learning_rate", 0.2} or {"device", "cpu"}. "learning_rate" is for 256
/// images a step: a run takes learning_rate·batch_size/256.
class Setting {
public:
  /// A whole number.
  template <class Number, std::enable_if_t<std::is_integral_v<Number> && !std::is_same_v<Number, bool>, int> = 0>
  Setting(std::string key, Number number) : key_(std::move(key)) {
    // What is above the largest number of the library is refused by it in the other form.
    if (std::is_unsigned_v<Number> && static_cast<std::uint64_t>(number) > std::numeric_limits<std::int64_t>::max())
      value_ = static_cast<double>(number);
    else
      value_ = static_cast<std::int64_t>(number);
  }
  /// A fractional number.
  Setting(std::string key, double number) : key_(std::move(key)), value_(number) {}
  /// A text.
  Setting(std::string key, std::string text) : key_(std::move(key)), value_(std::move(text)) {}
  /// A text.
  Setting(std::string key, const char *text) : Setting(std::move(key), std::string(text == nullptr ? "" : text)) {}

private:
  friend class Config;
  std::string key_;
  std::variant<std::int64_t, double, std::string> value_;
};

class Bank;
class Dataset;
class Embeddings;
class Teacher;

/// Settings of a run or a session. Objects made with a configuration keep a copy. docs/settings.md lists the keys.
class Config : public Handle<seed_config, seed_config_free> {
public:
  using Handle::Handle;

  /// The defaults, which are mostly the paper's values, but for `settings`.
  static Returned<Config> create(std::initializer_list<Setting> settings = {}) {
    seed_config *raw = nullptr;
    seed_error *error = seed_config_new(&raw);
    Config config(raw);
    for (const Setting &setting : settings)
      if (error == nullptr) error = config.apply(setting);
    return detail::settle(error, std::move(config));
  }

  /// Settings out of a flat JSON object, as to_json writes it.
  static Returned<Config> from_json(const std::string &json) {
    return detail::make<Config>([&](seed_config **out) { return seed_config_from_json(json.c_str(), out); });
  }

  /// Sets `key` to a whole number, a fractional number or a text.
  template <class Value> Returned<void> set(const std::string &key, Value &&value) {
    return detail::settle(apply(Setting(key, std::forward<Value>(value))));
  }

  /// Changes settings by pairs key=value with whitespace, line breaks or commas between them, such as
  /// "steps=200 learning_rate=0.1"; a value that holds one of these is put in double quotes. All are set or, on an error, none.
  Returned<void> parse(const std::string &pairs) { return detail::settle(seed_config_parse(get(), pairs.c_str())); }

  /// Sets the values of the preset `name`, whatever they were: "paper", "site", "site_from_weights", "moco_v2", "simclr" or
  /// "swav". See docs/distil.md.
  Returned<void> preset(const std::string &name) { return detail::settle(seed_config_preset(get(), name.c_str())); }

  /// Measures both networks and fits the settings to a run of `seconds`; what was set by its key is kept. `from_weights`: the
  /// student starts from weights of its own. Make the student afterwards: the plan decides on the size of its images. See
  /// seed_config_plan in seed.h.
  Returned<void> plan(const Dataset &dataset, const Teacher &teacher, const std::string &architecture, double seconds,
                      bool from_weights = false);

  /// Reads a whole number.
  Returned<std::int64_t> get_int(const std::string &key) const {
    return detail::number<std::int64_t>(
        [&](std::int64_t *out) { return seed_config_get_int(get(), key.c_str(), out); });
  }

  /// Reads a number, fractional or whole.
  Returned<double> get_float(const std::string &key) const {
    return detail::number<double>([&](double *out) { return seed_config_get_float(get(), key.c_str(), out); });
  }

  /// Reads a text.
  Returned<std::string> get_string(const std::string &key) const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_config_get_string(get(), key.c_str(), buffer, capacity, length);
    });
  }

  /// All settings as a flat JSON object.
  Returned<std::string> to_json() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_config_to_json(get(), buffer, capacity, length);
    });
  }

private:
  seed_error *apply(const Setting &setting) {
    const char *key = setting.key_.c_str();
    if (const auto *whole = std::get_if<std::int64_t>(&setting.value_)) return seed_config_set_int(get(), key, *whole);
    if (const auto *number = std::get_if<double>(&setting.value_)) return seed_config_set_float(get(), key, *number);
    const auto *text = std::get_if<std::string>(&setting.value_);
    return seed_config_set_string(get(), key, text == nullptr ? nullptr : text->c_str());
  }
};

/// Memory of this process and of a device, in bytes.
using Memory = seed_memory;

/// The version of the libtorch that is loaded, such as "2.11.0+cu130"; "" where none can be used.
inline std::string libtorch_version() {
  const char *version = seed_libtorch_version();
  return version == nullptr ? std::string() : std::string(version);
}

/// The number of CUDA devices that can be used.
inline Returned<std::uint32_t> device_count() { return detail::number<std::uint32_t>(seed_device_count); }

/// The product name of a device: "cpu", "cuda:N" or "auto".
inline Returned<std::string> device_name(const std::string &device) {
  return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
    return seed_device_name(device.c_str(), buffer, capacity, length);
  });
}

/// How memory is used by this process and on a device: "cpu", "cuda:N" or "auto".
inline Returned<Memory> memory_use(const std::string &device = "auto") {
  Memory memory{};
  memory.struct_size = sizeof memory;
  seed_error *error = seed_memory_use(device.c_str(), &memory);
  return detail::settle(error, memory);
}

/// Ends or pauses long calls at their next step, from any thread.
class CancelToken : public Handle<seed_cancel_token, seed_cancel_token_free> {
public:
  using Handle::Handle;

  /// A token that asks for nothing.
  static Returned<CancelToken> create() { return detail::make<CancelToken>(seed_cancel_token_new); }

  /// Asks the calls that hold the token to end, paused ones too.
  Returned<void> trigger() const { return detail::settle(seed_cancel_token_trigger(get())); }

  /// Takes trigger back, so that the token can be used again.
  Returned<void> reset() const { return detail::settle(seed_cancel_token_reset(get())); }

  /// Asks the calls that hold the token to wait at their next step, idle, until resume or trigger.
  Returned<void> pause() const { return detail::settle(seed_cancel_token_pause(get())); }

  /// Lets paused calls go on.
  Returned<void> resume() const { return detail::settle(seed_cancel_token_resume(get())); }
};

/// Images without labels: of a folder, of files, or pushed from memory, also while a trainer reads.
class Dataset : public Handle<seed_dataset, seed_dataset_free> {
public:
  using Handle::Handle;

  /// Every JPEG, PNG, BMP, TIFF, WebP and PNM in `folder` and below, sorted by name.
  static Returned<Dataset> open_folder(const std::string &folder) {
    return detail::make<Dataset>([&](seed_dataset **out) { return seed_dataset_open_folder(folder.c_str(), out); });
  }

  /// These files, in this order.
  static Returned<Dataset> open_files(const std::vector<std::string> &paths) {
    std::vector<const char *> texts;
    texts.reserve(paths.size());
    for (const std::string &path : paths) texts.push_back(path.c_str());
    return detail::make<Dataset>(
        [&](seed_dataset **out) { return seed_dataset_open_files(texts.data(), texts.size(), out); });
  }

  /// An empty data set, to be filled by push.
  static Returned<Dataset> create() { return detail::make<Dataset>(seed_dataset_new); }

  /// Copies an image into the data set, named by its number, and gives that number.
  Returned<std::size_t> push(const ImageView &image) const { return push_as(image, nullptr); }

  /// Copies an image into the data set under `name` and gives its number.
  Returned<std::size_t> push(const ImageView &image, const std::string &name) const {
    return push_as(image, name.c_str());
  }

  /// Decodes a JPEG, PNG, BMP, TIFF, WebP or PNM in memory, pushes it under `name` ("": its number) and gives its number.
  Returned<std::size_t> push_encoded(Span<const std::uint8_t> bytes, const std::string &name = {}) const {
    return detail::number<std::size_t>([&](std::size_t *out) {
      return seed_dataset_push_encoded(get(), bytes.data(), bytes.size(), name.empty() ? nullptr : name.c_str(), out);
    });
  }

  /// The pixels of image `index`.
  Returned<Picture> pixels(std::size_t index) const {
    return detail::picture([&](seed_image *image, std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
      return seed_dataset_pixels(get(), index, image, buffer, capacity, length);
    });
  }

  /// Says how image files are read, by "exif" and "page" in `config`: "ignore" leaves frames as they are stored instead of turning them
  /// upright, and page 0 makes every page of a TIFF an image of its own, called NAME, NAME#2 and so on. Call it before images are asked for:
  /// page 0 numbers them anew.
  Returned<void> set_reading(const Config &config) const {
    return detail::settle(seed_dataset_set_reading(get(), config.get()));
  }

  /// Says which pixels of every image count for nothing to detectors: those of `mask` that are not black.
  Returned<void> set_ignored(const ImageView &mask) const {
    return detail::settle(seed_dataset_set_ignored(get(), SIZE_MAX, &mask));
  }

  /// The same of image `index`.
  Returned<void> set_ignored(std::size_t index, const ImageView &mask) const {
    return detail::settle(seed_dataset_set_ignored(get(), index, &mask));
  }

  /// Takes back what is ignored of every image.
  Returned<void> clear_ignored() const { return detail::settle(seed_dataset_set_ignored(get(), SIZE_MAX, nullptr)); }

  /// Takes back what is ignored of image `index`.
  Returned<void> clear_ignored(std::size_t index) const {
    return detail::settle(seed_dataset_set_ignored(get(), index, nullptr));
  }

  /// Says which samples of the images become which of 256 levels, by "range" and its keys in `config`. "dataset" measures percentiles over
  /// all images now. What learns from the data set sees frames by it from then on.
  Returned<void> set_range(const Config &config) const {
    return detail::settle(seed_dataset_set_range(get(), config.get()));
  }

  /// The range that was set as pairs that Config::parse takes, "range=fixed range.low=96 range.high=3871 range.gamma=1" say; empty where
  /// none was.
  Returned<std::string> range() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_dataset_range(get(), buffer, capacity, length);
    });
  }

  /// A label for each image: the number of its class, which is the first folder of its name; -1 for an image outside of all.
  Returned<std::vector<std::int64_t>> class_labels() const {
    std::vector<std::int64_t> result;
    seed_error *error = detail::fill(result, [&](std::int64_t *buffer, std::size_t capacity, std::size_t *length) {
      return seed_dataset_class_labels(get(), buffer, capacity, length);
    });
    return detail::settle(error, std::move(result));
  }

  /// How many classes class_labels tells apart.
  Returned<std::size_t> class_count() const {
    return detail::number<std::size_t>([&](std::size_t *out) { return seed_dataset_class_count(get(), out); });
  }

  /// The name of class `index` of class_labels, its folder's.
  Returned<std::string> class_name(std::size_t index) const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_dataset_class_name(get(), index, buffer, capacity, length);
    });
  }

  /// The number of images, broken ones included.
  Returned<std::size_t> count() const {
    return detail::number<std::size_t>([&](std::size_t *out) { return seed_dataset_count(get(), out); });
  }

  /// The name of image `index`, relative to the folder.
  Returned<std::string> name(std::size_t index) const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_dataset_name(get(), index, buffer, capacity, length);
    });
  }

  /// For each image 1 where it could not be used when it was last asked for, else 0: after Session::embed_dataset these are the rows
  /// of zeros.
  Returned<std::vector<std::uint8_t>> broken() const {
    std::vector<std::uint8_t> result;
    seed_error *error = detail::fill(result, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
      return seed_dataset_broken(get(), buffer, capacity, length);
    });
    return detail::settle(error, std::move(result));
  }

  /// How many images could not be used when they were last asked for.
  Returned<std::size_t> skipped_count() const {
    return detail::number<std::size_t>([&](std::size_t *out) { return seed_dataset_skipped_count(get(), out); });
  }

  /// Which image was skipped as number `index` of skipped_count and why: "name: reason".
  Returned<std::string> skipped(std::size_t index) const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_dataset_skipped(get(), index, buffer, capacity, length);
    });
  }

  /// What you should know about the images although nothing failed, such as numbers outside [0, 1] that were clamped.
  Returned<std::vector<std::string>> warnings() const {
    return detail::lines([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_dataset_warnings(get(), buffer, capacity, length);
    });
  }

private:
  Returned<std::size_t> push_as(const ImageView &image, const char *name) const {
    return detail::number<std::size_t>(
        [&](std::size_t *out) { return seed_dataset_push(get(), &image, name, out); });
  }
};

/// What is nearest to some queries: count·k numbers each, query after query, nearest first.
struct Nearest {
  /// Numbers of rows.
  std::vector<std::uint32_t> indices;
  /// Their cosines.
  std::vector<float> similarities;
};

/// @cond
namespace detail {

// A call that gives neighbours by the rule of seed_neighbours_in.
template <class Ask> Returned<Nearest> nearest(Ask &&ask) {
  Nearest result;
  std::size_t length = 0;
  seed_error *error = ask(nullptr, nullptr, 0, &length); // which checks k, before memory is taken
  if (error == nullptr && length > 0) {
    result.indices.resize(length);
    result.similarities.resize(length);
    error = ask(result.indices.data(), result.similarities.data(), result.indices.size(), &length);
  }
  return settle(error, std::move(result));
}

} // namespace detail
/// @endcond

/// What is learned from: a frozen network, a TorchScript file, a function of yours, or what a teacher said before and that was stored
/// (from_bank, from_embeddings). A stored one serves Trainer::create; what has to show a teacher images gives ErrorCode::Unsupported.
class Teacher : public Handle<seed_teacher, seed_teacher_free> {
public:
  using Handle::Handle;

  /// Reads weights from a safetensors file or a torch checkpoint, as data.
  static Returned<Teacher> load(const std::string &path, const std::string &architecture, const Config &config) {
    return detail::make<Teacher>([&](seed_teacher **out) {
      return seed_teacher_load(path.c_str(), architecture.c_str(), config.get(), out);
    });
  }

  /// Loads a TorchScript file, which is a program: load only what you would also run. `output` names the tensor to take of
  /// a dict or a tuple; empty takes the first.
  static Returned<Teacher> load_torchscript(const std::string &path, const Config &config,
                                            const std::string &output = {}) {
    return detail::make<Teacher>([&](seed_teacher **out) {
      return seed_teacher_load_torchscript(path.c_str(), output.empty() ? nullptr : output.c_str(), config.get(), out);
    });
  }

  /// An engine of the application that gives `dim` numbers an image. `identity` changes when its embeddings do. The teacher
  /// and all that is made of it keep `embed`.
  static Returned<Teacher> from_function(TeacherFunction embed, std::size_t dim, const std::string &identity,
                                         const Config &config, BatchFormat format = BatchFormat::FloatNchw,
                                         BatchDevice device = BatchDevice::Cpu) {
    if (!embed) return detail::fail<Teacher>(ErrorCode::InvalidArgument, "the function is empty");
    auto kept = std::make_unique<TeacherFunction>(std::move(embed));
    return detail::make<Teacher>([&](seed_teacher **out) {
      seed_error *error = seed_teacher_from_callback(
          detail::on_teacher, kept.get(), detail::on_release, static_cast<std::int64_t>(dim), identity.c_str(),
          static_cast<std::int32_t>(format), static_cast<std::int32_t>(device), config.get(), out);
      if (error == nullptr) static_cast<void>(kept.release()); // the library's now
      return error;
    });
  }

  /// What a teacher said of views of every image: for Trainer::create with the data set and the view settings of the bank. Holds the
  /// bank.
  static Returned<Teacher> from_bank(const Bank &bank);

  /// One target for all views of an image: for Trainer::create, which matches the rows with the images of its data set. Holds the
  /// embeddings.
  static Returned<Teacher> from_embeddings(const Embeddings &embeddings);

  /// The width of the embedding; the student gets it too where "embedding_dim" is 0, the default.
  Returned<std::size_t> dim() const {
    return detail::number<std::size_t, std::int64_t>(
        [&](std::int64_t *out) { return seed_teacher_dim(get(), out); });
  }

  /// The number of parameters.
  Returned<std::int64_t> parameter_count() const {
    return detail::number<std::int64_t>([&](std::int64_t *out) { return seed_teacher_parameter_count(get(), out); });
  }

  /// What you should know about the teacher although nothing failed, such as tensors of its file that were not understood.
  Returned<std::vector<std::string>> warnings() const {
    return detail::lines([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_teacher_warnings(get(), buffer, capacity, length);
    });
  }
};

inline Returned<void> Config::plan(const Dataset &dataset, const Teacher &teacher, const std::string &architecture,
                                   double seconds, bool from_weights) {
  return detail::settle(
      seed_config_plan(get(), dataset.get(), teacher.get(), architecture.c_str(), from_weights ? 1 : 0, seconds));
}

/// What a file of weights holds, as JSON: format, texts, and for each state dict the architectures whose weights it has.
inline Returned<std::string> describe_weights(const std::string &path) {
  return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
    return seed_weights_describe(path.c_str(), buffer, capacity, length);
  });
}

/// Embeddings that a teacher made elsewhere, one row an image.
class Embeddings : public Handle<seed_embeddings, seed_embeddings_free> {
public:
  using Handle::Handle;

  /// Reads a .npy file, row i for image i, or a safetensors file, where rows may have names.
  static Returned<Embeddings> load(const std::string &path) {
    return detail::make<Embeddings>([&](seed_embeddings **out) { return seed_embeddings_load(path.c_str(), out); });
  }

  /// Copies rows of `dim` numbers; row i is image i's.
  static Returned<Embeddings> create(Span<const float> rows, std::size_t dim) {
    if (dim == 0 || rows.size() % dim != 0)
      return detail::fail<Embeddings>(ErrorCode::InvalidArgument, "the numbers are no whole rows");
    return detail::make<Embeddings>(
        [&](seed_embeddings **out) { return seed_embeddings_new(rows.data(), rows.size() / dim, dim, out); });
  }

  /// The number of rows.
  Returned<std::size_t> count() const {
    return detail::number<std::size_t>([&](std::size_t *out) { return seed_embeddings_count(get(), out); });
  }

  /// The width of a row.
  Returned<std::size_t> dim() const {
    return detail::number<std::size_t, std::int64_t>(
        [&](std::int64_t *out) { return seed_embeddings_dim(get(), out); });
  }
};

inline Returned<Teacher> Teacher::from_embeddings(const Embeddings &embeddings) {
  return detail::make<Teacher>(
      [&](seed_teacher **out) { return seed_teacher_from_embeddings(embeddings.get(), out); });
}

/// A compact network with a projection head.
class Student : public Handle<seed_student, seed_student_free> {
public:
  using Handle::Handle;

  /// Random weights, drawn from the configuration's "seed".
  static Returned<Student> create(const std::string &architecture, const Config &config) {
    return detail::make<Student>(
        [&](seed_student **out) { return seed_student_new(architecture.c_str(), config.get(), out); });
  }

  /// Reads a student that save wrote.
  static Returned<Student> load(const std::string &path, const Config &config) {
    return detail::make<Student>(
        [&](seed_student **out) { return seed_student_load(path.c_str(), config.get(), out); });
  }

  /// Starts from earlier weights: torchvision's, timm's, Hugging Face's, another student's, SEED's; all or nothing. The head
  /// stays where the file's has other widths.
  Returned<void> load_weights(const std::string &path) {
    return detail::settle(seed_student_load_weights(get(), path.c_str()));
  }

  /// What the last load_weights did, as JSON: "layout", "prefix", "head", "loaded", "converted", "defaulted", "ignored".
  Returned<std::string> weights_report() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_student_weights_report(get(), buffer, capacity, length);
    });
  }

  /// Writes the student to a safetensors file, atomically.
  Returned<void> save(const std::string &path) const { return detail::settle(seed_student_save(get(), path.c_str())); }

  /// Writes the student for other programs, atomically and checked; docs/export.md has a use of each format.
  Returned<void> export_to(const std::string &path, const ExportOptions &options) const {
    const seed_export_options raw = detail::raw(options);
    return detail::settle(seed_student_export(get(), path.c_str(), &raw));
  }

  /// Notes where the student comes from, for every file that is written of it: a JSON value under `key`; "null" removes it.
  Returned<void> set_provenance(const std::string &key, const std::string &json) const {
    return detail::settle(seed_student_set_provenance(get(), key.c_str(), json.c_str()));
  }

  /// The number of parameters, projection head included.
  Returned<std::int64_t> parameter_count() const {
    return detail::number<std::int64_t>([&](std::int64_t *out) { return seed_student_parameter_count(get(), out); });
  }

  /// The width of the embedding.
  Returned<std::size_t> dim() const {
    return detail::number<std::size_t, std::int64_t>(
        [&](std::int64_t *out) { return seed_student_dim(get(), out); });
  }

  /// Takes `key` out of the provenance.
  Returned<void> remove_provenance(const std::string &key) const {
    return detail::settle(seed_student_set_provenance(get(), key.c_str(), "null"));
  }

  /// The provenance: a JSON object.
  Returned<std::string> provenance() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_student_provenance(get(), buffer, capacity, length);
    });
  }

  /// What you should know about the student although nothing failed, such as tensors of a file of weights that were not understood.
  Returned<std::vector<std::string>> warnings() const {
    return detail::lines([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_student_warnings(get(), buffer, capacity, length);
    });
  }
};

/// A first-in-first-out queue of unit rows.
class Queue : public Handle<seed_queue, seed_queue_free> {
public:
  using Handle::Handle;

  /// `capacity` rows of width `dim`, filled with noise drawn from `seed`.
  static Returned<Queue> create(std::size_t capacity, std::size_t dim, std::uint64_t seed = 0) {
    return detail::make<Queue>([&](seed_queue **out) { return seed_queue_new(capacity, dim, seed, out); });
  }

  /// Reads a queue that save wrote.
  static Returned<Queue> load(const std::string &path) {
    return detail::make<Queue>([&](seed_queue **out) { return seed_queue_load(path.c_str(), out); });
  }

  /// Writes the queue to a safetensors file, atomically.
  Returned<void> save(const std::string &path) const { return detail::settle(seed_queue_save(get(), path.c_str())); }

  /// Enqueues embeddings; each is normalised, the oldest make room.
  Returned<void> push(Rows embeddings) const {
    if (detail::ragged(embeddings))
      return detail::fail<void>(ErrorCode::InvalidArgument, detail::raggedness("embeddings", embeddings));
    return detail::settle(
        seed_queue_push(get(), embeddings.values.data(), embeddings.count(), embeddings.dim));
  }

  /// The number of rows that were pushed, at most the capacity.
  Returned<std::size_t> length() const {
    return detail::number<std::size_t>([&](std::size_t *out) { return seed_queue_length(get(), out); });
  }

  /// The number of rows.
  Returned<std::size_t> capacity() const {
    return detail::number<std::size_t>([&](std::size_t *out) { return seed_queue_capacity(get(), out); });
  }

  /// The width of a row.
  Returned<std::size_t> dim() const {
    return detail::number<std::size_t>([&](std::size_t *out) { return seed_queue_dim(get(), out); });
  }

  /// `count` rows from row `first` on: count·dim floats. Rows from length() on are noise.
  Returned<std::vector<float>> rows(std::size_t first, std::size_t count) const {
    std::vector<float> result;
    seed_error *error = detail::fill(result, [&](float *buffer, std::size_t capacity, std::size_t *length) {
      return seed_queue_rows(get(), first, count, buffer, capacity, length);
    });
    return detail::settle(error, std::move(result));
  }

  /// The `k` rows nearest to each query, among those that were pushed.
  Returned<Nearest> nearest(Rows queries, std::size_t k) const {
    if (detail::ragged(queries))
      return detail::fail<Nearest>(ErrorCode::InvalidArgument, detail::raggedness("queries", queries));
    return detail::nearest([&](std::uint32_t *indices, float *cosines, std::size_t capacity, std::size_t *length) {
      return seed_queue_nearest(get(), queries.values.data(), queries.count(), queries.dim, k, indices, cosines,
                                capacity, length);
    });
  }

  /// A copy of the queue as it is now, for restore.
  Returned<Queue> snapshot() const {
    return detail::make<Queue>([&](seed_queue **out) { return seed_queue_snapshot(get(), out); });
  }

  /// Makes this queue what `snapshot` is.
  Returned<void> restore(const Queue &snapshot) const {
    return detail::settle(seed_queue_restore(get(), snapshot.get()));
  }

  /// Similarities of each query with every row: count·capacity floats, query after query.
  Returned<std::vector<float>> similarities(Rows queries) const {
    if (detail::ragged(queries))
      return detail::fail<std::vector<float>>(ErrorCode::InvalidArgument, detail::raggedness("queries", queries));
    std::vector<float> result;
    seed_error *error = detail::fill(result, [&](float *buffer, std::size_t capacity, std::size_t *length) {
      return seed_queue_similarities(get(), queries.values.data(), queries.count(), queries.dim, buffer, capacity,
                                     length);
    });
    return detail::settle(error, std::move(result));
  }
};

/// Where a run stands.
struct Position {
  /// Steps that were made.
  std::uint64_t step = 0;
  /// Steps of the whole run.
  std::uint64_t total_steps = 0;
};

/// The teacher's embeddings of views of every image, kept in a file in place of the teacher. May be used by several threads.
class Bank : public Handle<seed_bank, seed_bank_free> {
public:
  using Handle::Handle;

  /// What a filling reports; false ends it and keeps what is finished.
  using FillFunction = std::function<bool(const seed_bank_progress &)>;

  /// Finished rows and rows of the whole bank.
  struct Rows {
    std::uint64_t finished = 0; ///< Rows that are in the file.
    std::uint64_t total = 0;    ///< Views times images.
  };

  /// Bytes of the file of a bank of `views` views of `images` images, with `dim` numbers each: the width of the teacher's embedding, times
  /// 1 + "small.count" where small views stand beside the large ones.
  static Returned<std::uint64_t> predict_size(std::uint64_t images, std::uint64_t views, std::uint64_t dim) {
    return detail::number<std::uint64_t>(
        [&](std::uint64_t *out) { return seed_bank_predict_size(images, views, dim, out); });
  }

  /// Fills the bank in the file `path`, or goes on with it, to its end or for at least `max_rows` more rows (0: no limit).
  static Returned<Outcome> fill(const std::string &path, const Config &config, const Teacher &teacher,
                                const Dataset &dataset, const FillFunction &on_progress = {},
                                std::uint64_t max_rows = 0, const CancelToken *cancel = nullptr) {
    if (cancel != nullptr && !*cancel)
      return detail::fail<Outcome>(ErrorCode::InvalidArgument, "the cancel token is empty");
    detail::Callback<FillFunction> callback(on_progress);
    std::int32_t outcome = SEED_OUTCOME_PAUSED;
    seed_error *error = seed_bank_fill(path.c_str(), config.get(), teacher.get(), dataset.get(), max_rows,
                                       on_progress ? detail::on_bank_progress : nullptr, &callback,
                                       cancel == nullptr ? nullptr : cancel->get(), &outcome);
    callback.rethrow(error);
    return detail::settle(error, static_cast<Outcome>(outcome));
  }

  /// Opens the bank in the file `path`, finished or not.
  static Returned<Bank> open(const std::string &path) {
    return detail::make<Bank>([&](seed_bank **out) { return seed_bank_open(path.c_str(), nullptr, out); });
  }

  /// The same; a bank of another teacher is refused.
  static Returned<Bank> open(const std::string &path, const Teacher &teacher) {
    if (!teacher) return detail::fail<Bank>(ErrorCode::InvalidArgument, "the teacher is empty");
    return detail::make<Bank>([&](seed_bank **out) { return seed_bank_open(path.c_str(), teacher.get(), out); });
  }

  /// Compares the checksums of all finished rows.
  Returned<void> verify() const { return detail::settle(seed_bank_verify(get())); }

  /// How many rows are finished and how many the bank has.
  Returned<Rows> rows() const {
    Rows rows;
    seed_error *error = seed_bank_rows(get(), &rows.finished, &rows.total);
    return detail::settle(error, rows);
  }

  /// The width of an embedding.
  Returned<std::size_t> dim() const {
    return detail::number<std::size_t, std::int64_t>([&](std::int64_t *out) { return seed_bank_dim(get(), out); });
  }

  /// The number of images that the bank was filled from.
  Returned<std::size_t> images() const {
    return detail::number<std::size_t, std::int64_t>([&](std::int64_t *out) { return seed_bank_images(get(), out); });
  }

  /// The number of views of each image.
  Returned<std::size_t> views() const {
    return detail::number<std::size_t, std::int64_t>([&](std::int64_t *out) { return seed_bank_views(get(), out); });
  }

  /// What the bank holds, as JSON.
  Returned<std::string> header() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_bank_header(get(), buffer, capacity, length);
    });
  }
};

inline Returned<Teacher> Teacher::from_bank(const Bank &bank) {
  return detail::make<Teacher>([&](seed_teacher **out) { return seed_teacher_from_bank(bank.get(), out); });
}

/// A process's place in a World.
struct WorldPosition {
  /// Of this process, from 0.
  std::uint32_t rank = 0;
  /// Number of processes.
  std::uint32_t size = 0;
};

/// Several processes that make one run together, of which this is one; each has a rank from 0 on.
class World : public Handle<seed_world, seed_world_free> {
public:
  using Handle::Handle;

  /// Joins, as `rank` of `size` processes, those that give the same `address` ("host:port" of rank 0, or "file:PATH" on one machine), and
  /// waits for them. `timeout` is how long it waits, here and later; 0: ten minutes. Nothing is encrypted: see docs/world.md.
  static Returned<World> join(std::uint32_t rank, std::uint32_t size, const std::string &address,
                              std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) {
    if (timeout.count() < 0)
      return detail::fail<World>(ErrorCode::InvalidArgument, "the timeout is below 0");
    return detail::make<World>([&](seed_world **out) {
      return seed_world_new(rank, size, address.c_str(), static_cast<std::uint64_t>(timeout.count()), out);
    });
  }

  /// The rank of this process and the number of processes.
  Returned<WorldPosition> position() const {
    WorldPosition position;
    seed_error *error = seed_world_position(get(), &position.rank, &position.size);
    return detail::settle(error, position);
  }
};

/// One distillation run. Used by one thread at a time; it holds what it was made of.
class Trainer : public Handle<seed_trainer, seed_trainer_free> {
public:
  using Handle::Handle;

  /// Distils `teacher` into `student` on the images of `dataset`, with a new queue of "queue_capacity".
  static Returned<Trainer> create(const Config &config, const Student &student, const Teacher &teacher,
                                  const Dataset &dataset) {
    return make(config, student, &teacher, nullptr, &dataset);
  }

  /// Without a teacher: `student` learns from its own views of the images, by a method that needs none ("moco_v2", "simclr",
  /// "swav").
  static Returned<Trainer> create(const Config &config, const Student &student, const Dataset &dataset) {
    return make(config, student, nullptr, nullptr, &dataset);
  }

  /// The same with a queue of your own.
  static Returned<Trainer> create(const Config &config, const Student &student, const Teacher &teacher,
                                  const Dataset &dataset, const Queue &queue) {
    return make(config, student, &teacher, &queue, &dataset);
  }

  /// Without a data set: bring your own batches by step; "steps" must be set.
  static Returned<Trainer> create(const Config &config, const Student &student, const Teacher &teacher) {
    return make(config, student, &teacher, nullptr, nullptr);
  }

  /// Without a data set, with a queue of your own.
  static Returned<Trainer> create(const Config &config, const Student &student, const Teacher &teacher,
                                  const Queue &queue) {
    return make(config, student, &teacher, &queue, nullptr);
  }

  /// Distils until the end of the run, or for `max_steps` more steps (0: no limit). `on_progress` may be empty. After an
  /// error, a cancel or an exception of `on_progress` another call goes on where this one ended.
  Returned<Outcome> run(const ProgressFunction &on_progress = {}, std::uint64_t max_steps = 0,
                        const CancelToken *cancel = nullptr) {
    if (cancel != nullptr && !*cancel)
      return detail::fail<Outcome>(ErrorCode::InvalidArgument, "the cancel token is empty");
    detail::Callback<ProgressFunction> callback(on_progress);
    std::int32_t outcome = SEED_OUTCOME_PAUSED;
    seed_error *error = seed_trainer_run(get(), max_steps, on_progress ? detail::on_progress : nullptr, &callback,
                                         cancel == nullptr ? nullptr : cancel->get(), &outcome);
    callback.rethrow(error);
    return detail::settle(error, static_cast<Outcome>(outcome));
  }

  /// Makes the run together with the same run in the other processes of `world`: all call run at once, "batch_size" is of all of them, and
  /// rank 0 writes.
  Returned<void> set_world(const World &world) { return detail::settle(seed_trainer_set_world(get(), world.get())); }

  /// Makes one step on images of any sizes, which are only read during the call, and gives the loss.
  Returned<double> step(Span<const ImageView> images) {
    return detail::number<double>(
        [&](double *out) { return seed_trainer_step(get(), images.data(), images.size(), out); });
  }

  /// How many steps were made and how many the run has.
  Returned<Position> position() const {
    Position position;
    seed_error *error = seed_trainer_position(get(), &position.step, &position.total_steps);
    return detail::settle(error, position);
  }

  /// Writes everything that the run needs to go on to the folder `path`, atomically.
  Returned<void> save(const std::string &path) const { return detail::settle(seed_trainer_save(get(), path.c_str())); }

  /// Goes on where the checkpoint in the folder `path` stopped.
  Returned<void> resume(const std::string &path) { return detail::settle(seed_trainer_resume(get(), path.c_str())); }

  /// What you should know about the run although nothing failed, such as a student that has collapsed. Works while the run goes on, from its progress function too.
  Returned<std::vector<std::string>> warnings() const {
    return detail::lines([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_trainer_warnings(get(), buffer, capacity, length);
    });
  }

private:
  static Returned<Trainer> make(const Config &config, const Student &student, const Teacher *teacher,
                                const Queue *queue, const Dataset *dataset) {
    // NULL means "none" to the library, so an empty object must not get there.
    if ((teacher != nullptr && !*teacher) || (queue != nullptr && !*queue) || (dataset != nullptr && !*dataset))
      return detail::fail<Trainer>(ErrorCode::InvalidArgument, "the teacher, queue or data set is empty");
    return detail::make<Trainer>([&](seed_trainer **out) {
      return seed_trainer_new(config.get(), student.get(), teacher == nullptr ? nullptr : teacher->get(),
                              queue == nullptr ? nullptr : queue->get(),
                              dataset == nullptr ? nullptr : dataset->get(), out);
    });
  }
};

/// A snapshot of a network that turns images into vectors; all its functions may run on several threads at once.
class Session : public Handle<seed_session, seed_session_free> {
public:
  using Handle::Handle;

  /// Opens a student file.
  static Returned<Session> open(const std::string &path, const Config &config) {
    return detail::make<Session>(
        [&](seed_session **out) { return seed_session_open(path.c_str(), config.get(), out); });
  }

  /// A session of a student's weights as they are now.
  static Returned<Session> from_student(const Student &student, const Config &config) {
    return detail::make<Session>(
        [&](seed_session **out) { return seed_session_from_student(student.get(), config.get(), out); });
  }

  /// A session of a teacher.
  static Returned<Session> from_teacher(const Teacher &teacher, const Config &config) {
    return detail::make<Session>(
        [&](seed_session **out) { return seed_session_from_teacher(teacher.get(), config.get(), out); });
  }

  /// How the session computes, for a person.
  Returned<std::string> describe() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_session_describe(get(), buffer, capacity, length);
    });
  }

  /// What runs the session's network, and why it was taken: "libtorch: the setting "engine" is "libtorch"".
  Returned<std::string> engine() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_session_engine(get(), buffer, capacity, length);
    });
  }

  /// The number of floats that one image gives.
  Returned<std::size_t> dim() const {
    return detail::number<std::size_t, std::int64_t>(
        [&](std::int64_t *out) { return seed_session_dim(get(), out); });
  }

  /// The number of parameters, head included.
  Returned<std::int64_t> parameter_count() const {
    return detail::number<std::int64_t>([&](std::int64_t *out) { return seed_session_parameter_count(get(), out); });
  }

  /// A feature map inside the network.
  struct Stage {
    std::string name;          ///< "layer2", "features.6".
    std::int64_t channels = 0; ///< Its channels.
    std::int64_t stride = 0;   ///< Pixels of the input for one of the map: it is ceil(height/stride) x ceil(width/stride).
  };

  /// The number of feature maps that can be asked for.
  Returned<std::size_t> stage_count() const {
    return detail::number<std::size_t>([&](std::size_t *out) { return seed_session_stage_count(get(), out); });
  }

  /// Feature map `index`, counted from the image on.
  Returned<Stage> stage(std::size_t index) const {
    Stage found;
    std::size_t length = 0;
    seed_error *error = seed_session_stage(get(), index, &found.channels, &found.stride, nullptr, 0, &length);
    if (error == nullptr) {
      found.name.resize(length);
      error = seed_session_stage(get(), index, nullptr, nullptr, &found.name[0], length, &length);
    }
    if (error == nullptr) found.name.resize(length - 1); // without the NUL
    return detail::settle(error, std::move(found));
  }

  /// The feature maps of images at the stage `name`: (image, channel, row, column).
  Returned<std::vector<float>> feature_map(const std::string &name, Span<const ImageView> images) const {
    std::vector<float> result;
    seed_error *error = detail::fill(result, [&](float *buffer, std::size_t capacity, std::size_t *length) {
      return seed_session_feature_map(get(), name.c_str(), images.data(), images.size(), buffer, capacity, length);
    });
    return detail::settle(error, std::move(result));
  }

  /// Exchanges what the two sessions run, between two calls; the same call again goes back.
  Returned<void> swap(const Session &other) const { return detail::settle(seed_session_swap(get(), other.get())); }

  /// The vectors of a batch of images in a DLPack tensor, which is taken over whatever comes of the call. Release what
  /// comes back by its deleter. What the tensor must be stands in seed.h.
  Returned<struct DLManagedTensorVersioned *> embed_dlpack(struct DLManagedTensorVersioned *images) const {
    return detail::number<struct DLManagedTensorVersioned *>([&](struct DLManagedTensorVersioned **out) {
      return seed_session_embed_dlpack(get(), images, out);
    });
  }

  /// The vector of one image: dim() floats.
  Returned<std::vector<float>> embed(const ImageView &image) const { return embed(Span<const ImageView>(&image, 1)); }

  /// The vectors of images of any sizes, one after the other.
  Returned<std::vector<float>> embed(Span<const ImageView> images) const {
    std::vector<float> result;
    seed_error *error = detail::fill(result, [&](float *buffer, std::size_t capacity, std::size_t *length) {
      return seed_session_embed(get(), images.data(), images.size(), buffer, capacity, length);
    });
    return detail::settle(error, std::move(result));
  }

  /// What the network sees of images of any sizes, before normalisation: bytes by image, row, column and channel (red, green,
  /// blue). An exported student with SEED_EXPORT_INPUT_BYTES gives for these what embed gives for the images.
  Returned<std::vector<std::uint8_t>> preprocess(Span<const ImageView> images) const {
    std::vector<std::uint8_t> result;
    seed_error *error = detail::fill(result, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
      return seed_session_preprocess(get(), images.data(), images.size(), buffer, capacity, length);
    });
    return detail::settle(error, std::move(result));
  }

  /// As preprocess, of one image.
  Returned<std::vector<std::uint8_t>> preprocess(const ImageView &image) const {
    return preprocess(Span<const ImageView>(&image, 1));
  }

  /// The vectors of all images of a data set, in order. A broken image gives zeros and is counted as skipped.
  Returned<std::vector<float>> embed(const Dataset &dataset, const CountFunction &on_count = {},
                                     const CancelToken *cancel = nullptr) const {
    if (cancel != nullptr && !*cancel)
      return detail::fail<std::vector<float>>(ErrorCode::InvalidArgument, "the cancel token is empty");
    std::vector<float> result;
    detail::Callback<CountFunction> callback(on_count);
    seed_error *error = detail::fill(result, [&](float *buffer, std::size_t capacity, std::size_t *length) {
      return seed_session_embed_dataset(get(), dataset.get(), on_count ? detail::on_count : nullptr, &callback,
                                        cancel == nullptr ? nullptr : cancel->get(), buffer, capacity, length);
    });
    callback.rethrow(error);
    return detail::settle(error, std::move(result));
  }

  /// As embed, into memory of the caller's; gives the number of floats written. It allocates nothing here.
  Returned<std::size_t> embed_into(Span<const ImageView> images, Span<float> out) const {
    float none = 0;
    return detail::number<std::size_t>([&](std::size_t *length) {
      return seed_session_embed(get(), images.data(), images.size(), detail::place(out, none), out.size(), length);
    });
  }

  /// As embed_into, of one image.
  Returned<std::size_t> embed_into(const ImageView &image, Span<float> out) const {
    return embed_into(Span<const ImageView>(&image, 1), out);
  }

  /// As embed, into memory of the caller's; gives the number of floats written.
  Returned<std::size_t> embed_into(const Dataset &dataset, Span<float> out, const CountFunction &on_count = {},
                                   const CancelToken *cancel = nullptr) const {
    if (cancel != nullptr && !*cancel)
      return detail::fail<std::size_t>(ErrorCode::InvalidArgument, "the cancel token is empty");
    float none = 0;
    std::size_t length = 0;
    detail::Callback<CountFunction> callback(on_count);
    seed_error *error = seed_session_embed_dataset(
        get(), dataset.get(), on_count ? detail::on_count : nullptr, &callback,
        cancel == nullptr ? nullptr : cancel->get(), detail::place(out, none), out.size(), &length);
    callback.rethrow(error);
    return detail::settle(error, length);
  }

  /// What you should know about the session although nothing failed, such as frames of which much is cut away.
  Returned<std::vector<std::string>> warnings() const {
    return detail::lines([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_session_warnings(get(), buffer, capacity, length);
    });
  }
};

/// The names of the networks that can be made.
inline Returned<std::vector<std::string>> architectures() {
  std::size_t count = 0;
  std::vector<std::string> names;
  seed_error *error = seed_architecture_count(&count);
  while (error == nullptr && names.size() < count) {
    std::string name;
    error = detail::fill(name, [&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_architecture_name(names.size(), buffer, capacity, length);
    });
    if (!name.empty()) name.pop_back(); // the NUL
    names.push_back(std::move(name));
  }
  return detail::settle(error, std::move(names));
}

/// A network in figures and words, as it was when this was made.
class Model : public Handle<seed_model, seed_model_free> {
public:
  using Handle::Handle;

  /// The student that Student::create would make, without making it.
  static Returned<Model> of_architecture(const std::string &architecture, const Config &config) {
    return detail::make<Model>(
        [&](seed_model **out) { return seed_model_new(architecture.c_str(), config.get(), out); });
  }

  /// The network in a file of Student::save or Student::export_to; its weights are not read.
  static Returned<Model> open(const std::string &path) {
    return detail::make<Model>([&](seed_model **out) { return seed_model_open(path.c_str(), out); });
  }

  /// A student, its provenance as it is now.
  static Returned<Model> of(const Student &student) {
    return detail::make<Model>([&](seed_model **out) { return seed_model_from_student(student.get(), out); });
  }

  /// A teacher, for images of the configuration's size.
  static Returned<Model> of(const Teacher &teacher, const Config &config) {
    return detail::make<Model>(
        [&](seed_model **out) { return seed_model_from_teacher(teacher.get(), config.get(), out); });
  }

  /// The network that a session runs now.
  static Returned<Model> of(const Session &session) {
    return detail::make<Model>([&](seed_model **out) { return seed_model_from_session(session.get(), out); });
  }

  /// The figures.
  Returned<ModelInfo> info() const {
    ModelInfo info{};
    info.struct_size = sizeof info;
    seed_error *error = seed_model_get_info(get(), &info);
    return detail::settle(error, info);
  }

  /// The name of the architecture.
  Returned<std::string> architecture() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_model_architecture(get(), buffer, capacity, length);
    });
  }

  /// Which samples of a frame become which of 256 levels, as pairs that Config::parse takes.
  Returned<std::string> range() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_model_range(get(), buffer, capacity, length);
    });
  }

  /// Where the network comes from, a JSON object.
  Returned<std::string> provenance() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_model_provenance(get(), buffer, capacity, length);
    });
  }
};

/// Which frames of a store stay when a limit is reached; the SEED_STORE_KEEP_* of seed.h.
enum class Keep : std::int32_t {
  Newest = SEED_STORE_KEEP_NEWEST,
  Reservoir = SEED_STORE_KEEP_RESERVOIR,
  Novel = SEED_STORE_KEEP_NOVEL,
};

/// How a frame of a store is encoded; the SEED_STORE_PNG … of seed.h.
enum class Encoding : std::int32_t {
  Png = SEED_STORE_PNG,
  Jpeg = SEED_STORE_JPEG,
  Bmp = SEED_STORE_BMP,
  Tiff = SEED_STORE_TIFF,
  WebP = SEED_STORE_WEBP,
  Pnm = SEED_STORE_PNM,
};

/// Which labels a frame must have to be listed; the SEED_STORE_EITHER … of seed.h.
enum class Labelled : std::int32_t {
  Either = SEED_STORE_EITHER,
  No = SEED_STORE_UNLABELLED,
  Yes = SEED_STORE_LABELLED,
  OfClass = SEED_STORE_OF_CLASS,
};

/// How a store is opened; what is left alone is the default of seed.h.
struct StoreOptions : seed_store_options {
  /// All defaults.
  StoreOptions() noexcept : seed_store_options{} { struct_size = sizeof(seed_store_options); }
  /// Which frames stay when the store is full.
  StoreOptions &set(Keep which) noexcept {
    keep = static_cast<std::int32_t>(which);
    return *this;
  }
  /// How frames are kept; `quality` is for JPEG alone, 0 the default.
  StoreOptions &set(Encoding how, std::int32_t quality = 0) noexcept {
    encoding = static_cast<std::int32_t>(how);
    jpeg_quality = quality;
    return *this;
  }
};

/// Which frames are listed; what is left alone bounds nothing.
struct StoreFilter : seed_store_filter {
  /// All frames.
  StoreFilter() noexcept : seed_store_filter{} { struct_size = sizeof(seed_store_filter); }
  /// All frames with these labels.
  explicit StoreFilter(Labelled which, std::int64_t of_class = 0) noexcept : StoreFilter() {
    labelled = static_cast<std::int32_t>(which);
    label = of_class;
  }
};

/// What goes with a frame into a store.
struct StoreEntry {
  /// What the frame is called.
  std::string name;
  /// Whatever shall be kept with it, JSON say.
  std::string metadata;
  /// Microseconds since 1970, UTC; 0: the clock's now.
  std::int64_t time_us = 0;
  /// Its embedding, of any length above 0; empty: none.
  Span<const float> embedding;
  /// Its class, from 0 on; negative: none.
  std::int64_t label = -1;
  /// What the class is called.
  std::string label_text;
};

/// A bounded store of frames on disk: the line pushes from its own thread, and training reads while it grows. All functions may
/// be called from several threads at once.
class Store : public Handle<seed_store, seed_store_free> {
public:
  using Handle::Handle;

  /// Opens the store in the file `path` to write, and makes it where there is none.
  static Returned<Store> open(const std::string &path, const StoreOptions &options = {}) {
    return detail::make<Store>([&](seed_store **out) { return seed_store_open(path.c_str(), &options, out); });
  }

  /// Opens the store in the file `path` to read, whether or not a process writes to it.
  static Returned<Store> open_to_read(const std::string &path) {
    return detail::make<Store>([&](seed_store **out) { return seed_store_open_to_read(path.c_str(), out); });
  }

  /// Stores what waits and ends writing, and says what could not be stored; reading goes on. Without it the destructor does the same,
  /// and only the log says what was lost.
  Returned<void> close() const { return detail::settle(seed_store_close(get())); }

  /// Frames without an embedding get that of `session`, as it is now, from now on.
  Returned<void> embed_by(const Session &session) const {
    if (!session) return detail::fail<void>(ErrorCode::InvalidArgument, "the session is empty");
    return detail::settle(seed_store_set_session(get(), session.get()));
  }

  /// Ends embed_by.
  Returned<void> embed_no_longer() const { return detail::settle(seed_store_set_session(get(), nullptr)); }

  /// Copies a frame into the queue and gives its number, or 0 where it is not taken. Waits up to `wait_ms` for room.
  Returned<std::int64_t> push(const ImageView &image, const StoreEntry &entry = {}, std::uint32_t wait_ms = 0) const {
    const seed_store_entry given = of(entry);
    return detail::number<std::int64_t>(
        [&](std::int64_t *out) { return seed_store_push(get(), &image, &given, wait_ms, out); });
  }

  /// As push, for a JPEG, PNG, BMP, TIFF, WebP or PNM, which is stored as it is.
  Returned<std::int64_t> push_encoded(Span<const std::uint8_t> bytes, const StoreEntry &entry = {},
                                      std::uint32_t wait_ms = 0) const {
    const seed_store_entry given = of(entry);
    return detail::number<std::int64_t>([&](std::int64_t *out) {
      return seed_store_push_encoded(get(), bytes.data(), bytes.size(), &given, wait_ms, out);
    });
  }

  /// Waits until all that was pushed before is stored and synced.
  Returned<void> flush() const { return detail::settle(seed_store_flush(get())); }

  /// Gives frame `id` a class from 0 on, or takes it (negative).
  Returned<void> set_label(std::int64_t id, std::int64_t label, const std::string &text = {}) const {
    return detail::settle(seed_store_set_label(get(), id, label, text.c_str()));
  }

  /// Removes frames, all or none.
  Returned<void> remove(Span<const std::int64_t> ids) const {
    return detail::settle(seed_store_remove(get(), ids.data(), ids.size()));
  }

  /// The ids that `filter` lets through, ascending.
  Returned<std::vector<std::int64_t>> list(const StoreFilter &filter = {}) const {
    std::vector<std::int64_t> ids;
    seed_error *error = detail::fill(ids, [&](std::int64_t *buffer, std::size_t capacity, std::size_t *length) {
      return seed_store_list(get(), &filter, buffer, capacity, length);
    });
    return detail::settle(error, std::move(ids));
  }

  /// What is known of frame `id`.
  Returned<seed_store_record> describe(std::int64_t id) const {
    seed_store_record record{};
    record.struct_size = sizeof record;
    seed_error *error = seed_store_describe(get(), id, &record);
    return detail::settle(error, record);
  }

  /// What frame `id` is called.
  Returned<std::string> name(std::int64_t id) const { return words(id, SEED_STORE_TEXT_NAME); }
  /// What was kept with frame `id`.
  Returned<std::string> metadata(std::int64_t id) const { return words(id, SEED_STORE_TEXT_METADATA); }
  /// What the class of frame `id` is called.
  Returned<std::string> label_text(std::int64_t id) const { return words(id, SEED_STORE_TEXT_LABEL); }

  /// The pixels of frame `id`.
  Returned<Picture> pixels(std::int64_t id) const {
    return detail::picture([&](seed_image *image, std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
      return seed_store_pixels(get(), id, image, buffer, capacity, length);
    });
  }

  /// The file of frame `id`.
  Returned<std::vector<std::uint8_t>> encoded(std::int64_t id) const {
    std::vector<std::uint8_t> bytes;
    seed_error *error = detail::fill(bytes, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
      return seed_store_encoded(get(), id, buffer, capacity, length);
    });
    return detail::settle(error, std::move(bytes));
  }

  /// The embedding of frame `id`, of length 1; empty where it has none.
  Returned<std::vector<float>> embedding(std::int64_t id) const {
    std::vector<float> vector;
    seed_error *error = detail::fill(vector, [&](float *buffer, std::size_t capacity, std::size_t *length) {
      return seed_store_embedding(get(), id, buffer, capacity, length);
    });
    return detail::settle(error, std::move(vector));
  }

  /// The classes of these frames, −1 where there is none.
  Returned<std::vector<std::int64_t>> labels(Span<const std::int64_t> ids) const {
    std::vector<std::int64_t> labels(ids.size());
    seed_error *error = seed_store_labels(get(), ids.data(), ids.size(), labels.data());
    return detail::settle(error, std::move(labels));
  }

  /// A data set of all frames that are there now. It may outlive this object.
  Returned<Dataset> dataset() const {
    return detail::make<Dataset>([&](seed_dataset **out) { return seed_dataset_open_store(get(), nullptr, 0, out); });
  }

  /// A data set of these frames, in this order.
  Returned<Dataset> dataset(Span<const std::int64_t> ids) const {
    std::int64_t none = 0;
    const std::int64_t *first = ids.empty() ? &none : ids.data();
    return detail::make<Dataset>(
        [&](seed_dataset **out) { return seed_dataset_open_store(get(), first, ids.size(), out); });
  }

  /// What was done since it was opened, and what is there.
  Returned<seed_store_stats> stats() const {
    seed_store_stats stats{};
    stats.struct_size = sizeof stats;
    seed_error *error = seed_store_stats_now(get(), &stats);
    return detail::settle(error, stats);
  }

  /// What keeps frames from being stored at the moment, a full disk say; empty when nothing does.
  Returned<std::string> trouble() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_store_trouble(get(), buffer, capacity, length);
    });
  }

  /// Looks at every page and image of the store in the file `path`; damage is an error that says where.
  static Returned<void> check(const std::string &path, const CountFunction &on_progress = {}) {
    detail::Callback<CountFunction> callback(on_progress);
    seed_error *error = seed_store_check(path.c_str(), on_progress ? detail::on_count : nullptr, &callback);
    callback.rethrow(error);
    return detail::settle(error);
  }

  /// What repair found.
  struct Salvage {
    std::uint64_t saved = 0;   ///< Frames in the new store.
    std::uint64_t lost = 0;    ///< Damaged frames.
    bool list_damaged = false; ///< Whether there may have been more.
  };

  /// Copies every sound frame of the store in the file `path` into a new one.
  static Returned<Salvage> repair(const std::string &path, const std::string &new_path,
                                  const CountFunction &on_progress = {}) {
    detail::Callback<CountFunction> callback(on_progress);
    Salvage salvage;
    std::int32_t damaged = 0;
    seed_error *error = seed_store_repair(path.c_str(), new_path.c_str(), on_progress ? detail::on_count : nullptr,
                                          &callback, &salvage.saved, &salvage.lost, &damaged);
    callback.rethrow(error);
    salvage.list_damaged = damaged != 0;
    return detail::settle(error, salvage);
  }

private:
  static seed_store_entry of(const StoreEntry &entry) noexcept {
    seed_store_entry given{};
    given.struct_size = sizeof given;
    given.name = entry.name.c_str();
    given.metadata = entry.metadata.c_str();
    given.time_us = entry.time_us;
    given.embedding = entry.embedding.data();
    given.embedding_dim = entry.embedding.size();
    given.has_label = entry.label >= 0 ? 1 : 0;
    given.label = entry.label;
    given.label_text = entry.label_text.c_str();
    return given;
  }

  Returned<std::string> words(std::int64_t id, std::int32_t which) const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_store_text(get(), id, which, buffer, capacity, length);
    });
  }
};

/// How far some images are from all good parts, in order.
struct AnomalyScores {
  /// The image scores.
  std::vector<float> scores;
  /// 1 where that lies above the threshold, 0 else.
  std::vector<std::uint8_t> alarms;
};

/// Where an image is far from all good parts.
struct HeatMap {
  /// width·height distances in the image's own pixels, row after row.
  std::vector<float> distances;
  /// The image score.
  float score = 0;
  /// Whether that lies above the threshold.
  bool alarm = false;
};

/// A memory of good parts that says how far an image is from all of them, and where. All its functions may run on several
/// threads at once, add among them.
class Anomaly : public Handle<seed_anomaly, seed_anomaly_free> {
public:
  using Handle::Handle;

  /// A score and the false-alarm rate that it keeps.
  struct Threshold {
    float score = 0; ///< Images that score higher are alarms.
    double rate = 0; ///< The rate on good parts.
  };

  /// Learns images of good parts by a student's features and the settings "anomaly.…".
  static Returned<Anomaly> fit(const Config &config, const Student &student, const Dataset &good,
                               const CountFunction &on_count = {}, const CancelToken *cancel = nullptr) {
    if (cancel != nullptr && !*cancel)
      return detail::fail<Anomaly>(ErrorCode::InvalidArgument, "the cancel token is empty");
    detail::Callback<CountFunction> callback(on_count);
    seed_anomaly *made = nullptr;
    seed_error *error = seed_anomaly_fit(config.get(), student.get(), good.get(), on_count ? detail::on_count : nullptr,
                                         &callback, cancel == nullptr ? nullptr : cancel->get(), &made);
    Anomaly anomaly(made);
    callback.rethrow(error);
    return detail::settle(error, std::move(anomaly));
  }

  /// Learns further images of good parts while others judge.
  Returned<void> add(const Config &config, const Dataset &good, const CountFunction &on_count = {},
                     const CancelToken *cancel = nullptr) const {
    if (cancel != nullptr && !*cancel)
      return detail::fail<void>(ErrorCode::InvalidArgument, "the cancel token is empty");
    detail::Callback<CountFunction> callback(on_count);
    seed_error *error = seed_anomaly_add(get(), config.get(), good.get(), on_count ? detail::on_count : nullptr,
                                         &callback, cancel == nullptr ? nullptr : cancel->get());
    callback.rethrow(error);
    return detail::settle(error);
  }

  /// Opens a file that save wrote.
  static Returned<Anomaly> open(const std::string &path, const Config &config) {
    return detail::make<Anomaly>(
        [&](seed_anomaly **out) { return seed_anomaly_open(path.c_str(), config.get(), out); });
  }

  /// Writes the detector to one safetensors file, atomically.
  Returned<void> save(const std::string &path) const { return detail::settle(seed_anomaly_save(get(), path.c_str())); }

  /// Writes the detector as it is now to one ONNX file for other programs, atomically and checked: "score", "alarm" and "map", with
  /// settings and threshold in the metadata. docs/export.md has a use.
  Returned<void> export_to(const std::string &path, ExportInput input) const {
    ExportOptions options;
    options.input = input;
    const seed_export_options raw = detail::raw(options);
    return detail::settle(seed_anomaly_export(get(), path.c_str(), &raw));
  }

  /// The score above which an image is an alarm, and the false-alarm rate that it keeps.
  Returned<Threshold> threshold() const {
    Threshold found;
    seed_error *error = seed_anomaly_threshold(get(), &found.score, &found.rate);
    return detail::settle(error, found);
  }

  /// What is known about the detector, as JSON.
  Returned<std::string> describe() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_anomaly_describe(get(), buffer, capacity, length);
    });
  }

  /// Scores images of any sizes.
  Returned<AnomalyScores> score(Span<const ImageView> images) const {
    AnomalyScores found;
    found.scores.resize(images.size());
    found.alarms.resize(images.size());
    seed_error *error =
        seed_anomaly_score(get(), images.data(), images.size(), found.scores.data(), found.alarms.data());
    return detail::settle(error, std::move(found));
  }

  /// Scores one image.
  Returned<AnomalyScores> score(const ImageView &image) const { return score(Span<const ImageView>(&image, 1)); }

  /// The heat map of one image.
  Returned<HeatMap> map(const ImageView &image) const {
    HeatMap found;
    std::uint8_t alarm = 0;
    seed_error *error =
        detail::fill(found.distances, [&](float *buffer, std::size_t capacity, std::size_t *length) {
          return seed_anomaly_map(get(), &image, buffer, capacity, length, &found.score, &alarm);
        });
    found.alarm = alarm != 0;
    return detail::settle(error, std::move(found));
  }

  /// What you should know about the detector although nothing failed, such as a threshold that no held-out image has set.
  Returned<std::vector<std::string>> warnings() const {
    return detail::lines([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_anomaly_warnings(get(), buffer, capacity, length);
    });
  }
};

/// A class for each pixel of an image.
struct SegmentedImage {
  std::vector<std::uint8_t> classes; ///< Class numbers in the image's own pixels, row after row.
  std::vector<float> confidences;    ///< Their probabilities.
};

/// What Segmenter::evaluate found.
struct SegmentationResult {
  double mean_iou_mean = 0;      ///< Mean IoU over the classes that occur, mean over the splits.
  double mean_iou_deviation = 0; ///< Its standard deviation.
  double accuracy_mean = 0;      ///< Share of the test frames' pixels that got their class, mean over the splits.
  double accuracy_deviation = 0; ///< Its standard deviation.
  std::vector<double> ious;      ///< Mean IoU of each class; NaN for one that neither masks nor predictions have.
};

/// A linear layer on a student's feature maps that says which class each pixel has. It never changes; all its functions may run on several
/// threads at once.
class Segmenter : public Handle<seed_segmenter, seed_segmenter_free> {
public:
  using Handle::Handle;

  /// The class of a mask's pixel that is ignored.
  static constexpr std::uint8_t ignored = SEED_MASK_IGNORED;

  /// The mask of an image that has none.
  static ImageView no_mask() noexcept { return ImageView(nullptr, 0, 0, PixelFormat::Mono8); }

  /// Learns from the images of `dataset` that have a mask, by the settings "segment.…". `masks` has a view for each image, PixelFormat::Mono8
  /// of its size with a class number or SEED_MASK_IGNORED a pixel, or no_mask(). Class 0 of `names` is the background.
  static Returned<Segmenter> fit(const Config &config, const Student &student, const Dataset &dataset,
                                 Span<const ImageView> masks, const std::vector<std::string> &names,
                                 const CountFunction &on_count = {}, const CancelToken *cancel = nullptr) {
    if (cancel != nullptr && !*cancel)
      return detail::fail<Segmenter>(ErrorCode::InvalidArgument, "the cancel token is empty");
    std::vector<const char *> texts;
    texts.reserve(names.size());
    for (const std::string &name : names) texts.push_back(name.c_str());
    detail::Callback<CountFunction> callback(on_count);
    seed_segmenter *made = nullptr;
    seed_error *error = seed_segmenter_fit(config.get(), student.get(), dataset.get(), masks.data(), masks.size(),
                                           texts.data(), texts.size(), on_count ? detail::on_count : nullptr, &callback,
                                           cancel == nullptr ? nullptr : cancel->get(), &made);
    Segmenter segmenter(made);
    callback.rethrow(error);
    return detail::settle(error, std::move(segmenter));
  }

  /// How good a student's feature maps are: a segmenter from a part of the masks, judged on the others, over `splits` splits of the seeds
  /// from "seed" on; "segment.masks_per_class" limits what is learned from. The masks have `class_count` classes.
  static Returned<SegmentationResult> evaluate(const Config &config, const Student &student, const Dataset &dataset,
                                               Span<const ImageView> masks, std::size_t class_count,
                                               std::uint32_t splits = 5, const CountFunction &on_count = {},
                                               const CancelToken *cancel = nullptr) {
    if (cancel != nullptr && !*cancel)
      return detail::fail<SegmentationResult>(ErrorCode::InvalidArgument, "the cancel token is empty");
    if (class_count > 255)
      return detail::fail<SegmentationResult>(ErrorCode::InvalidArgument, "more than 255 classes");
    detail::Callback<CountFunction> callback(on_count);
    SegmentationResult found;
    found.ious.resize(class_count);
    seed_segmentation_result result{};
    result.struct_size = sizeof result;
    seed_error *error = seed_segmentation_evaluate(
        config.get(), student.get(), dataset.get(), masks.data(), masks.size(), class_count, splits,
        on_count ? detail::on_count : nullptr, &callback, cancel == nullptr ? nullptr : cancel->get(), &result,
        found.ious.data());
    callback.rethrow(error);
    found.mean_iou_mean = result.mean_iou_mean;
    found.mean_iou_deviation = result.mean_iou_deviation;
    found.accuracy_mean = result.accuracy_mean;
    found.accuracy_deviation = result.accuracy_deviation;
    return detail::settle(error, std::move(found));
  }

  /// Opens a file that save wrote.
  static Returned<Segmenter> open(const std::string &path, const Config &config) {
    return detail::make<Segmenter>(
        [&](seed_segmenter **out) { return seed_segmenter_open(path.c_str(), config.get(), out); });
  }

  /// Writes the segmenter to one safetensors file, atomically.
  Returned<void> save(const std::string &path) const {
    return detail::settle(seed_segmenter_save(get(), path.c_str()));
  }

  /// The number of classes, including the background.
  Returned<std::size_t> class_count() const {
    return detail::number<std::size_t>([&](std::size_t *out) { return seed_segmenter_class_count(get(), out); });
  }

  /// What is known about the segmenter, as JSON.
  Returned<std::string> describe() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_segmenter_describe(get(), buffer, capacity, length);
    });
  }

  /// The classes of an image's pixels.
  Returned<SegmentedImage> segment(const ImageView &image) const {
    SegmentedImage found;
    // Each call computes, so it is not asked for the size, which is known.
    const std::size_t pixels = std::size_t{image.width} * image.height;
    found.classes.resize(pixels);
    found.confidences.resize(pixels);
    std::size_t length = 0;
    seed_error *error =
        seed_segmenter_segment(get(), &image, found.classes.data(), pixels, &length, found.confidences.data());
    return detail::settle(error, std::move(found));
  }

  /// What you should know about the segmenter although nothing failed, such as classes without a pixel to learn from.
  Returned<std::vector<std::string>> warnings() const {
    return detail::lines([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_segmenter_warnings(get(), buffer, capacity, length);
    });
  }
};

/// How well predicted classes cover the true ones.
struct MaskOverlap {
  double mean = 0;          ///< Mean IoU over the classes that occur; NaN where no pixel counts.
  std::vector<double> ious; ///< IoU of each class; NaN for one that neither has.
};

/// Intersection over union of pixels with classes below `class_count`; true pixels of SEED_MASK_IGNORED count for nothing.
inline Returned<MaskOverlap> mask_overlap(Span<const std::uint8_t> predicted, Span<const std::uint8_t> truth,
                                          std::size_t class_count) {
  if (predicted.size() != truth.size() || class_count > 255)
    return detail::fail<MaskOverlap>(ErrorCode::InvalidArgument, std::to_string(predicted.size()) + " predicted pixels for " +
                                                                     std::to_string(truth.size()) + " true ones of " +
                                                                     std::to_string(class_count) + " classes");
  MaskOverlap found;
  found.ious.resize(class_count);
  seed_error *error = seed_mask_overlap(predicted.data(), truth.data(), truth.size(), class_count, found.ious.data(), &found.mean);
  return detail::settle(error, std::move(found));
}

/// AUROC: how often a positive image scores higher than a negative one. `positives` has 1 for a positive, 0 for a negative.
inline Returned<double> auroc(Span<const float> scores, Span<const std::uint8_t> positives) {
  if (scores.size() != positives.size())
    return detail::fail<double>(ErrorCode::InvalidArgument, std::to_string(scores.size()) + " scores for " +
                                                                std::to_string(positives.size()) + " images");
  return detail::number<double>(
      [&](double *out) { return seed_auroc(scores.data(), positives.data(), scores.size(), out); });
}

/// PRO, per-region overlap, up to the false-positive rate `limit`. `scores` and `masks` hold the pixels of all images one
/// after the other, `widths` and `heights` the images' sides.
inline Returned<double> region_overlap(Span<const float> scores, Span<const std::uint8_t> masks,
                                       Span<const std::uint32_t> widths, Span<const std::uint32_t> heights,
                                       double limit = 0.3) {
  std::uint64_t pixels = 0;
  for (std::size_t i = 0; i < widths.size() && i < heights.size(); ++i) pixels += std::uint64_t{widths[i]} * heights[i];
  if (widths.size() != heights.size() || scores.size() != pixels || masks.size() != pixels)
    return detail::fail<double>(ErrorCode::InvalidArgument, std::to_string(scores.size()) + " scores and " +
                                                                std::to_string(masks.size()) + " mask pixels for " +
                                                                std::to_string(pixels) + " pixels of images");
  return detail::number<double>([&](double *out) {
    return seed_region_overlap(scores.data(), masks.data(), widths.data(), heights.data(), widths.size(), limit, out);
  });
}

/// The answers to some images, in order.
struct Verdicts {
  /// Class numbers; -1 for a broken image of a data set.
  std::vector<std::int64_t> classes;
  /// Their probabilities.
  std::vector<float> confidences;
  /// 1 where that lies below the classifier's threshold, 0 else.
  std::vector<std::uint8_t> unsure;
  /// The probabilities of all classes, image after image.
  std::vector<float> probabilities;
};

/// A network that says which class an image is of, how sure it is, and when it is not. It never changes; all its functions
/// may run on several threads at once.
class Classifier : public Handle<seed_classifier, seed_classifier_free> {
public:
  using Handle::Handle;

  /// What Classifier::fit may be given besides.
  struct FitOptions {
    const Teacher *teacher = nullptr;     ///< What "finetune.anchor" draws the student to.
    const Classifier *taught_by = nullptr; ///< A teacher's classifier, whose logits are distilled ("finetune.mode" full).
    FinetuneFunction on_progress = {};    ///< Receives reports; may be empty.
    const CancelToken *cancel = nullptr;  ///< Ends or pauses the fit.
    Outcome *outcome = nullptr;           ///< Receives Finished, or Cancelled for the best classifier so far.
  };

  /// Makes a classifier of a copy of `student` and the labelled images of `dataset`, by the settings "finetune.…". `labels`
  /// has a class for each image, or -1 for none.
  static Returned<Classifier> fit(const Config &config, const Student &student, const Dataset &dataset,
                                  Span<const std::int64_t> labels, const std::vector<std::string> &names,
                                  const FitOptions &options) {
    if (!student) return detail::fail<Classifier>(ErrorCode::InvalidArgument, "the student is empty");
    return fit_from(config, student.get(), nullptr, dataset, labels, names, options);
  }

  /// The same without options.
  static Returned<Classifier> fit(const Config &config, const Student &student, const Dataset &dataset,
                                  Span<const std::int64_t> labels, const std::vector<std::string> &names) {
    return fit(config, student, dataset, labels, names, FitOptions());
  }

  /// The same from an earlier classifier's backbone and classes, whose names come first; new ones follow.
  static Returned<Classifier> fit(const Config &config, const Classifier &earlier, const Dataset &dataset,
                                  Span<const std::int64_t> labels, const std::vector<std::string> &names,
                                  const FitOptions &options) {
    if (!earlier) return detail::fail<Classifier>(ErrorCode::InvalidArgument, "the earlier classifier is empty");
    return fit_from(config, nullptr, earlier.get(), dataset, labels, names, options);
  }

  /// The same without options.
  static Returned<Classifier> fit(const Config &config, const Classifier &earlier, const Dataset &dataset,
                                  Span<const std::int64_t> labels, const std::vector<std::string> &names) {
    return fit(config, earlier, dataset, labels, names, FitOptions());
  }

  /// Opens a file that save wrote.
  static Returned<Classifier> open(const std::string &path, const Config &config) {
    return detail::make<Classifier>(
        [&](seed_classifier **out) { return seed_classifier_open(path.c_str(), config.get(), out); });
  }

  /// Writes the classifier to one safetensors file, atomically.
  Returned<void> save(const std::string &path) const {
    return detail::settle(seed_classifier_save(get(), path.c_str()));
  }

  /// Writes the classifier to one ONNX file for other programs, atomically and checked: "probabilities", "class", "confidence" and
  /// "unsure", with names, temperature and threshold in the metadata. docs/export.md has a use.
  Returned<void> export_to(const std::string &path, ExportInput input) const {
    ExportOptions options;
    options.input = input;
    const seed_export_options raw = detail::raw(options);
    return detail::settle(seed_classifier_export(get(), path.c_str(), &raw));
  }

  /// The number of classes.
  Returned<std::size_t> class_count() const {
    return detail::number<std::size_t>([&](std::size_t *out) { return seed_classifier_class_count(get(), out); });
  }

  /// The name of class `index`.
  Returned<std::string> class_name(std::size_t index) const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_classifier_class_name(get(), index, buffer, capacity, length);
    });
  }

  /// What is known about the classifier, as JSON.
  Returned<std::string> describe() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_classifier_describe(get(), buffer, capacity, length);
    });
  }

  /// Counts of the held-out images, true class by row, answered class by column; empty where none was held out.
  Returned<std::vector<std::uint64_t>> confusion() const {
    std::vector<std::uint64_t> result;
    seed_error *error = detail::fill(result, [&](std::uint64_t *buffer, std::size_t capacity, std::size_t *length) {
      return seed_classifier_confusion(get(), buffer, capacity, length);
    });
    return detail::settle(error, std::move(result));
  }

  /// The same as comma-separated values with the classes' names.
  Returned<std::string> confusion_csv() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_classifier_confusion_csv(get(), buffer, capacity, length);
    });
  }

  /// Classifies images of any sizes.
  Returned<Verdicts> classify(Span<const ImageView> images) const {
    Verdicts verdicts;
    std::size_t classes = 0;
    seed_error *error = seed_classifier_class_count(get(), &classes);
    if (error == nullptr) {
      make_room(verdicts, images.size(), classes);
      error = seed_classifier_classify(get(), images.data(), images.size(), verdicts.classes.data(),
                                       verdicts.confidences.data(), verdicts.unsure.data(),
                                       verdicts.probabilities.data());
    }
    return detail::settle(error, std::move(verdicts));
  }

  /// Classifies one image.
  Returned<Verdicts> classify(const ImageView &image) const { return classify(Span<const ImageView>(&image, 1)); }

  /// Classifies all images of a data set, in order.
  Returned<Verdicts> classify(const Dataset &dataset, const CountFunction &on_count = {},
                              const CancelToken *cancel = nullptr) const {
    if (cancel != nullptr && !*cancel)
      return detail::fail<Verdicts>(ErrorCode::InvalidArgument, "the cancel token is empty");
    Verdicts verdicts;
    std::size_t classes = 0, count = 0;
    detail::Callback<CountFunction> callback(on_count);
    seed_error *error = seed_classifier_class_count(get(), &classes);
    if (error == nullptr) error = seed_dataset_count(dataset.get(), &count);
    if (error == nullptr) {
      make_room(verdicts, count, classes);
      error = seed_classifier_classify_dataset(
          get(), dataset.get(), on_count ? detail::on_count : nullptr, &callback,
          cancel == nullptr ? nullptr : cancel->get(), verdicts.classes.data(), verdicts.confidences.data(),
          verdicts.unsure.data(), verdicts.probabilities.data(), count);
    }
    callback.rethrow(error);
    return detail::settle(error, std::move(verdicts));
  }

  /// How well the classifier does on labelled images that it has not learned from, as JSON.
  Returned<std::string> judge(const Dataset &dataset, Span<const std::int64_t> labels,
                              const CountFunction &on_count = {}, const CancelToken *cancel = nullptr) const {
    if (cancel != nullptr && !*cancel)
      return detail::fail<std::string>(ErrorCode::InvalidArgument, "the cancel token is empty");
    detail::Callback<CountFunction> callback(on_count);
    // Every call embeds the images, so the first one gets room that is enough but for very many classes.
    std::string result(std::size_t{1} << 16, '\0');
    std::size_t length = 0;
    const auto ask = [&] {
      return seed_classifier_judge(get(), dataset.get(), labels.data(), labels.size(),
                                   on_count ? detail::on_count : nullptr, &callback,
                                   cancel == nullptr ? nullptr : cancel->get(), &result[0], result.size(), &length);
    };
    seed_error *error = ask();
    if (error != nullptr && seed_error_code(error) == SEED_ERROR_BUFFER_TOO_SMALL) {
      seed_error_free(error);
      result.resize(length);
      error = ask();
    }
    callback.rethrow(error);
    if (error == nullptr) result.resize(length - 1); // without the NUL
    return detail::settle(error, std::move(result));
  }

  /// What you should know about the classifier although nothing failed, such as probabilities that nothing was held out to calibrate.
  Returned<std::vector<std::string>> warnings() const {
    return detail::lines([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_classifier_warnings(get(), buffer, capacity, length);
    });
  }

private:
  static void make_room(Verdicts &verdicts, std::size_t images, std::size_t classes) {
    verdicts.classes.resize(images);
    verdicts.confidences.resize(images);
    verdicts.unsure.resize(images);
    verdicts.probabilities.resize(images * classes);
  }

  static Returned<Classifier> fit_from(const Config &config, const seed_student *student,
                                       const seed_classifier *earlier, const Dataset &dataset,
                                       Span<const std::int64_t> labels, const std::vector<std::string> &names,
                                       const FitOptions &options) {
    // NULL means "none" to the library, so an empty object must not get there.
    if ((options.teacher != nullptr && !*options.teacher) || (options.cancel != nullptr && !*options.cancel) ||
        (options.taught_by != nullptr && !*options.taught_by))
      return detail::fail<Classifier>(ErrorCode::InvalidArgument,
                                      "the teacher, the teacher's classifier or the cancel token is empty");
    std::vector<const char *> texts;
    texts.reserve(names.size());
    for (const std::string &name : names) texts.push_back(name.c_str());
    detail::Callback<FinetuneFunction> callback(options.on_progress);
    std::int32_t outcome = SEED_OUTCOME_FINISHED;
    seed_classifier *made = nullptr;
    const seed_teacher *anchor = options.teacher == nullptr ? nullptr : options.teacher->get();
    const seed_cancel_token *cancel = options.cancel == nullptr ? nullptr : options.cancel->get();
    const seed_finetune_callback on_progress = options.on_progress ? detail::on_finetune : nullptr;
    seed_error *error =
        options.taught_by == nullptr
            ? seed_classifier_fit(config.get(), student, earlier, anchor, dataset.get(), labels.data(), labels.size(),
                                  texts.data(), texts.size(), on_progress, &callback, cancel, &outcome, &made)
            : seed_classifier_distil(config.get(), student, earlier, anchor, options.taught_by->get(), dataset.get(),
                                     labels.data(), labels.size(), texts.data(), texts.size(), on_progress, &callback,
                                     cancel, &outcome, &made);
    Classifier classifier(made);
    callback.rethrow(error);
    if (error == nullptr && options.outcome != nullptr) *options.outcome = static_cast<Outcome>(outcome);
    return detail::settle(error, std::move(classifier));
  }
};

/// Weighted kNN over `splits` random splits of the vectors into 2/3 gallery and 1/3 queries; `labels` are class numbers
/// from 0, one a vector.
inline Returned<KnnResult> knn(Rows embeddings, Span<const std::int64_t> labels, std::size_t k,
                               std::uint32_t splits = 5, std::uint64_t seed = 0) {
  if (detail::ragged(embeddings))
    return detail::fail<KnnResult>(ErrorCode::InvalidArgument, detail::raggedness("embeddings", embeddings));
  if (labels.size() != embeddings.count())
    return detail::fail<KnnResult>(ErrorCode::InvalidArgument, std::to_string(labels.size()) + " labels for " +
                                                                   std::to_string(embeddings.count()) + " vectors");
  KnnResult result{};
  result.struct_size = sizeof result;
  seed_error *error = seed_knn_evaluate(embeddings.values.data(), embeddings.count(), embeddings.dim, labels.data(), k,
                                        splits, seed, &result);
  return detail::settle(error, result);
}

/// The classes that weighted kNN gives `queries` by the `k` nearest of `gallery` by cosine, each of which votes
/// exp(similarity/temperature); `labels` are the gallery's class numbers from 0.
inline Returned<std::vector<std::int64_t>> knn_classify(Rows queries, Rows gallery, Span<const std::int64_t> labels,
                                                        std::size_t k = 10, double temperature = .07) {
  using Classes = std::vector<std::int64_t>;
  for (const auto &[name, rows] : {std::pair("queries", queries), std::pair("gallery", gallery)})
    if (detail::ragged(rows)) return detail::fail<Classes>(ErrorCode::InvalidArgument, detail::raggedness(name, rows));
  if (queries.dim != gallery.dim)
    return detail::fail<Classes>(ErrorCode::InvalidArgument, "queries are " + std::to_string(queries.dim) +
                                                                 " wide, the gallery is " + std::to_string(gallery.dim));
  if (labels.size() != gallery.count())
    return detail::fail<Classes>(ErrorCode::InvalidArgument, std::to_string(labels.size()) + " labels for " +
                                                                 std::to_string(gallery.count()) + " vectors");
  Classes result;
  seed_error *error = detail::fill(result, [&](std::int64_t *buffer, std::size_t capacity, std::size_t *length) {
    return seed_knn_classify(queries.values.data(), queries.count(), gallery.values.data(), labels.data(),
                             gallery.count(), queries.dim, k, temperature, buffer, capacity, length);
  });
  return detail::settle(error, std::move(result));
}

/// What seed::linear, seed::semi_supervised and seed::transfer found.
struct LinearResult {
  double accuracy_mean = 0;             ///< Share of test images with the right class, mean over the splits.
  double accuracy_deviation = 0;        ///< Its standard deviation.
  double balanced_recall_mean = 0;      ///< Mean of the classes' recalls, mean over the splits.
  double balanced_recall_deviation = 0; ///< Its standard deviation.
  double auroc_mean = 0;                ///< Mean over classes of the AUROC against all others, mean over the splits.
  double auroc_deviation = 0;           ///< Its standard deviation.
  std::vector<double> recalls;          ///< Mean recall of each class.
};

namespace detail {

/// Calls `evaluate` with the places for what it finds about the classes of `labels` and `more`.
template <typename Evaluate>
seed_error *evaluated(LinearResult &found, Span<const std::int64_t> labels, Span<const std::int64_t> more,
                      const Evaluate &evaluate) {
  std::int64_t highest = -1;
  for (const auto &all : {labels, more})
    for (const std::int64_t label : all) highest = label > highest ? label : highest;
  found.recalls.resize(static_cast<std::size_t>(highest) + 1);
  seed_linear_result result{};
  result.struct_size = sizeof result;
  seed_error *error = evaluate(&result, found.recalls.data(), found.recalls.size());
  found.accuracy_mean = result.accuracy_mean;
  found.accuracy_deviation = result.accuracy_deviation;
  found.balanced_recall_mean = result.balanced_recall_mean;
  found.balanced_recall_deviation = result.balanced_recall_deviation;
  found.auroc_mean = result.auroc_mean;
  found.auroc_deviation = result.auroc_deviation;
  return error;
}

} // namespace detail

/// The linear protocol on frozen features, over `splits` random splits into 2/3 and 1/3 of each class; of the labels of the
/// first part, the share `label_fraction` is learned from. `labels` are class numbers from 0, -1 for a vector to be left out.
inline Returned<LinearResult> linear(Rows features, Span<const std::int64_t> labels, std::uint32_t splits = 5,
                                     std::uint64_t seed = 0, double label_fraction = 1,
                                     const CancelToken *cancel = nullptr) {
  if (detail::ragged(features))
    return detail::fail<LinearResult>(ErrorCode::InvalidArgument, detail::raggedness("features", features));
  if (labels.size() != features.count())
    return detail::fail<LinearResult>(ErrorCode::InvalidArgument, std::to_string(labels.size()) + " labels for " +
                                                                      std::to_string(features.count()) + " vectors");
  if (cancel != nullptr && !*cancel)
    return detail::fail<LinearResult>(ErrorCode::InvalidArgument, "the cancel token is empty");
  LinearResult found;
  seed_error *error = detail::evaluated(
      found, labels, {}, [&](seed_linear_result *result, double *recalls, std::size_t class_count) {
        return seed_linear_evaluate(features.values.data(), features.count(), features.dim, labels.data(), splits, seed,
                                    label_fraction, cancel == nullptr ? nullptr : cancel->get(), result, recalls,
                                    class_count);
      });
  return detail::settle(error, std::move(found));
}

/// The semi-supervised protocol: all layers of a copy of `student` are fine-tuned on few labels ("finetune.label_fraction" or
/// "finetune.labels_per_class" of two thirds of each class) and tested on the other third, over `splits` random splits of the
/// seeds from "seed" on. `labels` has a class for each image, or -1 for none.
inline Returned<LinearResult> semi_supervised(const Config &config, const Student &student, const Dataset &dataset,
                                              Span<const std::int64_t> labels, std::uint32_t splits = 5,
                                              const CountFunction &on_count = {}, const CancelToken *cancel = nullptr) {
  if (cancel != nullptr && !*cancel)
    return detail::fail<LinearResult>(ErrorCode::InvalidArgument, "the cancel token is empty");
  detail::Callback<CountFunction> callback(on_count);
  LinearResult found;
  seed_error *error = detail::evaluated(
      found, labels, {}, [&](seed_linear_result *result, double *recalls, std::size_t class_count) {
        return seed_semi_supervised_evaluate(config.get(), student.get(), dataset.get(), labels.data(), labels.size(),
                                             splits, on_count ? detail::on_count : nullptr, &callback,
                                             cancel == nullptr ? nullptr : cancel->get(), result, recalls, class_count);
      });
  callback.rethrow(error);
  return detail::settle(error, std::move(found));
}

/// The images that seed::transfer and seed::linear_sgd test on, with a class for each, or -1.
struct TestImages {
  const Dataset *dataset = nullptr;    ///< Null: a third of each class of the others.
  Span<const std::int64_t> labels = {}; ///< One for each image.
};

/// The transfer protocol: `student` is judged on other images than it was distilled on, by a linear classifier on frozen features
/// ("finetune.mode" linear) or with all layers fine-tuned (full), over `splits` runs.
inline Returned<LinearResult> transfer(const Config &config, const Student &student, const Dataset &dataset,
                                       Span<const std::int64_t> labels, const TestImages &test = {},
                                       std::uint32_t splits = 5, const CountFunction &on_count = {},
                                       const CancelToken *cancel = nullptr) {
  if ((cancel != nullptr && !*cancel) || (test.dataset != nullptr && !*test.dataset))
    return detail::fail<LinearResult>(ErrorCode::InvalidArgument, "the cancel token or the data set to test on is empty");
  detail::Callback<CountFunction> callback(on_count);
  LinearResult found;
  seed_error *error = detail::evaluated(
      found, labels, test.labels, [&](seed_linear_result *result, double *recalls, std::size_t class_count) {
        return seed_transfer_evaluate(config.get(), student.get(), dataset.get(), labels.data(), labels.size(),
                                      test.dataset == nullptr ? nullptr : test.dataset->get(), test.labels.data(),
                                      test.labels.size(), splits, on_count ? detail::on_count : nullptr, &callback,
                                      cancel == nullptr ? nullptr : cancel->get(), result, recalls, class_count);
      });
  callback.rethrow(error);
  return detail::settle(error, std::move(found));
}

/// What seed::linear_sgd found.
struct LinearSgdResult {
  std::uint64_t images = 0;      ///< Labelled images that were learned from.
  std::uint64_t test_images = 0; ///< Labelled images that were tested on; broken ones are left out.
  double accuracy = 0;           ///< Share of the test images whose class is the most probable one (top-1).
  double top5_accuracy = 0;      ///< Share of those whose class is among the five most probable ones (top-5).
  double balanced_recall = 0;    ///< Mean recall of the classes that have a test image.
  double loss = 0;               ///< Mean -log of the probability that the test images' classes were given.
  double train_loss = 0;         ///< Mean loss of the last pass over the images that were learned from.
  std::vector<double> recalls;   ///< Recall of each class; NaN for one without a test image.
};

/// The paper's linear protocol: a linear classifier learns by SGD on the frozen features of `student`, by the settings "linear.…", and
/// is tested on the images of `test`, which must be given. Memory does not grow with the number of images.
inline Returned<LinearSgdResult> linear_sgd(const Config &config, const Student &student, const Dataset &dataset,
                                            Span<const std::int64_t> labels, const TestImages &test,
                                            const FinetuneFunction &on_progress = {},
                                            const CancelToken *cancel = nullptr) {
  if ((cancel != nullptr && !*cancel) || test.dataset == nullptr || !*test.dataset)
    return detail::fail<LinearSgdResult>(ErrorCode::InvalidArgument, "the cancel token or the data set to test on is empty");
  detail::Callback<FinetuneFunction> callback(on_progress);
  LinearSgdResult found;
  std::int64_t highest = -1;
  for (const auto &all : {labels, test.labels})
    for (const std::int64_t label : all) highest = label > highest ? label : highest;
  // The library refuses what is far too many; room for them must not be made before.
  if (highest >= 1 << 16)
    return detail::fail<LinearSgdResult>(ErrorCode::InvalidArgument, "a label is " + std::to_string(highest) +
                                                                         ", expected less than 65536");
  found.recalls.resize(static_cast<std::size_t>(highest + 1));
  seed_linear_sgd_result result{};
  result.struct_size = sizeof result;
  seed_error *error = seed_linear_sgd_evaluate(
      config.get(), student.get(), dataset.get(), labels.data(), labels.size(), test.dataset->get(), test.labels.data(),
      test.labels.size(), on_progress ? detail::on_finetune : nullptr, &callback,
      cancel == nullptr ? nullptr : cancel->get(), &result, found.recalls.data(), found.recalls.size());
  callback.rethrow(error);
  found.images = result.images;
  found.test_images = result.test_images;
  found.accuracy = result.accuracy;
  found.top5_accuracy = result.top5_accuracy;
  found.balanced_recall = result.balanced_recall;
  found.loss = result.loss;
  found.train_loss = result.train_loss;
  return detail::settle(error, std::move(found));
}

/// The `k` nearest of each vector by cosine, itself left out, nearest first: count·k numbers.
inline Returned<std::vector<std::uint32_t>> neighbours(Rows embeddings, std::size_t k) {
  if (detail::ragged(embeddings))
    return detail::fail<std::vector<std::uint32_t>>(ErrorCode::InvalidArgument,
                                                    detail::raggedness("embeddings", embeddings));
  std::vector<std::uint32_t> result;
  seed_error *error = detail::fill(result, [&](std::uint32_t *buffer, std::size_t capacity, std::size_t *length) {
    return seed_neighbours(embeddings.values.data(), embeddings.count(), embeddings.dim, k, buffer, capacity, length);
  });
  return detail::settle(error, std::move(result));
}

/// The `k` nearest vectors of `gallery` for each of `queries` by cosine.
inline Returned<Nearest> neighbours_in(Rows queries, Rows gallery, std::size_t k) {
  for (const auto &[name, rows] : {std::pair("queries", queries), std::pair("gallery", gallery)})
    if (detail::ragged(rows)) return detail::fail<Nearest>(ErrorCode::InvalidArgument, detail::raggedness(name, rows));
  if (queries.dim != gallery.dim)
    return detail::fail<Nearest>(ErrorCode::InvalidArgument, "queries are " + std::to_string(queries.dim) +
                                                                 " wide, the gallery is " + std::to_string(gallery.dim));
  return detail::nearest([&](std::uint32_t *indices, float *cosines, std::size_t capacity, std::size_t *length) {
    return seed_neighbours_in(queries.values.data(), queries.count(), gallery.values.data(), gallery.count(),
                              queries.dim, k, indices, cosines, capacity, length);
  });
}

/// The share of each image's `k` nearest by the teacher that are among its k nearest by the student, 0 to 1.
inline Returned<double> agreement(Rows student, Rows teacher, std::size_t k) {
  for (const auto &[name, rows] : {std::pair("student", student), std::pair("teacher", teacher)})
    if (detail::ragged(rows)) return detail::fail<double>(ErrorCode::InvalidArgument, detail::raggedness(name, rows));
  if (student.count() != teacher.count())
    return detail::fail<double>(ErrorCode::InvalidArgument, std::to_string(student.count()) + " vectors by the student, " +
                                                                std::to_string(teacher.count()) + " by the teacher");
  return detail::number<double>([&](double *out) {
    return seed_agreement(student.values.data(), student.dim, teacher.values.data(), teacher.dim, student.count(), k,
                          out);
  });
}

/// How well a student reproduces its teacher: see seed_fidelity.
using Fidelity = seed_fidelity;
/// What a batch says of drift: see seed_drift_signal.
using DriftSignal = seed_drift_signal;
/// What the gate says of a new student: see seed_verdict.
using Verdict = seed_verdict;

/// Measures a student by its teacher: embeddings of both for the same frames, against a queue of the teacher's. Temperatures of 0 are
/// the paper's.
inline Returned<Fidelity> fidelity(Rows student, Rows teacher, Rows queue, std::size_t k = 10,
                                   double temperature_student = 0, double temperature_teacher = 0,
                                   std::uint64_t seed = 0) {
  for (const auto &[name, rows] : {std::pair("student", student), std::pair("teacher", teacher), std::pair("queue", queue)})
    if (detail::ragged(rows)) return detail::fail<Fidelity>(ErrorCode::InvalidArgument, detail::raggedness(name, rows));
  if (student.count() != teacher.count() || student.dim != teacher.dim || queue.dim != teacher.dim)
    return detail::fail<Fidelity>(ErrorCode::InvalidArgument,
                                  "student, teacher and queue have " + std::to_string(student.count()) + "x" +
                                      std::to_string(student.dim) + ", " + std::to_string(teacher.count()) + "x" +
                                      std::to_string(teacher.dim) + " and rows of " + std::to_string(queue.dim) +
                                      " floats; the same frames and one width are expected");
  Fidelity result{};
  result.struct_size = sizeof result;
  seed_error *error = seed_fidelity_measure(student.values.data(), teacher.values.data(), student.count(), student.dim,
                                            queue.values.data(), queue.count(), k, temperature_student,
                                            temperature_teacher, seed, &result);
  return detail::settle(error, result);
}

/// What has become worse since `then`: a sum of SEED_WORSE_KL, SEED_WORSE_OVERLAP and SEED_WORSE_COSINE.
inline Returned<std::int32_t> worse_since(const Fidelity &then, const Fidelity &now) {
  return detail::number<std::int32_t>([&](std::int32_t *out) { return seed_fidelity_compare(&then, &now, out); });
}

/// A sample of a student's embeddings from good days, which later batches are compared with. All functions may be called from several
/// threads at once.
class Drift : public Handle<seed_drift, seed_drift_free> {
public:
  using Handle::Handle;

  /// Of a student's embeddings, at least 20.
  static Returned<Drift> create(Rows embeddings) {
    if (detail::ragged(embeddings))
      return detail::fail<Drift>(ErrorCode::InvalidArgument, detail::raggedness("embeddings", embeddings));
    return detail::make<Drift>([&](seed_drift **out) {
      return seed_drift_new(embeddings.values.data(), embeddings.count(), embeddings.dim, out);
    });
  }

  /// Reads what save wrote.
  static Returned<Drift> load(const std::string &path) {
    return detail::make<Drift>([&](seed_drift **out) { return seed_drift_load(path.c_str(), out); });
  }

  /// Notes how the frames of the session whose embeddings these are become its input; a reference that knows it is compared.
  Returned<void> set_session(const Session &session) const {
    return detail::settle(seed_drift_set_session(get(), session.get()));
  }

  /// Writes the reference to a file, atomically.
  Returned<void> save(const std::string &path) const { return detail::settle(seed_drift_save(get(), path.c_str())); }

  /// What a batch of the same student's embeddings says.
  Returned<DriftSignal> measure(Rows batch) const {
    if (detail::ragged(batch))
      return detail::fail<DriftSignal>(ErrorCode::InvalidArgument, detail::raggedness("batch", batch));
    DriftSignal signal{};
    signal.struct_size = sizeof signal;
    seed_error *error = seed_drift_measure(get(), batch.values.data(), batch.count(), batch.dim, &signal);
    return detail::settle(error, signal);
  }
};

/// By how much a new student may be worse; what is left alone is the default of seed.h, and SEED_OPTION_ZERO the value 0.
struct GateOptions : seed_gate_options {
  /// All defaults.
  GateOptions() noexcept : seed_gate_options{} { struct_size = sizeof(seed_gate_options); }
};

/// Whether a new student may take the old one's place: by its agreement with the teacher on `frames`, kNN on `reference`, whose classes are
/// `labels`, and its latency. Session::swap puts it in, and the same call puts the old one back.
inline Returned<Verdict> judge(const Session &old_session, const Session &new_session, const Session &teacher,
                               const Dataset &frames, const Dataset &reference, Span<const std::int64_t> labels,
                               const GateOptions &options = {}, const CountFunction &on_progress = {}) {
  detail::Callback<CountFunction> callback(on_progress);
  Verdict verdict{};
  verdict.struct_size = sizeof verdict;
  seed_error *error = seed_gate_judge(old_session.get(), new_session.get(), teacher.get(), frames.get(), reference.get(),
                                      labels.data(), labels.size(), &options, on_progress ? detail::on_count : nullptr,
                                      &callback, &verdict);
  callback.rethrow(error);
  return detail::settle(error, verdict);
}

/// How good a student of seed::distil is; figures that are not known are NaN.
struct DistilSummary : seed_distil_summary {
  /// Nothing yet.
  DistilSummary() noexcept : seed_distil_summary{} { struct_size = sizeof(seed_distil_summary); }

  /// How the call ended: Outcome::Finished or Outcome::Cancelled.
  Outcome ended() const noexcept { return static_cast<Outcome>(outcome); }
};

/// What seed::distil made. All its functions may run on several threads at once.
class Distilled : public Handle<seed_distilled, seed_distilled_free> {
public:
  using Handle::Handle;

  /// The student; of a call that was cancelled, as far as it is.
  Returned<Student> student() const {
    return detail::make<Student>([&](seed_student **out) { return seed_distilled_student(get(), out); });
  }

  /// How good the student is.
  Returned<DistilSummary> summary() const {
    DistilSummary summary;
    seed_error *error = seed_distilled_summary(get(), &summary);
    return detail::settle(error, summary);
  }

  /// What you should know although nothing failed, such as a student that is no better than chance.
  Returned<std::vector<std::string>> warnings() const {
    return detail::lines([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_distilled_warnings(get(), buffer, capacity, length);
    });
  }

  /// The settings of the run, as Config::to_json gives them.
  Returned<std::string> settings() const {
    return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return seed_distilled_settings(get(), buffer, capacity, length);
    });
  }
};

/// What seed::distil may be given besides.
struct DistilExtras {
  std::string weights = {};            ///< A file of weights that the student starts from; empty: random ones.
  const Config *config = nullptr;      ///< Settings of your own; the plan chooses the rest.
  DistilFunction on_progress = {};     ///< Receives reports; may be empty.
  const CancelToken *cancel = nullptr; ///< Ends or pauses the call.
};

/// From frames and a teacher to a student in one call that takes about `seconds`: writes student.safetensors and report.html to
/// `folder`. No setting is needed. A call that was cancelled, or killed, left its work there, and the same call goes on with it. See
/// seed_distil in seed.h and docs/distil.md.
inline Returned<Distilled> distil(const Dataset &dataset, const Teacher &teacher, const std::string &architecture, double seconds,
                                  const std::string &folder, const DistilExtras &extras) {
  if (extras.config != nullptr && !*extras.config)
    return detail::fail<Distilled>(ErrorCode::InvalidArgument, "the configuration is empty");
  if (extras.cancel != nullptr && !*extras.cancel)
    return detail::fail<Distilled>(ErrorCode::InvalidArgument, "the cancel token is empty");
  detail::Callback<DistilFunction> callback(extras.on_progress);
  seed_distilled *raw = nullptr;
  seed_error *error = seed_distil(dataset.get(), teacher.get(), architecture.c_str(),
                                  extras.weights.empty() ? nullptr : extras.weights.c_str(), seconds, folder.c_str(),
                                  extras.config == nullptr ? nullptr : extras.config->get(),
                                  extras.on_progress ? detail::on_distil : nullptr, &callback,
                                  extras.cancel == nullptr ? nullptr : extras.cancel->get(), &raw);
  Distilled distilled(raw);
  callback.rethrow(error);
  return detail::settle(error, std::move(distilled));
}

/// The same without extras.
inline Returned<Distilled> distil(const Dataset &dataset, const Teacher &teacher, const std::string &architecture, double seconds,
                                  const std::string &folder) {
  return distil(dataset, teacher, architecture, seconds, folder, DistilExtras());
}

/// How embeddings come onto a plane; what is left alone is the default of seed.h. `method` is one of MapMethod.
struct MapOptions : seed_map_options {
  /// All defaults: t-SNE.
  MapOptions() noexcept : seed_map_options{} { struct_size = sizeof(seed_map_options); }
  /// By that method.
  MapOptions(MapMethod by) noexcept : MapOptions() { method = static_cast<std::int32_t>(by); }
};

/// How much of what a night takes; what is left alone is the default of seed.h, and SEED_OPTION_ZERO the value 0.
struct NightOptions : seed_night_options {
  /// All defaults.
  NightOptions() noexcept : seed_night_options{} { struct_size = sizeof(seed_night_options); }
};

/// How a night ended.
struct NightResult : seed_night_result {
  /// Nothing yet.
  NightResult() noexcept : seed_night_result{} { struct_size = sizeof(seed_night_result); }

  /// How it ended.
  NightOutcome ended() const noexcept { return static_cast<NightOutcome>(outcome); }
};

/// What seed::night may be given besides.
struct NightExtras {
  const Student *first = nullptr;      ///< Whom the first night starts from.
  NightOptions options = {};           ///< How much of what.
  const Session *session = nullptr;    ///< One of the live student, which the new one is put into.
  NightFunction on_progress = {};      ///< Receives reports; may be empty.
  const CancelToken *cancel = nullptr; ///< Ends or pauses the call.
};

/// Runs a station's night, or goes on with the one that was interrupted: takes the new frames of `store`, distils `teacher` on into
/// the live student of `folder`, fits a classifier to the labels, compares, and where the gate lets it pass makes the new student
/// live. See seed_night_run in seed.h.
inline Returned<NightResult> night(const Config &config, const Store &store, const Teacher &teacher, const std::string &folder,
                                   const NightExtras &extras) {
  if (extras.first != nullptr && !*extras.first)
    return detail::fail<NightResult>(ErrorCode::InvalidArgument, "the first student is empty");
  if (extras.session != nullptr && !*extras.session)
    return detail::fail<NightResult>(ErrorCode::InvalidArgument, "the session is empty");
  if (extras.cancel != nullptr && !*extras.cancel)
    return detail::fail<NightResult>(ErrorCode::InvalidArgument, "the cancel token is empty");
  detail::Callback<NightFunction> callback(extras.on_progress);
  NightResult result;
  seed_error *error =
      seed_night_run(config.get(), store.get(), teacher.get(), folder.c_str(),
                     extras.first == nullptr ? nullptr : extras.first->get(), &extras.options,
                     extras.session == nullptr ? nullptr : extras.session->get(),
                     extras.on_progress ? detail::on_night : nullptr, &callback,
                     extras.cancel == nullptr ? nullptr : extras.cancel->get(), &result);
  callback.rethrow(error);
  return detail::settle(error, result);
}

/// The same without a session, for a folder that has a student.
inline Returned<NightResult> night(const Config &config, const Store &store, const Teacher &teacher,
                                   const std::string &folder) {
  return night(config, store, teacher, folder, NightExtras());
}

/// Exchanges the live student of a station's folder and the one before, and puts the live one into `session`; the same call goes
/// forward again.
inline Returned<void> restore_night(const std::string &folder, const Config &config, const Session *session = nullptr) {
  if (session != nullptr && !*session)
    return detail::fail<void>(ErrorCode::InvalidArgument, "the session is empty");
  return detail::settle(seed_night_restore(folder.c_str(), config.get(), session == nullptr ? nullptr : session->get()));
}

/// How things stand in a station's folder, as JSON.
inline Returned<std::string> describe_night(const std::string &folder) {
  return detail::text([&](char *buffer, std::size_t capacity, std::size_t *length) {
    return seed_night_describe(folder.c_str(), buffer, capacity, length);
  });
}

/// A report that grows from top to bottom and becomes one HTML file. Used by one thread at a time.
class Report : public Handle<seed_report, seed_report_free> {
public:
  using Handle::Handle;

  /// An empty report.
  static Returned<Report> create(const std::string &title) {
    return detail::make<Report>([&](seed_report **out) { return seed_report_new(title.c_str(), out); });
  }

  /// Adds a paragraph of plain text.
  Returned<void> add_paragraph(const std::string &paragraph) {
    return detail::settle(seed_report_add_paragraph(get(), paragraph.c_str()));
  }

  /// Adds a heading between parts.
  Returned<void> add_heading(const std::string &heading) {
    return detail::settle(seed_report_add_heading(get(), heading.c_str()));
  }

  /// Adds a table; `cells` holds as many for each row as there are heads.
  Returned<void> add_table(const std::string &title, const std::vector<std::string> &heads,
                           const std::vector<std::string> &cells) {
    if (heads.empty() || cells.size() % heads.size() != 0)
      return detail::fail<void>(ErrorCode::InvalidArgument, std::to_string(cells.size()) + " cells do not fill rows of " +
                                                                std::to_string(heads.size()));
    std::vector<const char *> head_texts, cell_texts;
    for (const std::string &head : heads) head_texts.push_back(head.c_str());
    for (const std::string &cell : cells) cell_texts.push_back(cell.c_str());
    return detail::settle(seed_report_add_table(get(), title.c_str(), head_texts.data(), head_texts.size(),
                                                cell_texts.data(), cells.size() / heads.size()));
  }

  /// Adds a point to a series of a chart; chart and series stand where they were first named.
  Returned<void> add_point(const std::string &chart, const std::string &x_label, const std::string &y_label,
                           const std::string &series, double x, double y) {
    return detail::settle(
        seed_report_add_point(get(), chart.c_str(), x_label.c_str(), y_label.c_str(), series.c_str(), x, y));
  }

  /// Adds a sheet of pictures: for each of `queries` (numbers of images of `dataset`) the nearest by two networks, side
  /// by side; `left` and `right` hold equally many for each query.
  Returned<void> add_neighbours(const std::string &title, const Dataset &dataset, Span<const std::uint32_t> queries,
                                const std::string &left_name, Span<const std::uint32_t> left,
                                const std::string &right_name, Span<const std::uint32_t> right) {
    if (queries.empty() || left.size() != right.size() || left.size() % queries.size() != 0)
      return detail::fail<void>(ErrorCode::InvalidArgument,
                                std::to_string(left.size()) + " and " + std::to_string(right.size()) +
                                    " neighbours do not fit " + std::to_string(queries.size()) + " queries");
    return detail::settle(seed_report_add_neighbours(get(), title.c_str(), dataset.get(), queries.data(),
                                                     queries.size(), left.size() / queries.size(), left_name.c_str(),
                                                     left.data(), right_name.c_str(), right.data()));
  }

  /// Adds the confusion matrix of a classifier's held-out images.
  Returned<void> add_confusion(const std::string &title, const Classifier &classifier) {
    return detail::settle(seed_report_add_confusion(get(), title.c_str(), classifier.get()));
  }

  /// Adds the confusion matrix of any answers: true classes and those that were answered, -1 for none.
  Returned<void> add_confusion(const std::string &title, Span<const std::int64_t> labels,
                               Span<const std::int64_t> classes, const std::vector<std::string> &names) {
    if (labels.size() != classes.size())
      return detail::fail<void>(ErrorCode::InvalidArgument, std::to_string(classes.size()) + " answers for " +
                                                                std::to_string(labels.size()) + " labels");
    const auto texts = detail::pointers(names);
    return detail::settle(seed_report_add_confusion_of(get(), title.c_str(), labels.data(), classes.data(),
                                                       labels.size(), texts.data(), texts.size()));
  }

  /// What Report::add_class_sheet may be given besides.
  struct ClassSheetOptions {
    Rows embeddings = {};                    ///< One an image: the most typical and the most unusual images are shown.
    Span<const std::int64_t> classes = {};   ///< A classifier's answers, -1 for none: its mistakes are shown.
    Span<const float> confidences = {};      ///< Their probabilities: the surest mistakes come first.
    std::size_t per_class = 6;               ///< Pictures in each column.
  };

  /// Adds a sheet of pictures of each class; `labels` has a class for each image of `dataset`, -1 for none.
  Returned<void> add_class_sheet(const std::string &title, const Dataset &dataset, Span<const std::int64_t> labels,
                                 const std::vector<std::string> &names, const ClassSheetOptions &options) {
    const auto fits = [&](std::size_t size) { return size == 0 || size == labels.size(); };
    if (!options.embeddings.values.empty() && detail::ragged(options.embeddings))
      return detail::fail<void>(ErrorCode::InvalidArgument, detail::raggedness("embeddings", options.embeddings));
    if (!fits(options.embeddings.count()) || !fits(options.classes.size()) || !fits(options.confidences.size()))
      return detail::fail<void>(ErrorCode::InvalidArgument,
                                "embeddings, classes and confidences must be empty or as many as the " +
                                    std::to_string(labels.size()) + " labels");
    const auto texts = detail::pointers(names);
    return detail::settle(seed_report_add_class_sheet(
        get(), title.c_str(), dataset.get(), labels.data(), labels.size(), texts.data(), texts.size(),
        options.embeddings.count() == 0 ? nullptr : options.embeddings.values.data(), options.embeddings.dim,
        options.classes.empty() ? nullptr : options.classes.data(),
        options.confidences.empty() ? nullptr : options.confidences.data(), options.per_class));
  }

  /// The same without options.
  Returned<void> add_class_sheet(const std::string &title, const Dataset &dataset, Span<const std::int64_t> labels,
                                 const std::vector<std::string> &names) {
    return add_class_sheet(title, dataset, labels, names, ClassSheetOptions());
  }

  /// Adds a map of embeddings, one for each image of `dataset`; `labels` (may be empty) are classes of `names`, -1 for none.
  Returned<void> add_map(const std::string &title, Rows embeddings, const Dataset &dataset,
                         Span<const std::int64_t> labels, const std::vector<std::string> &names,
                         const MapOptions &options = {}) {
    // NULL means "none" to the library, so an empty object must not get there.
    if (!dataset) return detail::fail<void>(ErrorCode::InvalidArgument, "the data set is empty");
    return add_map_of(title, embeddings, dataset.get(), labels, names, options);
  }

  /// The same of embeddings whose images are not at hand; points are numbered.
  Returned<void> add_map(const std::string &title, Rows embeddings, Span<const std::int64_t> labels = {},
                         const std::vector<std::string> &names = {}, const MapOptions &options = {}) {
    return add_map_of(title, embeddings, nullptr, labels, names, options);
  }

  /// Adds a frame and its heat map (Anomaly::map) to the sheet of that title. `threshold` is the detector's; `mask` may be empty, or
  /// not 0 where the defect really is.
  Returned<void> add_heat_map(const std::string &sheet, const std::string &caption, const ImageView &image,
                              const HeatMap &map, float threshold = std::numeric_limits<float>::quiet_NaN(),
                              Span<const std::uint8_t> mask = {}) {
    if (!mask.empty() && mask.size() != map.distances.size())
      return detail::fail<void>(ErrorCode::InvalidArgument, "a mask of " + std::to_string(mask.size()) +
                                                                " pixels for a map of " +
                                                                std::to_string(map.distances.size()));
    return detail::settle(seed_report_add_heat_map(
        get(), sheet.c_str(), caption.c_str(), &image, map.distances.data(), mask.empty() ? nullptr : mask.data(),
        map.distances.size(), static_cast<double>(map.score), static_cast<double>(threshold)));
  }

  /// Adds a measurement at a time (microseconds since 1970, UTC) to a series of a chart over time; low and high are its confidence
  /// interval, or NAN both.
  Returned<void> add_time_point(const std::string &chart, const std::string &y_label, const std::string &series,
                                std::int64_t time_us, double value,
                                double low = std::numeric_limits<double>::quiet_NaN(),
                                double high = std::numeric_limits<double>::quiet_NaN()) {
    return detail::settle(seed_report_add_time_point(get(), chart.c_str(), y_label.c_str(), series.c_str(), time_us,
                                                     value, low, high));
  }

  /// The same of a mean with its interval, such as Fidelity::kl.
  Returned<void> add_time_point(const std::string &chart, const std::string &y_label, const std::string &series,
                                std::int64_t time_us, const seed_interval &interval) {
    return add_time_point(chart, y_label, series, time_us, interval.value, interval.low, interval.high);
  }

  /// Adds what a batch of frames at a time said (Drift::measure) to a chart over time.
  Returned<void> add_drift(const std::string &chart, std::int64_t time_us, const DriftSignal &signal) {
    return detail::settle(seed_report_add_drift(get(), chart.c_str(), time_us, &signal));
  }

  /// Draws a level across a chart, such as a threshold.
  Returned<void> add_limit(const std::string &chart, const std::string &name, double y) {
    return detail::settle(seed_report_add_limit(get(), chart.c_str(), name.c_str(), y));
  }

  /// Writes the report to an HTML file, atomically.
  Returned<void> write(const std::string &path) const { return detail::settle(seed_report_write(get(), path.c_str())); }

private:
  Returned<void> add_map_of(const std::string &title, Rows embeddings, const seed_dataset *dataset,
                            Span<const std::int64_t> labels, const std::vector<std::string> &names,
                            const MapOptions &options) {
    if (detail::ragged(embeddings))
      return detail::fail<void>(ErrorCode::InvalidArgument, detail::raggedness("embeddings", embeddings));
    if (!labels.empty() && labels.size() != embeddings.count())
      return detail::fail<void>(ErrorCode::InvalidArgument, std::to_string(labels.size()) + " labels for " +
                                                                std::to_string(embeddings.count()) + " embeddings");
    const auto texts = detail::pointers(names);
    return detail::settle(seed_report_add_map(get(), title.c_str(), embeddings.values.data(), embeddings.count(),
                                              embeddings.dim, labels.empty() ? nullptr : labels.data(), texts.data(),
                                              texts.size(), dataset, &options));
  }
};

/// A file of scalars that TensorBoard reads, for what the application measures. Distillation and full fine-tuning
/// write their own where "tensorboard_folder" is set. For one thread at a time.
class EventFile : public Handle<seed_event_file, seed_event_file_free> {
public:
  using Handle::Handle;

  /// Begins a new file in `folder`; what earlier ones say about `first_step` and later steps is dropped.
  static Returned<EventFile> create(const std::string &folder, std::uint64_t first_step = 0) {
    return detail::make<EventFile>(
        [&](seed_event_file **out) { return seed_event_file_new(folder.c_str(), first_step, out); });
  }

  /// Writes a value; a tag "a/b" is shown in group a.
  Returned<void> add_scalar(const std::string &tag, std::uint64_t step, double value) {
    return detail::settle(seed_event_file_add_scalar(get(), tag.c_str(), step, value));
  }
};

} // namespace throwing, or returning
} // namespace seed

#endif // SEED_HPP
