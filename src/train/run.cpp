#include "ulmus/train/run.hpp"

#include <ATen/Parallel.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>

#include "train/checkpoint.hpp"
#include "train/member.hpp"
#include "train/placement.hpp"
#include "train/weights.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/folder_lock.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/threads.hpp"
#include "ulmus/data/imbalance.hpp"
#include "ulmus/data/table.hpp"
#include "ulmus/train/address_space.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

template <class Number>
void need(bool holds, const char* option, Number value, const char* expected) {
  if (!holds) refuse(fmt::format("--{} is {}, expected {}", option, value, expected));
}

void need_word(const char* option, const std::string& word, const std::vector<std::string>& words) {
  if (std::ranges::find(words, word) == words.end())
    refuse(fmt::format("unknown --{} '{}'; {}", option, word, suggest(word, words)));
}

void check_ranges(const RunOptions& o) {
  visit_options(o, [](const char* name, const auto& value, const char*) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>)
      if (valid_utf8(value) != value.size())
        refuse(fmt::format("--{} is '{}', which is not UTF-8, as config.toml has to be; rename it", name,
                           printable(value)));
  });
  need(o.seeds >= 1 && o.seeds <= 1000, "seeds", o.seeds, "1 to 1000");
  need(o.validation >= 0, "validation", o.validation, "at least 0");
  need(o.test_fraction > 0 && o.test_fraction < 1, "test-fraction", o.test_fraction, "above 0 and below 1");
  need(o.epochs >= 0 && o.epochs <= 1'000'000, "epochs", o.epochs, "1 to 1000000, or 0 for the default");
  need(o.batch_size >= 2 && o.batch_size <= 1'000'000, "batch-size", o.batch_size,
       "2 (batch norm needs two images) to 1000000");
  need(o.lr >= 0, "lr", o.lr, "above 0, or 0 for the default");
  need(o.momentum >= 0 && o.momentum < 1, "momentum", o.momentum, "in [0, 1)");
  need(o.weight_decay >= 0 || o.weight_decay == -1, "weight-decay", o.weight_decay,
       "at least 0, or -1 for the default");
  need(o.clip >= 0, "clip", o.clip, "above 0, or 0 to leave the gradients");
  need(o.ema >= 0 && o.ema < 1, "ema", o.ema, "above 0 and below 1, or 0 for none");
  need_word("optimizer", o.optimizer, {"auto", "sgd", "adamw"});
  need_word("freeze", o.freeze, {"none", "backbone"});
  need(o.warmup >= 0 && o.warmup < 1, "warmup", o.warmup, "in [0, 1)");
  need(o.jobs >= 0 && o.jobs <= 256, "jobs", o.jobs, "1 to 256, or 0 for as many as there are cores");
  need(o.threads >= 0 && o.threads <= 256, "threads", o.threads, "1 to 256, or 0 for the cores that are left");
  need(o.loader_threads >= 0 && o.loader_threads <= 256, "loader-threads", o.loader_threads, "from 0 to 256");
  need(o.image_size >= 0, "image-size", o.image_size, "at least 1, or 0 to leave the images");
  need(o.image_bits == 0 || (o.image_bits >= 8 && o.image_bits <= 16), "image-bits", o.image_bits,
       "8 to 16, or 0 for as many as the data use");
  need(o.max_pixels >= 1 && o.max_pixels <= k_largest_max_pixels, "max-pixels", o.max_pixels, "1 to 2147483647");
}

/// A run of a few minutes for the small network; a short schedule for the others (the reference protocol has 200
/// epochs).
std::int64_t default_epochs(const std::string& model) { return model == "conv3" ? 8 : 30; }

/// Tables differ in size far more than in difficulty: at least 2000 steps, in 10 to 200 epochs.
std::int64_t default_feature_epochs(std::int64_t samples, std::int64_t batch_size) {
  const std::int64_t steps = (samples + batch_size - 1) / batch_size;
  return std::clamp<std::int64_t>((2000 + steps - 1) / steps, 10, 200);
}

