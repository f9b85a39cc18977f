#pragma once
#include <filesystem>

namespace gradus::kit {

// A directory that one run at a time writes to: it is this one's for as long as the lock lives, and
// the system gives it back however the program ends.
//
// Where the directory cannot be opened, or the file system knows no locks, there is none, and no
// error.
class DirectoryLock {
 public:
  // Throws Error when another run, of this or another program, holds it.
  explicit DirectoryLock(const std::filesystem::path& directory);

  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

  ~DirectoryLock();

 private:
  int descriptor_;  // of the open directory, or -1
};

}  // namespace gradus::kit
