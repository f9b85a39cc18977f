#pragma once

// What is known of all of Fashion-MNIST (60,000 training and 10,000 test images of 784 pixels, each
// from 0 to 1), computed without this project's code.
namespace gradus::fashion_mnist {

// Functions of the bytes of its files alone, by tests/references/fashion_mnist.py: of the training
// images the mean of a pixel, the variances of all pixels added up (per image), and their mean.
inline constexpr double kMeanPixel = 0.28604060;
inline constexpr double kTotalVariance = 68.21626099;
inline constexpr double kVarianceOfAPixel = 0.08701054;

// The mean squared error of a pixel of the test images, from the first k components of the training
// images: from the eigenvectors of their covariance that numpy.linalg.eigh finds (NumPy 1.24.2).
inline constexpr double kPcaTestError2 = 0.046096;
inline constexpr double kPcaTestError20 = 0.018705;
inline constexpr double kPcaTestError32 = 0.015142;
inline constexpr double kPcaTestError50 = 0.011985;

// In nats per test image, by tests/references/fashion_mnist.py: the least that any probabilities of
// the pixels can cost, and what those cost that are the mean training image.
inline constexpr double kPixelEntropy = 189.858328;
inline constexpr double kCostOfMeanImage = 385.017604;

}  // namespace gradus::fashion_mnist
