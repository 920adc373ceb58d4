/// The extension `ulmus._core`: the C interface of the loss module, the split of the data module and the evaluation of
/// the eval module, for Python. It does not depend on PyTorch: tensors are passed as addresses or through DLPack.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/c.h"
#include "ulmus/data/sampler.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/eval/evaluation.hpp"
#include "ulmus/eval/prior.hpp"
#include "ulmus/loss/float16.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/loss/softmax_form.hpp"
#include "ulmus/loss/spec.hpp"

namespace nb = nanobind;

namespace {

using Labels = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Doubles = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<nb::ro, nb::ndim<2>, nb::device::cpu>;
using MutableMatrix = nb::ndarray<nb::ndim<2>, nb::device::cpu>;
using MutableDoubles = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// Converts a status of the C interface into a Python exception.
void require(ulmus_status status) {
  if (status == ULMUS_OK) return;
  const char* message = ulmus_last_error();
  const bool mistake = status == ULMUS_USAGE || status == ULMUS_DATA || status == ULMUS_NUMERICAL;
  PyErr_SetString(mistake ? PyExc_ValueError : PyExc_RuntimeError, message);
  throw nb::python_error();
}

template <class T>
T* at(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);  // NOLINT: an address that Python holds
}

void store(double value, std::int32_t dtype, void* place) {
  switch (dtype) {
    case ULMUS_F32:
      *static_cast<float*>(place) = static_cast<float>(value);
      break;
    case ULMUS_F64:
      *static_cast<double*>(place) = value;
      break;
    case ULMUS_BF16:
      *static_cast<ulmus::BFloat16*>(place) = ulmus::BFloat16(static_cast<float>(value));
      break;
    default:
      *static_cast<ulmus::Half*>(place) = ulmus::Half(static_cast<float>(value));
  }
}

std::int32_t dtype_of(const nb::dlpack::dtype& dtype, const char* what) {
  if (dtype == nb::dtype<float>()) return ULMUS_F32;
  if (dtype == nb::dtype<double>()) return ULMUS_F64;
  if (dtype.lanes == 1 && dtype.bits == 16) {
    if (dtype.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bfloat)) return ULMUS_BF16;
    if (dtype.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float)) return ULMUS_F16;
  }
  throw nb::type_error((std::string(what) + " have a dtype without a kernel, expected float32, float64, bfloat16 or "
                                            "float16")
                           .c_str());
}

/// An owned loss.
class Loss {
 public:
  Loss(const std::string& text, const std::vector<std::int64_t>& counts) {
    require(ulmus_loss_create(text.c_str(), counts.data(), static_cast<std::int64_t>(counts.size()), &loss_));
    classes_ = static_cast<std::int64_t>(counts.size());
  }
  ~Loss() { ulmus_loss_free(loss_); }
  Loss(const Loss&) = delete;
  Loss& operator=(const Loss&) = delete;

  std::int64_t classes() const { return classes_; }

  std::string text() const {
    const char* text = nullptr;
    require(ulmus_loss_text(loss_, &text));
    return text;
  }
  double scale() const {
    double scale = 0;
    require(ulmus_loss_scale(loss_, &scale));
    return scale;
  }
  std::string head() const {
    const char* head = nullptr;
    require(ulmus_loss_head(loss_, &head));
    return head;
  }
  std::vector<double> class_weights() const {
    std::vector<double> weights(static_cast<std::size_t>(classes_));
    require(ulmus_loss_class_weights(loss_, weights.data(), classes_));
    return weights;
  }
  void set_epoch(std::int64_t epoch, std::int64_t epochs) { require(ulmus_loss_set_epoch(loss_, epoch, epochs)); }
  void set_class_weights(const std::vector<double>& weights) {
    require(ulmus_loss_set_class_weights(loss_, weights.data(), static_cast<std::int64_t>(weights.size())));
  }

