#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ulmus/loss/family.hpp"

/// The functions that fill in the terms of each member; the table in family.cpp names them.
namespace ulmus::detail {

/// Counts as numbers to take logarithms and powers of: a class without samples counts like the rarest one that has
/// some, as it does for the margins of LDAM. [C]
std::vector<double> positive_counts(const ClassCounts& counts);

/// tau * log(prior) of each class, after positive_counts. [C]
std::vector<double> log_prior(const ClassCounts& counts, double tau = 1);

/// Throws Error{usage} unless every one of a member's numbers for the classes is finite, also as a float: with some
/// keys and counts powers and products leave what there is. `what` is a plural in words.
void require_finite(std::span<const double> of_classes, std::string_view what);

// kernel_members.cpp: numbers for the kernel and nothing else
KernelParams make_ce_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_ldam_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_elm_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_bs_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_la_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_vs_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_cdt_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_focal_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_poly1_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_gr_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_mm_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_ala_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_dbm_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_arcface_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_cosface_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_sphereface_params(const KeyValues& keys, const ClassCounts& counts);

// a file each
KernelParams make_cb_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_kps_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_lade_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_ib_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_ib_focal_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_seesaw_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_eql_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_gcl_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_loce_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_fce_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_lafce_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_las_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_logitnorm_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_lm_softmax_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_tam_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_dro_lt_params(const KeyValues& keys, const ClassCounts& counts);
KernelParams make_lmd_params(const KeyValues& keys, const ClassCounts& counts);

}  // namespace ulmus::detail
