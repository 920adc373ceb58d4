#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/address.hpp"
#include "data/labels.hpp"
#include "ulmus/data/dataset.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus::detail {

/// Maximum height and width, in pixels, of IDX images and of resized images.
constexpr std::int64_t k_max_image_side = 16384;

/// `fashion-mnist` or `mnist`: four IDX files, plain or gzip, with a training and a test part.
OpenedData open_idx(std::string_view name, const OpenOptions& options);

/// `cifar10` or `cifar100`: the files of the official binary version, or folders of images.
OpenedData open_cifar(std::string_view name, const OpenOptions& options);

/// Returns whether the set consists of image files, or does not exist.
bool cifar_is_folders(std::string_view name, const OpenOptions& options);

/// The first image files of the training part, at most `most`; none if there is no such folder.
std::vector<std::filesystem::path> first_of_folder(const std::filesystem::path& folder, const OpenOptions& options,
                                                   std::size_t most);
std::vector<std::filesystem::path> first_of_list(const Address& address, std::size_t most);

/// A folder of images per class below `folder`, or below its `train` and `test`.
OpenedData open_folder(const std::filesystem::path& folder, const OpenOptions& options);

/// Image files and their labels, one per line.
OpenedData open_list(const Address& address, const OpenOptions& options);

/// A table with a label column, not yet encoded.
OpenedData open_csv(const Address& address, const OpenOptions& options);

/// Two NumPy arrays, features and labels.
OpenedData open_npy(const Address& address, const OpenOptions& options);

/// The same kinds without labels (table.hpp).
Dataset open_unlabelled_csv(const std::filesystem::path& file, const Address& training, const TableEncoding& encoding);
Dataset open_unlabelled_npy(const std::filesystem::path& file, std::vector<std::string> class_names);

/// Paths where a named data set may be: each of `names`, then no name, below data_root and $ULMUS_DATA, and each of
/// `names` below /usr/share/datasets. The first name is the one in the address. Throws Error{data} if data_root is not
/// a folder.
std::vector<std::filesystem::path> search_paths(std::span<const std::string> names,
                                                const std::filesystem::path& data_root);

/// Throws Error{data} that lists the searched places and gives advice.
[[noreturn]] void throw_not_found(std::string_view name, std::span<const std::filesystem::path> places,
                                  std::string_view advice);

/// Throws Error{usage} for options that apply only to images.
void reject_image_options(const OpenOptions& options, std::string_view source);

/// The names that the key `literal` of an address declares to be classes.
std::vector<std::string> literal_names(const Address& address);

/// The class file that an address names.
std::optional<ClassFile> class_file(const Address& address);

}  // namespace ulmus::detail
