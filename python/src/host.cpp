/// Host functions that the modules need, implemented with Python's standard library instead of OpenSSL and utf8proc.
/// Call them with the interpreter lock held.
#include <nanobind/nanobind.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/names.hpp"

namespace nb = nanobind;

namespace ulmus {

std::string read_file(const std::filesystem::path& path, std::size_t limit) {
  const auto reject = [&](const std::string& why) {
    throw Error(ErrorKind::data, "cannot read '" + path.string() + "': " + why);
  };
  std::error_code unknown;  // opening the file reports the error
  if (std::filesystem::exists(path, unknown) && !std::filesystem::is_regular_file(path, unknown))
    reject("it is no regular file");
  if (const std::uintmax_t size = std::filesystem::file_size(path, unknown); !unknown && size > limit)
    reject("it has " + std::to_string(size) + " bytes, at most " + std::to_string(limit) + " are read");
  try {
    const nb::object file = nb::module_::import_("io").attr("FileIO")(path.c_str(), "r");
    const auto content = nb::borrow<nb::bytes>(file.attr("readall")());
    file.attr("close")();
    return {content.c_str(), content.size()};
  } catch (const nb::python_error& error) {
    reject(nb::str(error.value()).c_str());
  }
  return {};
}

std::string sha256(std::string_view bytes) {
  const nb::object digest = nb::module_::import_("hashlib").attr("sha256")(nb::bytes(bytes.data(), bytes.size()));
  return nb::cast<nb::str>(digest.attr("hexdigest")()).c_str();
}

namespace {

std::string normal_form(const char* form, nb::handle text) {
  return nb::cast<nb::str>(nb::module_::import_("unicodedata").attr("normalize")(form, text)).c_str();
}

nb::str decoded(std::string_view text) { return nb::str(text.data(), text.size()); }

}  // namespace

std::string compose(std::string_view text) { return normal_form("NFC", decoded(text)); }

std::string fold(std::string_view text) { return normal_form("NFKC", decoded(text).attr("casefold")()); }

}  // namespace ulmus
