#pragma once

#include <span>
#include <string>
#include <vector>

#include "ulmus/eval/evaluation.hpp"
#include "ulmus/eval/posthoc.hpp"
#include "ulmus/loss/loss.hpp"

namespace ulmus {

/// A stated test prior q, [C], above 0 and of sum 1: "uniform", "train" (that of the counts), a list "p1,p2,...", or a
/// file with a number a line, in the order of the classes, or with lines "name,number" in any order (base/names.hpp;
/// the names are those of the counts). Numbers are divided by their sum, so counts will do. Throws Error{usage} or, for
/// a file, Error{data}: another length than C, a name that is no class, comes twice or is missing, or a number that is
/// not above 0, with its position.
std::vector<double> parse_prior(const std::string& text, const ClassCounts& train_counts);

/// The class prior that softmax(scale z) of a trained model assumes, [C], of sum 1:
///
///     p[j]  proportional to  pi[j] w[j] exp(-scale offset[j])
///
/// with pi the training prior, w the weights of the classes that are in force at the end of training (those of `+drw`,
/// `cb` ...; for a rule that resamples, how often an image of the class is drawn, beside the others) and offset what
/// the loss adds to the logits in training alone (`la`, `bs`, `vs`, `lade` ...). So `ce` assumes pi, `bs`, `lade` and
/// `la:tau=1` the uniform prior, `la:tau=T` pi^(1-T), `+inverse` the uniform one.
///
/// It is exact at the optimum of the loss. Margins (`ldam`, `elm` ...), slopes (`cdt`, `vs`), shapes (`focal` ...),
/// sigmoid losses and offsets that a loss makes anew for each row or batch (`seesaw`, `eql`, `gcl`, `loce`, `tam`) have
/// no such prior; they are taken to leave it as it is.
std::vector<double> assumed_prior(const LossSpec& loss, const ClassCounts& train_counts);

/// The prior after an adjustment: la divides by pi^tau. Throws Error{usage} for mla and tau-norm, whose outputs assume
/// no prior that can be named.
std::vector<double> assumed_prior(std::vector<double> of_loss, const PostHoc& posthoc, const ClassCounts& train_counts);

/// Corrects scores whose probabilities assume the prior `assumed` for the prior q: p'(y|x) is proportional to
/// p(y|x) q(y) / assumed(y) (Saerens et al., Neural Computation 2002). Both [C]. Throws Error{data} for a class that
/// the model assumes never to occur.
void correct_prior(ScoreTransform& scores, std::span<const double> assumed, std::span<const double> q);

/// Accuracy on a test set with the class prior q: the recall of each class, weighted by q. Classes without support are
/// left out, and the weights of the others divided by their sum.
double accuracy_under(const Evaluation& evaluation, std::span<const double> q);

}  // namespace ulmus
