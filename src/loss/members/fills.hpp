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
RowTerms fill_ce(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_ldam(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_elm(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_bs(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_la(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_vs(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_cdt(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_focal(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_poly1(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_gr(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_mm(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_ala(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_dbm(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_arcface(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_cosface(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_sphereface(const KeyValues& keys, const ClassCounts& counts);

// a file each
RowTerms fill_cb(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_kps(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_lade(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_ib(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_ib_focal(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_seesaw(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_eql(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_gcl(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_loce(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_fce(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_lafce(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_las(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_logitnorm(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_lm_softmax(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_tam(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_dro_lt(const KeyValues& keys, const ClassCounts& counts);
RowTerms fill_lmd(const KeyValues& keys, const ClassCounts& counts);

}  // namespace ulmus::detail
