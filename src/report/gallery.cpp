#include "gallery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "html_template.hpp"
#include "phrases.hpp"

namespace ulmus {
namespace {

class GallerySection {
 public:
  explicit GallerySection(const ReportModel& report) : report_(report), gallery_(*report.run.gallery) {}

  std::string html() const {
    const Gallery::LossImages* best = images_of(report_.summary.losses[best_loss(report_.summary)].loss);
    if (!best) best = &gallery_.losses.front();
    std::string text = R"(<section aria-labelledby="pictures"><h2 id="pictures">Pictures</h2>)"
                       "<p>Test images of the first seed, with what they are taken for and how confidently.</p>";
    if (!best->rescued.empty())
      text += block(fmt::format("Wrong with {}, right with {}", code(gallery_.baseline), code(best->loss)),
                    grid(best->rescued));
    text += block(fmt::format("Most confident mistakes of {} on the rarest third of the classes", code(best->loss)),
                  best->mistakes.empty() ? "<p>None.</p>" : grid(best->mistakes));
    for (const Gallery::LossImages& loss : gallery_.losses)
      if (&loss != best && !loss.mistakes.empty())
        text +=
            fmt::format("<details><summary>Those of {}</summary>{}</details>", code(loss.loss), grid(loss.mistakes));
    if (!best->pairs.empty())
      text += block(fmt::format("Most frequent confusions of {}", code(best->loss)), pairs(best->pairs));
    text += fmt::format("<details><summary>Training images of {}</summary>{}</details>",
                        gallery_.classes.size() == report_.run.class_names.size()
                            ? std::string("each class, rarest first")
                            : "the rarest and the most frequent classes",
                        samples());
    return text + "</section>";
  }

 private:
  const Gallery::LossImages* images_of(std::string_view loss) const {
    const auto found = std::ranges::find(gallery_.losses, loss, &Gallery::LossImages::loss);
    return found == gallery_.losses.end() ? nullptr : &*found;
  }

  static std::string code(std::string_view text) { return fmt::format("<code>{}</code>", html_escape(text)); }

  static std::string block(const std::string& title, const std::string& content) {
    return fmt::format("<h3>{}</h3>{}", title, content);
  }

  std::string name(std::int64_t c) const {
    return html_escape(shorten(report_.run.class_names[static_cast<std::size_t>(c)], 28));
  }

  std::string image(std::size_t number, const std::string& description) const {
    return fmt::format(R"(<img loading="lazy" src="data:image/jpeg;base64,{}" alt="{}">)", gallery_.images[number].jpeg,
                       description);
  }

  /// An image with its class and what it is taken for.
  std::string thumbnail(const Gallery::Mistake& mistake) const {
    const std::string of_class = name(gallery_.images[mistake.image].true_class), predicted = name(mistake.predicted);
    const long confidence = std::lround(100 * mistake.confidence);
    return fmt::format("<figure>{}<figcaption><b>{}</b><br>as {} {}%</figcaption></figure>",
                       image(mistake.image, fmt::format("{}, taken for {}", of_class, predicted)), of_class, predicted,
                       confidence);
  }

  std::string grid(const std::vector<Gallery::Mistake>& mistakes) const {
    std::string text = R"(<div class="thumbnails">)";
    for (const Gallery::Mistake& mistake : mistakes) text += thumbnail(mistake);
    return text + "</div>";
  }

  std::string pairs(const std::vector<Gallery::Pair>& pairs) const {
    std::string text = R"(<div class="thumbnail-groups">)";
    for (const Gallery::Pair& pair : pairs) {
      text +=
          fmt::format(R"(<div><p class="note"><b>{}</b> as <b>{}</b>: {} {}</p><div class="thumbnails">)",
                      name(pair.true_class), name(pair.predicted), pair.count, pair.count == 1 ? "image" : "images");
      for (const Gallery::Mistake& mistake : pair.images)
        text += fmt::format("<figure>{}<figcaption>{}%</figcaption></figure>",
                            image(mistake.image, name(pair.true_class)), std::lround(100 * mistake.confidence));
      text += "</div></div>";
    }
    return text + "</div>";
  }

  std::string samples() const {
    std::string text = R"(<div class="thumbnail-groups">)";
    for (const Gallery::ClassSamples& samples : gallery_.classes) {
      text += fmt::format(R"(<div><p class="note"><b>{}</b>, {}</p><div class="thumbnails">)", name(samples.of_class),
                          report_.run.train_counts[static_cast<std::size_t>(samples.of_class)]);
      for (const std::size_t number : samples.images)
        text += fmt::format("<figure>{}</figure>", image(number, name(samples.of_class)));
      text += "</div></div>";
    }
    return text + "</div>";
  }

  const ReportModel& report_;
  const Gallery& gallery_;
};

}  // namespace

std::string gallery_section(const ReportModel& report) {
  if (!report.run.gallery || report.run.gallery->losses.empty()) return "";
  return GallerySection(report).html();
}

}  // namespace ulmus
