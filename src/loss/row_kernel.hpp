#pragma once

#include <cstdint>
#include <type_traits>

#include "ulmus/loss/float16.hpp"

/// The interface between the batch loop (batch_loop.hpp), compiled once, and the row kernels (row_kernel-inl.hpp),
/// compiled for every instruction set.
namespace ulmus::detail {

/// The type in which logits of type T are computed.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
double to_double(T value) {
  return static_cast<double>(static_cast<Compute<T>>(value));
}

template <class T>
T round_to(double value) {
  return static_cast<T>(static_cast<Compute<T>>(value));
}

/// Rows of at most this many classes are vectorised across rows.
constexpr std::int64_t k_small_c = 16;

/// Rows of at most this many classes share a call, so that their epilogues are vectorised across rows.
constexpr std::int64_t k_shared_call_classes = 1024;

/// Maximum number of rows in a tile.
constexpr std::int64_t k_most_tile_rows = 16;

/// Longer rows are divided into blocks of about this many classes, each with its own maximum.
constexpr std::int64_t k_block_classes = 4096;

constexpr std::int64_t block_count(std::int64_t classes) { return (classes + k_block_classes - 1) / k_block_classes; }

/// The class prologue u[j] = scale * v[j]: v[j] = z[j] (uniform, null pointers), z[j] + offset[j] (shifted, no slope),
/// slope[j] * z[j] (scaled, no offset) or slope[j] * z[j] + offset[j] (affine).
template <class A>
struct ClassTerms {
  double scale;
  const A* slope = nullptr;   ///< [C]
  const A* offset = nullptr;  ///< [C]
};

/// The result of the forward sweep over a row. Its values of v are relative to `origin`.
struct ForwardResult {
  double maximum;      ///< v[m], the largest incorrect one; -infinity: there is no incorrect class
  double sum;          ///< sum over j != y of exp(u[j] - u[m]), at least 1; 0: there is no incorrect class
  double true_value;   ///< v[y]; -infinity: the label is not among these classes
  double origin;       ///< add it to `maximum` and `true_value`
  std::int64_t rival;  ///< m; -1: there is no incorrect class, or it was not requested
};

/// A few rows, and the memory that the two calls for them share.
template <class T>
struct Tile {
  using A = Compute<T>;

  const T* logits;
  std::int64_t logits_stride;
  T* gradient;  ///< may be `logits`; null: not computed
  std::int64_t gradient_stride;
  const std::int64_t* labels;  ///< [rows], -1: not among these classes
  std::int64_t rows;           ///< at most k_most_tile_rows
  std::int64_t classes;
  bool wants_rival;
  const T* next;    ///< the logits after this tile
  A* exponentials;  ///< exponentials of row i start at i * exponentials_stride; null with many classes: not computed
  std::int64_t exponentials_stride;
  double* maxima;  ///< [rows, blocks]
  double* sums;    ///< [blocks]
};

/// The row kernel for one logit type and one class prologue.
template <class T>
struct RowKernel {
  std::int64_t rows;  ///< rows per tile with at most k_small_c classes
  /// Computes the results of each row; stores exponentials and maxima for backward.
  void (*forward)(const Tile<T>& tile, const ClassTerms<Compute<T>>& terms, ForwardResult* results);
  /// gradient[y] = true_dlogit * slope[y], gradient[j] = wrong_dlogit * slope[j] * exp(u[j] - u[m]) / sum.
  void (*backward)(const Tile<T>& tile, const ClassTerms<Compute<T>>& terms, const ForwardResult* results,
                   const double* wrong_dlogit, const double* true_dlogit);
};

/// The row epilogue for `rows` rows: from the distance d = log(sum) + gap it computes the loss of the sample and its
/// derivative with respect to d. The parameter of a shape is given per row. The arrays have k_most_tile_rows elements.
using RowEpilogue = void (*)(const double* parameter, std::int64_t rows, const double* sum, const double* gap,
                             double* value, double* slope);

/// All row kernels of one instruction set, for at most and for more than k_small_c classes.
struct RowKernels {
  template <class T>
  struct Of {
    RowKernel<T> small_c_uniform, small_c_shifted, small_c_scaled, small_c_affine;
    RowKernel<T> large_c_uniform, large_c_shifted, large_c_scaled, large_c_affine;
    /// max over j != y of z[j], for more than k_small_c classes; may miss a NaN.
    Compute<T> (*largest_wrong_logit)(const T* row, std::int64_t classes, std::int64_t label);
  };
  Of<float> f32;
  Of<double> f64;
  Of<BFloat16> bf16;
  Of<Half> f16;
  RowEpilogue plain;  ///< softplus(d)
  RowEpilogue focal;  ///< sigmoid(d)^parameter * softplus(d)
  RowEpilogue poly;   ///< softplus(d) + parameter * sigmoid(d)
  /// exp(scale * x[i]) for x <= 0, as computed by the kernels; `result` may be `x`.
  void (*exp_f32)(double scale, const float* x, float* result, std::int64_t n);
  void (*exp_f64)(double scale, const double* x, double* result, std::int64_t n);
  /// arccos of n values in [-1, 1], and cosine of n angles; `result` may be the argument.
  void (*acos_f64)(const double* x, double* result, std::int64_t n);
  void (*cos_f64)(const double* x, double* result, std::int64_t n);
  /// Rotates n angles arccos(z[i]) by t[i], whose derivative with respect to z[i] is slope[i]; t[i] becomes the cosine
  /// of the sum and slope[i] its derivative.
  void (*turn_f64)(const double* z, double* t, double* slope, std::int64_t n);

  template <class T>
  const Of<T>& of() const {
    if constexpr (std::is_same_v<T, float>) return f32;
    if constexpr (std::is_same_v<T, double>) return f64;
    if constexpr (std::is_same_v<T, BFloat16>) return bf16;
    if constexpr (std::is_same_v<T, Half>) return f16;
  }
};

/// The kernels of the target in use; throws as target_in_use() does.
const RowKernels& row_kernels();

}  // namespace ulmus::detail