  std::int32_t reduction() const {
    std::int32_t reduction = 0;
    require(ulmus_loss_reduction(loss_, &reduction));
    return reduction;
  }
  std::uint32_t needs() const {
    std::uint32_t needs = 0;
    require(ulmus_loss_needs(loss_, &needs));
    return needs;
  }
  double initial_bias() const {
    double bias = 0;
    require(ulmus_loss_initial_bias(loss_, &bias));
    return bias;
  }
  std::vector<double> state() const {
    std::int64_t size = 0;
    require(ulmus_loss_state_size(loss_, &size));
    std::vector<double> values(static_cast<std::size_t>(size));
    require(ulmus_loss_get_state(loss_, values.data(), size));
    return values;
  }
  void set_state(const std::vector<double>& values) {
    require(ulmus_loss_set_state(loss_, values.data(), static_cast<std::int64_t>(values.size())));
  }
  void set_seed(std::uint64_t seed) { require(ulmus_loss_set_seed(loss_, seed)); }
  std::vector<double> collect_update(const ulmus_batch& batch) const {
    std::int64_t size = 0;
    require(ulmus_loss_delta_size(loss_, batch.feature_width, &size));
    std::vector<double> delta(static_cast<std::size_t>(size));
    require(ulmus_loss_collect_update(loss_, &batch, delta.data(), size));
    return delta;
  }
  void apply_update(const std::vector<double>& delta) {
    require(ulmus_loss_apply_update(loss_, delta.data(), static_cast<std::int64_t>(delta.size())));
  }

  double run(const ulmus_batch& batch) const {
    double value = 0;
    ulmus_status status;
    {
      const nb::gil_scoped_release unlocked;
      status = ulmus_loss_run(loss_, &batch, &value);
    }
    require(status);
    return value;
  }

 private:
  ulmus_loss* loss_ = nullptr;
  std::int64_t classes_ = 0;
};

