#include "data/block_shuffle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {

namespace {

constexpr std::int64_t k_block_values = std::int64_t{1} << 16;  // 256 KiB of floats: a disk reads it in one piece

std::int64_t parse_count(std::string_view value, std::string_view key, std::string_view text) {
  const std::string what = fmt::format("{} in {} '{}'", key, option_name("shuffle"), text);
  const std::int64_t count = parse_integer(value, what);
  if (count < 1) throw_usage(fmt::format("{} is {}, expected 1 or more", what, value));
  return count;
}

}  // namespace

BlockShuffle BlockShuffle::parse(std::string_view text, std::int64_t features) {
  static const std::array<std::string, 3> k_names{"auto", "full", "block"};
  static const std::array<std::string, 2> k_keys{"rows", "blocks"};
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  if (name == "full" && colon == std::string_view::npos) return {};
  if (name != "block")
    throw_usage(name == "full"
                    ? fmt::format("{} '{}' takes nothing after its name; write 'full'", option_name("shuffle"), text)
                    : fmt::format("unknown {} '{}'; {}", option_name("shuffle"), text, suggest(name, k_names)));
  BlockShuffle shuffle{.rows = std::max<std::int64_t>(1, k_block_values / features)};
  if (colon == std::string_view::npos) return shuffle;
  for (const std::string& setting : split(text.substr(colon + 1), ',')) {
    const std::size_t equals = setting.find('=');
    const std::string key = setting.substr(0, equals);
    if (std::ranges::find(k_keys, key) == k_keys.end())
      throw_usage(
          fmt::format("unknown key '{}' in {} '{}'; {}", key, option_name("shuffle"), text, suggest(key, k_keys)));
    const std::string value = equals == std::string::npos ? "" : setting.substr(equals + 1);
    (key == "rows" ? shuffle.rows : shuffle.blocks) = parse_count(value, key, text);
  }
  return shuffle;
}

std::string BlockShuffle::text() const {
  return rows == 0 ? "full" : fmt::format("block:rows={},blocks={}", rows, blocks);
}

detail::BlockOrder detail::block_order(const BlockShuffle& shuffle, std::span<const std::int64_t> indices,
                                       std::uint64_t seed, std::int64_t epoch) {
  std::vector<std::int64_t> sorted(indices.begin(), indices.end());
  std::ranges::sort(sorted);
  struct Block {
    std::int64_t number;
    std::size_t first, size;  ///< of its samples in `sorted`
  };
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const std::int64_t number = sorted[i] / shuffle.rows;
    if (blocks.empty() || blocks.back().number != number) blocks.push_back({number, i, 0});
    ++blocks.back().size;
  }
  const auto of_epoch = static_cast<std::uint64_t>(epoch);
  Stream(seed, "blocks", of_epoch).shuffle(std::span(blocks));

  BlockOrder result;
  result.order.reserve(sorted.size());
  const auto most = static_cast<std::size_t>(shuffle.blocks);
  for (std::size_t begin = 0; begin < blocks.size(); begin += std::min(most, blocks.size() - begin)) {
    const std::span<const Block> window = std::span(blocks).subspan(begin, std::min(most, blocks.size() - begin));
    const std::size_t first = result.order.size();
    BlockWindow& added =
        result.windows.emplace_back(BlockWindow{.first = static_cast<std::int64_t>(first), .blocks = {}});
    for (const Block& block : window) {
      const auto samples = std::span(sorted).subspan(block.first, block.size);
      result.order.insert(result.order.end(), samples.begin(), samples.end());
      added.blocks.push_back(block.number);
    }
    std::ranges::sort(added.blocks);
    Stream(seed, "window", of_epoch, result.windows.size() - 1).shuffle(std::span(result.order).subspan(first));
  }
  return result;
}

}  // namespace ulmus
