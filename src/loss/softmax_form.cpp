#include "ulmus/loss/softmax_form.hpp"

namespace ulmus {

std::optional<std::string> obstacle_to_softmax(const Loss& loss) {
  const LossDefinition& definition = loss.spec().definition();
  const KernelParams& params = loss.params();
  const LossHooks& hooks = loss.hooks();
  if (definition.needs.features || definition.needs.head) return "it uses features or the weights of a head";
  if (hooks.batch_term || hooks.batch_offset) return "it has a term of the whole batch";
  if (hooks.collect_update || loss.is_stateful()) return "it has a state, or random draws, that change with each batch";
  if (hooks.row_loss) return "it is not a softmax cross entropy of the logits";
  if (hooks.shape || params.shape != Shape::plain) return "its shape is another function of the cross entropy";
  if (params.true_logit.kind != TrueLogitRule::Kind::margins)
    return "the shift of its true logit depends on that logit";
  if (!params.smoothing.empty()) return "it smooths labels";
  if (definition.has_constant_part) return "its shifts depend on the logits";
  return std::nullopt;
}

}  // namespace ulmus