/// Fills in what depends on the data and the model, and refuses what cannot apply to them.
void resolve_training(RunOptions& o, const Dataset& data, std::int64_t samples) {
  const bool features = data.is_features(), scripted = o.model.starts_with("torchscript:");
  if (o.model == "auto") o.model = default_model(data.shape().channels, data.shape().height, data.shape().width);
  if (o.epochs == 0) o.epochs = features ? default_feature_epochs(samples, o.batch_size) : default_epochs(o.model);
  if (o.optimizer == "auto") o.optimizer = features ? "adamw" : "sgd";
  const bool adamw = o.optimizer == "adamw";
  if (adamw && o.momentum != RunOptions{}.momentum)
    refuse(fmt::format("--momentum {} cannot apply: adamw has none; leave it out, or take --optimizer sgd",
                       format_number(o.momentum)));
  const bool goes_on = o.freeze == "none" && (scripted || !o.weights.empty());
  if (o.lr == 0) o.lr = adamw ? (goes_on ? 1e-4 : 1e-3) : (goes_on ? 0.01 : 0.1);
  if (o.weight_decay == -1) o.weight_decay = adamw ? 1e-4 : 2e-4;
  if (scripted && !o.weights.empty())
    refuse(fmt::format("--weights cannot apply: model '{}' brings its own weights; leave it out", o.model));
  if (o.freeze == "backbone" && o.model == "linear")
    refuse("--freeze backbone cannot apply: model 'linear' is a head alone; leave it out");
  if (o.freeze == "backbone" && !scripted && o.weights.empty())
    refuse(
        fmt::format("--freeze backbone would train a head on what '{}' makes of random weights; name trained ones "
                    "with --weights FILE.safetensors",
                    o.model));
  if (o.channels_last && features)
    refuse("--channels-last cannot apply: the data are features, not images; leave it out");
}

Augmentation make_augmentation(std::string& name, const std::string& model, const Dataset& data) {
  if (name == "auto" && (model == "conv3" || data.is_features()))
    name = "none";  // the small network underfits in its few epochs
  else if (name == "auto")
    name = data.name() == "mnist" ? "crop" : "crop-flip";  // a mirrored digit is no digit
  const Augmentation augmentation = Augmentation::parse(name, data.shape());
  require_applicable(augmentation, data);
  return augmentation;
}

/// How a loss's images are drawn: by its rule for sampling, or as the run says.
Sampler make_sampler(const LossSpec& loss, const std::string& of_run) {
  const Sampler sampler = Sampler::parse(of_run);
  if (!loss.resamples()) return sampler;
  if (sampler.kind != Sampler::Kind::instance)
    refuse(fmt::format("--sampler {} and the rule +{} of loss '{}' both say how images are drawn; leave out one",
                       of_run, loss.rule()->name, loss.text()));
  return {.kind = Sampler::Kind::deferred,
          .beta = loss.rule_keys()["beta"],
          .from = loss.deferred() ? loss.rule_keys()["from"] : 0};
}

/// `name` with '-' for what file names had better not hold.
std::string readable(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  return name;
}

std::string readable_slug(const std::string& name, std::uint64_t seed) {
  return fmt::format("{}.seed{}", readable(name), seed);
}

/// Where Ulmus 0.1 kept a member whose name is not plain (see slug_of).
std::string old_slug(const RunMember& member) { return readable_slug(member.loss.text(), member.seed); }

/// A run that 0.1 began keeps its names, unless two members of it shared one.
std::string slug_in(const fs::path& folder, const Plan& plan, const RunMember& member) {
  const std::string old = old_slug(member);
  if (old == member.slug() || !fs::exists(folder / "checkpoints" / (old + ".safetensors"))) return member.slug();
  const auto sharing = std::ranges::count_if(plan.members, [&](const RunMember& m) { return old_slug(m) == old; });
  return sharing == 1 ? old : member.slug();
}

detail::MemberPaths paths_of(const fs::path& folder, const std::string& slug) {
  return {.metrics = folder / "metrics.jsonl",
          .checkpoint = folder / "checkpoints" / (slug + ".safetensors"),
          .result = folder / "results" / (slug + ".json")};
}

/// Where members lie in a run folder.
const std::vector<std::string> k_member_folders = {"checkpoints", "results"};

/// The files that a run writes before it has a checkpoint, beside config.toml.
const std::vector<std::string> k_first_files = {"split.json", "columns.json", "notes.json", "metrics.jsonl", "log.txt"};

