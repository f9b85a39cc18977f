#include "tensor/io/safetensors.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;
using test::outcome_in_child_process;
using test::TemporaryDirectory;
using test::write_bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A file, put together from the format's description.
std::string file_of(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 255);
  return bytes + header + data;
}

template <class T> std::string bytes_of(const std::vector<T>& numbers) {
  return std::string(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T));
}

struct Safetensors : ::testing::Test {
  std::string error(const std::string& bytes) {
    write_bytes(path, bytes);
    return error_of([&] { io::read_safetensors<float>(path); });
  }

  // Of a file with the given header and 16 bytes of numbers.
  std::string header_error(const std::string& header) {
    return error(file_of(header, std::string(16, '\0')));
  }

  // Of a tensor "x", described so, with 16 bytes of numbers.
  std::string entry_error(const std::string& entry) {
    return header_error("{\"x\":" + entry + "}");
  }

  void expect_refused(const std::string& error, const std::string& reason) {
    EXPECT_THAT(error, StartsWith(path + ": not a valid safetensors file: "));
    EXPECT_THAT(error, HasSubstr(reason));
  }

  TemporaryDirectory directory;
  const std::string path = directory / "file";
  const std::string valid = file_of(
      R"({"__metadata__":{"made":"by hand"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"F64","shape":[],"data_offsets":[8,16]}})",
      bytes_of<float>({1.5f, -2}) + bytes_of<double>({0.1}));
};

TEST_F(Safetensors, ReadsAFileMadeByHand) {
  write_bytes(path, valid);
  const auto file = io::read_safetensors<double>(path);
  EXPECT_EQ(file.tensors.size(), 2u);
  EXPECT_EQ(file.at("a").shape(), (Shape{2, 1}));
  EXPECT_THAT(file.at("a").to_vector(), ElementsAre(1.5, -2));
  EXPECT_EQ(file.at("b").item(), 0.1);
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"made", "by hand"}}));
  EXPECT_EQ(io::read_safetensors<float>(path).at("b").item(), 0.1f);
}

TEST_F(Safetensors, TheOrderOfTheNumbersIsFree) {
  write_bytes(path, file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},)"
                            R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                            R"("none":{"dtype":"F32","shape":[0,5],"data_offsets":[4,4]}}   )",
                            bytes_of<float>({1, 2})));
  const auto file = io::read_safetensors<float>(path);
  EXPECT_EQ(file.at("a")(0), 2);
  EXPECT_EQ(file.at("b")(0), 1);
  EXPECT_EQ(file.at("none").shape(), (Shape{0, 5}));
}

TEST_F(Safetensors, WrittenTensorsAreReadBackBitForBit) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::map<std::string, Tensor<float>> tensors;
  tensors["weights.0/\"quoted\" \xc3\xa4"] = test::gaussian_numbers<float>({3, 1, 5}, 1);
  tensors["scalar"] = Tensor<float>(-0.0f);
  tensors["odd"] = Tensor<float>({3}, {nan, INFINITY, 1e-45f});
  tensors["empty"] = Tensor<float>(Shape{0, 7});
  tensors[""] = full<float>({6}, 2);
  const std::map<std::string, std::string> metadata = {{"k", "v"}, {"", "\n"}};
  io::write_safetensors(path, tensors, metadata);
  EXPECT_THAT(directory.names(), ElementsAre("file"));
  const auto file = io::read_safetensors<float>(path);
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (const auto& [name, x] : tensors) {
    ASSERT_EQ(file.at(name).shape(), x.shape());
    EXPECT_EQ(x.size() ? std::memcmp(file.at(name).data(), x.data(), x.size() * 4) : 0, 0) << name;
  }
}

TEST_F(Safetensors, DoublesKeepTheirPrecision) {
  const auto x = test::gaussian_numbers<double>({10}, 2);
  io::write_safetensors<double>(path, {{"x", x}});
  EXPECT_EQ(io::read_safetensors<double>(path).at("x").to_vector(), x.to_vector());
  EXPECT_EQ(io::read_safetensors<float>(path).at("x")(3), static_cast<float>(x(3)));
}

