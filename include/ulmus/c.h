/* The C interface of Ulmus: a loss for class-imbalanced classification, forward and gradient in one call.
 *
 *     ulmus_loss* loss = NULL;
 *     const int64_t counts[3] = {5000, 500, 50};
 *     if (ulmus_loss_create("elm:lambda=0.5+drw", counts, 3, &loss) != ULMUS_OK) puts(ulmus_last_error());
 *
 * A function that can fail returns a status and leaves a line for ulmus_last_error(). No exception leaves a function,
 * no null pointer or unknown value of an enumeration crashes one. A loss may be used by several threads at once, except
 * by the functions that change it.
 */
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

/* What went wrong; the values are the exit codes of the program `ulmus`. */
typedef enum ulmus_status {
  ULMUS_OK = 0,
  ULMUS_USAGE = 2,       /* an unknown name, a key out of range, a null pointer, an unknown enumerator */
  ULMUS_DATA = 3,        /* shapes that do not fit, a label out of range */
  ULMUS_NUMERICAL = 4,   /* not raised by this interface: an infinite or NaN loss is a result */
  ULMUS_ENVIRONMENT = 5, /* ULMUS_TARGET names an instruction set that this machine cannot run; no memory */
  ULMUS_INTERNAL = 70    /* a bug in this library: please report it with the message */
} ulmus_status;

typedef enum ulmus_dtype { ULMUS_F32 = 0, ULMUS_F64 = 1, ULMUS_BF16 = 2, ULMUS_F16 = 3 } ulmus_dtype;

/* How the losses l[i] of the samples, with weights w[i], become one number. */
typedef enum ulmus_reduction {
  ULMUS_MEAN = 0,          /* sum of w[i] * l[i], over the number of samples that are not ignored */
  ULMUS_WEIGHTED_MEAN = 1, /* over the sum of w[i] */
  ULMUS_NONE = 2           /* the sum itself; the gradient of each row is that of its own loss */
} ulmus_reduction;

/* What the sums of a batch are divided by. */
typedef struct ulmus_normaliser {
  double divisor; /* of the reduction: the number of samples that count, or the sum of their weights */
  double samples; /* of a term without class weights: the same without those */
} ulmus_normaliser;

/* Where the memory of a batch lies. */
typedef enum ulmus_device { ULMUS_CPU = 0, ULMUS_CUDA = 1 } ulmus_device;

typedef struct ulmus_loss ulmus_loss;

/* A batch of n rows and as many classes as the loss. Set its size, and every field you do not use to zero:
 *
 *     ulmus_batch batch = {0};
 *     batch.struct_size = sizeof batch;
 *
 * Later versions append fields. A program that was compiled with fewer runs on: the fields it does not have are zero.
 * The smallest struct ends before `features`. */
typedef struct ulmus_batch {
  size_t struct_size;    /* sizeof(ulmus_batch) */
  int32_t device;        /* an ulmus_device; this version refuses all but ULMUS_CPU */
  int32_t dtype;         /* an ulmus_dtype, of logits and gradient */
  void* stream;          /* of the device; NULL on the CPU */
  int64_t n;             /* rows */
  const void* logits;    /* [n, classes], row-major, what the head gives */
  int64_t logits_stride; /* elements from a row to the next; 0: classes */
  const int64_t* labels; /* [n], each in [0, classes), or the ignored label */

  void* gradient;               /* [n, classes], d loss / d logits; may be `logits`; NULL: not wanted */
  int64_t gradient_stride;      /* 0: classes */
  double* losses;               /* [n], weighted loss of each sample; NULL: not wanted */
  const double* sample_weights; /* [n], at least 0 and finite; NULL: ones */

  int32_t ignores; /* not 0: rows with the label `ignore_index` cost nothing */
  int64_t ignore_index;
  int32_t reduction; /* an ulmus_reduction */
  int32_t threads;   /* at most so many; 0: as many as OpenMP gives; never more than four a processor */

  /* What some losses look at beside logits and labels, see ulmus_loss_needs; NULL where there is nothing. Matrices are
   * contiguous; a gradient is written where there is a place for it. */
  const double* features; /* [n, feature_width], what goes into the head */
  int64_t feature_width;
  double* feature_gradient;     /* [n, feature_width] */
  const double* head_weight;    /* [classes, feature_width] of a linear head */
  double* head_weight_gradient; /* [classes, feature_width] */
  const double* head_bias;      /* [classes] */
  double* head_bias_gradient;   /* [classes] */
  const double* offsets;        /* [n, classes], margins of graph nodes, for `tam` in place of its own */
  const double* noise;          /* [n, classes], in place of the random draws of `gcl` and `eql` */
  int64_t first_position;       /* of row 0 in the batch, at least 0, where several processes share one */
  const int64_t* positions;     /* [n], each at least 0, in place of first_position + i; NULL: none */

  /* Of the whole batch, where these rows are a part of it: what ulmus_loss_normaliser gives, summed over the parts.
   * NULL: that of these rows. */
  const ulmus_normaliser* normaliser;
} ulmus_batch;

/* What a loss looks at beside logits and labels; bits of ulmus_loss_needs. */
typedef enum ulmus_needs {
  ULMUS_NEEDS_FEATURES = 1,
  ULMUS_NEEDS_HEAD = 2,   /* weight and bias of a linear head */
  ULMUS_NEEDS_STATE = 4,  /* carries a state, to be moved before each training batch */
  ULMUS_NEEDS_OFFSETS = 8 /* takes offsets, and makes its own from the features where there are none */
} ulmus_needs;

/* The version of this library, in the form of ULMUS_VERSION in ulmus/version.h. */
ULMUS_EXPORT const char* ulmus_version(void);

/* What the last function that failed on this thread had to say, in one line; "" before the first. Valid until the next
 * failure on this thread. */