/// Throws Error{environment} when the folder cannot be read.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    entries.push_back(it->path());
  if (code && code != std::errc::no_such_file_or_directory)  // taken back meanwhile
    throw Error(ErrorKind::environment, fmt::format("cannot read folder '{}': {}", folder.string(), code.message()));
  return entries;
}

bool holds_only_temporaries(const fs::path& folder) {
  std::error_code unknown;
  return fs::is_directory(folder, unknown) && std::ranges::all_of(entries_of(folder), is_temporary);
}

/// Whether a folder holds what a run leaves that ended before its config.toml was there, or was taken back in part.
/// Files that could be somebody's are ours beside a lock. The same command may be given again.
bool was_given_up(const fs::path& folder) {
  std::error_code unknown;
  if (fs::exists(folder / "config.toml", unknown)) return false;
  const bool ours = fs::exists(folder / FolderLock::k_name, unknown);
  for (const fs::path& entry : entries_of(folder)) {
    const std::string name = entry.filename().string();
    const bool empty_folder =
        std::ranges::find(k_member_folders, name) != k_member_folders.end() && holds_only_temporaries(entry);
    const bool our_file =
        ours && (name == FolderLock::k_name || std::ranges::find(k_first_files, name) != k_first_files.end());
    if (!empty_folder && !our_file && !is_temporary(entry)) return false;
  }
  return true;
}

/// Removes of a run folder what a run writes before its first checkpoint, config.toml first: without it, the rest is no
/// run. What others have put there stays. False when some of it could not be removed.
bool remove_beginning(const fs::path& folder) {
  std::error_code code;
  fs::remove(folder / "config.toml", code);
  if (code) return false;  // it stays a run, and can be resumed
  bool all = true;
  const auto remove = [&](const fs::path& path) {
    fs::remove(path, code);
    all = all && !code;
  };
  for (const std::string& file : k_first_files) remove(folder / file);
  for (const std::string& part : k_member_folders) {
    remove_abandoned_temporaries(folder / part);
    remove(folder / part);
  }
  remove_abandoned_temporaries(folder);
  return all;
}

/// The folder of a run while one process, this one, writes it. A new one is taken back if the run ends before it has
/// anything to resume from.
class RunFolder {
 public:
  RunFolder(const fs::path& path, bool resume) : path_(path), made_(!resume) {
    std::error_code ignored;
    existed_ = fs::exists(path_, ignored);
    first_new_ = path_;
    while (first_new_.has_parent_path() && !fs::exists(first_new_.parent_path(), ignored) &&
           first_new_.parent_path() != first_new_)
      first_new_ = first_new_.parent_path();
    if (!resume) require_free(path_);
    try {
      make_folder(path_);
      lock_.emplace(path_);
    } catch (...) {
      if (made_) remove_empty_folders();
      throw;
    }
    bool ready = resume;
    try {
      if (!resume) {
        require_free(path_);  // another process may have made a run here before we had the lock
        ready = true;
        remove_beginning(path_);
      }
      for (const std::string& part : k_member_folders) make_folder(path_ / part);
      for (const fs::path& part : {path_, path_ / "checkpoints", path_ / "results"}) remove_abandoned_temporaries(part);
    } catch (...) {
      if (made_ && ready) take_back();
      throw;
    }
  }
  ~RunFolder() {
    try {
      if (made_ && holds_only_temporaries(path_ / "checkpoints")) take_back();
    } catch (const Error&) {  // what cannot be read stays
    }
  }
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

 private:
  void take_back() {
    if (!remove_beginning(path_)) lock_->leave();
    lock_.reset();
    remove_empty_folders();
  }

  /// A folder that was there before stays, and so does one in which others have put something.
  void remove_empty_folders() {
    std::error_code ignored;
    if (existed_) return;
    for (fs::path folder = path_;; folder = folder.parent_path()) {
      fs::remove(folder, ignored);
      if (folder == first_new_ || !folder.has_parent_path()) return;
    }
  }

  fs::path path_, first_new_;
  bool made_;
  bool existed_ = false;
  std::optional<FolderLock> lock_;
};

