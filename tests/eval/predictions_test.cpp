#include "ulmus/eval/predictions.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

using Format = PredictionWriter::Format;
using Field = PredictionWriter::Field;

const std::vector<std::string> k_classes = {"cat", "big, \"bad\" dog", "elk"};
const std::vector<double> k_probabilities = {0.25, 0.5, 0.25};
const std::vector<Field> k_fields = {{"path", "a b.png"}, {"sample", "7", true}};
const std::vector<std::string> k_names = {"path", "sample"};

TEST(Predictions, CsvHasEveryClassByName) {
  const PredictionWriter writer(Format::csv, k_classes, 0);
  EXPECT_EQ(writer.header(k_names), "path,sample,predicted,probability,p(cat),\"p(big, \"\"bad\"\" dog)\",p(elk)\n");
  EXPECT_EQ(writer.line(k_fields, k_probabilities), "a b.png,7,\"big, \"\"bad\"\" dog\",0.5,0.25,0.5,0.25\n");
}

TEST(Predictions, CsvHasTheLargestInOrderAndTheLowerIndexOnATie) {
  const PredictionWriter writer(Format::csv, k_classes, 2);
  EXPECT_EQ(writer.header(k_names), "path,sample,predicted,probability,class_1,p_1,class_2,p_2\n");
  EXPECT_EQ(writer.line(k_fields, k_probabilities),
            "a b.png,7,\"big, \"\"bad\"\" dog\",0.5,\"big, \"\"bad\"\" dog\",0.5,cat,0.25\n");
}

TEST(Predictions, JsonlIsAnObjectALine) {
  const PredictionWriter all(Format::jsonl, k_classes, 0), one(Format::jsonl, k_classes, 1);
  EXPECT_EQ(all.header(k_names), "");
  EXPECT_EQ(nlohmann::json::parse(all.line(k_fields, k_probabilities)),
            nlohmann::json({{"path", "a b.png"},
                            {"sample", 7},
                            {"predicted", k_classes[1]},
                            {"probability", 0.5},
                            {"probabilities", {{"cat", 0.25}, {k_classes[1], 0.5}, {"elk", 0.25}}}}));
  const auto top = nlohmann::json::parse(one.line(k_fields, k_probabilities)).at("top");
  ASSERT_EQ(top.size(), 1u);
  EXPECT_EQ(top[0], nlohmann::json({{"class", k_classes[1]}, {"probability", 0.5}}));
}

TEST(Predictions, JsonlHoldsNothingButUtf8) {
  const PredictionWriter writer(Format::jsonl, k_classes, 1);
  const auto line = writer.line(std::vector<Field>{{"path", "\xff.png"}}, k_probabilities);
  EXPECT_EQ(nlohmann::json::parse(line).at("path"), "\ufffd.png");
}

TEST(Predictions, QuoteWhatRfc4180Quotes) {
  EXPECT_EQ(csv_field("plain"), "plain");
  EXPECT_EQ(csv_field(""), "");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(csv_field("a\nb"), "\"a\nb\"");
  EXPECT_EQ(csv_field(" a"), "\" a\"");
}

TEST(Predictions, NoCellIsAFormula) {
  EXPECT_EQ(csv_field("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
  EXPECT_EQ(csv_field("@SUM(1,2)"), "\"'@SUM(1,2)\"");
  EXPECT_EQ(csv_field("+1+2"), "'+1+2");
  EXPECT_EQ(csv_field("-a"), "'-a");
  EXPECT_EQ(csv_field("\t=1"), "'\t=1");
  EXPECT_EQ(csv_field("\r=1"), "\"'\r=1\"");
  for (const char* plain : {"-1", "+1", "-2.5e3", "a=b", "x-y", "1-2"}) EXPECT_EQ(csv_field(plain), plain);
}

TEST(Predictions, RefuseWhatIsNoFormatAndTooManyClasses) {
  EXPECT_THROW(PredictionWriter::parse_format("cvs"), Error);
  EXPECT_EQ(PredictionWriter::parse_format("jsonl"), Format::jsonl);
  EXPECT_THROW(PredictionWriter(Format::csv, k_classes, 4), Error);
  EXPECT_THROW(PredictionWriter(Format::csv, k_classes, -1), Error);
}

}  // namespace
}  // namespace ulmus
