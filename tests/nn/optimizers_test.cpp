#include "nn/optimizers.hpp"

#include "nn/layers.hpp"
#include "nn/minibatches.hpp"
#include "nn/serialization.hpp"
#include "tests/autograd/support.hpp"

namespace gradus::nn {
namespace {

using test::error_of;
using test::gaussian_numbers;
using test::same_bits;
using test::TemporaryDirectory;
using ::testing::HasSubstr;

// A gradient that changes from step to step and is different for every number.
double slope(double x, std::size_t i, int step) {
  return std::sin(3 * x + 0.37 * static_cast<double>(i)) + 0.1 * step * x;
}

template <class T> void give_gradient(Parameter<T>& p, int step) {
  Tensor<T> g(p.shape());
  for (Index i = 0; i < g.size(); ++i)
    g.mutable_data()[i] =
        static_cast<T>(slope(p.value().data()[i], static_cast<std::size_t>(i), step));
  p.grad = g;
}

// Runs an optimiser and, beside it, one number after the other, the algorithm as it is published.
template <class T, class Rule>
void expect_steps(Optimizer<T>& optimizer, Parameter<T>& p, Rule rule, double tolerance) {
  std::vector<double> x(p.value().begin(), p.value().end()), a(x.size()), b(x.size());
  for (int step = 1; step <= 50; ++step) {
    give_gradient(p, step);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = rule(x[i], slope(x[i], i, step), a[i], b[i], step);
    optimizer.step();
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(p.value().data()[i], x[i], tolerance) << "step " << step << ", number " << i;
  }
}

// Large enough to be done in pieces.
template <class T> Parameter<T> many_numbers() {
  return Parameter<T>("p", cast<T>(gaussian_numbers<double>({33, 1000}, 1)));
}

TEST(Sgd, WithMomentumIsThePublishedAlgorithm) {
  for (double momentum : {0.0, 0.9}) {
    Parameter<double> p = many_numbers<double>();
    Sgd<double> sgd({&p}, {.learning_rate = 0.02, .momentum = momentum});
    expect_steps(
        sgd, p,
        [&](double x, double g, double& u, double&, int) {
          u = momentum * u + g;
          return x - 0.02 * u;
        },
        1e-12);
  }
}

// Kingma and Ba 2015, algorithm 1.
double adam(double x, double g, double& m, double& v, int t) {
  m = 0.9 * m + (1 - 0.9) * g;
  v = 0.999 * v + (1 - 0.999) * g * g;
  const double m_hat = m / (1 - std::pow(0.9, t)), v_hat = v / (1 - std::pow(0.999, t));
  return x - 0.01 * m_hat / (std::sqrt(v_hat) + 1e-8);
}

TEST(Adam, IsThePublishedAlgorithm) {
  Parameter<double> p = many_numbers<double>();
  Adam<double> optimizer({&p}, {.learning_rate = 0.01});
  expect_steps(optimizer, p, adam, 1e-11);
}

TEST(Adam, InFloatFollowsThePublishedAlgorithm) {
  Parameter<float> p = many_numbers<float>();
  Adam<float> optimizer({&p}, {.learning_rate = 0.01});
  expect_steps(optimizer, p, adam, 5e-4);
}

// Against PyTorch 1.13 in float64, ten steps with the gradient 4 (x - c)^3 of sum((x - c)^4):
//   x = torch.tensor([1., -2., .5], requires_grad=True); c = torch.tensor([.25, 1., -1.])
//   o = torch.optim.SGD([x], lr=.01, momentum=.9)       or torch.optim.Adam([x], lr=.1)
//   for _ in range(10): o.zero_grad(); ((x - c) ** 4).sum().backward(); o.step()
template <class O, class Options> std::vector<double> after_ten_steps(Options options) {
  Parameter<double> x("x", Tensor<double>({3}, {1, -2, .5}));
  const Tensor<double> c({3}, {.25, 1, -1});
  O optimizer({&x}, options);
  for (int step = 0; step < 10; ++step) {
    Tape<double> tape;
    tape.backward(sum(square(square(x - c))));
    optimizer.step();
  }
  return x.value().to_vector();
}

TEST(Sgd, TakesTheStepsOfPyTorch) {
  const auto x = after_ten_steps<Sgd<double>>(SgdOptions{.learning_rate = 0.01, .momentum = 0.9});
  const std::vector<double> expected = {0.5495293609860141, 0.8662108938584647,
                                        -1.5347332606092423};
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(x[i], expected[i], 1e-13);
}

TEST(Adam, TakesTheStepsOfPyTorch) {
  const auto x = after_ten_steps<Adam<double>>(AdamOptions{.learning_rate = 0.1});
  const std::vector<double> expected = {0.27762368844062424, -1.0510853589625628,
                                        -0.3705079109120036};
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(x[i], expected[i], 1e-13);
}

// m' = g and v' = g^2 after one step, whatever the betas.
TEST(Adam, BeginsWithAStepOfTheLearningRate) {
  for (double g : {1e-9, -1e-8, 1e-4, -1.0, 1e6}) {
    Parameter<double> p("p", 0.0);
    Adam<double> optimizer({&p}, {.learning_rate = 0.1});
    p.grad = Tensor<double>(g);
    optimizer.step();
    EXPECT_NEAR(p.value().item() / (-0.1 * g / (std::fabs(g) + 1e-8)), 1, 1e-12) << g;
  }
}

// Each parameter's averages begin with its own first gradient, and so does its t.
TEST(Adam, BeginsWithAStepOfTheLearningRateAlsoForALateParameter) {
  Parameter<double> early("early", 0.0);
  Parameter<double> late("late", 0.0);
  Adam<double> adam({&early, &late}, {.learning_rate = 0.1});
  for (int step = 1; step <= 10'000; ++step) {
    early.grad = Tensor<double>(1.0);
    if (step == 10'000) late.grad = Tensor<double>(1.0);
    adam.step();
  }
  EXPECT_NEAR(late.value().item(), -0.1, 1e-8);
}

// m shrinks by 0.9 a step once gradients are 0: after 2,000 steps 1e-3 would be 1e-95, in float a
// subnormal number on the way.
TEST(Adam, AverageOfGradientsThatHaveEndedIsNeverSubnormal) {
  Parameter<float> p("p", Tensor<float>(0.5f));
  Adam<float> adam({&p});
  for (int step = 0; step < 2000; ++step) {
    p.grad = Tensor<float>(step == 0 ? 1e-3f : 0.0f);
    adam.step();
    io::SafeTensors<float> state;
    adam.save(state);
    const float m = state.at("adam.m.p").item();
    ASSERT_TRUE(m == 0 || std::isnormal(m)) << step << ": " << m;
    ASSERT_EQ(m == 0, step > 590) << "1e-4 0.9^step passes 2^-126 / 2^-23 there";
  }
}

TEST(Optimizer, MovesEachParameterByItsOwnGradientAndClearsIt) {
  Parameter<double> a("a", 1.0), b("b", Tensor<double>({2}, {2, 3})), still("still", 4.0);
  Sgd<double> sgd({&a, &b, &still}, {.learning_rate = 0.5});
  a.grad = Tensor<double>(1.0);
  b.grad = Tensor<double>({2}, {2, -2});
  const double* const numbers = b.value().data();
  sgd.step();
  EXPECT_EQ(a.value().item(), 0.5);
  EXPECT_EQ(b.value().to_vector(), (std::vector<double>{1, 4}));
  EXPECT_EQ(still.value().item(), 4);
  EXPECT_TRUE(a.grad.empty() && b.grad.empty());
  EXPECT_EQ(b.value().data(), numbers) << "the numbers are changed in place";
}

TEST(Optimizer, RefusesAStepWithoutAnyGradient) {
  Parameter<double> p("p", 0.0);
  Adam<double> adam({&p}, {.learning_rate = 0.1});
  for (int i = 0; i < 3; ++i)
    EXPECT_THAT(error_of([&] { adam.step(); }), HasSubstr("call Tape::backward first"));
  p.grad = Tensor<double>(1.0);
  adam.step();
  EXPECT_NEAR(p.value().item(), -0.1, 1e-8) << "a refused step is not counted";
  EXPECT_NE(error_of([&] { adam.step(); }), "nothing was thrown");
}

TEST(Optimizer, RefusesAGradientOfAnotherShapeThanTheParameter) {
  const std::string outcome = test::outcome_in_child_process([] {
    Parameter<double> p("encoder.bias", Tensor<double>({1 << 20}));
    Sgd<double> sgd({&p});
    p.grad = Tensor<double>({1});
    sgd.step();
  });
  EXPECT_THAT(outcome, HasSubstr("Error: "));
  EXPECT_THAT(outcome, HasSubstr("encoder.bias"));
}

// A regression with all that training has: a network, minibatches, noise, an optimiser.
template <class O, class Options> struct Training {
  Rng rng;
  Linear<float> first{"first", 3, 8, rng}, second{"second", 8, 1, rng};
  O optimizer;

  Training(std::uint64_t seed, Options options)
      : rng(seed), optimizer(nn::parameters<float>(first, second), options) {}

  void steps(int count) {
    const Tensor<float> data = cast<float>(gaussian_numbers<double>({count * 4, 3}, 9));
    for (const Tensor<float>& x : minibatches(data, 4, rng)) {
      Tape<float> tape;
      const Var<float> y = second(tanh(first(x + rng.normal<float>(x.shape()) * 0.1f)));
      tape.backward(mean(square(y - slice(x, 1, 0, 1))));
      optimizer.step();
    }
  }

  void save(const std::filesystem::path& path) {
    io::SafeTensors<float> file;
    nn::save(nn::parameters<float>(first, second), file);
    optimizer.save(file);
    file.metadata["rng"] = rng.state();
    io::write_safetensors(path, file.tensors, file.metadata);
  }

  void load(const std::filesystem::path& path) {
    const auto file = io::read_safetensors<float>(path);
    nn::load(nn::parameters<float>(first, second), file);
    optimizer.load(file);
    rng.restore(file.metadata.at("rng"));
  }
};

template <class O, class Options> void expect_resumed_training_to_be_the_same(Options options) {
  const TemporaryDirectory directory;
  Training<O, Options> whole(1, options);
  whole.steps(5);
  whole.steps(5);

  Training<O, Options> half(1, options);
  half.steps(5);
  half.save(directory / "half");
  Training<O, Options> resumed(2, options);
  resumed.load(directory / "half");
  resumed.steps(5);

  auto parameters = [](auto& t) { return nn::parameters<float>(t.first, t.second); };
  for (std::size_t k = 0; k < 4; ++k) {
    const Tensor<float>& expected = parameters(whole)[k]->value();
    EXPECT_TRUE(same_bits(parameters(resumed)[k]->value(), expected)) << k;
    EXPECT_FALSE(same_bits(parameters(half)[k]->value(), expected)) << k;
  }
}

TEST(Checkpoint, ResumesTrainingWithTheSameBits) {
  expect_resumed_training_to_be_the_same<Adam<float>>(AdamOptions{.learning_rate = 0.02});
  expect_resumed_training_to_be_the_same<Sgd<float>>(
      SgdOptions{.learning_rate = 0.02, .momentum = 0.9});
}

// Two optimisers of two models, which have made different numbers of steps, in one file; and of
// the first, a parameter that has come in late.
struct TwoModels {
  Parameter<double> a{"a", 1.0}, late{"late", 1.0}, b{"b", 1.0};
  Adam<double> first{{&a, &late}, {.learning_rate = 0.1}};
  Adam<double> second{{&b}, {.learning_rate = 0.1}};

  void step_first(bool late_too) {
    a.grad = a.value();
    if (late_too) late.grad = late.value();
    first.step();
  }

  void step_second() {
    b.grad = b.value();
    second.step();
  }

  std::vector<double> numbers() const {
    return {a.value().item(), late.value().item(), b.value().item()};
  }
};

TEST(Checkpoint, HoldsTwoOptimizersEachWithItsOwnSteps) {
  TwoModels whole;
  for (int step = 0; step < 9; ++step) whole.step_first(step >= 6);
  for (int step = 0; step < 2; ++step) whole.step_second();
  io::SafeTensors<double> file;
  nn::save<double>({&whole.a, &whole.late, &whole.b}, file);
  whole.first.save(file);
  whole.second.save(file);

  TwoModels resumed;
  nn::load<double>({&resumed.a, &resumed.late, &resumed.b}, file);
  resumed.second.load(file);
  resumed.first.load(file);
  for (TwoModels* models : {&whole, &resumed})
    for (int step = 0; step < 5; ++step) {
      models->step_first(true);
      models->step_second();
    }
  EXPECT_EQ(resumed.numbers(), whole.numbers());
}

TEST(Checkpoint, RefusesTwoOptimizersWhoseStatesHaveOneName) {
  Parameter<double> a("w", 1.0);
  Parameter<double> b("w", 2.0);
  io::SafeTensors<double> file;
  Adam<double>({&a}).save(file);
  EXPECT_EQ(error_of([&] { Adam<double>({&b}).save(file); }),
            "save: two tensors are named 'adam.m.w'; do two optimisers hold one parameter?");
  Sgd<double>({&b}).save(file);
  EXPECT_EQ(error_of([&] { Sgd<double>({&a}).save(file); }),
            "save: two tensors are named 'sgd.velocity.w'; do two optimisers hold one parameter?");
}

TEST(Checkpoint, OfAnOptimizerThatDoesNotFitChangesNothing) {
  using Change = std::function<void(io::SafeTensors<double>&)>;
  const std::vector<std::pair<Change, std::string>> changes =
      {{[](auto& f) { f.tensors.erase("adam.v.b"); }, "adam.v.b"},
       {[](auto& f) { f.tensors["adam.v.b"] = Tensor<double>({3}); }, "(3)"},
       {[](auto& f) { f.metadata.erase("adam.steps.b"); }, "adam.steps.b"},
       {[](auto& f) { f.metadata["adam.steps.b"] = ""; }, "adam.steps.b"},
       {[](auto& f) { f.metadata["adam.steps.b"] = "-1"; }, "'-1'"},
       {[](auto& f) { f.metadata["adam.steps.b"] = "three"; }, "'three'"},
       {[](auto& f) { f.metadata["adam.steps.b"] = "3 steps"; }, "'3 steps'"},
       {[](auto& f) { f.metadata["adam.steps.b"] = "1e3"; }, "'1e3'"},
       {[](auto& f) { f.metadata["adam.steps.b"] = "99999999999999999999"; }, "9999"}};
  for (const auto& [change, message] : changes) {
    Parameter<double> a("a", 1.0), b("b", Tensor<double>({2}, {2, 3}));
    Adam<double> adam({&a, &b});
    for (int step = 0; step < 3; ++step) {
      a.grad = Tensor<double>(1.0 + step);
      b.grad = Tensor<double>({2}, {0.5, -1});
      adam.step();
    }
    io::SafeTensors<double> before, changed, after;
    adam.save(before);
    adam.save(changed);
    for (auto& [name, tensor] : changed.tensors) tensor = tensor + 1;
    change(changed);
    EXPECT_THAT(error_of([&] { adam.load(changed); }), HasSubstr(message));
    adam.save(after);
    EXPECT_EQ(after.metadata, before.metadata) << message;
    for (const auto& [name, tensor] : before.tensors)
      EXPECT_TRUE(same_bits(after.at(name), tensor)) << message << ": " << name;
  }
}

TEST(Checkpoint, OfAnOptimizerNamesItsTensorsAfterTheParameters) {
  Parameter<double> p("encoder.weight", Tensor<double>({2, 3}));
  io::SafeTensors<double> file;
  Adam<double>({&p}).save(file);
  Sgd<double>({&p}).save(file);
  std::vector<std::string> names;
  for (const auto& entry : file.tensors) names.push_back(entry.first);
  EXPECT_EQ(names, (std::vector<std::string>{"adam.m.encoder.weight", "adam.v.encoder.weight",
                                             "sgd.velocity.encoder.weight"}));
  EXPECT_EQ(file.metadata.at("adam.steps.encoder.weight"), "0");
  EXPECT_EQ(file.metadata.at("sgd.steps.encoder.weight"), "0");
}

// Their states would be saved under one name, the second over the first.
TEST(Optimizer, RefusesTwoParametersOfOneName) {
  Parameter<double> a("w", 1.0);
  Parameter<double> b("w", 2.0);
  EXPECT_THAT(error_of([&] { Adam<double>({&a, &b}); }), HasSubstr("two parameters are named 'w'"));
  EXPECT_THAT(error_of([&] { Sgd<double>({&a, &a}); }), HasSubstr("two parameters are named 'w'"));
}

}  // namespace
}  // namespace gradus::nn