/// Trains the members that have no result yet, several at a time.
class Crew {
 public:
  Crew(const Plan& plan, const fs::path& folder, const RunHooks& hooks)
      : plan_(plan), folder_(folder), hooks_(hooks), epochs_done_(plan.members.size(), 0.0) {
    for (const RunMember& member : plan.members) paths_.push_back(paths_of(folder, slug_in(folder, plan, member)));
    for (std::size_t i = 0; i < plan.members.size(); ++i)
      if (fs::exists(paths_[i].result))
        epochs_done_[i] = static_cast<double>(plan.options.epochs);
      else
        waiting_.push_back(i);
    members_done_ = plan.members.size() - waiting_.size();
  }

  void work() {
    log(fmt::format("{} of {} members to train", waiting_.size(), plan_.members.size()));
    const std::size_t jobs = std::min(waiting_.size(), static_cast<std::size_t>(plan_.options.jobs));
    detail::run_on_threads(jobs, [this] { train_waiting(); });
    if (error_) {
      try {
        std::rethrow_exception(error_);
      } catch (const std::exception& error) {
        try {
          log(fmt::format("stopped: {}", error.what()));
        } catch (const Error&) {  // a full disk; what ended the run is the error to tell
        }
        throw;
      }
    }
    log("finished");
  }

 private:
  void train_waiting() {
    at::set_num_threads(static_cast<int>(plan_.options.threads));  // LibTorch keeps the number for each thread
    for (;;) {
      std::size_t i;
      {
        const std::lock_guard lock(mutex_);
        if (next_ == waiting_.size() || error_) return;
        i = waiting_[next_++];
      }
      try {
        detail::train_member(
            plan_, plan_.members[i], paths_[i], [&](Progress& news) { tell(i, news); },
            [this] { return failed_ || (hooks_.stop && hooks_.stop()); });
        const std::lock_guard lock(mutex_);
        ++members_done_;
        log(fmt::format("{} finished", plan_.members[i].slug()));
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
        failed_ = true;
      }
    }
  }

  void tell(std::size_t i, Progress& news) {
    const std::lock_guard lock(mutex_);
    epochs_done_[i] =
        static_cast<double>(news.epoch) + static_cast<double>(news.step) / static_cast<double>(news.steps);
    if (!hooks_.progress) return;
    const double total = static_cast<double>(plan_.members.size()) * static_cast<double>(plan_.options.epochs);
    news.member = &plan_.members[i];
    news.members_done = members_done_;
    news.members = plan_.members.size();
    news.fraction = std::accumulate(epochs_done_.begin(), epochs_done_.end(), 0.0) / total;
    news.elapsed_seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    if (!fraction_at_start_) fraction_at_start_ = news.fraction - 1 / (total * static_cast<double>(news.steps));
    news.remaining_seconds = news.elapsed_seconds * (1 - news.fraction) / (news.fraction - *fraction_at_start_);
    hooks_.progress(news);
  }

  void log(const std::string& text) const {
    append_line(folder_ / "log.txt", fmt::format("{:%Y-%m-%dT%H:%M:%SZ} {}", fmt::gmtime(std::time(nullptr)), text));
  }

  using Clock = std::chrono::steady_clock;

  const Plan& plan_;
  const fs::path& folder_;
  const RunHooks& hooks_;
  Clock::time_point start_ = Clock::now();
  std::vector<detail::MemberPaths> paths_;
  std::vector<std::size_t> waiting_;
  std::atomic<bool> failed_ = false;

  std::mutex mutex_;  // guards what follows
  std::size_t next_ = 0;
  std::size_t members_done_ = 0;
  std::vector<double> epochs_done_;
  std::optional<double> fraction_at_start_;
  std::exception_ptr error_;
};

/// What a loss with a key `auto` needs of a run.
void check_choice(const LossSpec& loss, const RunOptions& options) {
  const Key* key = loss.automatic();
  if (!key) return;
  if (options.validation == 0)
    refuse(
        fmt::format("loss '{}' chooses {} on a validation part, and this run has none; add --validation N, for "
                    "example --validation 20, or write a number, for example {}",
                    loss.text(), key->name, loss.with(key->name, format_number(key->automatic[1])).text()));
  if (options.epochs < 2)
    refuse(fmt::format("loss '{}' chooses {} on the features of an earlier epoch, and --epochs is {}; give at least 2",
                       loss.text(), key->name, options.epochs));
}

}  // namespace

