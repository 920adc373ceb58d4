#include "data/address.hpp"

#include <gtest/gtest.h>

#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus {
namespace {

using detail::Address;
using detail::parse_address;
using test::expect_error;
using Names = std::vector<std::string>;

TEST(DataAddress, IsTakenApart) {
  const Address address = parse_address("csv:some/table.csv?label=kind&drop=a,b");
  EXPECT_EQ(address.source, "csv");
  EXPECT_EQ(address.file(), "some/table.csv");
  EXPECT_EQ(address.find("label"), "kind");
  EXPECT_EQ(address.list("drop"), (Names{"a", "b"}));
  EXPECT_FALSE(address.find("test"));
  EXPECT_TRUE(address.list("categorical").empty());
  EXPECT_EQ(parse_address("npy:x.npy,y.npy").files(), (Names{"x.npy", "y.npy"}));
  EXPECT_EQ(parse_address("mnist").source, "mnist");
}

TEST(DataAddress, AnEqualsSignInAValueBelongsToIt) { EXPECT_EQ(parse_address("csv:x?label=a=b").find("label"), "a=b"); }

TEST(DataAddress, SignsStandForTheCharactersThatSeparate) {
  const Address address = parse_address("csv:50%,%3F.csv?label=R%26D&drop=a%2Cb,c%25");
  EXPECT_EQ(address.file(), "50%,?.csv");
  EXPECT_EQ(address.find("label"), "R&D");
  EXPECT_EQ(address.list("drop"), (Names{"a,b", "c%"}));
  for (const std::string text : {"R&D", "a,b?c%26", "plain", "", "%"})
    EXPECT_EQ(parse_address("csv:x?label=_" + escape_address(text)).find("label"), "_" + text);
}

TEST(DataAddress, TheRestOfAFolderIsTakenAsItIs) {
  EXPECT_EQ(parse_address("folder:what?&%26,x=y").rest, "what?&%26,x=y");
}

TEST(DataAddress, SuggestsTheNearestSource) {
  expect_error(ErrorKind::usage, {"fashion_mnist", "did you mean 'fashion-mnist'?"},
               [] { open_data("fashion_mnist"); });
  expect_error(ErrorKind::usage, {"did you mean 'folder:photos'?"}, [] { open_data("foldr:photos"); });
  expect_error(ErrorKind::usage, {"did you mean 'csv:a.csv?label=b'?"}, [] { open_data("cvs:a.csv?label=b"); });
  expect_error(ErrorKind::usage, {"did you mean 'cifar10'?"}, [] { open_data("cifar-10"); });
  expect_error(ErrorKind::usage,
               {"'imagenet'", "choose one of fashion-mnist, mnist, cifar10, cifar100, folder:DIR, list:FILE",
                "csv:FILE?label=COLUMN, npy:FEATURES,LABELS"},
               [] { open_data("imagenet"); });
  expect_error(ErrorKind::usage, {"choose one of"}, [] { open_data(""); });
}

TEST(DataAddress, SuggestsTheNearestKey) {
  expect_error(ErrorKind::usage, {"unknown key 'lable'", "did you mean 'label'?"},
               [] { open_data("csv:x.csv?lable=y"); });
  expect_error(ErrorKind::usage, {"unknown key 'colour'", "choose one of root, test, classes"},
               [] { open_data("list:x.txt?colour=y"); });
}

TEST(DataAddress, RefusesKeysWithoutValueAndTwice) {
  expect_error(ErrorKind::usage, {"'label'", "no value"}, [] { open_data("csv:x.csv?label="); });
  expect_error(ErrorKind::usage, {"'label'", "no value"}, [] { open_data("csv:x.csv?label"); });
  expect_error(ErrorKind::usage, {"'label' comes twice"}, [] { open_data("csv:x.csv?label=a&label=b"); });
  expect_error(ErrorKind::usage, {"unknown key ''"}, [] { open_data("csv:x.csv?"); });
}

TEST(DataAddress, ANamedSetStandsAlone) {
  expect_error(ErrorKind::usage, {"'mnist:x'", "stands alone"}, [] { open_data("mnist:x"); });
}

TEST(DataAddress, APathNeedsItsPrefixAndThePrefixAPath) {
  const TemporaryFolder folder;
  const std::string path = folder.path().string();
  expect_error(ErrorKind::usage, {"'folder:" + path + "'"}, [&] { open_data(path); });
  for (const auto& [name, address] :
       {std::pair{"/t.csv", "csv:%/t.csv?label=COLUMN"}, std::pair{"/x.npy", "npy:%/x.npy,LABELS.npy"},
        std::pair{"/l.txt", "list:%/l.txt?root=DIR"}}) {
    write_file(path + name, "");
    std::string wanted = address;
    wanted.replace(wanted.find('%'), 1, path);
    expect_error(ErrorKind::usage, {"is a path", wanted}, [&, name = name] { open_data(path + name); });
  }
  expect_error(ErrorKind::usage, {"'folder:'", "names no folder", "folder:DIR"}, [] { open_data("folder:"); });
  expect_error(ErrorKind::usage, {"'folder'", "folder:DIR"}, [] { open_data("folder"); });
  expect_error(ErrorKind::usage, {"names no file", "csv:FILE?label=COLUMN"}, [] { open_data("csv:?label=x"); });
  expect_error(ErrorKind::usage, {"names no files", "npy:FEATURES,LABELS"}, [] { open_data("npy:"); });
}

TEST(OpenData, RefusesOptionsOutOfRange) {
  expect_error(ErrorKind::usage, {"image_size is 0"}, [] { open_data("folder:x", {.image_size = 0}); });
  expect_error(ErrorKind::usage, {"threads are -1"}, [] { open_data("folder:x", {.threads = -1}); });
}

}  // namespace
}  // namespace ulmus