/// A new gradient of many megabytes costs more in page faults than in arithmetic; huge pages make them rare. This is a
/// hint, whose failure has no effect.
void ask_for_huge_pages(void* memory, std::int64_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::int64_t k_worth_it = 8 << 20;
  constexpr std::uintptr_t k_page = 4096;
  if (memory == nullptr || bytes < k_worth_it) return;
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(memory) + k_page - 1) / k_page * k_page;
  const std::uintptr_t end =
      (reinterpret_cast<std::uintptr_t>(memory) + static_cast<std::uintptr_t>(bytes)) / k_page * k_page;
  madvise(at<void>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

std::int64_t size_of(std::int32_t dtype) { return dtype == ULMUS_F64 ? 8 : dtype == ULMUS_F32 ? 4 : 2; }

/// Called for PyTorch: addresses instead of arrays, validated by the caller. The reduced loss is written to `value`, in
/// `value_dtype`, if requested.
void run_at(const Loss& loss, std::int32_t dtype, std::int64_t n, std::uintptr_t logits, std::int64_t stride,
            std::uintptr_t labels, std::uintptr_t gradient, std::uintptr_t losses, std::uintptr_t sample_weights,
            std::int64_t ignore_index, std::int32_t reduction, std::int32_t threads, std::uintptr_t value,
            std::int32_t value_dtype) {
  ask_for_huge_pages(at<void>(gradient), n * loss.classes() * size_of(dtype));
  const double reduced = loss.run({.struct_size = sizeof(ulmus_batch),
                                   .dtype = dtype,
                                   .n = n,
                                   .logits = at<const void>(logits),
                                   .logits_stride = stride,
                                   .labels = at<const std::int64_t>(labels),
                                   .gradient = at<void>(gradient),
                                   .losses = at<double>(losses),
                                   .sample_weights = at<const double>(sample_weights),
                                   .ignores = 1,
                                   .ignore_index = ignore_index,
                                   .reduction = reduction,
                                   .threads = threads});
  if (value != 0) store(reduced, value_dtype, at<void>(value));
}

/// Addresses of the additional inputs of some losses: features, their gradient, weight of the head, its gradient, bias,
/// its gradient, offsets, noise; all double, 0 if absent.
using Context = std::array<std::uintptr_t, 8>;

ulmus_batch with_context(ulmus_batch batch, const Context& context, std::int64_t feature_width,
                         std::int64_t first_position) {
  batch.features = at<const double>(context[0]);
  batch.feature_width = feature_width;
  batch.feature_gradient = at<double>(context[1]);
  batch.head_weight = at<const double>(context[2]);
  batch.head_weight_gradient = at<double>(context[3]);
  batch.head_bias = at<const double>(context[4]);
  batch.head_bias_gradient = at<double>(context[5]);
  batch.offsets = at<const double>(context[6]);
  batch.noise = at<const double>(context[7]);
  batch.first_position = first_position;
  return batch;
}

/// run_at with a context; returns the reduced loss.
double run_with_context_at(const Loss& loss, std::int32_t dtype, std::int64_t n, std::uintptr_t logits,
                           std::int64_t stride, std::uintptr_t labels, std::uintptr_t gradient, std::uintptr_t losses,
                           std::uintptr_t sample_weights, std::int64_t ignore_index, std::int32_t reduction,
                           std::int32_t threads, const Context& context, std::int64_t feature_width,
                           std::int64_t first_position) {
  return loss.run(with_context({.struct_size = sizeof(ulmus_batch),
                                .dtype = dtype,
                                .n = n,
                                .logits = at<const void>(logits),
                                .logits_stride = stride,
                                .labels = at<const std::int64_t>(labels),
                                .gradient = at<void>(gradient),
                                .losses = at<double>(losses),
                                .sample_weights = at<const double>(sample_weights),
                                .ignores = 1,
                                .ignore_index = ignore_index,
                                .reduction = reduction,
                                .threads = threads},
                               context, feature_width, first_position));
}

/// Computes a batch's update of the state of a loss.
std::vector<double> collect_update_at(const Loss& loss, std::int32_t dtype, std::int64_t n, std::uintptr_t logits,
                                      std::int64_t stride, std::uintptr_t labels, std::int64_t ignore_index,
                                      const Context& context, std::int64_t feature_width, std::int64_t first_position) {
  return loss.collect_update(with_context({.struct_size = sizeof(ulmus_batch),
                                           .dtype = dtype,
                                           .n = n,
                                           .logits = at<const void>(logits),
                                           .logits_stride = stride,
                                           .labels = at<const std::int64_t>(labels),
                                           .ignores = 1,
                                           .ignore_index = ignore_index},
                                          context, feature_width, first_position));
}

/// Computes the offsets that a loss adds to the scaled logits [N, C] independent of their values: the draws of `gcl`
/// and `eql`, and the margins that `tam` computes from features. Writes to `offsets`, [N, C].
void offsets_at(const Loss& loss, const std::string& text, const std::vector<std::int64_t>& counts, std::uint64_t seed,
                const std::pair<std::int64_t, std::int64_t>& epoch, std::int64_t n, std::uintptr_t labels,
                std::int64_t ignore_index, std::uintptr_t features, std::int64_t feature_width,
                std::int64_t first_position, std::uintptr_t offsets) {
  ulmus::Loss member(ulmus::LossSpec::parse(text), ulmus::ClassCounts(counts));
  ulmus::LossState state = member.state();
  if (std::vector<double> values = loss.state(); !values.empty()) state.values = std::move(values);
  state.seed = seed;
  member.set_state(std::move(state));
  member.set_epoch(epoch.first, epoch.second);
  // The rows that count are those whose label is not ignored, whatever weights the caller uses instead of the rule's.
  member.set_class_weights(std::vector<double>(counts.size(), 1));
  const std::vector<double> unread(static_cast<std::size_t>(n * loss.classes()));
  ulmus::LossBatch batch{.labels = {at<const std::int64_t>(labels), static_cast<std::size_t>(n)},
                         .ignore_index = ignore_index,
                         .first_position = first_position};
  if (features != 0) batch.features.features = {at<const double>(features), n, feature_width};
  const std::vector<double> made = member.offsets({unread.data(), n, loss.classes()}, batch);
  if (made.empty())
    std::fill_n(at<double>(offsets), unread.size(), 0.0);
  else
    std::copy(made.begin(), made.end(), at<double>(offsets));
}

/// The class prior [C] that softmax(scale z) of a model trained with a loss assumes.
std::vector<double> assumed_prior(const std::string& text, const std::vector<std::int64_t>& counts) {
  return ulmus::assumed_prior(ulmus::LossSpec::parse(text), ulmus::ClassCounts(counts));
}

/// The slopes d u[j] / d z[j], [C], scale included, of a loss that is a softmax of shifted logits; or, with no slopes,
/// why it is none.
std::pair<std::string, std::vector<double>> softmax_slopes(const std::string& text,
                                                           const std::vector<std::int64_t>& counts) {
  const ulmus::Loss loss(ulmus::LossSpec::parse(text), ulmus::ClassCounts(counts));
  if (std::optional<std::string> obstacle = ulmus::obstacle_to_softmax(loss)) return {std::move(*obstacle), {}};
  std::vector<double> slopes = loss.params().slope;
  slopes.resize(counts.size(), 1);
  for (double& slope : slopes) slope *= loss.params().scale;
  return {"", std::move(slopes)};
}

void expect_length(std::size_t length, std::size_t rows, const char* what) {
  if (length != rows)
    throw nb::value_error((std::to_string(length) + " " + what + " came with " + std::to_string(rows) +
                           " rows of logits, expected one each")
                              .c_str());
}

/// Called for NumPy: arrays through DLPack, contiguous rows.
double run_arrays(const Loss& loss, const Matrix& logits, const Labels& labels,
                  const std::optional<MutableMatrix>& gradient, const std::optional<MutableDoubles>& losses,
                  const std::optional<Doubles>& sample_weights, std::int64_t ignore_index, std::int32_t reduction,
                  std::int32_t threads) {
  const std::size_t rows = logits.shape(0);
  if (static_cast<std::int64_t>(logits.shape(1)) != loss.classes())
    throw nb::value_error(("the logits have " + std::to_string(logits.shape(1)) +
                           " columns, expected one for each of the " + std::to_string(loss.classes()) + " class counts")
                              .c_str());
  if (logits.stride(1) != 1 || (rows > 1 && logits.stride(0) < loss.classes()))
    throw nb::value_error("the logits are not contiguous along a row; give a contiguous copy");
  expect_length(labels.shape(0), rows, "labels");
  if (losses) expect_length(losses->shape(0), rows, "places for losses");
  if (sample_weights) expect_length(sample_weights->shape(0), rows, "sample weights");
  if (gradient) {
    if (gradient->shape(0) != rows || gradient->shape(1) != logits.shape(1) || gradient->stride(1) != 1)
      throw nb::value_error(("the gradient is [" + std::to_string(gradient->shape(0)) + ", " +
                             std::to_string(gradient->shape(1)) + "], expected [" + std::to_string(rows) + ", " +
                             std::to_string(logits.shape(1)) + "] like the logits, contiguous along a row")
                                .c_str());
    if (gradient->dtype() != logits.dtype()) throw nb::type_error("the gradient has another dtype than the logits");
  }
  const auto stride = [rows](const auto& matrix) { return rows > 1 ? matrix.stride(0) : 0; };
  return loss.run({.struct_size = sizeof(ulmus_batch),
                   .dtype = dtype_of(logits.dtype(), "the logits"),
                   .n = static_cast<std::int64_t>(rows),
                   .logits = logits.data(),
                   .logits_stride = stride(logits),
                   .labels = labels.data(),
                   .gradient = gradient ? gradient->data() : nullptr,
                   .gradient_stride = gradient ? stride(*gradient) : 0,
                   .losses = losses ? losses->data() : nullptr,
                   .sample_weights = sample_weights ? sample_weights->data() : nullptr,
                   .ignores = 1,
                   .ignore_index = ignore_index,
                   .reduction = reduction,
                   .threads = threads});
}

/// All losses and rules as JSON.
std::string family_json() {
  const char* text = nullptr;
  require(ulmus_family_json(&text));
  return text;
}

/// A data set with only labels, and a test part, so that no sample is held out.
ulmus::OpenedData labels_only(const Labels& labels, std::int64_t classes) {
  ulmus::DatasetInfo info;
  info.name = "labels";
  info.labels.assign(labels.data(), labels.data() + labels.shape(0));
  for (std::int64_t c = 0; c < classes; ++c) info.class_names.push_back(std::to_string(c));
  ulmus::OpenedData data;
  data.train = ulmus::Dataset(std::move(info), std::shared_ptr<const ulmus::FeatureSource>());
  data.test.emplace();
  return data;
}

std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>> long_tailed(const Labels& labels, std::int64_t classes,
                                                                            const std::string& imbalance,
                                                                            std::uint64_t seed, const std::string& rng,
                                                                            std::int64_t validation_per_class) {
  const ulmus::Split split =
      make_split(labels_only(labels, classes),
                 {.imbalance = imbalance, .seed = seed, .validation_per_class = validation_per_class, .rng = rng});
  return {split.train, split.validation};
}

/// The samples of an epoch, in order.
std::vector<std::int64_t> sample_epoch(const std::string& sampler, const Labels& labels, std::uint64_t seed,
                                       std::int64_t epoch, std::int64_t epochs) {
  std::vector<std::int64_t> indices(labels.shape(0));
  std::iota(indices.begin(), indices.end(), 0);
  return ulmus::sample_epoch(ulmus::Sampler::parse(sampler), indices, {labels.data(), labels.shape(0)},
                             {.seed = seed, .epoch = epoch, .epochs = epochs});
}

std::vector<double> class_probabilities(const std::string& sampler, const std::vector<std::int64_t>& counts,
                                        std::int64_t epoch, std::int64_t epochs) {
  return ulmus::class_probabilities(ulmus::Sampler::parse(sampler), counts, epoch, epochs);
}

/// Canonical text of a sampler, and whether it needs the number of epochs.
std::pair<std::string, bool> parse_sampler(const std::string& text) {
  const ulmus::Sampler sampler = ulmus::Sampler::parse(text);
  return {sampler.text(), sampler.needs_epochs()};
}

std::string evaluate(const nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>& logits,
                     const Labels& labels, const std::vector<std::int64_t>& counts, double scale,
                     std::int64_t many_above, std::int64_t few_below) {
  const ulmus::MatrixView<const float> view(logits.data(), static_cast<std::int64_t>(logits.shape(0)),
                                            static_cast<std::int64_t>(logits.shape(1)));
  const ulmus::Json json =
      ulmus::evaluate(view, {labels.data(), labels.shape(0)}, ulmus::ClassCounts(counts),
                      {.scale = scale, .thresholds = {.many_above = many_above, .few_below = few_below}});
  return json.dump();
}

}  // namespace

