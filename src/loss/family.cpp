#include "ulmus/loss/family.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "loss/members/fills.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

constexpr double k_infinity = std::numeric_limits<double>::infinity();
constexpr Range k_any{-k_infinity, k_infinity, true, true};
constexpr Range k_not_negative{0, k_infinity, false, true};
constexpr Range k_positive{0, k_infinity, true, true};

constexpr double k_lambdas[] = {0, 0.25, 0.5, 0.75, 1};
constexpr std::string_view k_placements[] = {"true", "rival"};
constexpr std::string_view k_cb_kinds[] = {"softmax", "sigmoid", "focal"};
constexpr std::string_view k_mm_variants[] = {"plain", "ldam"};
constexpr std::string_view k_bases[] = {"ce", "bs"};
constexpr std::string_view k_scalings[] = {"one", "label"};
constexpr std::string_view k_ib_weights[] = {"inverse", "effective", "none"};
constexpr std::string_view k_eql_kinds[] = {"softmax", "sigmoid"};
constexpr std::string_view k_las_shapes[] = {"concave", "linear", "convex"};
constexpr std::string_view k_norms[] = {"l2", "l1"};
constexpr std::string_view k_arcface_variants[] = {"insightface", "opensphere"};

constexpr Key k_max_margin{"max_margin", 0.5, k_not_negative, "margin of the rarest class, in cosine units",
                           "LDAM-DRW code, CIFAR"};
constexpr Key k_margin_scale{"scale", 30, k_positive, "multiplies the cosines before the softmax", "LDAM-DRW code"};
constexpr Key k_beta{"beta",
                     0.9999,
                     {0, 1, false, true},
                     "of the effective number; 0 gives equal weights, near 1 inverse frequency",
                     "LDAM-DRW code"};
constexpr Key k_from{"from",
                     0.8,
                     {0, 1, false, true},
                     "fraction of the epochs after which it begins",
                     "LDAM-DRW code: epoch 160 of 200"};
constexpr Key k_sampling_beta{
    "beta", 1, {0, 1}, "of the effective number; 1: every class is drawn as often", "LDAM-DRW code"};
constexpr Key k_scale{"scale", 1, k_positive, "multiplies the logits before the softmax", "definition"};

