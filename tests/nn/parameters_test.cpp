#include "nn/serialization.hpp"
#include "tests/autograd/support.hpp"

namespace gradus::nn {
namespace {

using test::error_of;
using test::gaussian_numbers;
using test::same_bits;
using test::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct Model {
  Parameter<double> a{"a", gaussian_numbers<double>({2, 3}, 1)};
  Parameter<double> b{"part.b", gaussian_numbers<double>({4}, 2)};

  Parameters<double> parameters() { return {&a, &b}; }
};

// Another model of the same shapes, and what is in it.
struct Target : Model {
  Target() {
    a.set_value(Tensor<double>({2, 3}));
    b.set_value(Tensor<double>({4}));
  }

  bool untouched() const {
    return same_bits(a.value(), Tensor<double>({2, 3})) &&
           same_bits(b.value(), Tensor<double>({4}));
  }
};

TEST(Checkpoint, GivesEveryParameterBackBitForBit) {
  const TemporaryDirectory directory;
  Model model;
  Target target;
  save_file(model.parameters(), directory / "model.safetensors");
  load_file(target.parameters(), directory / "model.safetensors");
  EXPECT_TRUE(same_bits(target.a.value(), model.a.value()));
  EXPECT_TRUE(same_bits(target.b.value(), model.b.value()));
  EXPECT_EQ(directory.names(), (std::vector<std::string>{"model.safetensors"}));
}

TEST(Checkpoint, DoesNotChangeWithTheModelThatWasSaved) {
  Model model;
  io::SafeTensors<double> file;
  save(model.parameters(), file);
  const double before = model.a.value()(0, 0);
  model.a.mutable_value().mutable_data()[0] = 99;
  EXPECT_EQ(file.at("a")(0, 0), before);
}

TEST(Checkpoint, OfFloatsIsReadInDouble) {
  const TemporaryDirectory directory;
  Parameter<float> p("p", Tensor<float>({2}, {0.1f, -3}));
  save_file<float>({&p}, directory / "p");
  Parameter<double> q("p", Tensor<double>({2}));
  load_file<double>({&q}, directory / "p");
  EXPECT_EQ(q.value().to_vector(), (std::vector<double>{0.1f, -3}));
}

TEST(Checkpoint, ThatDoesNotFitChangesNothing) {
  struct Change {
    std::function<void(io::SafeTensors<double>&)> change;
    std::vector<std::string> message;
  };

  const std::vector<Change> changes =
      {{[](auto& file) { file.tensors.erase("part.b"); }, {"part.b"}},
       {[](auto& file) { file.tensors["part.b"] = Tensor<double>({5}); }, {"part.b", "(5)", "(4)"}},
       {[](auto& file) {
          file.tensors["part.b"] = Tensor<double>({4, 1});
        },
        {"part.b", "(4, 1)", "(4)"}}};
  const TemporaryDirectory directory;
  for (const Change& c : changes) {
    Model model;
    io::SafeTensors<double> file;
    save(model.parameters(), file);
    c.change(file);
    Target target;
    const std::string text = error_of([&] { load(target.parameters(), file); });
    for (const std::string& part : c.message) EXPECT_THAT(text, HasSubstr(part));
    EXPECT_TRUE(target.untouched());
    io::write_safetensors(directory / "file", file.tensors);
    EXPECT_NE(error_of([&] { load_file(target.parameters(), directory / "file"); }),
              "nothing was thrown");
    EXPECT_TRUE(target.untouched());
  }
}

TEST(Checkpoint, WithATensorThatTheModelDoesNotHaveIsRefused) {
  const TemporaryDirectory directory;
  Model model;
  io::SafeTensors<double> file;
  save(model.parameters(), file);
  file.tensors["part.c"] = Tensor<double>({1});
  io::write_safetensors(directory / "file", file.tensors);
  Target target;
  EXPECT_THAT(error_of([&] { load_file(target.parameters(), directory / "file"); }),
              HasSubstr("part.c"));
  EXPECT_TRUE(target.untouched());
  load(target.parameters(), file);  // a file may hold more than one model's tensors
  EXPECT_TRUE(same_bits(target.a.value(), model.a.value()));
}

TEST(Checkpoint, WithTwoParametersOfOneNameIsRefused) {
  Parameter<double> a("same", 1.0), b("same", 2.0);
  io::SafeTensors<double> file;
  EXPECT_THAT(error_of([&] { save<double>({&a, &b}, file); }), HasSubstr("'same'"));
}

TEST(Count, AddsUpTheNumbersOfAllParameters) {
  Model model;
  EXPECT_EQ(count(model.parameters()), 10);
  EXPECT_EQ(count(Parameters<double>{}), 0);
}

}  // namespace
}  // namespace gradus::nn
