#include "ulmus/loss/family.hpp"

namespace ulmus {

// clang-format off
/// Every loss, in listing order; each is defined in losses/NAME.cpp.
#define ULMUS_LOSSES(LOSS) \
  LOSS(ce) \
  LOSS(ldam) \
  LOSS(elm) \
  LOSS(bs) \
  LOSS(la) \
  LOSS(vs) \
  LOSS(cdt) \
  LOSS(focal) \
  LOSS(poly1) \
  LOSS(cb) \
  LOSS(gr) \
  LOSS(mm) \
  LOSS(ala) \
  LOSS(dbm) \
  LOSS(kps) \
  LOSS(gcl) \
  LOSS(lade) \
  LOSS(ib) \
  LOSS(ib_focal) \
  LOSS(seesaw) \
  LOSS(eql) \
  LOSS(loce) \
  LOSS(fce) \
  LOSS(lafce) \
  LOSS(las) \
  LOSS(los) \
  LOSS(logitnorm) \
  LOSS(lm_softmax) \
  LOSS(arcface) \
  LOSS(cosface) \
  LOSS(sphereface) \
  LOSS(dro_lt) \
  LOSS(lmd) \
  LOSS(tam)
// clang-format on

namespace detail {
#define ULMUS_DECLARE(name)                 \
  namespace name {                          \
  extern const LossDefinition k_definition; \
  }
ULMUS_LOSSES(ULMUS_DECLARE)
}  // namespace detail

std::string_view name_of(Head head) { return head == Head::linear ? "linear" : "cosine"; }

std::span<const LossDefinition> family() {
#define ULMUS_ENTRY(name) detail::name::k_definition,
  static const LossDefinition table[] = {ULMUS_LOSSES(ULMUS_ENTRY)};
  return table;
}

}  // namespace ulmus