const std::vector<LossDefinition>& members() {
  static const std::vector<LossDefinition> table = {
      {
          .name = "ce",
          .title = "softmax cross entropy",
          .equation = "l = log sum_j exp(s z[j]) - s z[y]",
          .paper = "",
          .advice = "The baseline. It learns the frequent classes and gives up the rare ones.",
          .pitfalls = "On a cosine head it needs a scale: cosines of at most 1 cannot make a probability near 1.",
          .head = Head::linear,
          .keys = {k_scale},
          .make_params = detail::make_ce_params,
      },
      {
          .name = "ldam",
          .title = "label-distribution-aware margin loss",
          .equation = "l = log(exp(s (z[y] - D[y])) + sum_{j != y} exp(s z[j])) - s (z[y] - D[y]),  "
                      "D[j] = max_margin (n_min / n[j])^(1/4)",
          .paper =
              "Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, "
              "NeurIPS 2019, arXiv 1906.07413",
          .advice = "A strong, stable choice together with +drw.",
          .pitfalls = "Needs the cosine head: without normalised features the margin has no scale. A class without "
                      "samples gets "
                      "max_margin.",
          .head = Head::cosine,
          .keys = {k_max_margin, k_margin_scale},
          .make_params = detail::make_ldam_params,
      },
      {
          .name = "elm",
          .title = "Enlarged Large Margin loss",
          .equation = "l = log(exp(s t) + sum_{j != y} exp(s z[j])) - s t,  t = z[y] - D[y] + lambda D[m],  "
                      "m = argmax_{j != y} z[j],  D[j] = max_margin (n_min / n[j])^(1/4)",
          .paper =
              "Kato, Hotta: Enlarged Large Margin Loss for Imbalanced Classification, IEEE SMC 2023, arXiv 2306.09132",
          .advice = "With +drw, where the rare classes matter most. lambda is a head-tail dial: 0 is LDAM, 0.25 to 0.5 "
                    "is a good "
                    "start; choose it on validation data: `ulmus tune`, or lambda=auto.",
          .pitfalls = "The default lambda = 1 is the authors'; it can shift too far: a frequent class whose look-alike "
                      "is rare is "
                      "given up. The sign is the released code's, in which lambda > 0 lowers the margin against a rare "
                      "rival; the "
                      "abstract's wording matches lambda < 0, or placement=rival: the rival's logit raised by lambda "
                      "D[m] and the true one lowered by D[y]. Ties of the rival go to the lowest class index.",
          .head = Head::cosine,
          .keys = {{"lambda",
                    1,
                    k_any,
                    "weight of the rival's margin; 0 is LDAM; auto: the trainer chooses 0, 0.25, 0.5, 0.75 or 1 on the "
                    "validation part",
                    "released ELM code",
                    {},
                    {},
                    k_lambdas},
                   k_max_margin,
                   {"placement",
                    0,
                    {},
                    "of the rival's margin: in the true logit, or added to the rival's own",
                    "true: released ELM code; rival: our other reading of the paper",
                    k_placements},
                   k_margin_scale},
          .make_params = detail::make_elm_params,
      },
      {
          .name = "bs",
          .title = "balanced softmax",
          .equation = "l = log sum_j exp(s z[j] + log n[j]) - s z[y] - log n[y]",
          .paper =
              "Ren, Yu, Sheng, Ma, Zhao, Yi, Li: Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS "
              "2020, arXiv 2007.10740",
          .advice = "A strong first choice on a linear head, with nothing to tune.",
          .pitfalls = "Predict with z, not with z + log n. With class weights too (+cb, +drw) rare classes are counted "
                      "twice. A class without samples counts like the rarest one that has some.",
          .head = Head::linear,
          .keys = {k_scale},
          .make_params = detail::make_bs_params,
      },
      {
          .name = "la",
          .title = "logit adjustment",
          .equation = "l = log sum_j exp(s z[j] + tau log pi[j]) - s z[y] - tau log pi[y],  pi[j] = n[j] / sum n",
          .paper = "Menon, Jayasumana, Rawat, Jain, Veit, Kumar: Long-tail Learning via Logit Adjustment, ICLR 2021, "
                   "arXiv 2007.07314",
          .advice = "Balanced softmax with a dial: tau = 1 is bs, 0 is ce, more helps the rare classes more.",
          .pitfalls = "Predict with z. A class without samples counts like the rarest one that has some; released code "
                      "adds 1e-12 to its prior instead.",
          .head = Head::linear,
          .keys = {{"tau", 1, k_any, "strength of the adjustment", "Menon et al."}, k_scale},
          .make_params = detail::make_la_params,
      },
      {
          .name = "vs",
          .title = "vector scaling",
          .equation = "l = log sum_j exp(v[j]) - v[y],  v[j] = s (n[j] / n_max)^gamma z[j] + tau log pi[j]",
          .paper = "Kini, Paraskevas, Oymak, Thrampoulidis: Label-Imbalanced and Group-Sensitive Classification under "
                   "Overparameterization, NeurIPS 2021, arXiv 2103.01550",
          .advice = "Logit adjustment that also changes the slope of rare logits; gamma = 0 is la.",
          .pitfalls =
              "Predict with z. Copies of the code interchange gamma and tau: gamma is the small one. With gamma "
              "other than 0 a common offset of the logits changes the loss.",
          .head = Head::linear,
          .keys = {{"gamma", 0.3, k_any, "exponent of the slopes; 0: all 1", "VS code"},
                   {"tau", 1, k_any, "strength of the adjustment by the prior", "VS code"},
                   k_scale},
          .make_params = detail::make_vs_params,
      },
      {
          .name = "cdt",
          .title = "class-dependent temperatures",
          .equation = "l = log sum_j exp(v[j]) - v[y],  v[j] = s z[j] / (n_max / n[j])^gamma",
          .paper =
              "Ye, Chen, Zhan, Chao: Identifying and Compensating for Feature Deviation in Imbalanced Deep Learning, "
              "arXiv 2001.01385",
          .advice = "Vector scaling without the prior; raise gamma until the rare classes stop gaining.",
          .pitfalls = "Predict with z. A common offset of the logits changes the loss.",
          .head = Head::linear,
          .keys = {{"gamma", 0.2, k_any, "exponent of the temperatures", "Bag of Tricks code"}, k_scale},
          .make_params = detail::make_cdt_params,
      },
      {
          .name = "focal",
          .title = "focal loss, softmax form",
          .equation = "l = (1 - p)^gamma c,  c = log sum_j exp(s z[j]) - s z[y],  p = exp(-c)",
          .paper =
              "Lin, Goyal, Girshick, He, Dollar: Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002",
          .advice = "Turns away from samples that are right already; a mild help against imbalance on its own.",
          .pitfalls =
              "Class weights multiply the whole loss; released long-tailed code puts them inside p, which is then "
              "no probability. Its mean is over the samples even with weights.",
          .head = Head::linear,
          .keys = {{"gamma", 1, k_not_negative, "exponent of 1 - p; 0 is ce", "LDAM-DRW code, CIFAR"}, k_scale},
          .make_params = detail::make_focal_params,
      },
      {
          .name = "poly1",
          .title = "PolyLoss, first order",
          .equation = "l = c + epsilon (1 - p[y]),  c = log sum_j exp(s z[j]) - s z[y],  p = exp(-c)",
          .paper = "Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov: PolyLoss: A Polynomial Expansion Perspective of "
                   "Classification Loss Functions, ICLR 2022, arXiv 2204.12511",
          .advice = "A small change of cross entropy; epsilon above 0 pushes harder on samples that are wrong.",
          .pitfalls = "Not made for imbalance. Class weights multiply c only, as in the copies of the code in use.",
          .head = Head::linear,
          .keys = {{"epsilon", 1, k_any, "strength of the second term; 0 is ce", "Leng et al."}, k_scale},
          .make_params = detail::make_poly1_params,
      },
      {
          .name = "cb",
          .title = "class-balanced loss: softmax, sigmoid or sigmoid focal",
          .equation = "w[j] = (1 - beta) / (1 - beta^n[j]), normalised to mean 1;  softmax: l = w[y] ce;  "
                      "sigmoid: l = w[y] sum_j softplus(-t[j] z[j]), t[y] = 1, else -1;  "
                      "focal: each term times (1 - sigmoid(t[j] z[j]))^gamma",
          .paper =
              "Cui, Jia, Lin, Song, Belongie: Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, "
              "arXiv 1901.05555",
          .advice = "A sure small gain over ce on a linear head; with kind=softmax it is ce+cb.",
          .pitfalls = "A widely copied port computes something else under the name softmax: binary cross entropy of "
                      "softmax outputs. The sigmoid kinds are a mean over the samples even with weights, and start "
                      "from biases of -log(C - 1).",
          .head = Head::linear,
          .keys =
              {{"kind", 0, {}, "of loss that is weighted", "Cui et al.", k_cb_kinds},
               k_beta,
               {"gamma", 1, k_not_negative, "exponent of the focal kind", "Cui et al.: 0.5, 1 or 2", {}, "kind=focal"}},
          .make_params = detail::make_cb_params,
      },
      {
          .name = "gr",
          .title = "generalised re-weighting",
          .equation = "l = w[y] ce,  w[j] = pi[j]^-rho, normalised to mean 1",
          .paper = "Zhang, Li, Yan, He, Sun: Distribution Alignment: A Unified Framework for Long-tail Visual "
                   "Recognition, CVPR 2021, arXiv 2103.16370",
          .advice = "Re-weighting with a dial: rho = 0 is ce, 1 is ce+inverse. Made for re-training a head on a frozen "
                    "backbone.",
          .pitfalls = "rho above 1 lets a batch with one rare sample be dominated by it.",
          .head = Head::linear,
          .keys = {{"rho", 1.2, k_any, "exponent of the weights", "Zhang et al., ImageNet-LT"}, k_scale},
          .make_params = detail::make_gr_params,
      },
      {
          .name = "mm",
          .title = "maximum margin (HMM)",
          .equation = "l = ce of s z with t = z[y] - h for z[y],  g = z[y] - max(0, max_{j != y} z[j]),  "
                      "h = exp(-g - gamma M) if g > 0, exp(-|g| - M) if g < 0, 0 if g = 0;  M = max_margin, or "
                      "max_margin - D[y] (variant ldam)",
          .paper = "Kang, Vu, Yoo: Learning Imbalanced Datasets With Maximum Margin Loss, ICIP 2021, arXiv 2206.05380",
          .advice = "A margin that follows how far the sample is from the boundary; with +drw.",
          .pitfalls = "h is constant for the gradient. Released code takes the true score of every row from the first "
                      "label of the batch; this is the version for each sample. Its D is made with max_margin 0.5 "
                      "whatever max_margin is.",
          .head = Head::cosine,
          .keys = {{"max_margin", 0.5, k_not_negative, "M, in cosine units", "released code"},
                   {"gamma", 1.1, k_any, "weight of M where the sample is right", "released code"},
                   {"variant", 0, {}, "of M", "released code", k_mm_variants},
                   k_margin_scale},
          .make_params = detail::make_mm_params,
      },
      {
          .name = "ala",
          .title = "adaptive logit adjustment",
          .equation =
              "l = ce of s z with t = z[y] - A[y] (1 - z[y]) / 2 for z[y],  A[j] = log 2 / log(n[j] / n_min + 1)",
          .paper = "Zhao et al.: Adaptive Logit Adjustment Loss for Long-Tailed Visual Recognition, AAAI "
                   "2022, arXiv 2104.06094",
          .advice = "A margin that is larger for rare classes and for hard samples, with nothing to tune.",
          .pitfalls = "Only third-party code is public; its constant log 2 and its treatment of the adjustment as "
                      "constant for the gradient are followed.",
          .head = Head::cosine,
          .keys = {k_margin_scale},
          .make_params = detail::make_ala_params,
      },
      {
          .name = "dbm",
          .title = "difficulty-aware balancing margin",
          .equation = "l = ce of s z + o with cos(theta[y] + M) for z[y] = cos theta[y],  "
                      "M = m[y] (1 + [argmax z != y] lambda (1 - z[y]) / 2),  m[j] = max_margin (n_min / n[j])^tau;  "
                      "o = 0, or log pi (base bs)",
          .paper = "Son et al.: Difficulty-aware Balancing Margin Loss for Long-tailed Recognition, AAAI 2025",
          .advice = "With base=bs the best single plain network of the published tables.",
          .pitfalls = "Nothing is constant for the gradient. theta + M is not stopped at pi, as in the released code, "
                      "which also takes the last class for the rarest; this takes the rarest.",
          .head = Head::cosine,
          .keys = {{"max_margin", 0.1, {0, 3.14}, "margin of the rarest class, in radians", "released code"},
                   {"tau", 1, k_any, "exponent of the margins", "released code"},
                   {"lambda", 1, {0, 1000}, "how much more margin a hard sample gets", "released code"},
                   {"base", 0, {}, "what the margin is added to", "Son et al.", k_bases},
                   {"scale", 32, k_positive, "multiplies the cosines before the softmax", "released code, CIFAR"}},
          .make_params = detail::make_dbm_params,
      },
      {
          .name = "kps",
          .title = "key-point-sensitive loss",
          .equation = "l = log sum_j exp(s v[j]) - s v[y],  v[j] = q[j] z[j] - m[y] [j = y],  "
                      "q[j] = log(50 n[j] / n_min) / log 50,  m = q in reverse order, times max_margin / max q;  "
                      "scaling label: s is clip(s q[y] in reverse order, s, 50)",
          .paper = "Li, Cheung, Hu: Key Point Sensitive Loss for Long-tailed Visual Recognition, TPAMI 2023",
          .advice = "Slopes and margins together; with +drw.",
          .pitfalls = "Released code reverses by position, which is right only for classes in the order of their "
                      "counts; this reverses by rank, and classes of the same count by their order. A common offset of "
                      "the logits changes the loss.",
          .head = Head::cosine,
          .keys = {{"max_margin", 0.2, k_not_negative, "margin of the rarest class", "released code"},
                   {"scaling", 0, {}, "one scale for all samples, or one by their label", "released code", k_scalings},
                   {"scale", 15, k_positive, "multiplies the logits before the softmax", "released code"}},
          .make_params = detail::make_kps_params,
          .where = "src/loss/members/kps.cpp (scaling=label only)",
      },
      {
          .name = "gcl",
          .title = "Gaussian clouded logits",
          .equation = "l = log sum_j exp(u[j]) - u[y],  u[j] = s (z[j] - a |e[j]| r[j] - margin [j = y]),  "
                      "e[j] drawn from N(0, 1/3) clipped to [-1, 1],  r[j] = log(n_max / n[j]) / log(n_max / n_min)",
          .paper = "Li, Cheung, Lu: Long-tailed Visual Recognition via Gaussian Clouded Logit Adjustment, CVPR 2022, "
                   "arXiv 2305.11733",
          .advice = "Noise widens the rare classes' region; made for two stages, the second re-training the head with "
                    "balanced sampling and margin 0.1.",
          .pitfalls = "Noise lowers every class, not only the true one. Equal counts mean no noise (0/0 in released "
                      "code). Draws depend on the seed, the batch and the row only.",
          .head = Head::cosine,
          .keys = {{"noise", 0.5, k_not_negative, "a, amplitude of the noise for the rarest class",
                    "released code, stage 1"},
                   {"margin", 0, k_any, "subtracted from the true cosine", "released code, stage 1"},
                   k_margin_scale},
          .make_params = detail::make_gcl_params,
          .where = "src/loss/members/gcl.cpp",
      },
      {
          .name = "lade",
          .title = "label distribution disentangling loss",
          .equation = "L = mean ce of z + log pi, plus alpha R over the batch,  R = -sum_c pi[c] (mean of z[c] over "
                      "samples of c - S[c] - lambda S[c]^2),  S[c] = logsumexp_i(z[i, c] - log(pi[c] C)) - log N",
          .paper = "Hong, Han, Choi, Seo, Kim, Chang: Disentangling Label Distribution for Long-tailed Visual "
                   "Recognition, CVPR 2021, arXiv 2012.00321",
          .advice = "Balanced softmax with a regulariser; large batches.",
          .pitfalls =
              "A loss of the whole batch: there is no loss of one sample, and shares of a batch do not add up to "
              "it. Follows the released code, which differs from the paper: the importance weight is by the "
              "logit's class, and classes absent from the batch count. Predict with z.",
          .head = Head::linear,
          .keys = {{"alpha", 0.1, k_not_negative, "strength of the regulariser", "LADE code, CIFAR-100 ratio 100"},
                   {"lambda", 0.01, k_not_negative, "of its second term", "LADE code, CIFAR-100 ratio 100"}},
          .make_params = detail::make_lade_params,
          .where = "src/loss/members/lade.cpp",
      },
      {
          .name = "ib",
          .title = "influence-balanced loss",
          .equation = "l = w[y] c alpha / (2 (1 - p[y]) |h|_1 + 0.001),  c = -log p[y],  h the feature of the sample;  "
                      "l = c before the fraction `from` of the epochs",
          .paper = "Park, Lim, Jeon, Choi: Influence-Balanced Loss for Imbalanced Visual Classification, ICCV 2021, "
                   "arXiv 2110.02444",
          .advice = "A second phase after cross entropy: samples that pull hard on the head count less.",
          .pitfalls = "Gradient flows through the influence too, into the features. A mean over the samples even with "
                      "weights. The ELM authors' port normalises the weights differently.",
          .head = Head::linear,
          .keys = {{"alpha", 1000, k_positive, "multiplies the loss", "IB code, scripts"},
                   {"weights", 0, {}, "w: inverse frequency, effective number or ones", "IB code", k_ib_weights},
                   {"beta", 0.9999, {0, 1, false, true}, "of the effective number", "IB code", {}, "weights=effective"},
                   {"from",
                    0.5,
                    {0, 1, false, true},
                    "fraction of the epochs after which it begins",
                    "IB code: epoch 100 of 200"},
                   k_scale},
          .make_params = detail::make_ib_params,
          .needs = {.features = true},
          .where = "src/loss/members/ib.cpp",
      },
      {
          .name = "ib-focal",
          .title = "influence-balanced focal loss",
          .equation = "l = ib (1 - exp(-w[y] c))^gamma",
          .paper = "Park, Lim, Jeon, Choi: Influence-Balanced Loss for Imbalanced Visual Classification, ICCV 2021, "
                   "arXiv 2110.02444",
          .advice = "ib that also turns away from samples that are right.",
          .pitfalls = "The class weight is inside the probability, as in the released code. As ib otherwise.",
          .head = Head::linear,
          .keys = {{"alpha", 1000, k_positive, "multiplies the loss", "IB code, scripts"},
                   {"gamma", 1, k_not_negative, "exponent of the focal factor", "IB code"},
                   {"weights", 0, {}, "w: inverse frequency, effective number or ones", "IB code", k_ib_weights},
                   {"beta", 0.9999, {0, 1, false, true}, "of the effective number", "IB code", {}, "weights=effective"},
                   {"from",
                    0.5,
                    {0, 1, false, true},
                    "fraction of the epochs after which it begins",
                    "IB code: epoch 100 of 200"},
                   k_scale},
          .make_params = detail::make_ib_focal_params,
          .needs = {.features = true},
          .where = "src/loss/members/ib.cpp",
      },
      {
          .name = "seesaw",
          .title = "seesaw loss",
          .equation = "l = log sum_j exp(u[j]) - u[y],  u[j] = s z[j] + log(M[j] Q[j]) for j != y,  "
                      "M[j] = min(1, n[j] / n[y])^p,  Q[j] = max(1, P[j] / max(P[y], eps))^q,  P = softmax(s z), "
                      "n the samples seen so far",
          .paper = "Wang, Zhang, Zang, Cao, Pang, Gong, Chen, Liu, Loy, Lin: Seesaw Loss for Long-Tailed Instance "
                   "Segmentation, CVPR 2021, arXiv 2008.10032",
          .advice = "Needs no counts in advance: it counts as it goes.",
          .pitfalls =
              "M and Q are constant for the gradient. The counts are state: they are saved with a checkpoint and "
              "counted once a training batch, before its loss. The classification part only.",
          .head = Head::linear,
          .keys = {{"p", 0.8, k_not_negative, "strength of the mitigation by counts", "mmdetection"},
                   {"q", 2, k_not_negative, "strength of the compensation of mistakes", "mmdetection"},
                   {"eps", 0.01, k_positive, "smallest true probability in Q", "mmdetection"},
                   k_scale},
          .make_params = detail::make_seesaw_params,
          .where = "src/loss/members/seesaw.cpp",
      },
      {
          .name = "eql",
          .title = "equalisation loss",
          .equation = "softmax: l = log sum_k w[k] exp(z[k]) - z[y],  w[k] = 1 - b[k] [pi[k] < lambda] for k != y,  "
                      "b[k] = 1 with probability gamma;  sigmoid: l = sum_j w[j] softplus(-t[j] z[j]) with b = 1",
          .paper =
              "Tan, Wang, Li, Li, Ouyang, Yin, Yan: Equalization Loss for Long-Tailed Object Recognition, CVPR 2020, "
              "arXiv 2003.05176",
          .advice =
              "Rare classes are spared the push of other classes' samples; set lambda so that the few-shot classes "
              "are below it.",
          .pitfalls =
              "lambda is compared with the share of all samples, not with a count. A row whose wrong classes are "
              "all spared has loss 0. The sigmoid kind is without background rows.",
          .head = Head::linear,
          .keys = {{"kind", 0, {}, "of loss", "Tan et al.", k_eql_kinds},
                   {"lambda",
                    0.005,
                    {0, 1},
                    "a class with a smaller share of the samples is rare",
                    "CIFAR-100; CIFAR-10: 0.05"},
                   {"gamma",
                    0.9,
                    {0, 1},
                    "probability with which a rare class is spared",
                    "Tan et al.",
                    {},
                    "kind=softmax"}},
          .make_params = detail::make_eql_params,
          .where = "src/loss/members/eql.cpp",
      },
      {
          .name = "loce",
          .title = "LOCE equilibrium loss",
          .equation =
              "l = log sum_j exp(s z[j] + log r[j]) - s z[y] - log r[y],  r[j] the running mean of softmax(s z)[j] "
              "over the samples of class j",
          .paper =
              "Feng, Zhong, Huang: Exploring Classification Equilibrium in Long-Tailed Object Detection, ICCV 2021, "
              "arXiv 2108.07507",
          .advice = "Logit adjustment by how the classes fare in training instead of by their counts.",
          .pitfalls =
              "The mean scores are state, saved with a checkpoint. They begin at 0.01 for every class. Without the "
              "detector's background class and memory of features.",
          .head = Head::linear,
          .keys = {{"momentum", 0.9, {0, 1, false, true}, "of the running mean", "LOCE code"}, k_scale},
          .make_params = detail::make_loce_params,
          .where = "src/loss/members/loce.cpp",
      },
      {
          .name = "fce",
          .title = "false cross entropy",
          .equation =
              "l = -log(p[y] + 1e-7) - sum_{j: n[j] > n[y]} log(1 - p[j] + 1e-7),  p = softmax(z / temperature)",
          .paper = "In the code of Kato, Hotta (ELM), usagisukisuki/Imbalanced-Classification; in no paper we know of",
          .advice = "Pushes the frequent classes down where a rarer one is right.",
          .pitfalls = "The floors inside the logarithms bound the loss and its gradient.",
          .head = Head::linear,
          .keys = {{"temperature", 4, k_positive, "divides the logits", "ELM authors' code"}},
          .make_params = detail::make_fce_params,
          .where = "src/loss/members/fce.cpp",
      },
      {
          .name = "lafce",
          .title = "logit-adjusted false cross entropy",
          .equation = "fce with p = softmax(z / temperature + log pi)",
          .paper = "In the code of Kato, Hotta (ELM), usagisukisuki/Imbalanced-Classification; in no paper we know of",
          .advice = "fce on top of logit adjustment.",
          .pitfalls = "As fce. Predict with z.",
          .head = Head::linear,
          .keys = {{"temperature", 6, k_positive, "divides the logits", "ELM authors' code"}},
          .make_params = detail::make_lafce_params,
          .where = "src/loss/members/fce.cpp",
      },
      {
          .name = "las",
          .title = "label-aware smoothing",
          .equation =
              "l = (1 - e[y]) c + e[y] mean_j(-log p[j]),  e from `tail` for the rarest class to `head` for the "
              "most frequent by t = (n[y] - n_min) / (n_max - n_min)",
          .paper =
              "Zhong, Cui, Liu, Jia: Improving Calibration for Long-Tailed Recognition, CVPR 2021, arXiv 2104.00466",
          .advice = "For calibration: a second stage that re-trains the head with balanced sampling.",
          .pitfalls =
              "Does little against imbalance by itself. Equal counts take `tail` for every class (0/0 in released "
              "code).",
          .head = Head::linear,
          .keys = {{"head", 0.4, {0, 1}, "smoothing of the most frequent class", "MiSLAS code, CIFAR-100 ratio 100"},
                   {"tail", 0.1, {0, 1}, "smoothing of the rarest class", "MiSLAS code, CIFAR-100 ratio 100"},
                   {"shape", 0, {}, "of the way between them", "MiSLAS code", k_las_shapes}},
          .make_params = detail::make_las_params,
          .where = "src/loss/members/las.cpp",
      },
      {
          .name = "logitnorm",
          .title = "LogitNorm",
          .equation = "l = log sum_j exp(u[j]) - u[y],  u = z / (temperature (|z|_2 + 1e-7))",
          .paper =
              "Wei, Xie, Cheng, Feng, An, Li: Mitigating Neural Network Overconfidence with Logit Normalization, ICML "
              "2022, arXiv 2205.09310",
          .advice = "For calibration and the detection of strange inputs.",
          .pitfalls =
              "Not made for imbalance. With temperature 1 (the code's default) it cannot learn: the logits have "
              "norm 1.",
          .head = Head::linear,
          .keys = {{"temperature", 0.01, k_positive, "divides the unit logits",
                    "README of the authors' code, CIFAR-10"}},
          .make_params = detail::make_logitnorm_params,
          .where = "src/loss/members/logitnorm.cpp",
      },
      {
          .name = "lm-softmax",
          .title = "large margin in softmax",
          .equation = "l = c + lambda / 2 sum_{j != y} (q[j] - 1 / (C - 1)) log q[j],  q the softmax over the wrong "
                      "classes,  c the cross entropy with z[y] - lower",
          .paper = "Kobayashi: Large Margin In Softmax Cross-Entropy Loss, BMVC 2019",
          .advice = "A regulariser that needs no margin to be set.",
          .pitfalls =
              "Not made for imbalance. Class weights multiply c only; the regulariser is a mean over the samples. "
              "Two classes: it is 0.",
          .head = Head::linear,
          .keys = {{"lambda", 0.3, k_not_negative, "strength of the regulariser", "Kobayashi"},
                   {"lower", 0, k_any, "subtracted from the true logit first", "released code: none, or 1"}},
          .make_params = detail::make_lm_softmax_params,
          .where = "src/loss/members/lm_softmax.cpp",
      },
      {
          .name = "arcface",
          .title = "ArcFace, additive angular margin",
          .equation =
              "l = ce of s z with cos(theta[y] + margin) for z[y] = cos theta[y];  z[y] - margin sin margin where "
              "theta[y] + margin would pass pi",
          .paper =
              "Deng, Guo, Xue, Zafeiriou: ArcFace: Additive Angular Margin Loss for Deep Face Recognition, CVPR 2019, "
              "arXiv 1801.07698",
          .advice = "For embeddings of many classes; the same margin for all of them.",
          .pitfalls = "Not made for imbalance. Two public codes differ: insightface has the gradient of the angle, "
                      "opensphere takes the shift as constant and stops the angle at pi.",
          .head = Head::cosine,
          .keys = {{"margin", 0.5, {0, 3.14}, "added to the angle, in radians", "insightface"},
                   {"variant", 0, {}, "whose code", "insightface", k_arcface_variants},
                   {"scale", 64, k_positive, "multiplies the cosines before the softmax", "insightface"}},
          .make_params = detail::make_arcface_params,
      },
      {
          .name = "cosface",
          .title = "CosFace, additive cosine margin",
          .equation = "l = ce of s z with z[y] - margin for z[y]",
          .paper =
              "Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu: CosFace: Large Margin Cosine Loss for Deep Face Recognition, "
              "CVPR 2018, arXiv 1801.09414",
          .advice = "LDAM with the same margin for every class.",
          .pitfalls = "Not made for imbalance.",
          .head = Head::cosine,
          .keys = {{"margin", 0.4, k_any, "subtracted from the true cosine", "insightface; opensphere: 0.35"},
                   {"scale", 64, k_positive, "multiplies the cosines before the softmax", "insightface"}},
          .make_params = detail::make_cosface_params,
      },
      {
          .name = "sphereface",
          .title = "SphereFace, multiplicative angular margin",
          .equation = "l = ce of s z with (-1)^k cos(margin theta[y]) - 2 k for z[y] = cos theta[y],  "
                      "k = floor(margin theta[y] / pi)",
          .paper =
              "Liu, Wen, Yu, Li, Raj, Song: SphereFace: Deep Hypersphere Embedding for Face Recognition, CVPR 2017, "
              "arXiv 1704.08063",
          .advice = "The first of the angular margins; arcface is easier to train.",
          .pitfalls = "Not made for imbalance. The shift is constant for the gradient, as in opensphere.",
          .head = Head::cosine,
          .keys = {{"margin", 1.7, {1, 1000}, "multiplies the angle", "opensphere"}, k_margin_scale},
          .make_params = detail::make_sphereface_params,
      },
      {
          .name = "dro-lt",
          .title = "DRO-LT, robust prototypes",
          .equation =
              "L = mean ce + alpha mean_c mean_{i: y[i] = c} -log softmax_i(d[c, i] / T),  "
              "d[c, i] = -|mu[c] - h[i]| - epsilon / sqrt(n[c]) [y[i] = c],  the softmax over the samples of the "
              "batch",
          .paper =
              "Samuel, Chechik: Distributional Robustness Loss for Long-tail Learning, ICCV 2021, arXiv 2104.03066",
          .advice = "A second stage after cross entropy that tidies the features of rare classes.",
          .pitfalls =
              "Prototypes mu are running means of the features (state, saved with a checkpoint); the paper takes "
              "them once an epoch, and released code learns the radii. Classes absent from the batch are left out "
              "(released code breaks). alpha and momentum are ours.",
          .head = Head::linear,
          .keys = {{"alpha", 0.1, k_not_negative, "strength of the feature loss", "ours"},
                   {"temperature", 0.07, k_positive, "T", "DRO-LT code"},
                   {"epsilon", 1, k_not_negative, "radius of a class with one sample",
                    "ours; the paper: const / sqrt(n)"},
                   {"momentum", 0.9, {0, 1, false, true}, "of the running means", "ours"},
                   {"from",
                    0.5,
                    {0, 1, false, true},
                    "fraction of the epochs after which it begins",
                    "ours: the second stage"},
                   k_scale},
          .make_params = detail::make_dro_lt_params,
          .needs = {.features = true},
          .where = "src/loss/members/dro_lt.cpp",
      },
      {
          .name = "lmd",
          .title = "large margin discriminative loss",
          .equation =
              "L = mean ce + alpha mean_c mean_{i: y[i] = c} max(|h[i] - mu[c]| - delta_v, 0)^2 + beta mean_c "
              "max_{j != c} max(0, delta_d + (z[j] - z[c])(mean h of c) / |w[c] - w[j]|) + gamma mean_c |mu[c]|",
          .paper = "Nguyen, Gamboa, Chhaibi, Zhang, Gratton, Giaccone: Large Margin Discriminative Loss for "
                   "Classification, 2024, arXiv 2405.18499",
          .advice = "Compact features at a distance from the decision boundaries, on any linear head.",
          .pitfalls =
              "Running means mu are state, saved with a checkpoint, and move only in training (released code moves "
              "them in every forward pass). Not made for imbalance, but every class counts alike.",
          .head = Head::linear,
          .keys = {{"alpha", 1, k_not_negative, "strength of the compactness", "released code"},
                   {"beta", 1, k_not_negative, "strength of the margin", "released code"},
                   {"gamma", 0.001, k_not_negative, "strength of the norm of the means", "released code"},
                   {"delta_v", 0.5, k_not_negative, "distance from the mean that is free", "released code"},
                   {"delta_d", 1.5, k_not_negative, "distance from the boundary that is asked for",
                    "released code; its script: 6"},
                   {"momentum", 0.99, {0, 1, false, true}, "of the running means", "released code"},
                   {"norm", 0, {}, "of features: of the distance and of the means", "released code", k_norms}},
          .make_params = detail::make_lmd_params,
          .needs = {.features = true, .head = true},
          .where = "src/loss/members/lmd.cpp",
      },
      {
          .name = "tam",
          .title = "topology-aware margin, for nodes of a graph",
          .equation = "l = base loss of z + alpha log ACM - beta ADM,  the margins from the classes around the node "
                      "(include/ulmus/loss/graph_margins.hpp)",
          .paper =
              "Song, Park, Yang: TAM: Topology-Aware Margin Loss for Class-Imbalanced Node Classification, ICML 2022, "
              "arXiv 2206.12917",
          .advice = "For graphs: make the margins of a batch with graph_margins and hand them in. Without a graph the "
                    "nearest neighbours in feature space make one.",
          .pitfalls =
              "The graph of neighbours is ours, not the paper's: each sample of a batch is joined to its nearest "
              "others, by the features as they are. The margins are constant for the gradient.",
          .head = Head::linear,
          .keys = {{"alpha", 2.5, k_not_negative, "strength of the connectivity margin", "TAM code"},
                   {"beta", 0.5, k_not_negative, "strength of the distribution margin", "TAM code"},
                   {"base", 0, {}, "the loss that is moved", "TAM code", k_bases},
                   {"neighbours", 5, {1, 1000}, "of a sample where no graph is given", "ours"},
                   {"from",
                    0.0025,
                    {0, 1, false, true},
                    "fraction of the epochs after which it begins",
                    "TAM code: 5 of 2000"},
                   k_scale},
          .make_params = detail::make_tam_params,
          .needs = {.features = true},
          .where = "src/loss/members/tam.cpp",
      },
  };
  return table;
}

