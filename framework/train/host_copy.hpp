// Many tensors of a GPU come to the host with one wait.
#pragma once

#include "train/optimizer.hpp"

namespace hearth::train {

/// Those of a GPU as copies in page-locked memory of the host; the host waits once, for all of them. Those of the CPU
/// are the ones that were given.
NamedTensors on_host(const NamedTensors& tensors);

}  // namespace hearth::train