TEST_F(Safetensors, WrittenNumbersBeginAtAMultipleOfEight) {
  for (int length = 1; length <= 8; ++length) {
    io::write_safetensors<double>(path, {{std::string(length, 'x'), Tensor<double>(1.0)}});
    std::uint64_t header_size;
    std::memcpy(&header_size, test::read_bytes(path).data(), 8);
    EXPECT_EQ(header_size % 8, 0u);
    EXPECT_EQ(test::read_bytes(path).size(), 8 + header_size + 8);
  }
}

TEST_F(Safetensors, NoTensorsAreAFileToo) {
  io::write_safetensors<float>(path, {});
  EXPECT_TRUE(io::read_safetensors<float>(path).tensors.empty());
}

TEST_F(Safetensors, AMissingTensorIsNamedWithThoseThereAre) {
  write_bytes(path, valid);
  const auto file = io::read_safetensors<float>(path);
  EXPECT_EQ(error_of([&] { file.at("c"); }), "there is no tensor 'c'; there are: a, b");
}

TEST_F(Safetensors, WhatCannotBeReadOrWrittenIsAnError) {
  EXPECT_EQ(error_of([&] { io::read_safetensors<float>(path); }),
            "cannot read " + path + ": No such file or directory");
  EXPECT_THROW(io::read_safetensors<float>(directory.path()), Error);
  EXPECT_THROW(io::write_safetensors<float>(directory / "none/file", {}), Error);
}

TEST_F(Safetensors, CutOffAnywhereIsRefused) {
  for (std::size_t size = 0; size < valid.size(); ++size)
    expect_refused(error(valid.substr(0, size)), "");
  expect_refused(error(""), "truncated: it has 0 bytes");
  expect_refused(error(valid + "x"), "there are 1 bytes after the last tensor");
}

TEST_F(Safetensors, WithAnImpossibleHeaderSizeIsRefused) {
  expect_refused(error(std::string(8, '\0')), "");
  expect_refused(error(std::string(8, '\0') + "{}"), "");
  expect_refused(error(std::string(8, '\xff')), "is too large");
  expect_refused(error(std::string(4, '\xff')), "the header's size alone takes 8");
  expect_refused(error(std::string("\0\0\0\0\0\0\0\x80{}", 10)), "is too large");
  expect_refused(error(std::string("\3\0\0\0\0\0\0\0{}", 10)), "truncated");
  expect_refused(error(std::string("\0\0\0\5\0\0\0\0{}", 10)), "truncated");
}

TEST_F(Safetensors, WithAHeaderThatIsNotSuchJsonIsRefused) {
  for (const char* header : {"",
                             " ",
                             "{",
                             "}",
                             "{]",
                             "null",
                             "true",
                             "3",
                             "\"x\"",
                             "[]",
                             "[[\"x\",{}]]",
                             "{\"x\":}",
                             "{\"x\":1}",
                             "{\"x\":[]}",
                             "{\"x\":null}",
                             "{\"x\":{}}",
                             "{} {}",
                             "{}x",
                             "{\"x\" {}}",
                             "{'x':{}}",
                             "{\"a\":{\"dtype\":\"F32\"},}"})
    expect_refused(header_error(header), "");
  expect_refused(header_error(std::string("{}\0", 3)), "");
  expect_refused(header_error("{\"x\xff\":{}}"), "UTF-8");
  expect_refused(header_error("{\"x\xc3\":{}}"), "UTF-8");
}

TEST_F(Safetensors, WithAMissingKeyIsRefusedByName) {
  expect_refused(entry_error(R"({"shape":[4],"data_offsets":[0,16]})"), "dtype");
  expect_refused(entry_error(R"({"dtype":"F32","data_offsets":[0,16]})"), "shape");
  expect_refused(entry_error(R"({"dtype":"F32","shape":[4]})"), "data_offsets");
  expect_refused(entry_error(R"({"dtype":"F32","shape":[4]})"), "'x': ");
}

// These are the format's, of which the reader takes two.
TEST_F(Safetensors, WithADtypeThatIsNotReadIsSaidToBeValid) {
  for (const char* dtype :
       {"BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "I16",
        "U16", "F16", "BF16", "I32", "U32", "C64", "I64", "U64"})
    EXPECT_EQ(entry_error(
                  fmt::format(R"({{"dtype":"{}","shape":[4],"data_offsets":[0,16]}})", dtype)),
              path + ": 'x' is of dtype " + dtype +
                  ", and only F32 and F64 are read: write it as one of these");
}