/// How often an image of a class is drawn, beside the images of the others: 1 / n, or by the effective number.
std::vector<double> image_weights(const KeyValues& keys, const ClassCounts& counts) {
  return keys["beta"] == 1 ? counts.inverse_frequency_weights() : counts.effective_number_weights(keys["beta"]);
}

const std::vector<Rule>& all_rules() {
  static const auto effective_number = [](const KeyValues& keys, const ClassCounts& counts) {
    return counts.effective_number_weights(keys["beta"]);
  };
  static const std::vector<Rule> table = {
      {
          .name = "cb",
          .title = "re-weighting (RW): class-balanced weights from the first epoch on",
          .equation = "w[j] = (1 - beta) / (1 - beta^n[j]), normalised to mean 1",
          .paper =
              "Cui, Jia, Lin, Song, Belongie: Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, "
              "arXiv 1901.05555",
          .keys = {k_beta},
          .weights = effective_number,
      },
      {
          .name = "inverse",
          .title = "inverse-frequency weights from the first epoch on",
          .equation = "w[j] = 1 / n[j], normalised to mean 1",
          .paper = "",
          .keys = {},
          .weights = [](const KeyValues&, const ClassCounts& counts) { return counts.inverse_frequency_weights(); },
      },
      {
          .name = "drw",
          .title = "deferred re-weighting (DRW): class-balanced weights from a later epoch on",
          .equation =
              "w[j] = 1 before epoch round(from * epochs), then (1 - beta) / (1 - beta^n[j]), normalised to mean 1",
          .paper = "Cao et al., NeurIPS 2019, arXiv 1906.07413",
          .keys = {k_from, k_beta},
          .deferred = true,
          .weights = effective_number,
      },
      {
          .name = "weights",
          .title = "class weights of your own, written +weights=FILE: a number a line, in the order of the classes",
          .equation = "w[j] = line j, as it is (not normalised)",
          .paper = "",
          .keys = {},
          .takes_file = true,
      },
      {
          .name = "rs",
          .title = "re-sampling (RS): images drawn with replacement, rare classes as often as frequent ones",
          .equation = "an image of class j is drawn with weight (1 - beta) / (1 - beta^n[j]); beta = 1: 1 / n[j]",
          .paper = "Cao et al., NeurIPS 2019, arXiv 1906.07413",
          .keys = {k_sampling_beta},
          .acts = Rule::Acts::sampling,
          .weights = image_weights,
      },
      {
          .name = "drs",
          .title = "deferred re-sampling (DRS): as rs, from a later epoch on",
          .equation = "every image once an epoch before epoch round(from * epochs), then as rs",
          .paper = "Cao et al., NeurIPS 2019, arXiv 1906.07413",
          .keys = {k_from, k_sampling_beta},
          .acts = Rule::Acts::sampling,
          .deferred = true,
          .weights = image_weights,
      },
  };
  return table;
}

}  // namespace

