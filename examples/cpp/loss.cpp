// The loss alone, without a framework and with one header. Prints the loss and the gradient of the true logits.
#include "ulmus/loss/loss.hpp"

#include <cstdio>
#include <vector>

int main() {
  const ulmus::Loss loss(ulmus::LossSpec::parse("elm:lambda=0.5"), ulmus::ClassCounts({5000, 500, 50}));

  const std::vector<float> logits = {0.8f, 0.1f, 0.3f,   // frequent class, classified correctly
                                     0.6f, 0.2f, 0.5f};  // rare class, misclassified
  const std::vector<std::int64_t> labels = {0, 2};
  std::vector<float> gradient(logits.size());

  const double value = loss.evaluate<float>({logits.data(), 2, 3}, {.labels = labels}, {gradient.data(), 2, 3});
  std::printf("loss %.4f, gradient of the true logits %.4f %.4f\n", value, gradient[0], gradient[5]);
}
