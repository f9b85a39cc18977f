#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace gradus::io {
// The bytes of a file. Throws Error with the system's reason when it cannot be read.
std::string read_file(const std::filesystem::path& path);

// Writes a file whole or not at all: first under a temporary name beside it, then renamed. Throws
// Error with the system's reason (no such directory, no space left, ...) and leaves nothing behind.
void write_file(const std::filesystem::path& path, std::string_view bytes);
}  // namespace gradus::io