std::string_view name_of(Head head) { return head == Head::linear ? "linear" : "cosine"; }

std::string_view name_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::mean:
      return "mean";
    case Reduction::weighted_mean:
      return "weighted-mean";
    case Reduction::none:
      return "none";
  }
  throw std::logic_error("a reduction without a name");
}

Reduction parse_reduction(std::string_view name) {
  std::vector<std::string> names;
  for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean, Reduction::none}) {
    if (name == name_of(reduction)) return reduction;
    names.emplace_back(name_of(reduction));
  }
  throw Error(ErrorKind::usage, fmt::format("unknown reduction '{}'; {}", name, suggest(name, names)));
}

bool Range::contains(double value) const {
  return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::string Range::text() const {
  if (low == -k_infinity && high == k_infinity) return "any number";
  if (high == k_infinity) return fmt::format("{} {}", low_open ? "above" : "at least", format_number(low));
  return fmt::format("in {}{}, {}{}", low_open ? '(' : '[', format_number(low), format_number(high),
                     high_open ? ')' : ']');
}

std::string Key::text(double value) const {
  if (value == k_auto) return "auto";
  return choices.empty() ? format_number(value) : std::string(choices[static_cast<std::size_t>(value)]);
}

std::string Key::range_text() const {
  if (choices.empty()) return range.text() + (automatic.empty() ? "" : " or auto");
  return join(std::vector<std::string>(choices.begin(), choices.end()), " or ");
}

KeyValues::KeyValues(std::span<const Key> keys) : keys_(keys) {
  for (const Key& key : keys) values_.push_back(key.default_value);
}

bool KeyValues::has(std::string_view name) const {
  return std::any_of(keys_.begin(), keys_.end(), [name](const Key& key) { return key.name == name; });
}

std::size_t KeyValues::index(std::string_view name) const {
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (keys_[i].name == name) return i;
  throw std::logic_error(fmt::format("the family table has no key '{}' here", name));
}

std::string_view KeyValues::word(std::string_view name) const {
  const std::size_t i = index(name);
  return keys_[i].choices[static_cast<std::size_t>(values_[i])];
}

bool KeyValues::applies(const Key& key) const {
  const std::size_t equals = key.only_with.find('=');
  return key.only_with.empty() || word(key.only_with.substr(0, equals)) == key.only_with.substr(equals + 1);
}

std::string KeyValues::text(bool all) const {
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (applies(keys_[i]) && (all || values_[i] != keys_[i].default_value))
      pieces.push_back(fmt::format("{}={}", keys_[i].name, keys_[i].text(values_[i])));
  return join(pieces, ",");
}

std::span<const LossDefinition> family() { return members(); }

std::span<const Rule> rules() { return all_rules(); }

}  // namespace ulmus
