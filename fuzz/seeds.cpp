/// Writes the initial inputs of the fuzzers: fuzz_seeds FOLDER makes FOLDER/NAME/N for each fuzzer NAME.

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <map>

#include "data/image_files.hpp"
#include "report/synthetic_run.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/data/table.hpp"

namespace {

using namespace std::string_literals;
using Seeds = std::map<std::string, std::vector<std::string>>;

std::string npy(const std::string& descr, const std::string& shape, char version, const std::string& values) {
  const std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n", descr, shape);
  return "\x93NUMPY"s + version + '\0' + static_cast<char>(header.size()) + '\0' +
         (version == 1 ? ""s : std::string(2, '\0')) + header + values;
}

/// The files of a small run, separated by a 0 byte.
std::string run() {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("ulmus-seeds-{}", ::getpid());
  ulmus::test::write_synthetic_run(folder, {.losses = {"ce"},
                                            .class_names = {"a", "b"},
                                            .seeds = 1,
                                            .epochs = 2,
                                            .most = 300,
                                            .test_per_class = 5,
                                            .validation_per_class = 1});
  const auto text = [&](const char* file) { return ulmus::read_file(folder / file); };
  std::string files = text("split.json") + '\0' + text("metrics.jsonl") + '\0' + text("results/loss0.seed0.json");
  std::filesystem::remove_all(folder);
  return files;
}

/// A safetensors file whose data are zeros.
std::string tensors(const std::string& header, std::size_t data) {
  std::string length;
  for (int i = 0; i < 8; ++i) length += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return length + header + std::string(data, '\0');
}

std::string checkpoint(const std::string& loss, const std::string& model, int side, std::size_t numbers) {
  const std::string info = fmt::format(
      R"({{"loss":"{}","seed":7,"epochs_done":3,"epochs":9,"seconds":1.5,"model":"{}","model_sha256":"","head":"linear",)"
      R"("channels":1,"height":{},"width":{},"classes":2,"mean":[0.25],"stddev":[0.5],"class_names":["a","b"],)"
      R"("encoding":"","tuned":"","chosen":""}})",
      loss, model, side, side);
  std::string escaped;
  for (const char c : info) escaped += c == '"' ? "\\\""s : std::string(1, c);
  return tensors(
      fmt::format(R"({{"__metadata__":{{"ulmus":"{}"}},"fc.weight":{{"dtype":"F32","shape":[{}],)"
                  R"("data_offsets":[0,{}]}},"loss.state":{{"dtype":"F64","shape":[2],"data_offsets":[{},{}]}}}})",
                  escaped, numbers, 4 * numbers, 4 * numbers, 4 * numbers + 16),
      4 * numbers + 16);
}

Seeds make_seeds() {
  const std::string table = "a,colour,y\n1,red,p\n2,\"gr\"\"een\",q\nNA,red,q\n-4e1,,p\n3,blue,q\n5,red,p\n";
  const ulmus::Table read = ulmus::read_csv(table, "table.csv", {.label = "y"});
  const std::array<std::int64_t, 6> rows{0, 1, 2, 3, 4, 5};
  ulmus::OpenedData data;
  data.train = ulmus::encode(read, ulmus::learn_encoding(read, rows));
  cv::Mat colours(12, 17, CV_8UC3);
  cv::randu(colours, 0, 256);
  const std::string record = std::string(3 * 32 * 32, '\x40');
  return {
      {"address",
       {"mnist", "folder:a/b", "list:l.txt?root=d&test=t.txt", "csv:t.csv?label=R%26D&drop=a,b%2Cc&delimiter=tab",
        "npy:x.npy,y.npy?classes=n.txt"}},
      {"cells",
       {"-$1,234.50", "7.589,00 \xe2\x82\xac",
        "(5\xe2\x80\xaf"
        "170 kg)",
        "8%", "2021-03-15T08:15:00.5+01:00", "Mon, 15 M\xc3\xa4rz 2021 3:15 pm", "15/03/21", "20210315",
        "\xff\xfe"
        "a\0"s}},
      {"checkpoint",
       {checkpoint("elm:lambda=0.5+drw", "linear", 1, 8), checkpoint("lmd", "conv3", 12, 400),
        checkpoint("ce", "mlp:layers=1,width=4", 2, 80)}},
      {"cifar", {"\x03"s + record, "\x01\x63"s + record}},
      {"classes",
       {"cat\nsea lion\n", "3 cat\r\n1 dog\n", "\xef\xbb\xbfname,count\ncat,3\n\"a,b\"\t2 # rare\n",
        "sea lion 2\nC# 1\n", "5\n2\n"}},
      {"csv",
       {table,
        "\xef\xbb\xbf"
        "a;\"b\n\";y\r\n1;\"x;\"\"\";0\r\n2;y;1\r\n",
        "a\ty\n1\t0\n?\t1\n", "b,y\nu,1\nv,2\n"}},
      {"encoding", {ulmus::to_json(ulmus::learn_encoding(read, rows))}},
      {"features",
       {tensors(R"({"__metadata__":{"origin":"o"},"train":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},)"
                R"("train.labels":{"dtype":"I64","shape":[3],"data_offsets":[24,48]},)"
                R"("validation":{"dtype":"F32","shape":[2,2],"data_offsets":[48,64]},)"
                R"("validation.labels":{"dtype":"I64","shape":[2],"data_offsets":[64,80]}})",
                80)}},
      {"idx",
       {"\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02"s
        "abcd",
        "\0\0\x08\x01\0\0\0\x02"s
        "\x01\x02"}},
      {"imbalance", {"none", "exp:100", "step:1.5", "exp:1e9", "5000\n400 # of class 1\n\n300\r\n2\n1\n"}},
      {"decode",
       {ulmus::test::encode_image(".jpg", ulmus::test::grey(9, 7, 99)),
        ulmus::test::with_orientation(ulmus::test::encode_image(".jpg", colours, {cv::IMWRITE_JPEG_QUALITY, 95}), 1),
        ulmus::test::encode_image(".jpg", colours, {cv::IMWRITE_JPEG_PROGRESSIVE, 1}),
        ulmus::test::encode_image(".png", colours), ulmus::test::encode_image(".tif", colours),
        ulmus::test::encode_image(".webp", colours), ulmus::test::encode_image(".bmp", colours),
        ulmus::test::encode_image(".png", cv::Mat(5, 4, CV_16UC4, cv::Scalar(1, 2, 3, 4000))),
        ulmus::test::encode_image(".tif", cv::Mat(5, 4, CV_16UC1, cv::Scalar(4000))),
        ulmus::test::encode_image(".ppm", colours), "P1 2 1 0 1", "P2 2 1 15 3 4"}},
      {"json", {R"({"a":[1,-2.5e3,null,true,{"b":"\u00e9"}]})", "[[[[]]]]", R"({"a":1,"a":2})"}},
      {"list",
       {"a/b.jpg 0\r\nc d.png 1\n\n e.png\t2 \n", "x 1\ny 0", "path,label\n\"a b.png\",0\nc.png,cat\n",
        "0\t1.000\ta.png\n# by hand\n/root/d\\e.png\t-1\n"}},
      {"loss",
       {"ce", "ldam+drw", "elm:lambda=0.5,scale=20+drw:from=0.8,beta=0.999", "ce,focal:gamma=2+cb,la:tau=1e+0",
        "1\n0.5 # of class 1\n"}},
      {"npy",
       {npy("<f4", "(2, 1)", 1, "\0\0\x80\x3f\0\0\0\x40"s), npy("<f2", "(1, 2)", 2, "\0\x3c\0\x40"s),
        npy("<f8", "(1, 1)", 3, "\0\0\0\0\0\0\xf0\x3f"s), npy("|u1", "(2,)", 1, "\0\x01"s),
        npy("<i8", "(1, 1)", 1, std::string(8, '\0')), npy(">i2", "(2, 2)", 1, "\0\1\0\0\0\0\0\1"s),
        npy("<U1", "(2,)", 1, "a\0\0\0\xe9\0\0\0"s), npy("|S2", "(2,)", 1, "abc\0"s)}},
      {"prior", {"uniform", "0.5,0.5", "3\n1 # rare\n", "1e300\n1e-300"}},
      {"run", {run()}},
      {"safetensors",
       {tensors(R"({"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8),
        tensors(R"({"a":{"dtype":"BF16","shape":[1,1],"data_offsets":[8,10]},"b":{"dtype":"I64","shape":[],)"
                R"("data_offsets":[0,8]}})",
                10)}},
      {"scores",
       {"a,b,y\n0.25,0.75,b\n1,0,a\n", "id;p(a);p(b)\n1;-3.5;2\n", "t,a,b\na,0,1\nb,2,0\n", "# n\n\"a\" b\n1e-3 2\n"}},
      {"settings",
       {"# ulmus compare\ndata = \"csv:t.csv?label=y\"\nlosses = \"ce,elm\"\nlr = 0.05\nskip-bad = true\nseed = 7\n",
        "epochs = 1e3\n\"model\" = 'mlp'\n[a]\nb = [1, 2]\nc = 2020-01-01T00:00:00Z\n",
        "losses = \"\"\"\na\\u0041\"\"\"\n"}},
      {"state", {std::string(64, '\x01'), std::string(400, '\x05')}},
      {"split", {ulmus::to_json(ulmus::make_split(data, {.seed = 1, .test_fraction = 0.3}))}},
  };
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: fuzz_seeds FOLDER\n", stderr);
    return 2;
  }
  try {
    for (const auto& [name, seeds] : make_seeds()) {
      const std::filesystem::path folder = std::filesystem::path(argv[1]) / name;
      ulmus::make_folder(folder);
      for (std::size_t i = 0; i < seeds.size(); ++i) ulmus::write_file(folder / std::to_string(i), seeds[i]);
    }
  } catch (const ulmus::Error& error) {
    std::fprintf(stderr, "fuzz_seeds: %s\n", error.what());
    return error.exit_code();
  }
  return 0;
}
