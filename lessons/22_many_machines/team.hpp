#pragma once
#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <stdlib.h>

#ifdef GRADUS_MPI
#include <mpi.h>
#endif

#include "tensor/error.hpp"

// The processes that train one model together, by MPI. Where Gradus was built without MPI, and
// where nothing started more than one process, a team has one member, and has nothing to send.
namespace gradus::lesson22 {

// An error that every member of a team throws at the same moment, so that each can end by itself.
class SharedError : public Error {
 public:
  using Error::Error;
};

class Team {
 public:
  // The processes that mpirun, or a batch system, started with this one. There is one such object
  // in a program. Throws Error where several were started and this program was built without MPI.
  static Team started_together() {
#ifdef GRADUS_MPI
    if (!was_started_by_mpi()) return Team();
    // Open MPI waits by asking again and again. Where other programs run too, one that does not let
    // them in between holds up the very process that it waits for.
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
    MPI_Init(nullptr, nullptr);
    Team team(MPI_COMM_WORLD);
    team.ends_mpi_ = true;
    return team;
#else
    const char* size = std::getenv("OMPI_COMM_WORLD_SIZE");
    if (size && std::atoi(size) > 1)
      fail("several processes were started, but this program was built without MPI");
    return Team();
#endif
  }

  Team() = default;  // of one process

  Team(Team&& other) noexcept { swap(other); }

  Team& operator=(Team&& other) noexcept {
    swap(other);
    return *this;
  }

  ~Team() {
#ifdef GRADUS_MPI
    if (owned_) MPI_Comm_free(&communicator_);
    if (ends_mpi_) MPI_Finalize();
#endif
  }

  // Processes are numbered from 0 to size() - 1; the number is called the rank.
  int rank() const { return rank_; }

  int size() const { return size_; }

  // The ranks below n, as a team of its own. All members call this; those from n on get a team of
  // one, themselves.
  Team first(int n) const {
#ifdef GRADUS_MPI
    if (size_ > 1) {
      MPI_Comm part;
      MPI_Comm_split(communicator_, rank_ < n ? 0 : rank_, rank_, &part);
      Team team(part);
      team.owned_ = true;
      return team;
    }
#endif
    (void)n;
    return Team();
  }

  // Replaces each of the numbers by its sum over all members, who all get the same bits: an
  // all-reduce.
  template <class T> void sum(std::span<T> numbers) const {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
    if (numbers.size() > INT_MAX) fail("sum: {} numbers are too many for MPI", numbers.size());
#ifdef GRADUS_MPI
    const MPI_Datatype type = std::is_same_v<T, float> ? MPI_FLOAT : MPI_DOUBLE;
    if (size_ > 1)
      MPI_Allreduce(MPI_IN_PLACE, numbers.data(), static_cast<int>(numbers.size()), type, MPI_SUM,
                    communicator_);
#endif
  }

  // Whether it is so for every member.
  bool all(bool mine) const {
    double count = mine ? 1 : 0;
    sum(std::span(&count, 1));
    return count == size_;
  }

  // Each member's number, by rank.
  std::vector<std::uint64_t> gather(std::uint64_t mine) const {
    std::vector<std::uint64_t> numbers(static_cast<std::size_t>(size_), mine);
#ifdef GRADUS_MPI
    if (size_ > 1)
      MPI_Allgather(&mine, 1, MPI_UINT64_T, numbers.data(), 1, MPI_UINT64_T, communicator_);
#endif
    return numbers;
  }

  // What the member of rank `root` says, told to all.
  std::string broadcast(std::string text, int root = 0) const {
#ifdef GRADUS_MPI
    if (size_ > 1) {
      std::uint64_t length = text.size();
      MPI_Bcast(&length, 1, MPI_UINT64_T, root, communicator_);
      text.resize(length);
      for (std::size_t begin = 0; begin < text.size(); begin += kMostBytes) {
        const std::size_t bytes = std::min(kMostBytes, text.size() - begin);
        MPI_Bcast(text.data() + begin, static_cast<int>(bytes), MPI_CHAR, root, communicator_);
      }
    }
#endif
    (void)root;
    return text;
  }

  // Waits until all members are here.
  void wait() const { all(true); }

  // Ends all processes at once, after an error of this one alone: the others would wait for it for
  // ever.
  [[noreturn]] void abort(int status) const {
#ifdef GRADUS_MPI
    if (size_ > 1) MPI_Abort(communicator_, status);
#endif
    std::exit(status);
  }

 private:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 30;

  void swap(Team& other) {
    std::swap(rank_, other.rank_);
    std::swap(size_, other.size_);
#ifdef GRADUS_MPI
    std::swap(communicator_, other.communicator_);
    std::swap(owned_, other.owned_);
    std::swap(ends_mpi_, other.ends_mpi_);
#endif
  }

  int rank_ = 0, size_ = 1;

#ifdef GRADUS_MPI
  explicit Team(MPI_Comm communicator) : communicator_(communicator) {
    MPI_Comm_rank(communicator, &rank_);
    MPI_Comm_size(communicator, &size_);
  }

  // By Open MPI's mpirun, or by a batch system or MPICH's, which leave one of the others.
  static bool was_started_by_mpi() {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"})
      if (std::getenv(name)) return true;
    return false;
  }

  MPI_Comm communicator_ = MPI_COMM_NULL;
  bool owned_ = false;
  bool ends_mpi_ = false;
#endif
};

}  // namespace gradus::lesson22
