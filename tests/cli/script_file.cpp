#include "cli/script_file.hpp"

#include <fmt/format.h>
#include <torch/script.h>

namespace ulmus::cli_test {

void write_script(const std::filesystem::path& path, const std::filesystem::path& target) {
  torch::jit::Module module("Backbone");
  torch::manual_seed(1);
  module.register_parameter("weight", torch::randn({5, 28 * 28}) * 0.1, false);
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define(
      fmt::format("def forward(self, x):\n"
                  "  torch.save(x, '{}')\n"
                  "  return torch.matmul(x.flatten(1), self.weight.t())\n",
                  target.string()));
  module.save(path.string());
}

void write_colour_backbone(const std::filesystem::path& path, int dimensions) {
  torch::jit::Module module("Backbone");
  module.register_parameter("shift", torch::ones({3, 1, 1}), false);
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define(
      fmt::format("def forward(self, x):\n"
                  "  assert x.size(1) == 3\n"
                  "  y = x + self.shift\n"
                  "  return {}\n",
                  dimensions == 4 ? "y" : "y.mean([2, 3])"));
  module.save(path.string());
}

}  // namespace ulmus::cli_test