TEST_F(Safetensors, WithADtypeThatIsNoneOfTheFormatIsRefused) {
  for (const char* dtype : {"f32", "F32 ", "F128", ""})
    expect_refused(entry_error(
                       fmt::format(R"({{"dtype":"{}","shape":[4],"data_offsets":[0,16]}})", dtype)),
                   fmt::format("'x': there is no dtype '{}'", dtype));
  expect_refused(entry_error(R"({"dtype":32,"shape":[4],"data_offsets":[0,16]})"), "");
}

TEST_F(Safetensors, WithMoreAxesThanATensorHasIsSaidToBeValid) {
  EXPECT_EQ(entry_error(R"({"dtype":"F32","shape":[1,1,1,1,1,1,4],"data_offsets":[0,16]})"),
            path + ": 'x' has 7 axes, and only up to 6 are read: write it in another shape");
}

TEST_F(Safetensors, WithExtentsThatAreNoSizesIsRefused) {
  for (const char* shape : {"[-4]", "[4.0]", "[\"4\"]", "[null]", "[4,true]", "[1e1]"})
    expect_refused(entry_error(
                       fmt::format(R"({{"dtype":"F32","shape":{},"data_offsets":[0,16]}})", shape)),
                   "is not a size");
}

TEST_F(Safetensors, WithAShapeThatIsNoFlatArrayIsRefused) {
  for (const char* shape : {"4", "[[4]]", "{\"rows\":2,\"columns\":2}", "\"4\""})
    expect_refused(entry_error(
                       fmt::format(R"({{"dtype":"F32","shape":{},"data_offsets":[0,16]}})", shape)),
                   "");
  // null must not stand for a scalar's [] either.
  expect_refused(error(
                     file_of(R"({"x":{"dtype":"F32","shape":null,"data_offsets":[0,4]}})", "1234")),
                 "");
}

TEST_F(Safetensors, WithAShapeThatOverflowsIsRefused) {
  for (const char* shape :
       {"[4294967296,4294967296]", "[4294967296,4294967296,0,4]", "[9223372036854775807]",
        "[9223372036854775808]", "[18446744073709551615]", "[18446744073709551616]",
        "[6148914691236517206,3]"})
    expect_refused(entry_error(
                       fmt::format(R"({{"dtype":"F32","shape":{},"data_offsets":[0,16]}})", shape)),
                   "");
}

TEST_F(Safetensors, WithOffsetsThatDoNotFitTheShapeIsRefused) {
  for (const char* offsets :
       {"[0,15]", "[0,12]", "[0,20]", "[16,0]", "[16,32]", "[4,16]", "[0,16,16]", "[0]", "[]",
        "[-16,0]", "[0.0,16]", "[\"0\",16]", "16", "null", "{\"0\":0,\"1\":16}",
        "[18446744073709551600,0]", "[18446744073709551608,8]", "[0,18446744073709551615]"})
    expect_refused(entry_error(
                       fmt::format(R"({{"dtype":"F32","shape":[4],"data_offsets":{}}})", offsets)),
                   "");
}

