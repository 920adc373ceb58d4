#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <thread>
#include <vector>

#include "temporary_folder.hpp"
#include "ulmus/base/base64.hpp"
#include "ulmus/base/class_values.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/base/safetensors.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/text_file.hpp"

namespace ulmus {
namespace {

const std::vector<std::string> k_names = {"ce", "ldam", "elm"};

TEST(ExactJson, ReadsAWholeNumberThatTheTypeHolds) {
  EXPECT_EQ(Json::parse("-5").get<std::int64_t>(), -5);
  EXPECT_EQ(Json::parse("18446744073709551615").get<std::uint64_t>(), 18446744073709551615U);
  EXPECT_EQ(Json::parse("[0, 255]").get<std::vector<std::uint8_t>>(), (std::vector<std::uint8_t>{0, 255}));
  EXPECT_EQ(Json::parse("{}").value("absent", 7), 7);
}

TEST(ExactJson, RefusesWhatACastWouldChange) {
  for (const char* text : {"1.5", "1.0", "8.88889e+64", "true", "\"1\"", "null", "9223372036854775808"})
    EXPECT_THROW(Json::parse(text).get<std::int64_t>(), Json::exception) << text;
  EXPECT_THROW(Json::parse("-1").get<std::uint64_t>(), Json::exception);
  EXPECT_THROW(Json::parse("[1, 256]").get<std::vector<std::uint8_t>>(), Json::exception);
  std::int32_t value = 3;
  EXPECT_THROW(Json::parse("2147483648").get_to(value), Json::exception);
  EXPECT_EQ(value, 3);
}

TEST(ExactJson, LeavesTheOtherTypesAsTheyWere) {
  EXPECT_EQ(Json::parse("2").get<double>(), 2.0);
  EXPECT_TRUE(Json::parse("true").get<bool>());
  EXPECT_EQ(Json(std::vector<std::int64_t>{1, -2}).dump(), "[1,-2]");
}

TEST(OptionName, IsTheCppNameUntilAProgramSpellsIt) {
  EXPECT_EQ(option_name("image_size"), "image_size");
  EXPECT_EQ(option_name("image_size", "32"), "image_size=32");
  set_option_spelling(
      [](std::string_view name, std::string_view value) { return "/" + std::string(name) + ":" + std::string(value); });
  EXPECT_EQ(option_name("image_size", "32"), "/image_size:32");
  set_option_spelling(nullptr);
  EXPECT_EQ(option_name("image_size"), "image_size");
}

TEST(NearestName, FindsATypingMistake) {
  EXPECT_EQ(nearest_name("lda", k_names), "ldam");
  EXPECT_EQ(nearest_name("eml", k_names), "elm");
  EXPECT_EQ(nearest_name("LDAM", k_names), "ldam");
}

TEST(NearestName, OffersNothingForAnUnrelatedWord) {
  EXPECT_EQ(nearest_name("focal-loss", k_names), "");
  EXPECT_EQ(suggest("focal-loss", k_names), "choose one of ce, ldam, elm");
}

TEST(ParseNumber, TakesTheWholeText) {
  EXPECT_EQ(parse_number("1e-3", "x"), 1e-3);
  for (const char* text : {"", "0.5x", "nan", "inf", "1e999", " 1"})
    EXPECT_THROW(parse_number(text, "x"), Error) << text;
  EXPECT_EQ(parse_integer("-12", "x"), -12);
  EXPECT_THROW(parse_integer("1.5", "x"), Error);
}

TEST(FormatNumber, ReadsBackAsTheSameDouble) {
  Stream stream(1, "numbers");
  for (int i = 0; i < 1000; ++i) {
    const double value = stream.normal() * std::exp(40 * stream.normal());
    EXPECT_EQ(parse_number(format_number(value), "x"), value);
  }
}

TEST(Stream, IsFrozen) {
  // These numbers are frozen: split manifests and initial weights of earlier runs depend on them.
  Stream stream(0, "order", 3, 7);
  const std::array<std::uint64_t, 3> first = {stream.next(), stream.next(), stream.next()};
  EXPECT_EQ(first, (std::array<std::uint64_t, 3>{0x8b043138a359272e, 0x80df1559ae552981, 0x10971cff515b9d42}));
}

TEST(Stream, DependsOnEveryPartOfItsName) {
  const std::uint64_t base = Stream(0, "a", 0, 0).next();
  EXPECT_NE(base, Stream(1, "a", 0, 0).next());
  EXPECT_NE(base, Stream(0, "b", 0, 0).next());
  EXPECT_NE(base, Stream(0, "a", 1, 0).next());
  EXPECT_NE(base, Stream(0, "a", 0, 1).next());
}

TEST(Stream, BelowIsUniform) {
  Stream stream(5, "below");
  std::array<int, 7> counts{};
  for (int i = 0; i < 70000; ++i) ++counts[stream.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
}

TEST(Stream, NormalHasMeanZeroAndVarianceOne) {
  Stream stream(5, "normal");
  double sum = 0, squares = 0;
  constexpr int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double x = stream.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0, 0.02);
  EXPECT_NEAR(squares / n, 1, 0.02);
}

TEST(Stream, ShuffleIsAPermutation) {
  std::vector<int> values(100);
  std::iota(values.begin(), values.end(), 0);
  Stream(9, "shuffle").shuffle(std::span(values));
  EXPECT_FALSE(std::is_sorted(values.begin(), values.end()));
  std::sort(values.begin(), values.end());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], i);
}

