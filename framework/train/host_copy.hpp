// Many tensors of a GPU come to the host with one wait.
#pragma once

#include <optional>

#include "train/optimizer.hpp"

namespace hearth::train {

/// Those of a GPU as copies in page-locked memory of the host; the host waits once, for all of them. Those of the CPU
/// are the ones that were given.
NamedTensors on_host(const NamedTensors& tensors);

/// The same, and those of the CPU as copies too, so that what happens to a tensor afterwards does not show. Nothing
/// where copies cannot be had, or those of the CPU would take more than half of the memory that is free.
std::optional<NamedTensors> snapshot(const NamedTensors& tensors);

}  // namespace hearth::train
