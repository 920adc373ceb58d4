// Loads real reports in headless Chromium without a network and checks what the page drew.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "report/synthetic_run.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus {
namespace {

std::string find_browser() {
  const char* path = std::getenv("PATH");
  for (const std::string& folder : split(path ? path : "", ':'))
    for (const char* name : {"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"})
      if (const std::filesystem::path file = std::filesystem::path(folder) / name; std::filesystem::exists(file))
        return file.string();
  return {};
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string output;
  std::array<char, 65536> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
    output.append(buffer.data(), got);
  return output;
}

/// Addresses that a page would fetch: src, href and url() with a scheme or host.
std::vector<std::string> resource_loads(const std::string& page) {
  std::vector<std::string> loads;
  for (const char* key : {"src=", "href=", "url(", "@import"})
    for (std::size_t at = page.find(key); at != std::string::npos; at = page.find(key, at + 1)) {
      const std::size_t value = page.find_first_not_of("\"' ", at + std::string_view(key).size());
      const std::string_view rest = std::string_view(page).substr(value, 24);
      if (rest.starts_with("http:") || rest.starts_with("https:") || rest.starts_with("//")) loads.emplace_back(rest);
    }
  return loads;
}

class Browser : public ::testing::Test {
 protected:
  void SetUp() override {
    browser_ = find_browser();
    if (browser_.empty()) GTEST_SKIP() << "no Chromium on PATH; apt-get install chromium";
    if (!std::filesystem::exists("/usr/share/javascript/chart.js/chart.min.js") && !std::getenv("ULMUS_CHARTJS"))
      GTEST_SKIP() << "no Chart.js; apt-get install libjs-chart.js";
  }

  /// Writes the report of a run and returns the root element after all scripts have run in the browser.
  std::string root_after_scripts(const test::SyntheticRun& run, int width = 1280) {
    const TemporaryFolder folder;
    test::write_synthetic_run(folder.path(), run);
    write_report(folder.path());
    const std::string page = read_file(folder.path() / "report.html");
    EXPECT_EQ(resource_loads(page), std::vector<std::string>());
    const std::string probe =
        "<script>document.documentElement.dataset.overflow = "
        "Math.max(0, document.documentElement.scrollWidth - innerWidth);</script></body>";
    std::string probed = page;
    probed.replace(probed.rfind("</body>"), 7, probe);
    write_file(folder.path() / "probed.html", probed);
    const std::string command = fmt::format(
        "timeout 60 '{}' --headless --no-sandbox --disable-gpu --host-resolver-rules='MAP * ~NOTFOUND' "
        "--user-data-dir='{}' --window-size={},2000 --virtual-time-budget=10000 --dump-dom 'file://{}' 2>/dev/null",
        browser_, (folder.path() / "profile").string(), width, (folder.path() / "probed.html").string());
    std::string dom = output_of(command);
    if (dom.empty()) dom = output_of(command);  // on a loaded machine Chromium sometimes fails to start
    const std::size_t begin = dom.find("<html");
    EXPECT_NE(begin, std::string::npos) << "the browser returned no page";
    return begin == std::string::npos ? std::string() : dom.substr(begin, dom.find('>', begin) - begin + 1);
  }

  void expect_drawn(const std::string& root, int canvases) {
    EXPECT_NE(root.find(fmt::format("data-charts-drawn=\"{0}/{0}\"", canvases)), std::string::npos) << root;
    EXPECT_EQ(root.find("data-chart-error"), std::string::npos) << root;
    EXPECT_NE(root.find("data-overflow=\"0\""), std::string::npos) << root;
  }

 private:
  std::string browser_;
};

// One canvas for the distribution, two for the curves, one for recall, and one for margins per loss; above 30 classes
// also one confusion matrix per loss.

TEST_F(Browser, DrawsEveryChart) { expect_drawn(root_after_scripts({}), 7); }

TEST_F(Browser, PhoneDoesNotScrollSideways) { expect_drawn(root_after_scripts({}, 390), 7); }

TEST_F(Browser, DrawsOneLossOneSeedOneEpoch) {
  test::SyntheticRun run;
  run.losses = {"ce"};
  run.seeds = 1;
  run.epochs = 1;
  expect_drawn(root_after_scripts(run), 5);
}

TEST_F(Browser, DrawsTwelveLosses) {
  test::SyntheticRun run;
  run.losses.clear();
  for (int i = 0; i < 12; ++i) run.losses.push_back(fmt::format("elm:lambda={},max_margin=0.5,scale=30+drw", i));
  run.test_per_class = 30;
  expect_drawn(root_after_scripts(run, 390), 16);
}

TEST_F(Browser, DrawsTwoClassesWithHostileNames) {
  test::SyntheticRun run;
  run.class_names = {"</script><script>throw 'injected'</script>", std::string(300, 'w') + "<b>\"x\"&'"};
  expect_drawn(root_after_scripts(run, 390), 7);
}

TEST_F(Browser, DrawsAThousandClasses) {
  test::SyntheticRun run;
  run.class_names = test::numbered_names(1000);
  run.losses = {"ce", "elm+drw"};
  run.seeds = 1;
  run.test_per_class = 2;
  expect_drawn(root_after_scripts(run), 8);
}

}  // namespace
}  // namespace ulmus
