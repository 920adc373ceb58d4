/* The C interface of Ulmus: a loss for class-imbalanced classification, forward and gradient in one call.
 *
 *     ulmus_loss* loss = NULL;
 *     const int64_t counts[3] = {5000, 500, 50};
 *     if (ulmus_loss_create("elm:lambda=0.5+drw", counts, 3, &loss) != ULMUS_OK) puts(ulmus_last_error());
 *
 * A function that can fail returns a status and stores a line for ulmus_last_error(). Functions never throw, and never
 * crash on a null pointer or an unknown enumerator. Several threads may use a loss at once, except for the functions
 * that change it. */
#ifndef ULMUS_C_H
#define ULMUS_C_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define ULMUS_EXPORT __attribute__((visibility("default")))
#else
#define ULMUS_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Status codes; the values are the exit codes of the program `ulmus`. */
typedef enum ulmus_status {
  ULMUS_OK = 0,
  ULMUS_USAGE = 2,       /* an unknown name, a key out of range, a null pointer, an unknown enumerator */
  ULMUS_DATA = 3,        /* shapes that do not match, a label out of range */
  ULMUS_NUMERICAL = 4,   /* not used by this interface: an infinite or NaN loss is a result */
  ULMUS_ENVIRONMENT = 5, /* ULMUS_TARGET names an instruction set that this machine does not support; out of memory */
  ULMUS_INTERNAL = 70    /* a bug in this library: please report it with the message */
} ulmus_status;

typedef enum ulmus_dtype { ULMUS_F32 = 0, ULMUS_F64 = 1, ULMUS_BF16 = 2, ULMUS_F16 = 3 } ulmus_dtype;

/* How the losses l[i] of the samples, with weights w[i], are reduced to one number. */
typedef enum ulmus_reduction {
  ULMUS_MEAN = 0,          /* sum of w[i] * l[i] divided by the number of samples that are not ignored */
  ULMUS_WEIGHTED_MEAN = 1, /* over the sum of w[i] */
  ULMUS_NONE = 2           /* the sum itself; the gradient of each row is that of its own loss */
} ulmus_reduction;

/* The divisors of the sums over a batch. */
typedef struct ulmus_normaliser {
  double divisor; /* divisor of the reduction: the number of samples that count, or the sum of their weights */
  double samples; /* divisor of a term without class weights: the same, excluding class weights */
} ulmus_normaliser;

/* The memory in which the arrays of a batch are. */
typedef enum ulmus_device { ULMUS_CPU = 0, ULMUS_CUDA = 1 } ulmus_device;

typedef struct ulmus_loss ulmus_loss;

/* A batch of n rows, with the number of classes of the loss. Set struct_size, and set every unused field to zero:
 *
 *     ulmus_batch batch = {0};
 *     batch.struct_size = sizeof batch;
 *
 * Later versions append fields. A program compiled with fewer fields keeps working: the missing fields are zero. The
 * smallest struct ends before `features`. */
