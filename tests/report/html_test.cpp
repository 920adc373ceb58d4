#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "has.hpp"
#include "report/synthetic_run.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus {
namespace {

/// Sets ULMUS_CHARTJS for one test and restores it.
class ChosenLibrary {
 public:
  explicit ChosenLibrary(const std::string& path) {
    if (const char* before = std::getenv(k_name)) before_ = before;
    ::setenv(k_name, path.c_str(), 1);
  }
  ~ChosenLibrary() {
    if (before_)
      ::setenv(k_name, before_->c_str(), 1);
    else
      ::unsetenv(k_name);
  }

 private:
  static constexpr const char* k_name = "ULMUS_CHARTJS";
  std::optional<std::string> before_;
};

/// The page of a run with a stub for Chart.js, so that these tests need no package.
std::string page_of(const test::SyntheticRun& run, const std::string& library = "/* Chart.js v9.8.7 */") {
  const TemporaryFolder folder;
  write_file(folder.path() / "chart.js", library);
  const ChosenLibrary chosen((folder.path() / "chart.js").string());
  test::write_synthetic_run(folder.path(), run);
  write_report(folder.path());
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "summary.json"));
  return read_file(folder.path() / "report.html");
}

test::SyntheticRun small_run() {
  test::SyntheticRun run;
  run.test_per_class = 10;
  run.epochs = 2;
  run.seeds = 2;
  return run;
}

TEST(Html, EverySlotIsFilled) {
  const std::string page = page_of(small_run());
  EXPECT_FALSE(has(page, "{{"));
  EXPECT_TRUE(has(page, "<title>fashion-mnist, imbalance ratio 100</title>"));
  EXPECT_TRUE(has(page, "Chart.js 9.8.7"));
  EXPECT_TRUE(has(page, "ulmus compare --data fashion-mnist"));
}

TEST(Html, NamesFromDataAreEscaped) {
  test::SyntheticRun run = small_run();
  run.class_names = {"<b>\"x\"</b>", "</script><script>alert(1)</script>", "a & 'b' {{finding}}"};
  const std::string page = page_of(run);
  EXPECT_FALSE(has(page, "<b>\"x\""));
  EXPECT_FALSE(has(page, "<script>alert"));
  EXPECT_TRUE(has(page, "&lt;b&gt;&quot;x&quot;&lt;/b&gt;"));
  EXPECT_TRUE(has(page, "a &amp; &#39;b&#39; {{finding}}"));
  EXPECT_TRUE(has(page, "\\u003c/script>\\u003cscript>alert(1)"));
}

TEST(Html, LibraryCannotEndItsScript) {
  const std::string page = page_of(small_run(), "const a = '</script>', b = '</SCRIPT >';");
  EXPECT_TRUE(has(page, "const a = '<\\/script>', b = '<\\/SCRIPT >';"));
}

TEST(Html, MissingLibraryNamesThePackage) {
  const TemporaryFolder folder;
  test::write_synthetic_run(folder.path(), small_run());
  const ChosenLibrary chosen("/nowhere/chart.js");
  try {
    write_report(folder.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::environment);
    EXPECT_TRUE(has(error.what(), "apt-get install libjs-chart.js")) << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "report.html"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "summary.json"));
}

TEST(Html, ManyClassesAreJoined) {
  test::SyntheticRun run = small_run();
  run.class_names = test::numbered_names(300);
  run.test_per_class = 1;
  run.seeds = 1;
  run.losses = {"ce"};
  const std::string page = page_of(run);
  EXPECT_TRUE(has(page, "With 300 classes the matrices are drawn without numbers"));
  EXPECT_TRUE(has(page, "Each point is the mean of up to 3 classes"));
  EXPECT_TRUE(has(page, "\"side\":100"));
}

TEST(Html, ValidationTableAppearsWithValidation) {
  test::SyntheticRun run = small_run();
  EXPECT_FALSE(has(page_of(run), "On the validation part"));
  run.validation_per_class = 5;
  EXPECT_TRUE(has(page_of(run), "On the validation part"));
}

TEST(Html, NotesOnTheDataAreListedAndEscaped) {
  EXPECT_FALSE(has(page_of(small_run()), "Notes on the data"));
  const TemporaryFolder folder;
  test::write_synthetic_run(folder.path(), small_run());
  write_file(folder.path() / "notes.json", R"(["2 images are animations: 'a<b>.webp'", "skipped: .gif 4"])");
  write_file(folder.path() / "chart.js", "");
  const ChosenLibrary chosen((folder.path() / "chart.js").string());
  const RunFolder run = read_run(folder.path());
  const std::string page = html(run, summarize(run));
  EXPECT_TRUE(has(page, "<li>2 images are animations: &#39;a&lt;b&gt;.webp&#39;</li><li>skipped: .gif 4</li>"));
}

