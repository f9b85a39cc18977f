#include "lessons/kit/directory_lock.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "tensor/error.hpp"

namespace gradus::kit {

DirectoryLock::DirectoryLock(const std::filesystem::path& directory)
    : descriptor_(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0) return;
  const bool locked = flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  if (locked || errno != EWOULDBLOCK) return;  // where locks are unknown: go on without

  close(descriptor_);
  fail(
      "another run is at work in {}: wait until it has ended, or choose another directory with "
      "--out",
      directory.string());
}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace gradus::kit