typedef struct ulmus_batch {
  size_t struct_size;    /* sizeof(ulmus_batch) */
  int32_t device;        /* an ulmus_device; this version supports only ULMUS_CPU */
  int32_t dtype;         /* an ulmus_dtype, the type of logits and gradient */
  void* stream;          /* stream of the device; NULL on the CPU */
  int64_t n;             /* rows */
  const void* logits;    /* [n, classes], row-major, the output of the head */
  int64_t logits_stride; /* distance between rows in elements; 0: classes */
  const int64_t* labels; /* [n], each in [0, classes), or the ignored label */

  void* gradient;               /* [n, classes], d loss / d logits; may be `logits`; NULL: not computed */
  int64_t gradient_stride;      /* 0: classes */
  double* losses;               /* [n], weighted loss of each sample; NULL: not computed */
  const double* sample_weights; /* [n], at least 0 and finite; NULL: ones */

  int32_t ignores; /* nonzero: rows with the label `ignore_index` have zero loss */
  int64_t ignore_index;
  int32_t reduction; /* an ulmus_reduction */
  int32_t threads;   /* maximum number; 0: OpenMP's default; at most four per processor */

  /* Additional inputs of some losses, see ulmus_loss_needs; NULL if absent. Matrices are contiguous; a gradient is
   * written if its pointer is not NULL. */
  const double* features; /* [n, feature_width], the input of the head */
  int64_t feature_width;
  double* feature_gradient;     /* [n, feature_width] */
  const double* head_weight;    /* [classes, feature_width] of a linear head */
  double* head_weight_gradient; /* [classes, feature_width] */
  const double* head_bias;      /* [classes] */
  double* head_bias_gradient;   /* [classes] */
  const double* offsets;        /* [n, classes], margins of graph nodes, replace those that `tam` computes */
  const double* noise;          /* [n, classes], replaces the random draws of `gcl` and `eql` */
  int64_t first_position;       /* position of row 0 in the batch, at least 0, if processes share one */
  const int64_t* positions;     /* [n], each at least 0, replaces first_position + i; NULL: none */

  /* Normaliser of the whole batch if these rows are only a part of it: the sum of ulmus_loss_normaliser over the parts.
   * NULL: the normaliser of these rows. */
  const ulmus_normaliser* normaliser;
} ulmus_batch;

/* The inputs that a loss needs in addition to logits and labels; bits of ulmus_loss_needs. */
typedef enum ulmus_needs {
  ULMUS_NEEDS_FEATURES = 1,
  ULMUS_NEEDS_HEAD = 2,   /* weight and bias of a linear head */
  ULMUS_NEEDS_STATE = 4,  /* has a state, which must be updated before each training batch */
  ULMUS_NEEDS_OFFSETS = 8 /* takes offsets, and computes its own from the features if there are none */
} ulmus_needs;

/* The version of this library, in the format of ULMUS_VERSION in ulmus/version.h. */
ULMUS_EXPORT const char* ulmus_version(void);

/* The one-line message of the last function that failed on this thread; "" before the first failure. Valid until the
 * next failure on this thread. */
ULMUS_EXPORT const char* ulmus_last_error(void);

/* Makes a loss from its text, `name[:key=value,...][+rule[:key=value,...]]`, and the number of training samples per
 * class, [classes]. Free it with ulmus_loss_free. */
ULMUS_EXPORT ulmus_status ulmus_loss_create(const char* text, const int64_t* class_counts, int64_t classes,
                                            ulmus_loss** loss);

/* NULL is allowed. */
ULMUS_EXPORT void ulmus_loss_free(ulmus_loss* loss);

/* Canonical text without defaults. Valid as long as the loss. */
ULMUS_EXPORT ulmus_status ulmus_loss_text(const ulmus_loss* loss, const char** text);

ULMUS_EXPORT ulmus_status ulmus_loss_classes(const ulmus_loss* loss, int64_t* classes);

/* The factor by which the loss multiplies the logits. */
ULMUS_EXPORT ulmus_status ulmus_loss_scale(const ulmus_loss* loss, double* scale);

/* The head for which the loss is designed, "linear" or "cosine". A constant. */
ULMUS_EXPORT ulmus_status ulmus_loss_head(const ulmus_loss* loss, const char** head);

/* Copies the current class weights, [classes]; ones if there are none. ULMUS_USAGE if `capacity`, the size of
 * `weights`, is too small; the message states the required size. */
ULMUS_EXPORT ulmus_status ulmus_loss_class_weights(const ulmus_loss* loss, double* weights, int64_t capacity);

/* The reduction of the loss's definition, an ulmus_reduction. */
ULMUS_EXPORT ulmus_status ulmus_loss_reduction(const ulmus_loss* loss, int32_t* reduction);

/* Bits of ulmus_needs. */
ULMUS_EXPORT ulmus_status ulmus_loss_needs(const ulmus_loss* loss, uint32_t* needs);

