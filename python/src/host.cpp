/// What the rooms need of a host, from Python's standard library instead of OpenSSL and utf8proc. To be called with the
/// interpreter lock held.
#include <nanobind/nanobind.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/names.hpp"

namespace nb = nanobind;

namespace ulmus {

std::string read_file(const std::filesystem::path& path) {
  try {
    const nb::object file = nb::module_::import_("io").attr("FileIO")(path.string(), "r");
    const auto content = nb::borrow<nb::bytes>(file.attr("readall")());
    file.attr("close")();
    return {content.c_str(), content.size()};
  } catch (const nb::python_error& error) {
    throw Error(ErrorKind::data, "cannot read '" + path.string() + "': " + nb::str(error.value()).c_str());
  }
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
