#include <fstream>
#include <map>
#include <sstream>

#include "nn/distributions.hpp"
#include "nn/recurrent.hpp"
#include "tests/autograd/support.hpp"

// Values and gradients of composite functions against those that PyTorch 1.13 has found:
// oracle/oracle.txt, written by oracle/make_oracle.py.
namespace gradus::nn {
namespace {

using test::distance;
using test::Vars;
using V = Var<double>;

struct Case {
  std::vector<Tensor<double>> inputs, gradients;
  double value = 0;
};

// "4x3" or "scalar", ":", and the numbers.
Tensor<double> parse_tensor(std::istream& line) {
  std::string shape, colon;
  line >> shape >> colon;
  EXPECT_EQ(colon, ":");
  std::vector<Index> extents;
  std::istringstream parts(shape == "scalar" ? "" : shape);
  for (std::string extent; std::getline(parts, extent, 'x');) extents.push_back(std::stol(extent));
  std::vector<double> values;
  for (std::string number; line >> number;) values.push_back(std::stod(number));
  return Tensor<double>(Shape(std::span<const Index>(extents)), values);
}

std::map<std::string, Case> read_oracle() {
  std::ifstream file(std::string(GRADUS_SOURCE_DIR) + "/tests/nn/oracle/oracle.txt");
  EXPECT_TRUE(file);
  std::map<std::string, Case> cases;
  Case* current = nullptr;
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    std::string kind, word;
    line >> kind;
    if (kind == "case") {
      line >> word;
      current = &cases[word];
    } else if (kind == "input") {
      current->inputs.push_back(parse_tensor(line));
    } else if (kind == "gradient") {
      current->gradients.push_back(parse_tensor(line));
    } else {
      line >> word >> current->value;
    }
  }
  return cases;
}

V linear(const V& x, const V& w, const V& b) { return matmul_nt(x, w) + b; }

V mlp(const Vars& v, V (*activation)(const V&)) {
  const V h = activation(linear(v[0], v[1], v[2]));
  return mean(sum(square(linear(h, v[3], v[4]) - v[5]), {1}));
}

V vae_negative_elbo(const Vars& v) {
  const V h = relu(linear(v[0], v[1], v[2]));
  const Normal<double> q{linear(h, v[3], v[4]), linear(h, v[5], v[6])};
  const V z = q.mean + exp(0.5 * q.log_var) * v[11];
  const Bernoulli<double> p{linear(relu(linear(z, v[7], v[8])), v[9], v[10])};
  return mean(kl(q, Normal<double>::standard()) - p.log_prob(v[0]));
}

V recurrent(const Vars& v) {
  V h = Tensor<double>({3, 4});
  for (int t = 0; t < 3; ++t) h = tanh(matmul_nt(v[t], v[3]) + matmul_nt(h, v[4]) + v[5]);
  return mean(sum(square(h), {1}));
}

V gated_linear_unit(const Vars& v) {
  return sum(slice(v[0], 1, 0, 3) * sigmoid(slice(v[0], 1, 3, 6)) * v[1]);
}

V clipped_ratio(const Vars& v) {
  return mean(minimum(v[0] * v[1], maximum(minimum(v[0], 1.2), 0.8) * v[1]));
}

// ln N(x; 0, S) for each row of x.
V log_normal(const V& x, const V& covariance) {
  const V whitened = solve_lower(cholesky(covariance), transpose(x));
  const double d = static_cast<double>(x.shape()[1]);
  return -0.5 *
         (d * Normal<double>::kLogTwoPi + log_determinant(covariance) + sum(square(whitened), {0}));
}

V entropies(const Vars& v) {
  const V normal = Normal<double>{0, v[0]}.entropy(), coin = Bernoulli<double>{v[1]}.entropy();
  return sum(normal * coin * Categorical<double>{v[2]}.entropy());
}

V mixture_log_likelihood(const Vars& v) {
  const V x = reshape(v[0], {8, 1});
  const V parts = -0.5 * (Normal<double>::kLogTwoPi + v[2] + square(x - v[1]) * exp(-v[2]));
  return mean(logsumexp(parts + log_softmax(v[3]), {1}));
}

V importance_weighted_bound(const Vars& v) {
  const Normal<double> q{v[1], v[2]};
  const V z = q.mean + exp(0.5 * q.log_var) * v[3];
  const V log_w =
      Normal<double>{z, 0}.log_prob(v[0]) + Normal<double>::standard().log_prob(z) - q.log_prob(z);
  return logsumexp(log_w) - std::log(6);
}

V gaussian_process_evidence(const Vars& v) {
  const V apart = reshape(v[0], {5, 1, 2}) - reshape(v[0], {1, 5, 2});
  const V kernel = exp(-sum(square(apart), {2}) / v[2]);
  return sum(log_normal(reshape(v[1], {1, 5}), kernel + 0.1 * identity<double>(5)));
}

V standardised(const Vars& v) {
  const V centred = v[0] - mean(v[0], {0, 2}, true);
  return sum(pow(v[1] * centred / sqrt(mean(square(centred), {0, 2}, true) + 0.1), 3));
}

V layer_norm(const Vars& v) {
  const V centred = v[0] - mean(v[0], {1}, true);
  const V scaled = centred / sqrt(mean(square(centred), {1}, true) + 1e-5);
  return sum((scaled * v[1] + v[2]) * v[3]);
}

V stacked_and_cut(const Vars& v) {
  const V joined = concatenate(std::vector<V>{v[0], v[1]}), pairs = reshape(joined, {2, 5});
  return sum(exp(slice(transpose(joined), 1, 1, 5) * v[2])) +
         sum(slice(pairs, 0, 0, 1) * slice(pairs, 0, 1, 2));
}

V gradient_penalty(const Vars& v) {
  const V y = sum(tanh(linear(v[0], v[1], v[2])) * v[3]);
  const V dx = gradient(y, {v[0]}, {.create_graph = true})[0];
  return mean(square(sqrt(sum(square(dx), {1})) - 1));
}

V hessian_vector_product(const Vars& v) {
  const V y = logsumexp(v[0]) + sum(pow(v[0], 3)) * sigmoid(sum(v[0]));
  const V dx = gradient(y, {v[0]}, {.create_graph = true})[0];
  return sum(square(gradient(sum(dx * v[1]), {v[0]}, {.create_graph = true})[0]));
}

V channels_last(const V& x) { return permute(x, {0, 2, 3, 1}); }

V channels_first(const V& x) { return permute(x, {0, 3, 1, 2}); }

// PyTorch's conv2d of x, w, b, which are the first three.
V conv2d_and_bias(const Vars& v, const Window& window) {
  return channels_first(conv2d(channels_last(v[0]), v[1], window) + v[2]);
}

V conv_transpose2d_and_bias(const Vars& v, const Window& window, Index height, Index width) {
  return channels_first(conv2d_transpose(channels_last(v[0]), v[1], window, height, width) + v[2]);
}

constexpr Window kThree = {.size = 3, .stride = 2, .padding = 1};
constexpr Window kFour = {.size = 4, .stride = 2, .padding = 1};

V convolutional_autoencoder(const Vars& v) {
  const V h = softplus(conv2d_and_bias(v, kFour));
  const V back = conv_transpose2d_and_bias({h, v[3], v[4]}, kFour, 6, 8);
  return mean(sum(square(back - v[0]), {1, 2, 3}));
}

V convolution_gradient_penalty(const Vars& v) {
  const V y = sum(square(tanh(conv2d_and_bias(v, kThree))));
  return sum(square(gradient(y, {v[0]}, {.create_graph = true})[0]));
}

V gru(const Vars& v) {
  const GruCell<double> cell("gru", v[5], v[6], v[7], v[8]);
  V h = v[4];
  for (int t = 0; t < 4; ++t) h = cell(cell.input_sums(v[t]), h);
  return mean(sum(square(h), {1}));
}

const std::map<std::string, V (*)(const Vars&)> kFunctions =
    {{"mlp_tanh", [](const Vars& v) { return mlp(v, tanh<double>); }},
     {"mlp_relu", [](const Vars& v) { return mlp(v, relu<double>); }},
     {"mlp_sigmoid", [](const Vars& v) { return mlp(v, sigmoid<double>); }},
     {"mlp_softplus", [](const Vars& v) { return mlp(v, softplus<double>); }},
     {"mlp_exp", [](const Vars& v) { return mlp(v, exp<double>); }},
     {"mlp_expm1", [](const Vars& v) { return mlp(v, expm1<double>); }},
     {"mlp_abs", [](const Vars& v) { return mlp(v, abs<double>); }},
     {"mlp_square", [](const Vars& v) { return mlp(v, square<double>); }},
     {"vae_negative_elbo", vae_negative_elbo},
     {"softmax_cross_entropy",
      [](const Vars& v) {
        return -mean(Categorical<double>{linear(v[0], v[1], v[2])}.log_prob({2, 0, 3, 1, 2}));
      }},
     {"attention",
      [](const Vars& v) { return sum(square(matmul(softmax(matmul_nt(v[0], v[1]) / 2), v[2]))); }},
     {"layer_norm", layer_norm},
     {"recurrent", recurrent},
     {"embedding",
      [](const Vars& v) {
        return sum(logsumexp(matmul(gather_rows(v[0], {4, 0, 4, 2}), v[1]), {1}));
      }},
     {"gated_linear_unit", gated_linear_unit},
     {"max_pool", [](const Vars& v) { return sum(max(v[0], {1}) * v[1]); }},
     {"clipped_ratio", clipped_ratio},
     {"logsumexp_of_matmul",
      [](const Vars& v) { return sum(logsumexp(matmul(v[0], v[1]), {0}) * v[2]); }},
     {"ppca_log_likelihood",
      [](const Vars& v) {
        const V covariance = matmul_nt(v[2], v[2]) + v[3] * identity<double>(4);
        return mean(log_normal(v[0] - v[1], covariance));
      }},
     {"normal_full_covariance", [](const Vars& v) { return sum(log_normal(v[0] - v[1], v[2])); }},
     {"normal_log_prob",
      [](const Vars& v) {
        return sum(square(Normal<double>{v[0], v[1]}.log_prob(v[2])));
      }},
     {"kl_of_normals",
      [](const Vars& v) {
        return sum(square(kl(Normal<double>{v[0], v[1]}, Normal<double>{v[2], v[3]})));
      }},
     {"kl_of_bernoullis",
      [](const Vars& v) {
        return sum(square(kl(Bernoulli<double>{v[0]}, Bernoulli<double>{v[1]})));
      }},
     {"kl_of_categoricals",
      [](const Vars& v) {
        return sum(square(kl(Categorical<double>{v[0]}, Categorical<double>{v[1]})));
      }},
     {"entropies", entropies},
     {"mixture_log_likelihood", mixture_log_likelihood},
     {"importance_weighted_bound", importance_weighted_bound},
     {"weighted_cholesky", [](const Vars& v) { return sum(cholesky(v[0]) * v[1]); }},
     {"ridge_regression",
      [](const Vars& v) {
        const V normal = matmul_tn(v[0], v[0]) + v[2] * identity<double>(3);
        const V w = solve_spd(normal, matmul_tn(v[0], reshape(v[1], {6, 1})));
        return mean(square(matmul(v[3], w) - reshape(v[4], {4, 1})));
      }},
     {"gaussian_process_evidence", gaussian_process_evidence},
     {"triangular_solves",
      [](const Vars& v) {
        return sum(solve_lower_transposed(v[0], solve_lower(v[0], v[1])) * v[2]);
      }},
     {"rational",
      [](const Vars& v) { return sum((pow(v[0], 3) * v[1] - v[1] / v[0]) / (1 + square(v[0]))); }},
     {"powers",
      [](const Vars& v) { return sum(pow(v[0], v[1]) * log(v[0]) - log1p(v[0]) * sqrt(v[0])); }},
     {"standardised", standardised},
     {"stacked_and_cut", stacked_and_cut},
     {"gradient_penalty", gradient_penalty},
     {"hessian_vector_product", hessian_vector_product},
     {"conv2d_k3_s2_p1", [](const Vars& v) { return sum(conv2d_and_bias(v, kThree) * v[3]); }},
     {"conv2d_k5_s3_p2",
      [](const Vars& v) {
        return sum(square(conv2d_and_bias(v, {.size = 5, .stride = 3, .padding = 2})));
      }},
     {"conv2d_k2_s1_p0",
      [](const Vars& v) { return sum(square(tanh(conv2d_and_bias(v, {.size = 2})))); }},
     {"conv_transpose2d_k3_s2_p1_output_padding_1_0",
      [](const Vars& v) { return sum(conv_transpose2d_and_bias(v, kThree, 8, 5) * v[3]); }},
     {"conv_transpose2d_k4_s2_p1",
      [](const Vars& v) { return sum(square(conv_transpose2d_and_bias(v, kFour, 6, 6))); }},
     {"convolutional_autoencoder", convolutional_autoencoder},
     {"convolution_gradient_penalty", convolution_gradient_penalty},
     {"gru", gru}};

TEST(Oracle, HasTheFunctionsThatAreComputedHere) {
  const auto oracle = read_oracle();
  EXPECT_GE(oracle.size(), 30u);
  for (const auto& entry : oracle) EXPECT_TRUE(kFunctions.count(entry.first)) << entry.first;
  for (const auto& entry : kFunctions) EXPECT_TRUE(oracle.count(entry.first)) << entry.first;
}

// Both frameworks round to 1e-16 at each operation; a function of a few dozen of them, some of
// which cancel, keeps 1e-11 of its largest element.
TEST(Oracle, FindsTheSameValuesAndGradients) {
  constexpr double kTolerance = 1e-11;
  for (const auto& [name, expected] : read_oracle()) {
    const auto f = kFunctions.find(name);
    if (f == kFunctions.end()) continue;
    Tape<double> tape;
    Vars leaves;
    for (const Tensor<double>& x : expected.inputs) leaves.push_back(tape.leaf(x));
    const V value = f->second(leaves);
    EXPECT_NEAR(value.item(), expected.value, kTolerance * std::fabs(expected.value)) << name;
    const Vars gradients = gradient(value, leaves);
    ASSERT_EQ(gradients.size(), expected.gradients.size()) << name;
    for (std::size_t k = 0; k < gradients.size(); ++k)
      EXPECT_LE(distance(gradients[k].value(), expected.gradients[k]),
                kTolerance * max(abs(expected.gradients[k])).item())
          << name << ": gradient of input " << k;
  }
}

}  // namespace
}  // namespace gradus::nn