NB_MODULE(_core, m) {
  // Objects held by compiled graphs and module globals at the end of the process are not leaks.
  nb::set_leak_warnings(false);
  nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
    try {
      std::rethrow_exception(pointer);
    } catch (const ulmus::Error& error) {
      const bool host = error.kind() == ulmus::ErrorKind::environment;
      PyErr_SetString(host ? PyExc_RuntimeError : PyExc_ValueError, error.what());
    }
  });

  nb::class_<Loss>(m, "Loss")
      .def(nb::init<const std::string&, const std::vector<std::int64_t>&>(), nb::arg("text"), nb::arg("class_counts"))
      .def_prop_ro("text", &Loss::text)
      .def_prop_ro("classes", &Loss::classes)
      .def_prop_ro("scale", &Loss::scale)
      .def_prop_ro("head", &Loss::head)
      .def_prop_ro("reduction", &Loss::reduction)
      .def_prop_ro("needs", &Loss::needs)
      .def_prop_ro("initial_bias", &Loss::initial_bias)
      .def("class_weights", &Loss::class_weights)
      .def("state", &Loss::state)
      .def("set_state", &Loss::set_state, nb::arg("values"))
      .def("set_seed", &Loss::set_seed, nb::arg("seed"))
      .def("apply_update", &Loss::apply_update, nb::arg("delta"))
      .def("set_epoch", &Loss::set_epoch, nb::arg("epoch"), nb::arg("epochs"))
      .def("set_class_weights", &Loss::set_class_weights, nb::arg("weights"));

  m.def("run_at", run_at);
  m.def("run_with_context_at", run_with_context_at);
  m.def("collect_update_at", collect_update_at);
  m.def("offsets_at", offsets_at);
  m.def("has_own_weights", [](const std::string& text) { return ulmus::LossSpec::parse(text).has_own_weights(); });
  m.def("assumed_prior", assumed_prior, nb::arg("text"), nb::arg("class_counts"));
  m.def("softmax_slopes", softmax_slopes, nb::arg("text"), nb::arg("class_counts"));
  m.def("run_arrays", run_arrays, nb::arg("loss"), nb::arg("logits"), nb::arg("labels"), nb::arg("gradient").none(),
        nb::arg("losses").none(), nb::arg("sample_weights").none(), nb::arg("ignore_index"), nb::arg("reduction"),
        nb::arg("threads"));
  m.def("family_json", family_json);
  m.def("long_tailed", long_tailed, nb::arg("labels"), nb::arg("classes"), nb::arg("imbalance"), nb::arg("seed"),
        nb::arg("rng"), nb::arg("validation_per_class"));
  m.def("sample_epoch", sample_epoch, nb::arg("sampler"), nb::arg("labels"), nb::arg("seed"), nb::arg("epoch"),
        nb::arg("epochs"));
  m.def("class_probabilities", class_probabilities, nb::arg("sampler"), nb::arg("class_counts"), nb::arg("epoch"),
        nb::arg("epochs"));
  m.def("parse_sampler", parse_sampler, nb::arg("text"));
  m.def("evaluate", evaluate, nb::arg("logits"), nb::arg("labels"), nb::arg("class_counts"), nb::arg("scale"),
        nb::arg("many_above"), nb::arg("few_below"));
  m.def("choose_head", [](const std::string& text, const std::string& head) {
    return std::string(name_of(ulmus::LossSpec::parse(text).choose_head(head)));
  });
  m.def("suggest",
        [](const std::string& word, const std::vector<std::string>& names) { return ulmus::suggest(word, names); });
  m.def("version", [] { return ulmus_version(); });
  m.def("target", [] {
    const char* target = nullptr;
    require(ulmus_target(&target));
    return target;
  });
}