TEST_F(Safetensors, WithOverlappingOrGappedNumbersIsRefused) {
  auto two = [&](const char* a, const char* b) {
    return header_error(fmt::format(R"({{"a":{{"dtype":"F32","shape":[2],"data_offsets":{}}},)"
                                    R"("b":{{"dtype":"F32","shape":[2],"data_offsets":{}}}}})",
                                    a, b));
  };
  EXPECT_EQ(two("[0,8]", "[8,16]"), "nothing was thrown");
  expect_refused(two("[0,8]", "[4,12]"), "overlapping");
  expect_refused(two("[0,8]", "[0,8]"), "overlapping");
  expect_refused(two("[0,8]", "[12,20]"), "leaving a gap");
  expect_refused(two("[4,12]", "[12,20]"), "leaving a gap");
  expect_refused(two("[0,8]", "[16,24]"), "leaving a gap");
  expect_refused(entry_error(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
                 "there are 8 bytes after the last tensor");
  expect_refused(entry_error(R"({"dtype":"F64","shape":[4],"data_offsets":[0,32]})"),
                 "its data end at 32, but the file holds 16 bytes");
}

TEST_F(Safetensors, WithMetadataThatIsNotTextIsRefused) {
  for (const char* metadata : {"{\"a\":1}", "{\"a\":null}", "{\"a\":{}}", "[]", "3", "\"x\""})
    expect_refused(error(file_of(fmt::format("{{\"__metadata__\":{}}}", metadata), "")),
                   "__metadata__");
}

// The format's description: "Duplicate keys are disallowed."
TEST_F(Safetensors, WithTwoTensorsOfOneNameIsRefused) {
  expect_refused(header_error(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                              R"("x":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})"),
                 "x");
}

// A key is the same however its letters are written.
TEST_F(Safetensors, WithAKeyTwiceInOneObjectIsRefused) {
  const std::string rest = R"("shape":[4],"data_offsets":[0,16])";
  for (const char* dtypes : {R"("dtype":"F32","dtype":"F32")", R"("dtype":"F64","dtype":"F32")",
                             R"("dtype":"F32","dt\u0079pe":"F32")"})
    expect_refused(entry_error(fmt::format("{{{},{}}}", dtypes, rest)), "'x' has two keys 'dtype'");
  expect_refused(entry_error(R"({"a":1,"dtype":"F32",)" + rest + R"(,"a":1})"),
                 "'x' has two keys 'a'");
  expect_refused(error(file_of(R"({"__metadata__":{"a":"1","b":"2","a":"1"}})", "")),
                 "'__metadata__' has two keys 'a'");
}

// The same key in two tensors is no repetition; what the format does not name is passed over.
TEST_F(Safetensors, WithOtherKeysInATensorIsRead) {
  EXPECT_EQ(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"note":"1"},)"
                         R"("b":{"note":"1","dtype":"F32","shape":[2],"data_offsets":[8,16]}})"),
            "nothing was thrown");
}

// The format's description: it begins with {, and may be padded with blanks.
TEST_F(Safetensors, WithAHeaderThatIsPaddedWithOtherThanBlanksIsRefused) {
  const std::string header = R"({"x":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})";
  EXPECT_EQ(header_error(header + "   "), "nothing was thrown");
  for (const std::string& end : {std::string(1, '\0'), std::string(3, '\0'), std::string("\0{}", 3),
                                 std::string(" \0 x", 4)})
    expect_refused(header_error(header + end), "a byte that is 0");
  for (const char* begin : {" ", "\n", "\xef\xbb\xbf"})
    expect_refused(header_error(begin + header), "does not begin with {");
}

// A JSON value a million deep, wherever one may stand: no function may walk it recursively.
TEST_F(Safetensors, WithADeeplyNestedHeaderIsRefused) {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  for (const std::string& header :
       {deep, "{\"x\":" + deep + "}",
        R"({"x":{"dtype":"F32","data_offsets":[0,16],"shape":)" + deep + "}}",
        R"({"x":{"dtype":"F32","shape":[4],"data_offsets":)" + deep + "}}"}) {
    write_bytes(path, file_of(header, std::string(16, '\0')));
    EXPECT_THAT(outcome_in_child_process([&] { io::read_safetensors<float>(path); }).substr(0, 200),
                StartsWith("Error: " + path + ": not a valid safetensors file: "))
        << header.substr(0, 60);
  }
}

TEST_F(Safetensors, WithAnyByteChangedIsReadOrRefused) {
  std::mt19937 engine(3);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = valid;
    bytes[engine() % bytes.size()] = static_cast<char>(engine());
    const std::string message = error(bytes);
    EXPECT_TRUE(message == "nothing was thrown" || message.starts_with(path)) << message;
  }
}

TEST_F(Safetensors, ThatWouldNotBeReadBackIsNotWritten) {
  auto written = [&](const std::string& name) {
    return outcome_in_child_process([&] {
      io::write_safetensors<float>(path, {{name, Tensor<float>(1.0f)}});
    });
  };
  EXPECT_THAT(written("not UTF-8: \xff"), StartsWith("Error: cannot write " + path));
  EXPECT_THAT(written("__metadata__"), StartsWith("Error: cannot write " + path));
  EXPECT_TRUE(directory.names().empty());
}

}  // namespace
}  // namespace gradus