/// A run of three classes with two images and their mistakes.
std::string page_with_gallery(const std::string& class_name) {
  const TemporaryFolder folder;
  test::SyntheticRun run = small_run();
  run.class_names = {"cat", class_name, "elk"};
  test::write_synthetic_run(folder.path(), run);
  write_file(folder.path() / "gallery.json", R"({"schema_version":1,"baseline":"ce",
    "images":[{"class":2,"jpeg":"/9j/4A=="},{"class":1,"jpeg":"/9j/4B=="}],
    "classes":[{"class":2,"images":[0]},{"class":1,"images":[1]}],
    "losses":[{"loss":"ce","mistakes":[{"image":0,"predicted":0,"confidence":0.875}],"rescued":[],"pairs":[]},
              {"loss":"ldam+drw","mistakes":[],"rescued":[{"image":1,"predicted":0,"confidence":0.5}],
               "pairs":[{"true":1,"predicted":0,"count":7,"images":[{"image":1,"predicted":0,"confidence":1}]}]},
              {"loss":"elm:lambda=0.5+drw","mistakes":[],"rescued":[{"image":1,"predicted":0,"confidence":0.5}],
               "pairs":[{"true":1,"predicted":0,"count":7,"images":[{"image":1,"predicted":0,"confidence":1}]}]}]})");
  write_file(folder.path() / "chart.js", "");
  const ChosenLibrary chosen((folder.path() / "chart.js").string());
  const RunFolder read = read_run(folder.path());
  return html(read, summarize(read));
}

TEST(Html, ShowsTheImagesOfAGallery) {
  EXPECT_FALSE(has(page_of(small_run()), "id=\"pictures\""));
  const std::string page = page_with_gallery("<b>dog</b>");
  EXPECT_TRUE(has(page, "id=\"pictures\""));
  EXPECT_TRUE(has(page, "Wrong with <code>ce</code>, right with <code>"));
  EXPECT_TRUE(has(page, R"(src="data:image/jpeg;base64,/9j/4B==" alt="&lt;b&gt;dog&lt;/b&gt;, taken for cat")"));
  EXPECT_TRUE(has(page, "<b>&lt;b&gt;dog&lt;/b&gt;</b> as <b>cat</b>: 7 images"));
  EXPECT_TRUE(has(page, "<summary>Those of <code>ce</code></summary>"));
  EXPECT_TRUE(has(page, "<b>elk</b><br>as cat 88%"));
}

TEST(Html, TheColumnsThatMatterToTreesAreDrawnAndEscaped) {
  const TemporaryFolder folder;
  write_file(folder.path() / "chart.js", "/* Chart.js v9.8.7 */");
  const ChosenLibrary chosen((folder.path() / "chart.js").string());
  test::write_synthetic_run(folder.path(), small_run());
  write_report(folder.path());
  EXPECT_FALSE(has(read_file(folder.path() / "report.html"), "Columns that matter")) << "a network has none";
  for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "results")) {
    Json result = parse_json(read_file(entry.path()));
    result["importance"] = {{"columns", {"useless", "<age>", "size"}}, {"gain", {0, 0.75, 0.25}}};
    write_file(entry.path(), result.dump());
  }
  write_report(folder.path());
  const std::string page = read_file(folder.path() / "report.html");
  EXPECT_TRUE(has(page, R"(<canvas id="importance")"));
  EXPECT_TRUE(has(page, R"(<th scope="row">&lt;age&gt;</th><td>75.0</td>)"));
  EXPECT_TRUE(has(page, R"("columns":["\u003cage>","size"])")) << "the most important first, without the useless one";
}

TEST(Html, RunWithoutMetricsSaysSo) {
  const TemporaryFolder folder;
  test::write_synthetic_run(folder.path(), small_run());
  std::filesystem::remove(folder.path() / "metrics.jsonl");
  write_file(folder.path() / "chart.js", "");
  const ChosenLibrary chosen((folder.path() / "chart.js").string());
  const RunFolder run = read_run(folder.path());
  EXPECT_TRUE(has(html(run, summarize(run)), "no learning curves"));
}

}  // namespace
}  // namespace ulmus
