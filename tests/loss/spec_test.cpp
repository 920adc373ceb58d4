#include "ulmus/loss/spec.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <variant>

#include "ulmus/base/error.hpp"
#include "ulmus/loss/loss.hpp"

namespace ulmus {
namespace {

std::string message_of(const std::string& text) {
  try {
    LossSpec::parse(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

TEST(LossSpec, CanonicalTextLeavesOutDefaults) {
  for (const char* text : {"ce", "ldam+drw", "elm:lambda=0.5+drw", "elm:lambda=-0.25,max_margin=0.3,scale=20",
                           "ce+inverse", "ldam+drw:from=0.5,beta=0.99", "elm:lambda=1e-05"})
    EXPECT_EQ(LossSpec::parse(text).text(), text);
  EXPECT_EQ(LossSpec::parse("elm:scale=20,lambda=1+drw:beta=0.9999").text(), "elm:scale=20+drw");
  EXPECT_EQ(LossSpec::parse("elm:lambda=5e+0").text(), "elm:lambda=5");
}

TEST(LossSpec, FullTextHasEveryKey) {
  EXPECT_EQ(LossSpec::parse("elm:lambda=0.5+drw").full_text(),
            "elm:lambda=0.5,max_margin=0.5,placement=true,scale=30,smoothing=0+drw:from=0.8,beta=0.9999");
}

TEST(LossSpec, EveryMemberAndRuleReadsBack) {
  for (const LossDefinition& definition : family())
    for (const Rule& rule : rules()) {
      if (rule.takes_file || !message_of(std::string(definition.name) + "+" + std::string(rule.name)).empty()) continue;
      const auto spec = LossSpec::parse(std::string(definition.name) + "+" + std::string(rule.name));
      EXPECT_EQ(LossSpec::parse(spec.text()), spec);
      EXPECT_EQ(LossSpec::parse(spec.full_text()), spec);
    }
}

TEST(LossDefinition, NamesAreUniqueAndNoTextIsMissing) {
  std::set<std::string_view> names, class_names;
  for (const LossDefinition& definition : family()) {
    EXPECT_TRUE(names.insert(definition.name).second) << definition.name;
    EXPECT_TRUE(class_names.insert(definition.class_name).second) << definition.name;
    for (const std::string_view text :
         {definition.class_name, definition.title, definition.equation, definition.advice, definition.pitfalls})
      EXPECT_FALSE(text.empty()) << definition.name;
  }
}

TEST(LossDefinition, FactsFollowFromTheHooksThatSomeWordOfAKeyBrings) {
  for (const LossDefinition& definition : family()) {
    bool of_batch = false, of_row = false;
    const auto look = [&](const KeyValues& values) {
      const LossHooks hooks = definition.hooks(values, ClassCounts({40, 3, 7}));
      of_batch = of_batch || hooks.batch_term || hooks.batch_offset;
      const auto smoothing = definition.make_params(values, ClassCounts({40, 3, 7})).smoothing;
      of_row =
          of_row || !smoothing.empty() || hooks.row_offset || hooks.row_loss || hooks.batch_term || hooks.batch_offset;
    };
    look(KeyValues(definition.keys));
    for (const Key& key : definition.keys)
      for (const std::string_view word : key.choices) {
        KeyValues values(definition.keys);
        values.set(key.name, word);
        look(values);
      }
    EXPECT_EQ(definition.chunkable, !of_batch) << definition.name;
    EXPECT_EQ(definition.shardable, !of_row) << definition.name;
  }
}

TEST(KeyValue, IsANumberAWordOrAutomatic) {
  const LossSpec number = LossSpec::parse("elm:lambda=0.25,placement=rival"), open = LossSpec::parse("elm:lambda=auto");
  EXPECT_EQ(number.keys()["lambda"], 0.25);
  EXPECT_EQ(number.keys().word("placement"), "rival");
  EXPECT_EQ(number.keys().value("placement"), KeyValue("rival"));
  EXPECT_THROW(number.keys()["placement"], std::bad_variant_access);
  EXPECT_THROW(number.keys().word("lambda"), std::bad_variant_access);
  EXPECT_TRUE(open.keys().value("lambda").is_automatic());
  EXPECT_THROW(open.keys()["lambda"], std::bad_variant_access);
  EXPECT_EQ(open.keys().with_candidates()["lambda"], 0);
  EXPECT_EQ(open.scale(), 30);
  EXPECT_FALSE(open.has_own_weights());
  for (const LossDefinition& definition : family())
    for (const Key& key : definition.keys) {
      EXPECT_EQ(key.default_value.is_word(), !key.choices.empty()) << definition.name << ' ' << key.name;
      if (key.choices.empty()) continue;
      EXPECT_EQ(std::ranges::count(key.choices, key.default_value.word()), 1) << definition.name << ' ' << key.name;
    }
}

TEST(LossSpec, MistakesNameTheNearestValidWord) {
  EXPECT_NE(message_of("elmm").find("did you mean 'elm'?"), std::string::npos);
  EXPECT_NE(message_of("elm:lamda=0.5").find("did you mean 'lambda'?"), std::string::npos);
  EXPECT_NE(message_of("elm+dwr").find("did you mean 'drw'?"), std::string::npos);
  EXPECT_NE(message_of("quux").find("choose one of ce, ldam, elm"), std::string::npos);
}

TEST(LossSpec, RefusesWhatCannotApply) {
  for (const char* text : {"", "+drw", "elm:", "elm:lambda", "elm:lambda=", "elm:lambda=x", "elm:lambda=nan",
                           "elm:scale=0", "elm:lambda=1,lambda=2", "ldam:lambda=1", "ce+drw:beta=1", "ce+drw:from=1.5",
                           "ce+cb+drw", "ce+inverse:beta=0.9", "ldam:max_margin=-1", "elm ", "ELM"})
    EXPECT_NE(message_of(text), "") << text;
}

TEST(LossSpec, AKeyMayBeLeftToTheTrainer) {
  const LossSpec spec = LossSpec::parse("elm:lambda=auto+drw");
  EXPECT_EQ(spec.text(), "elm:lambda=auto+drw");
  EXPECT_EQ(LossSpec::parse(spec.full_text()), spec);
  ASSERT_NE(spec.automatic(), nullptr);
  EXPECT_EQ(spec.automatic()->name, "lambda");
  EXPECT_EQ(LossSpec::parse("elm+drw").automatic(), nullptr);
  EXPECT_EQ(spec.choose_head(""), Head::cosine);
  EXPECT_NE(message_of("elm:max_margin=auto"), "");
  EXPECT_NE(message_of("la:tau=auto"), "");
  try {
    Loss(spec, ClassCounts({5, 2}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("elm:lambda=0+drw"), std::string::npos) << error.what();
  }
}

TEST(LossSpec, ChoicesAreMadeEarlyAndWhereTheRuleBeginsButNotBeforeTheFirstEpoch) {
  using Epochs = std::vector<long long>;
  const auto at = [](const char* loss, long long epochs) { return LossSpec::parse(loss).choice_epochs(epochs); };
  EXPECT_EQ(at("elm:lambda=auto+drw", 200), (Epochs{40, 160}));
  EXPECT_EQ(at("elm:lambda=auto+drw:from=0.5", 200), (Epochs{40, 100}));
  EXPECT_EQ(at("elm:lambda=auto", 10), (Epochs{2, 8}));
  EXPECT_EQ(at("elm:lambda=auto+drw:from=0.2", 10), (Epochs{2}));
  EXPECT_EQ(at("elm:lambda=auto+drw:from=0", 10), (Epochs{1}));
  EXPECT_EQ(at("elm:lambda=auto+cb", 2), (Epochs{1}));
}

TEST(LossSpec, WithChangesOneKey) {
  const LossSpec spec = LossSpec::parse("elm:max_margin=0.3+drw");
  EXPECT_EQ(spec.with("lambda", "0.25").text(), "elm:lambda=0.25,max_margin=0.3+drw");
  EXPECT_EQ(spec.with("beta", "0.99").text(), "elm:max_margin=0.3+drw:beta=0.99");
  EXPECT_EQ(spec.with("placement", "rival").text(), "elm:max_margin=0.3,placement=rival+drw");
  for (const auto& [key, value] : {std::pair("lamda", "0"), std::pair("scale", "-1"), std::pair("lambda", "x")})
    EXPECT_THROW(spec.with(key, value), Error) << key;
  EXPECT_THROW(LossSpec::parse("cb").with("gamma", "2"), Error);
  EXPECT_THROW(LossSpec::parse("ce").with("beta", "0"), Error);
}

TEST(LossSpec, AKeyOfWordsTakesItsWords) {
  EXPECT_EQ(LossSpec::parse("elm:placement=rival").text(), "elm:placement=rival");
  EXPECT_EQ(LossSpec::parse("elm:placement=true").text(), "elm");
  EXPECT_NE(message_of("elm:placement=rivla").find("did you mean 'rival'?"), std::string::npos);
  EXPECT_NE(message_of("elm:placement=1"), "");
}

TEST(LossSpec, AKeyThatCannotApplyIsRefusedAndNotWritten) {
  EXPECT_NE(message_of("cb:gamma=2").find("applies only with kind=focal"), std::string::npos);
  EXPECT_EQ(message_of("cb:gamma=2,kind=focal"), "");
  EXPECT_EQ(LossSpec::parse("cb").full_text(), "cb:kind=softmax,beta=0.9999");
  EXPECT_EQ(LossSpec::parse("cb:kind=focal").full_text(), "cb:kind=focal,beta=0.9999,gamma=1");
}

TEST(LossSpec, WeightsBesideALossThatHasItsOwnAreRefused) {
  EXPECT_NE(message_of("gr+cb").find("class weights of its own"), std::string::npos);
  EXPECT_NE(message_of("cb+drw"), "");
  EXPECT_NE(message_of("ib+inverse").find("ib:weights=none+inverse"), std::string::npos);
  EXPECT_EQ(message_of("ib:weights=none+inverse"), "");
}

TEST(LossSpec, WeightsComeFromAFile) {
  EXPECT_EQ(LossSpec::parse("ce+weights=my/weights.txt").text(), "ce+weights=my/weights.txt");
  EXPECT_EQ(LossSpec::parse("ce+weights=w").rule_file(), "w");
  EXPECT_NE(message_of("ce+weights").find("ce+weights=FILE"), std::string::npos);
  EXPECT_NE(message_of("ce+drw=w").find("takes no file"), std::string::npos);
  EXPECT_NE(message_of("elm=0.5").find("keys follow a colon"), std::string::npos);
  const auto losses = parse_losses("ce+weights=w,ldam:scale=20,max_margin=0.3+weights=v");
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_EQ(losses[1].rule_file(), "v");
}

TEST(ParseLosses, AllIsEveryMember) { EXPECT_EQ(parse_losses("all").size(), family().size()); }

TEST(LossSpec, DeferredWeightsBeginAtTheReferenceEpoch) {
  const auto spec = LossSpec::parse("ldam+drw");
  EXPECT_EQ(spec.rule_epoch(200), 160);
  EXPECT_EQ(spec.rule_epoch(5), 4);
  EXPECT_EQ(spec.rule_epoch(1), 0);
  EXPECT_EQ(LossSpec::parse("ldam+drw:from=0.99").rule_epoch(5), 4);
  EXPECT_EQ(LossSpec::parse("ldam+cb").rule_epoch(200), 0);
}

TEST(LossSpec, ChoosesTheHeadThatTheLossNeeds) {
  EXPECT_EQ(LossSpec::parse("ce").choose_head(""), Head::linear);
  EXPECT_EQ(LossSpec::parse("ce:scale=30").choose_head(""), Head::cosine);
  EXPECT_EQ(LossSpec::parse("elm").choose_head(""), Head::cosine);
  EXPECT_EQ(LossSpec::parse("elm").choose_head("cosine"), Head::cosine);
}

TEST(LossSpec, RefusesAHeadThatCannotWork) {
  EXPECT_THROW(LossSpec::parse("elm").choose_head("linear"), Error);
  EXPECT_THROW(LossSpec::parse("ce").choose_head("cosine"), Error);
  EXPECT_THROW(LossSpec::parse("ldam:scale=1").choose_head(""), Error);
  EXPECT_THROW(LossSpec::parse("ce").choose_head("lineer"), Error);
}

TEST(ParseLosses, AKeyBelongsToTheLossBeforeIt) {
  const auto losses = parse_losses("ce,ldam+drw,elm:lambda=0.5,scale=20+drw:from=0.6,beta=0.99,ce:scale=10");
  ASSERT_EQ(losses.size(), 4u);
  EXPECT_EQ(losses[2].text(), "elm:lambda=0.5,scale=20+drw:from=0.6,beta=0.99");
  EXPECT_EQ(losses[3].text(), "ce:scale=10");
}

TEST(ParseLosses, RefusesEmptyPlacesAndRepeats) {
  for (const char* list : {"", "ce,", ",ce", "ce,,elm", "ce,elm,ce", "elm,elm:lambda=1"})
    EXPECT_THROW(parse_losses(list), Error) << list;
}

}  // namespace
}  // namespace ulmus