TEST(WriteFile, ReplacesTheWholeFileAndLeavesNoOther) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a.txt";
  write_file(path, "first");
  write_file(path, "second");
  EXPECT_EQ(read_file(path), "second");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(WriteFile, NamesTheReasonAndKeepsTheOldFileOnAFullDisk) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  try {
    append_line("/dev/full", "text");
    FAIL() << "a full disk went unnoticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::environment);
    EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos) << error.what();
  }
}

TEST(AtomicFile, IsNotThereBeforeItIsCommittedAndNothingIsLeftOtherwise) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  const std::string piece(300'000, 'x');
  {
    AtomicFile file(path);
    for (int i = 0; i < 5; ++i) file.write(piece);
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_EQ(read_file(file.temporary()).size(), 5 * piece.size());
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  AtomicFile file(path);
  for (int i = 0; i < 5; ++i) file.write(piece);
  file.commit();
  EXPECT_EQ(read_file(path).size(), 5 * piece.size());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(WriteFile, RefusesAFolderThatIsNotThere) {
  EXPECT_THROW(write_file("/nonexistent/folder/file", "text"), Error);
  EXPECT_THROW(make_folder("/proc/nonexistent"), Error);
}

TEST(ReadFile, NamesAMissingFile) {
  try {
    read_file("/nonexistent/file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find("/nonexistent/file"), std::string::npos);
  }
}

TEST(Text, Utf8IsRecognisedUpToTheFirstFault) {
  // The last character of each length, and the neighbours of the surrogates.
  for (const std::string_view sound : {"", "a\x7f", "\xc2\x80\xdf\xbf", "\xe0\xa0\x80\xef\xbf\xbf",
                                       "\xed\x9f\xbf\xee\x80\x80", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(valid_utf8(sound), sound.size());
  for (const std::string_view faulty :
       {"\x80", "\xff", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2 ", "\xe0\x9f\xbf", "\xe2\x82", "\xe2\x82 ",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x98", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80"})
    EXPECT_EQ(valid_utf8("ok" + std::string(faulty)), 2u) << printable(faulty);
}

TEST(Text, PrintableIsOneShortLineOfUtf8) {
  EXPECT_EQ(printable("plain text"), "plain text");
  EXPECT_EQ(printable("a\nb\t\x7f"), "a\\x0ab\\x09\\x7f");
  EXPECT_EQ(printable("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"), "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(printable("caf\xe9"), "caf\\xe9");
  EXPECT_EQ(printable(std::string(60, 'x')), std::string(60, 'x'));
  EXPECT_EQ(printable(std::string(61, 'x')), std::string(60, 'x') + "...");
  EXPECT_EQ(printable(std::string(59, 'x') + "\xc3\xa9"), std::string(59, 'x') + "...") << "no half character";
}

TEST(Text, PrintableCannotSteerATerminalOrTurnALineAround) {
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\u009b31m")
      << "the one-character form of ESC [";
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "a\\u202eb");
  EXPECT_EQ(printable("\xef\xbb\xbfx\xe2\x80\x8b"), "\\ufeffx\\u200b");
  EXPECT_EQ(printable("\xe2\x80\xa8"), "\\u2028");
  const std::string joined = "\xe0\xa4\x95\xe2\x80\x8d";  // a consonant of Hindi and a joiner
  EXPECT_EQ(printable(joined), joined);
  EXPECT_EQ(printable(std::string(200, 'x'), 300), std::string(200, 'x'));
}

TEST(Machine, OnlyCoresThatTheProcessMayRunOnCount) {
  const std::int64_t before = usable_cores();
  EXPECT_GE(before, 1);
  std::thread([&] {
    cpu_set_t all, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int core = 0; CPU_COUNT(&one) == 0; ++core)
      if (CPU_ISSET(core, &all)) CPU_SET(core, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(usable_cores(), 1);
  }).join();
  EXPECT_EQ(usable_cores(), before);
}

TEST(ParseJson, RefusesWhatIsDeepLongOrNamedTwice) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_EQ(parse_json(R"({"a":[1,{"a":2}]})")["a"][1]["a"], 2);
  EXPECT_NO_THROW(parse_json(nested(64)));
  EXPECT_THROW(parse_json(nested(65)), Json::exception);
  EXPECT_THROW(parse_json(std::string(50'000'000, '[')), Json::exception);
  EXPECT_THROW(parse_json("[1,2]", 4), Json::exception);
  EXPECT_THROW(parse_json(R"({"a":1,"a":2})"), Json::exception);
  EXPECT_THROW(parse_json(R"({"b":{"a":1,"a":1}})"), Json::exception);
  EXPECT_THROW(parse_json(""), Json::exception);
  EXPECT_THROW(parse_json("{} x"), Json::exception);
  using namespace std::string_view_literals;
  EXPECT_THROW(parse_json("123\0"sv), Json::exception);
  EXPECT_THROW(parse_json("{}\0 and more"sv), Json::exception);
}

TEST(SafetensorsHeader, OneLongerThanIsReadIsRefusedBeforeItIsParsed) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "w.safetensors";
  const auto with_header = [](std::string header) {
    std::string length(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>((header.size() >> (8 * i)) & 0xff);
    return length + std::move(header);
  };
  const auto complaint = [&] {
    try {
      detail::SafetensorsFile{path};
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  write_file(path, with_header(std::string(detail::k_longest_header + 1, '[')));
  EXPECT_NE(complaint().find("at most 33554432 are read"), std::string::npos) << complaint();
  write_file(path, with_header(std::string(30'000'000, '[')));
  EXPECT_NE(complaint().find("nested deeper than 64"), std::string::npos) << complaint();
  write_file(path, with_header(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
                               R"("a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})"));
  EXPECT_NE(complaint().find("comes twice"), std::string::npos) << complaint();
  write_file(path, with_header("{}"));
  EXPECT_EQ(complaint(), "nothing");
  EXPECT_THROW(detail::SafetensorsFile{folder.path()}, Error) << "a folder";
}

TEST(Sha256, AgreesWithThePublishedVector) {
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Names, NumbersHaveOneSpelling) {
  for (const char* text : {"1", "01", "+1", "1.0", "1.", "1e0", "0.1e1", "10e-1", "001.000"})
    EXPECT_EQ(number_name(text), "1") << text;
  EXPECT_EQ(number_name("-0.0"), "0");
  EXPECT_EQ(number_name("-.50"), "-0.5");
  EXPECT_EQ(number_name("12345678901234567890123"), "12345678901234567890123");
  for (const char* text : {"", "-", ".", "1e", "1e999", "0x1", "nan", "inf", "1 ", "1,0", "+-1", "1e+-1", "--1"})
    EXPECT_EQ(number_name(text), std::nullopt) << text;
}

TEST(Names, AreSortedAsNumbersWhenAllAreNumbers) {
  const auto sorted = [](std::vector<std::string> names) {
    sort_classes(names);
    return names;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(sorted({"10", "9", "-2", "0", "1.5", "-10", "1.25", "011"}),
            (Texts{"-10", "-2", "0", "1.25", "1.5", "9", "10", "011"}));
  EXPECT_EQ(sorted({"10", "9", "x"}), (Texts{"10", "9", "x"}));
}

TEST(Names, AreComposedAndTrimmed) {
  EXPECT_EQ(class_name(" \t caf\x65\xcc\x81\xc2\xa0\r"), "caf\xc3\xa9");
  EXPECT_EQ(class_name("sea  lion"), "sea  lion");
  EXPECT_EQ(lookalike_key("Sea  Lion"), lookalike_key("sea lion"));
  EXPECT_EQ(lookalike_key("STRA\xc3\x9f"
                          "E"),
            lookalike_key("strasse"));
  EXPECT_NE(lookalike_key("a-b"), lookalike_key("ab"));
}

TEST(Names, AreFoundByValueWhereAllAreNumbers) {
  const std::vector<std::string> numbers{"1.0", "2.0", "10"};
  EXPECT_EQ(NameIndex(numbers).find("2"), 1);
  EXPECT_EQ(NameIndex(numbers).find("010"), 2);
  EXPECT_EQ(NameIndex(numbers).find("3"), std::nullopt);
  const std::vector<std::string> earlier{"1", "1.0", "cafe\xcc\x81"};  // three classes as stored by an earlier version
  EXPECT_EQ(NameIndex(earlier).find("1.0"), 1);
  EXPECT_EQ(NameIndex(earlier).find("caf\xc3\xa9"), 2);
  EXPECT_EQ(NameIndex(earlier).find("01"), std::nullopt);
  EXPECT_EQ(NameIndex(std::vector<std::string>{"FALSE", "TRUE"}).find("True"), 1);
}

TEST(Error, IsOneLineThatCannotSteerATerminal) {
  const Error error(ErrorKind::data, "'a\nb\x1b[31m\u202e.png' is missing");
  EXPECT_STREQ(error.what(), "'a\\x0ab\\x1b[31m\\u202e.png' is missing");
  EXPECT_STREQ(Error(ErrorKind::data, error.what()).what(), error.what());
}

TEST(TextFile, EveryEncodingWithAMarkBecomesUtf8) {
  const std::string text = "a\u00e9\n\U0001f600 1\n";
  const auto utf16 = [&](bool big) {
    std::string bytes;
    for (const int unit : {0xfeff, int{'a'}, 0xe9, int{'\n'}, 0xd83d, 0xde00, int{' '}, int{'1'}, int{'\n'}})
      for (const int shift : {big ? 8 : 0, big ? 0 : 8}) bytes += static_cast<char>(unit >> shift & 0xff);
    return bytes;
  };
  EXPECT_EQ(utf8_text(text, "t"), text);
  EXPECT_EQ(utf8_text("\xef\xbb\xbf" + text, "t"), text);
  EXPECT_EQ(utf8_text(utf16(false), "t"), text);
  EXPECT_EQ(utf8_text(utf16(true), "t"), text);
  EXPECT_EQ(utf8_text("", "t"), "");
}

TEST(TextFile, NamesWhatIsNoText) {
  const auto what = [](std::string_view bytes) -> std::string {
    try {
      utf8_text(bytes, "t.txt");
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  EXPECT_EQ(what("\x1f\x8b\x08"), "'t.txt' is compressed with gzip, expected text in UTF-8; unpack it with gunzip");
  EXPECT_NE(what("ORC\x08\x03\x10").find("an ORC file"), std::string::npos);
  EXPECT_EQ(what("ORC,PAR1,y\n1,2,p\n"), "") << "a column may be called so";
  EXPECT_EQ(what("PAR1\nBZh9\n"), "") << "and so may a class";
  EXPECT_NE(what("a\nb\xff\n").find("line 2 is not UTF-8 (byte ff)"), std::string::npos);
  EXPECT_NE(what(std::string("a\nb\0\n", 5)).find("line 2 has a byte 0"), std::string::npos);
}

TEST(TextFile, CountsWeightsAndPriorsAreDecodedSo) {
  using namespace std::string_literals;
  for (const std::string& bytes : {"cat,3\rdog,5\r"s, "\xff\xfe"s + "c\0,\0"
                                                                    "3\0\n\0"
                                                                    "d\0,\0"
                                                                    "5\0"s}) {
    const ClassValues values = parse_class_values(bytes, "counts.txt");
    ASSERT_EQ(values.lines.size(), 2u);
    EXPECT_EQ(values.lines[1].value, "5");
    EXPECT_EQ(values.lines[1].line, 2);
  }
}

TEST(Base64, IsThatOfRfc4648) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"foobar", "Zm9vYmFy"},
                                                       {"\xff\xfe", "//4="}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(base64(bytes), text);
    EXPECT_TRUE(is_base64(text));
  }
  for (const char* text : {"Zg=", "Zg", "Z===", "Zm9v\n", "Zm\"v", "=Zm9"}) EXPECT_FALSE(is_base64(text)) << text;
}

TEST(TextFile, LinesEndInEveryWay) {
  using Lines = std::vector<std::string_view>;
  EXPECT_EQ(text_lines(""), Lines{});
  EXPECT_EQ(text_lines("a"), Lines{"a"});
  EXPECT_EQ(text_lines("a\nb\r\nc\rd\r\r\ne\n"), (Lines{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(text_lines("a\n\nb\r\rc"), (Lines{"a", "", "b", "", "c"}));
}

}  // namespace
}  // namespace ulmus
