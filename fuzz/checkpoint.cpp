#include "fuzz.hpp"
#include "train/checkpoint_info.hpp"
#include "ulmus/base/json.hpp"

using namespace ulmus;

/// A checkpoint file: its header, the metadata in it and the state of the loss.
ULMUS_FUZZER(data, size) {
  static const fuzz::MemoryFile memory;
  memory.write(fuzz::text_of(data, size));
  fuzz::allow_errors([&] {
    const detail::SafetensorsFile file(memory.path());
    const detail::CheckpointInfo info = detail::read_checkpoint_info(file);
    fuzz::require(info.class_names.size() == static_cast<std::size_t>(info.model.classes), "every class has a name");
    fuzz::require(info.epochs_done >= 1 && info.epochs_done <= info.epochs, "no more epochs are done than there are");
    fuzz::require(least_parameters(info.model) <= static_cast<double>(size), "the model is no larger than its file");
    fuzz::require(!detail::model_name(info, detail::loss_of(info, memory.path())).empty(), "a model has a name");
    fuzz::require(!detail::to_json(info, info.model.script_sha256).dump().empty(), "what was read can be written");
  });
  return 0;
}