OpenOptions detail::open_options(const RunOptions& options) {
  OpenOptions open{.data_root = options.data_root,
                   .skip_bad = options.skip_bad,
                   .max_pixels = options.max_pixels,
                   .image_bits = static_cast<int>(options.image_bits)};
  if (options.image_size > 0) open.image_size = options.image_size;
  return open;
}

std::string slug_of(const std::string& name, std::uint64_t seed) {
  // The keys and values of a loss can be told apart again between '-', also in names as `ib-focal` and numbers below 0,
  // and so can the two losses that tune joins with '/'. The path of a file of weights may hold both.
  constexpr std::size_t k_longest = 120;
  const std::string slug = readable_slug(name, seed);
  const bool plain = std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) || std::string_view("._:=,+-/").find(static_cast<char>(c)) != std::string_view::npos;
  });
  const bool ambiguous = name.find_first_of("/-") != std::string::npos && name.find("weights=") != std::string::npos;
  bool exponent = false;  // 1e+16 and 1e-16
  for (std::size_t i = 1; i + 1 < name.size(); ++i)
    exponent = exponent || (name[i] == '+' && std::isdigit(static_cast<unsigned char>(name[i + 1])));
  if (plain && !ambiguous && !exponent && slug.size() <= k_longest) return slug;
  const std::string hash = sha256(name).substr(0, 16);
  return fmt::format("{}.{}.seed{}", readable(name).substr(0, k_longest / 2), hash, seed);
}

std::string RunMember::slug() const { return slug_of(loss.text(), seed); }

void require_free(const fs::path& folder) {
  std::error_code unknown;  // making the folder says what is wrong
  if (fs::exists(folder / "config.toml", unknown))
    refuse(
        fmt::format("'{}' already holds a run; go on with it by 'ulmus compare --resume {}', or choose another --out",
                    folder.string(), shell_quoted(folder.string())));
  if (!fs::exists(folder, unknown)) return;
  if (!fs::is_directory(folder, unknown) || !(entries_of(folder).empty() || was_given_up(folder)))
    refuse(fmt::format("'{}' exists and is not an empty folder; choose another --out", folder.string()));
}

Plan plan_run(const RunOptions& given, const std::vector<std::string>& classes) {
  RunOptions options = given;
  check_ranges(options);
  if (options.data.empty())
    refuse("no data set was named; write for example --data fashion-mnist or --data folder:DIR");
  const std::vector<LossSpec> losses = parse_losses(options.losses);
  const std::string requested_head = options.head == "auto" ? "" : options.head;
  for (const LossSpec& loss : losses) loss.choose_head(requested_head);
  if (options.reduction != "auto" && parse_reduction(options.reduction) == Reduction::none)
    refuse("--reduction none gives a batch no single loss to train on; use weighted-mean or mean");
  const LearningRateSchedule::Kind schedule_kind = LearningRateSchedule::parse_kind(options.schedule);
  detail::make_placement(options);
  ImbalanceProfile::parse(options.imbalance);

  OpenOptions open = detail::open_options(options);
  open.classes = classes;
  OpenedData data = open_data(options.data, open);
  if (options.image_bits != 0 && data.image_bits == 0)
    refuse(fmt::format("--image-bits {} cannot apply: the data are no image files; leave it out", options.image_bits));
  options.image_bits = data.image_bits;  // what predicts and judges scales images of 16 bits the same
  if (data.test && options.test_fraction != RunOptions{}.test_fraction)
    refuse(fmt::format("--test-fraction {} cannot apply: the data have a test part; leave it out",
                       format_number(options.test_fraction)));
  const SplitOptions split_options{.imbalance = options.imbalance,
                                   .seed = options.split_seed,
                                   .validation_per_class = options.validation,
                                   .test_fraction = options.test_fraction,
                                   .rng = options.split_rng};
  Split split = make_split(data, split_options);
  std::string encoding;
  std::vector<ColumnSummary> columns;
  if (data.train_table) {
    columns = summarise(*data.train_table);
    encoding = to_json(encode_tables(data, split.train));
  }
  resolve_training(options, data.train, static_cast<std::int64_t>(split.train.size()));
  const LearningRateSchedule schedule{.kind = schedule_kind, .base = options.lr, .warmup = options.warmup};
  const Augmentation augmentation = make_augmentation(options.augment, options.model, data.train);

  std::map<Head, std::int64_t> parameters;  // a large model takes a second to make
  std::optional<Normalisation> of_weights;
  for (const LossSpec& loss : losses) {
    const Head head = loss.choose_head(requested_head);
    if (parameters.contains(head)) continue;
    const ModelOptions model_options = detail::model_options(options, data.train, head);
    Classifier model = make_model(model_options);
    parameters[head] = parameter_count(*model);
    if (!options.weights.empty()) of_weights = detail::load_weights(options.weights, model, model_options);
  }
  std::vector<RunMember> members;
  for (std::int64_t s = 0; s < options.seeds; ++s)
    for (std::size_t i = 0; i < losses.size(); ++i) {
      const Head head = losses[i].choose_head(requested_head);
      members.push_back({losses[i], static_cast<std::int64_t>(i), head, make_sampler(losses[i], options.sampler),
                         options.seed + static_cast<std::uint64_t>(s), parameters.at(head)});
    }
  const std::int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  const std::int64_t default_jobs = options.device == "cpu" ? cores : 1;  // a device has one memory
  options.jobs = std::min(options.jobs == 0 ? default_jobs : options.jobs, static_cast<std::int64_t>(members.size()));
  if (options.threads == 0) options.threads = std::max<std::int64_t>(1, cores / options.jobs);
  ClassCounts counts(split.train_counts, split.class_names);
  for (const LossSpec& loss : losses) {
    check_choice(loss, options);
    Loss(detail::first_loss(loss), counts);  // class weights of a file are read here
  }
  // A table's encoding has standardised it.
  Normalisation normalisation;
  if (encoding.empty()) normalisation = of_weights ? *of_weights : channel_statistics(data.train, split.train);
  return {std::move(options), std::move(data),     std::move(split),   std::move(counts), std::move(normalisation),
          augmentation,       std::move(encoding), std::move(columns), schedule,          std::move(members)};
}

