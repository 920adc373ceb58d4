#include "ulmus/data/score_file.hpp"

#include <gtest/gtest.h>

#include "data/packed.hpp"
#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus {
namespace {

using test::expect_error;
using Names = std::vector<std::string>;
using Numbers = std::vector<double>;

ScoreFile parse(const std::string& text, ScoreFileOptions options = {}) {
  return parse_scores(text, "scores.csv", options);
}

TEST(ScoreFile, ColumnsAreClassesAndRowsAreSamples) {
  const ScoreFile file = parse("id,cat,y,dog\nx1,0.2,dog,0.8\nx2,1e-3, cat ,0.999\n", {.label = "y", .carry = {"id"}});
  EXPECT_EQ(file.class_names, (Names{"cat", "dog"}));
  EXPECT_EQ(file.scores, (Numbers{0.2, 0.8, 1e-3, 0.999}));
  EXPECT_EQ(file.labels, (std::vector<std::int64_t>{1, 0}));
  EXPECT_EQ(file.carried, (Names{"x1", "x2"}));
  EXPECT_EQ(file.place(1), "'scores.csv' line 3");
}

TEST(ScoreFile, WhatPredictWritesIsRead) {
  const ScoreFile file = parse("path,predicted,probability,p(cat),p(dog)\na.png,dog,0.8,0.2,0.8\n");
  EXPECT_EQ(file.class_names, (Names{"cat", "dog"}));
  EXPECT_EQ(file.scores, (Numbers{0.2, 0.8}));
}

TEST(ScoreFile, IsReadAsAnyTable) {
  const Numbers expected = {0.25, 0.75};
  for (const std::string text : {"\xef\xbb\xbf"
                                 "cat,dog\r\n0.25,0.75\r\n",
                                 "sep=;\ncat;dog\n0.25;0.75\n", "cat\tdog\n0.25\t0.75", "cat dog\n0.25 0.75\n",
                                 "# note\n\"cat\",dog\n\n0.25,\"0.75\"\n"})
    EXPECT_EQ(parse(text).scores, expected) << text;
  const TemporaryFolder folder;
  write_file(folder.path() / "s.csv.gz", test::packed("cat,dog\n0.25,0.75\n"));
  EXPECT_EQ(read_scores(folder.path() / "s.csv.gz", {}).scores, expected);
}

TEST(ScoreFile, AnUnnamedColumnOfRowNumbersIsPassedOver) {
  EXPECT_EQ(parse(",cat,dog\n0,0.25,0.75\n1,0.5,0.5\n").scores, (Numbers{0.25, 0.75, 0.5, 0.5}));
}

TEST(ScoreFile, ClassesOfTheOptionsGiveTheOrderInAnySpelling) {
  const ScoreFile file = parse("0,1,y\n0.25,0.75,1.0\n", {.label = "y", .classes = {"1", "0"}, .classes_from = "'c'"});
  EXPECT_EQ(file.class_names, (Names{"1", "0"}));
  EXPECT_EQ(file.scores, (Numbers{0.75, 0.25}));
  EXPECT_EQ(file.labels, (std::vector<std::int64_t>{0}));
  const ScoreFile wider =
      parse("id,b,a\n7,0.25,0.75\n", {.classes = {"a", "b"}, .classes_from = "'c'", .ignore_others = true});
  EXPECT_EQ(wider.scores, (Numbers{0.75, 0.25}));
}

TEST(ScoreFile, AFileMayLackItsLabelWhereItIsOptional) {
  EXPECT_TRUE(parse("cat,dog\n0.25,0.75\n", {.label = "y", .label_is_optional = true}).labels.empty());
}

TEST(ScoreFile, MistakesAreNamedWithTheirLine) {
  const ScoreFileOptions classes{.classes = {"cat", "dog"}, .classes_from = "'counts.csv'"};
  const auto fails = [](const std::string& text, std::initializer_list<std::string_view> says,
                        ScoreFileOptions options = {},
                        ErrorKind kind = ErrorKind::data) { expect_error(kind, says, [&] { parse(text, options); }); };
  fails("", {"'scores.csv' is empty"});
  fails("cat,dog\n", {"has a header but no row"});
  fails("cat,dog\n0.5\n", {"line 2 has 1 fields, expected 2"});
  fails("cat,dog\n0.5,x\n", {"line 2: column 'dog' is 'x', expected a finite number"});
  fails("cat,dog\n0.5,nan\n", {"line 2: column 'dog' is 'nan'"});
  fails("cat,dog\n0.5,\n", {"line 2: column 'dog' is ''"});
  fails("cat,cat\n0.5,0.5\n", {"line 1 has the column name 'cat' twice"});
  fails("cat\n0.5\n", {"scores of 1 class(es)"});
  fails("cat,dog,id\n0.5,0.5,1\n", {"line 1 has the column 'id', which is no class of 'counts.csv'", "carry"}, classes);
  fails("cat, cat ,dog\n0.5,0,0.5\n", {"line 1 has the column name 'cat' twice"}, classes);
  fails("cat,dgo\n0.5,0.5\n", {"'dgo'", "did you mean 'dog'"}, classes);
  fails("cat,y\n0.5,cat\n", {"line 1"}, {.label = "y"});
  ScoreFileOptions three = classes;
  three.classes.push_back("bird");
  fails("cat,dog\n0.5,0.5\n", {"line 1 has no column for the class 'bird' of 'counts.csv'"}, three);
  fails("cat,dog,y\n0.5,0.5,dig\n", {"line 2: the label 'dig' is no class; did you mean 'dog'"}, {.label = "y"});
  fails("cat,dog\n0.5,0.5\n", {"has no column 'y' (label)"}, {.label = "y"}, ErrorKind::usage);
}

TEST(ClassMatrix, IsMatchedByName) {
  const Names names = {"cat", "dog"};
  EXPECT_EQ(parse_class_matrix("true,dog,cat\ndog,0,9\ncat,1,0\n", "c.csv", names), (Numbers{0, 1, 9, 0}));
  EXPECT_EQ(parse_class_matrix(";cat;dog\ncat;0;-1.5\ndog;2;0\n", "c.csv", names), (Numbers{0, -1.5, 2, 0}));
}

TEST(ClassMatrix, MistakesAreNamedWithTheirLine) {
  const Names names = {"cat", "dog"};
  const auto fails = [&](const std::string& text, std::initializer_list<std::string_view> says) {
    expect_error(ErrorKind::data, says, [&] { parse_class_matrix(text, "c.csv", names); });
  };
  fails(",cat,dog\ncat,0,1\n", {"'c.csv' has no row for the class 'dog', expected a square matrix"});
  fails(",cat\ncat,0\ndog,1\n", {"has no column for the class 'dog', expected a square matrix"});
  fails(",cat,bird\ncat,0,1\n", {"line 1 names 'bird', which is no class"});
  fails(",cat,dog\nbird,0,1\n", {"line 2 names 'bird', which is no class"});
  fails(",cat,dog,dog\ncat,0,1,1\n", {"line 1 names the class 'dog' again"});
  fails(",cat,dog\ncat,0,1\ncat,1,0\n", {"line 3 names the class 'cat' again"});
  fails(",cat,dog\ncat,0\ndog,1,0\n", {"line 2 has 2 fields, expected 3"});
  fails(",cat,dog\ncat,0,x\ndog,1,0\n", {"line 2: column 'dog' is 'x'"});
}

TEST(ClassCountsFile, AreWholeNumbersInTheOrderOfTheClasses) {
  const Names names = {"cat", "dog"};
  EXPECT_EQ(counts_in_class_order(parse_class_values("name,count\ndog,3\ncat,1e3\n", "n.csv"), names),
            (std::vector<std::int64_t>{1000, 3}));
  EXPECT_EQ(counts_in_class_order(parse_class_values("7\n0\n", "n.csv"), names), (std::vector<std::int64_t>{7, 0}));
  for (const char* text : {"cat,1\ndog,1.5\n", "cat,1\ndog,-2\n", "cat,1\ndog,many\n"})
    expect_error(ErrorKind::data, {"'n.csv' line 2", "expected a whole number"},
                 [&] { counts_in_class_order(parse_class_values(text, "n.csv"), names); });
  expect_error(ErrorKind::data, {"no line for the class 'dog'"},
               [&] { counts_in_class_order(parse_class_values("cat,1\n", "n.csv"), names); });
}

}  // namespace
}  // namespace ulmus