/* Initial biases of a linear head with this loss; 0 for most losses. */
ULMUS_EXPORT ulmus_status ulmus_loss_initial_bias(const ulmus_loss* loss, double* bias);

/* The state that a loss keeps between batches (counts, running means, the step of its random draws), to be saved with a
 * checkpoint. The size may change when the first features arrive: class means of features of width D are
 * classes * (1 + D) values. */
ULMUS_EXPORT ulmus_status ulmus_loss_state_size(const ulmus_loss* loss, int64_t* size);
/* ULMUS_USAGE if `capacity` is less than the size. */
ULMUS_EXPORT ulmus_status ulmus_loss_get_state(const ulmus_loss* loss, double* values, int64_t capacity);
/* Restores a saved state. ULMUS_DATA for a size that no state of this loss can have, a count that is not in [0, 2^53],
 * or a mean that is not finite. Features of a width other than the state's cause an error when they are passed. Changes
 * the loss. */
ULMUS_EXPORT ulmus_status ulmus_loss_set_state(ulmus_loss* loss, const double* values, int64_t size);
/* Sets the seed of the loss's random draws. Changes the loss. */
ULMUS_EXPORT ulmus_status ulmus_loss_set_seed(ulmus_loss* loss, uint64_t seed);

/* Call before each training batch of a loss with a state: compute the batch's update (`delta`, whose size
 * ulmus_loss_delta_size gives for the batch's feature_width), sum it over the processes that share the batch, then
 * apply it. ULMUS_USAGE if the `capacity` of `delta` is too small; ULMUS_DATA for a delta of another size, features of
 * a width other than the state's, and numbers that no batch can give; the state is then unchanged. */
ULMUS_EXPORT ulmus_status ulmus_loss_delta_size(const ulmus_loss* loss, int64_t feature_width, int64_t* size);
ULMUS_EXPORT ulmus_status ulmus_loss_collect_update(const ulmus_loss* loss, const ulmus_batch* batch, double* delta,
                                                    int64_t capacity);
ULMUS_EXPORT ulmus_status ulmus_loss_apply_update(ulmus_loss* loss, const double* delta, int64_t size);

/* Sets the current epoch for a deferred rule (`+drw`) and for a loss that starts as plain cross entropy (key `from`),
 * 0 <= epoch < epochs. Changes the loss. */
ULMUS_EXPORT ulmus_status ulmus_loss_set_epoch(ulmus_loss* loss, int64_t epoch, int64_t epochs);

/* Replaces the class weights, each at least 0 and finite; `size` is the number of classes. Changes the loss. */
ULMUS_EXPORT ulmus_status ulmus_loss_set_class_weights(ulmus_loss* loss, const double* weights, int64_t size);

/* Computes the normaliser of a batch from labels, weights and reduction; other fields are not read, except struct_size,
 * device and stream. {1, 1} for ULMUS_NONE. */
ULMUS_EXPORT ulmus_status ulmus_loss_normaliser(const ulmus_loss* loss, const ulmus_batch* batch,
                                                ulmus_normaliser* normaliser);

/* Evaluates the loss on a batch: writes the reduced loss to `value` and the outputs that the batch requests. Nothing is
 * written on failure, except that gradients may be partially written if memory runs out. Same accuracy, determinism and
 * treatment of NaN and infinity as ulmus::Loss::evaluate in ulmus/loss/loss.hpp. */
ULMUS_EXPORT ulmus_status ulmus_loss_run(const ulmus_loss* loss, const ulmus_batch* batch, double* value);

/* All losses and rules as JSON, {"losses": [...], "rules": [...]}: names, keys, defaults, descriptions. A constant. */
ULMUS_EXPORT ulmus_status ulmus_family_json(const char** text);

/* The instruction set in use, "avx512", "avx2", "sse4", "neon" or "scalar". A constant. */
ULMUS_EXPORT ulmus_status ulmus_target(const char** target);

#ifdef __cplusplus
}
#endif

#endif
