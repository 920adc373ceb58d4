#pragma once

#include <span>
#include <string>
#include <vector>

#include "ulmus/eval/evaluation.hpp"
#include "ulmus/eval/posthoc.hpp"
#include "ulmus/loss/loss.hpp"

namespace ulmus {

/// Parses a test prior q, [C], above 0 with sum 1: "uniform", "train" (that of the counts), a list "p1,p2,...", or a
/// file with one number per line, in class order, or with lines "name,number" in any order (base/class_values.hpp; the
/// names are those of the counts). Numbers are divided by their sum, so counts may be given. Throws Error{usage} or,
/// for a file, Error{data}: a length other than C, an unknown, duplicate or missing class name, or a number that is not
/// above 0, with its position.
std::vector<double> parse_prior(const std::string& text, const ClassCounts& train_counts);

/// The class prior that softmax(scale z) of a trained model assumes, [C], with sum 1:
///
///     p[j]  proportional to  pi[j] w[j] exp(-scale offset[j])
///
/// with pi the training prior, w the class weights at the end of training (those of `+drw`, `cb` ...; for a resampling
/// rule, the relative frequency with which an image of the class is drawn) and offset the term that the loss adds to
/// the logits only in training (`la`, `bs`, `vs`, `lade` ...). So `ce` assumes pi, `bs`, `lade` and `la:tau=1` the
/// uniform prior, `la:tau=T` pi^(1-T), `+inverse` the uniform prior.
///
/// It is exact at the optimum of the loss. Margins (`ldam`, `elm` ...), slopes (`cdt`, `vs`), shapes (`focal` ...),
/// sigmoid losses and offsets that a loss computes for each row or batch (`seesaw`, `eql`, `gcl`, `loce`, `tam`) have
/// no such prior; they are assumed not to change it.
std::vector<double> assumed_prior(const LossSpec& loss, const ClassCounts& train_counts);

/// The prior after an adjustment: la divides by pi^tau. Throws Error{usage} for mla and tau-norm, whose outputs do not
/// correspond to a known prior.
std::vector<double> assumed_prior(std::vector<double> of_loss, const PostHoc& posthoc, const ClassCounts& train_counts);

/// Corrects scores whose probabilities assume the prior `assumed` for the prior q: p'(y|x) is proportional to p(y|x)
/// q(y) / assumed(y) (Saerens et al., Neural Computation 2002). Both [C]. Throws Error{data} for a class with an
/// assumed prior of 0.
void correct_prior(ScoreTransform& scores, std::span<const double> assumed, std::span<const double> q);

/// Accuracy on a test set with the class prior q: the recall of each class, weighted by q. Classes without support are
/// excluded, and the other weights divided by their sum.
double accuracy_under(const Evaluation& evaluation, std::span<const double> q);

}  // namespace ulmus