std::string command_text(const std::string& verb, const RunOptions& options) {
  const RunOptions defaults;
  std::vector<std::string> pieces = {"ulmus", verb};
  std::vector<std::string> default_texts;
  const auto text_of = [](const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, double>)
      return format_number(value);
    else
      return fmt::format("{}", value);
  };
  visit_options(defaults,
                [&](const char*, const auto& value, const char*) { default_texts.push_back(text_of(value)); });
  std::size_t i = 0;
  visit_options(options, [&](const char* name, const auto& value, const char*) {
    const std::string text = text_of(value);
    if (text == default_texts[i++]) return;
    pieces.push_back(fmt::format("--{}", name));
    if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, bool>) pieces.push_back(shell_quoted(text));
  });
  return join(pieces, " ");
}

void execute(const Plan& plan, const fs::path& folder, const std::string& verb, const RunHooks& hooks, bool resume) {
  detail::require_address_space(plan.options.jobs, plan.options.threads);
  const RunFolder guard(folder, resume);
  const fs::path split_file = folder / "split.json";
  // Ulmus 0.1 wrote config.toml first, and may have been killed before the split.
  const bool trained = !holds_only_temporaries(folder / "checkpoints") || !holds_only_temporaries(folder / "results");
  if (resume && (trained || fs::exists(split_file))) {
    const Split before = read_split(split_file);
    if (before.sha256 != plan.split.sha256)
      throw Error(
          ErrorKind::data,
          fmt::format("the data of '{}' have changed: split {} was made, {} is recorded; restore the data or start a "
                      "new run",
                      folder.string(), plan.split.sha256.substr(0, 12), before.sha256.substr(0, 12)));
  } else {
    write_file(split_file, to_json(plan.split));
    if (!plan.columns.empty()) write_file(folder / "columns.json", to_json(plan.columns) + "\n");
    if (const auto notes = all_notes(plan.data); !notes.empty())
      write_file(folder / "notes.json", Json(notes).dump(2) + "\n");
  }
  // Last: what makes the folder a run.
  if (!resume)
    write_file(folder / "config.toml",
               fmt::format("# {}\n{}", command_text(verb, plan.options), to_toml(plan.options)));

  Crew(plan, folder, hooks).work();
}

}  // namespace ulmus