ULMUS_EXPORT const char* ulmus_last_error(void);

/* A loss from its text, `name[:key=value,...][+rule[:key=value,...]]`, and the training samples of each class,
 * [classes]. To be freed with ulmus_loss_free. */
ULMUS_EXPORT ulmus_status ulmus_loss_create(const char* text, const int64_t* class_counts, int64_t classes,
                                            ulmus_loss** loss);

/* NULL is allowed. */
ULMUS_EXPORT void ulmus_loss_free(ulmus_loss* loss);

/* Canonical text: defaults left out. Valid as long as the loss. */
ULMUS_EXPORT ulmus_status ulmus_loss_text(const ulmus_loss* loss, const char** text);

ULMUS_EXPORT ulmus_status ulmus_loss_classes(const ulmus_loss* loss, int64_t* classes);

/* What the loss multiplies the logits with. */
ULMUS_EXPORT ulmus_status ulmus_loss_scale(const ulmus_loss* loss, double* scale);

/* The head the loss is made for, "linear" or "cosine". A constant. */
ULMUS_EXPORT ulmus_status ulmus_loss_head(const ulmus_loss* loss, const char** head);

/* The class weights in force, copied to [classes]; ones where there are none. ULMUS_USAGE where `capacity`, the places
 * of `weights`, is less; the line says what is needed. */
ULMUS_EXPORT ulmus_status ulmus_loss_class_weights(const ulmus_loss* loss, double* weights, int64_t capacity);

/* The reduction of the loss's definition, an ulmus_reduction. */
ULMUS_EXPORT ulmus_status ulmus_loss_reduction(const ulmus_loss* loss, int32_t* reduction);

/* Bits of ulmus_needs. */
ULMUS_EXPORT ulmus_status ulmus_loss_needs(const ulmus_loss* loss, uint32_t* needs);

/* Where the biases of a linear head begin with this loss; 0 for most. */
ULMUS_EXPORT ulmus_status ulmus_loss_initial_bias(const ulmus_loss* loss, double* bias);

/* The state that a loss carries from batch to batch (counts, running means, the step of its random draws), to be saved
 * with a checkpoint. The size may change when the first features are seen: the means of features of width D are
 * classes * (1 + D) values. */
ULMUS_EXPORT ulmus_status ulmus_loss_state_size(const ulmus_loss* loss, int64_t* size);
/* ULMUS_USAGE where `capacity` is less than the size. */
ULMUS_EXPORT ulmus_status ulmus_loss_get_state(const ulmus_loss* loss, double* values, int64_t capacity);
/* Goes back to a saved state; ULMUS_DATA for a size that no state of this loss has, a count that is not from 0 to 2^53
 * and a mean that is not finite. Features of another width than the state's are refused where they come. Changes the
 * loss. */
ULMUS_EXPORT ulmus_status ulmus_loss_set_state(ulmus_loss* loss, const double* values, int64_t size);
/* Of the loss's random draws. Changes the loss. */
ULMUS_EXPORT ulmus_status ulmus_loss_set_seed(ulmus_loss* loss, uint64_t seed);

/* Before each training batch of a loss with a state: what the batch adds to it (`delta`, of the size that
 * ulmus_loss_delta_size tells for the batch's feature_width), summed over the processes that share the batch, then
 * taken in. ULMUS_USAGE where the `capacity` of `delta` is less than that; ULMUS_DATA for a delta of another size or of
 * features of another width than the state's, and for numbers that measuring cannot give; the state stays as it was. */
ULMUS_EXPORT ulmus_status ulmus_loss_delta_size(const ulmus_loss* loss, int64_t feature_width, int64_t* size);
ULMUS_EXPORT ulmus_status ulmus_loss_collect_update(const ulmus_loss* loss, const ulmus_batch* batch, double* delta,
                                                    int64_t capacity);
ULMUS_EXPORT ulmus_status ulmus_loss_apply_update(ulmus_loss* loss, const double* delta, int64_t size);

/* Tells a deferred rule (`+drw`), and a loss that is plain at first (key `from`), where training is,
 * 0 <= epoch < epochs. Changes the loss. */
ULMUS_EXPORT ulmus_status ulmus_loss_set_epoch(ulmus_loss* loss, int64_t epoch, int64_t epochs);

/* Replaces the class weights by these, each at least 0 and finite; `size` is the number of classes. Changes the
 * loss. */
ULMUS_EXPORT ulmus_status ulmus_loss_set_class_weights(ulmus_loss* loss, const double* weights, int64_t size);

/* The normaliser that labels, weights and reduction give a batch; its other fields are not read, except struct_size,
 * device and stream. That of ULMUS_NONE is {1, 1}. */
ULMUS_EXPORT ulmus_status ulmus_loss_normaliser(const ulmus_loss* loss, const ulmus_batch* batch,
                                                ulmus_normaliser* normaliser);

/* Runs the loss on a batch: the reduced loss to `value` and what the batch asks for. Nothing is written on failure,
 * except that gradients may be half written where memory runs out. Same accuracy, determinism and treatment of NaN and
 * infinity as ulmus::Loss::evaluate in ulmus/loss/loss.hpp. */
ULMUS_EXPORT ulmus_status ulmus_loss_run(const ulmus_loss* loss, const ulmus_batch* batch, double* value);

/* The whole family as JSON, {"losses": [...], "rules": [...]}: names, keys, defaults, words. A constant. */
ULMUS_EXPORT ulmus_status ulmus_family_json(const char** text);

/* The instruction set in use, "avx512", "avx2", "sse4", "neon" or "scalar". A constant. */
ULMUS_EXPORT ulmus_status ulmus_target(const char** target);

#ifdef __cplusplus
}
#endif

#endif
