#pragma once
#include <filesystem>
#include <vector>

#include "tensor/shape.hpp"
#include "tensor/tensor.hpp"

// The IDX format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist), gzipped or not:
//     0, 0, type, rank      one byte each; type 8 is unsigned bytes, the only one that is read here
//     extents               4 bytes each, the most significant first
//     the numbers           row-major
namespace gradus::io {
// Images as pixels in [0, 1], a byte b being b / 255: a file of shape (N, H, W) gives (N, H, W).
// Throws Error when the file cannot be read, is no IDX file of unsigned bytes, has no axis or more
// than Shape::kMaxRank, is truncated, has bytes after its numbers or its gzip data, or when its
// gzip checksum fails.
template <class T> Tensor<T> read_idx_images(const std::filesystem::path& path);

// Labels 0, ..., 255, from a file of shape (N). Throws as read_idx_images does, and when the file
// has another number of axes.
std::vector<Index> read_idx_labels(const std::filesystem::path& path);

// Writes pixels in [0, 1] as bytes, rounded to the nearest, in the tensor's shape. Throws Error
// when it is a scalar, a pixel is outside [0, 1] or the file cannot be written.
template <class T>
void write_idx_images(const std::filesystem::path& path, const Tensor<T>& images);

// Throws Error when a label is not in 0, ..., 255 or the file cannot be written.
void write_idx_labels(const std::filesystem::path& path, const std::vector<Index>& labels);
}  // namespace gradus::io
