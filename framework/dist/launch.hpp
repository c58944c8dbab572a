// Finds out how this process was started: alone, or as one of many by torchrun, srun or mpirun, which say so
// in the environment.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace hearth::dist {

struct Launch {
    int rank = 0, world = 1, local_rank = 0;
    int local_world = 1;  ///< processes on this machine; where nothing says it, as many as `world`
    std::string address;  ///< of the process with rank 0
    int port = 29500;
    std::string launcher;  ///< "torchrun", "srun", "mpirun"
};

/// Looks a variable up; nothing where it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

/// Nothing for a process that is alone. Read are RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT
/// (torchrun, Kubernetes' PyTorchJob); the SLURM_* of a job step; OMPI_COMM_WORLD_* or PMI_* (mpirun), where
/// MASTER_ADDR and MASTER_PORT count too. Throws RecipeError for a variable that is missing or no number.
std::optional<Launch> read_launch(const Environment& environment);

/// Cores for each of `processes` on one machine with `installed` cores, of which this process may use `allowed`.
/// Where a launcher bound every process to its own (srun --cpus-per-task), those are shared out already.
int share_of_cores(int allowed, int installed, int processes);
/// The same for this process: its affinity, and what the machine has.
int cores_for(const Launch& launch);

/// The first host of a SLURM list: "node[03-07,9],other" -> "node03".
std::string first_host(const std::string& list);

}  // namespace hearth::dist
